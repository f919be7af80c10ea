//! Does what is due with keys when its time has come, and records it like what somebody asked for.

use crate::api::{ApiError, Response};
use crate::audit::{AuditEntry, AuditLog, Outcome};
use crate::clock::milliseconds;
use crate::keys::schedule::Done;
use crate::keys::store::{KeyStore, StoreFault};
use crate::log::{Event, log};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// The longest sleep: so long may a clock that was set forward go unnoticed.
const LONGEST: Duration = Duration::from_secs(60);
/// After a failure, until the next attempt.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two writes of when keys were last used: what a worker forgets that is killed.
const USAGES: Duration = Duration::from_secs(300);
/// For the last of them, when the worker stops.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// Who does it, in the audit log; AWS's logs name `kms.amazonaws.com` in the same place.
const PRINCIPAL: &str = "sekisho";

/// Runs for as long as the worker does.
pub(crate) async fn run(keys: Arc<KeyStore>, audit: AuditLog) {
    loop {
        keys.modules.upload.expire(Instant::now());
        let now = milliseconds(OffsetDateTime::now_utc());
        match keys.do_next_due(now).await {
            Ok(Some(done)) => record(&audit, done, now).await,
            Ok(None) => {
                let left = keys.next_due().map(|due| due.saturating_sub(now));
                let sleep = left.map_or(LONGEST, Duration::from_millis).min(LONGEST);
                // A timeout is the usual end.
                let _ = tokio::time::timeout(sleep, keys.rescheduled()).await;
            }
            Err(fault) => {
                report(fault);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Writes when keys were last used, every few minutes.
pub(crate) async fn keep_usages(keys: Arc<KeyStore>, started: u64) {
    loop {
        tokio::time::sleep(USAGES).await;
        if let Err(fault) = keys.store_usages(started).await {
            report(fault);
        }
    }
}

/// [`keep_usages`] once, for a worker that stops.
pub(crate) async fn store_last_usages(keys: &KeyStore, started: u64) {
    match tokio::time::timeout(LAST_WRITE, keys.store_usages(started)).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => report(fault),
        Err(_) => log(Event::UpkeepFailed),
    }
}

fn report(fault: StoreFault) {
    log(Event::UpkeepFailed);
    // What is wrong with the storage is logged where it would become a caller's error.
    let _ = ApiError::from(fault);
}

async fn record(audit: &AuditLog, done: Done, now: u64) {
    let (operation, key) = match done {
        Done::Deleted { arn } => ("DeleteKey", arn),
        Done::Rotated { arn } => ("RotateKey", arn),
        Done::Expired { arn } => ("DeleteExpiredKeyMaterial", arn),
    };
    let entry = AuditEntry {
        time: now,
        operation: operation.into(),
        principal: PRINCIPAL.into(),
        key: Some(key),
        ..AuditEntry::default()
    };
    let response = Response::of(String::new(), Ok(json!({})));
    // A log that cannot be written says so itself, and stops all that anybody asks for.
    let _ = audit.record(Outcome { entry, response }).await;
}
