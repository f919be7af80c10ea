//! The log against a host that loses, changes and reorders it.

use super::*;
use crate::secret::{RootKey, Subkeys};
use crate::storage::opponent::Opponent;

fn root() -> RootKey {
    RootKey::from_bytes(&[1; 32])
}

async fn open(opponent: &Opponent) -> AuditLog {
    AuditLog::open(opponent.client(), Subkeys::derive(&root()).audit).await.unwrap()
}

async fn record(log: &AuditLog, request_id: &str) -> Result<(), Unrecorded> {
    let entry = AuditEntry { request_id: request_id.into(), ..AuditEntry::default() };
    let response = Response::of(request_id.into(), Ok(serde_json::json!({})));
    log.record(Outcome { entry, response }).await.map(|_| ())
}

async fn read(opponent: &Opponent) -> Result<Vec<String>, AuditError> {
    let entries = read_audit_log(&opponent.client(), &root()).await?;
    Ok(entries.into_iter().map(|entry| entry.request_id).collect())
}

#[tokio::test]
async fn decisions_of_two_starts_are_read_back_in_order() {
    let opponent = Opponent::default();
    for start in ["a", "b"] {
        let log = open(&opponent).await;
        record(&log, &format!("{start}1")).await.unwrap();
        record(&log, &format!("{start}2")).await.unwrap();
    }
    assert_eq!(read(&opponent).await.unwrap(), ["a1", "a2", "b1", "b2"]);
}

#[tokio::test]
async fn decisions_that_wait_together_share_a_block() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    let (a, b, c) = tokio::join!(record(&log, "a"), record(&log, "b"), record(&log, "c"));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(read(&opponent).await.unwrap().len(), 3);
    assert!(opponent.held().audit.len() < 3);
}

#[tokio::test]
async fn large_decisions_are_spread_over_blocks() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    let large = |id: &str, bytes: usize| {
        let reason = Some("x".repeat(bytes));
        let entry = AuditEntry { request_id: id.into(), reason, ..AuditEntry::default() };
        let response = Response::of(id.into(), Ok(serde_json::json!({})));
        log.record(Outcome { entry, response })
    };
    let half = BLOCK_BYTES / 2;
    let (a, b, c, d) =
        tokio::join!(large("1", half), large("2", half), large("3", 1), large("4", half));
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert!(large("5", BLOCK_BYTES).await.is_err());
    assert_eq!(read(&opponent).await.unwrap(), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn nothing_is_released_while_the_log_cannot_be_written() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "before").await.unwrap();
    opponent.held().full = true;
    assert!(record(&log, "during").await.is_err());
    opponent.held().full = false;
    record(&log, "after").await.unwrap();
    assert_eq!(read(&opponent).await.unwrap(), ["before", "after"]);
}

#[tokio::test]
async fn a_swallowed_answer_is_a_refusal_and_the_log_goes_on() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    opponent.held().swallow_answer = true;
    assert!(record(&log, "swallowed").await.is_err());
    record(&log, "next").await.unwrap();
    assert_eq!(read(&opponent).await.unwrap(), ["swallowed", "next"]);
}

#[tokio::test]
async fn changed_dropped_and_reordered_blocks_show() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    for id in ["1", "2", "3"] {
        record(&log, id).await.unwrap();
    }
    let good = opponent.held().audit.clone();

    opponent.held().audit.get_mut(&2).unwrap()[40] ^= 1;
    let changed = read(&opponent).await;
    assert!(matches!(changed, Err(AuditError::BlockDoesNotOpen { sequence: 2 })));

    opponent.held().audit = good.clone();
    opponent.held().audit.insert(2, good[&3].clone());
    assert!(read(&opponent).await.is_err());

    opponent.held().audit = good.clone();
    opponent.held().audit.remove(&2);
    assert!(read(&opponent).await.is_err());
}

/// What the journal names must be there at the next boot, and be the same.
#[tokio::test]
async fn a_log_that_lost_a_named_block_shows() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    record(&log, "2").await.unwrap();
    let named = log.newest().current().unwrap();
    assert_eq!(named.sequence, 2);
    record(&log, "3").await.unwrap();
    let store = opponent.client();
    AuditLog::check_holds(&store, named).await.unwrap();

    opponent.held().audit.get_mut(&2).unwrap()[40] ^= 1;
    let changed = AuditLog::check_holds(&store, named).await;
    assert!(matches!(changed, Err(AuditError::ChainBroken { sequence: 2 })));
    opponent.held().audit.split_off(&2);
    let cut = AuditLog::check_holds(&store, named).await;
    assert!(matches!(cut, Err(AuditError::CutShort)));
}

#[tokio::test]
async fn a_log_cut_under_a_running_worker_stops_releases() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    record(&log, "2").await.unwrap();
    opponent.held().audit.remove(&2);
    assert!(record(&log, "3").await.is_err());
    assert!(record(&log, "4").await.is_err());
}

/// Blocks behind a failed one fail with it, and the log goes on from where it really ends.
#[tokio::test]
async fn a_failure_with_blocks_behind_it_loses_and_repeats_nothing() {
    for swallowed in [false, true] {
        let opponent = Opponent::default();
        let log = open(&opponent).await;
        record(&log, "before").await.unwrap();
        opponent.held().full = !swallowed;
        opponent.held().swallow_answer = swallowed;
        let reopen = async {
            // Between the first block and the ones that queue up behind it.
            tokio::task::yield_now().await;
            record(&log, "behind").await
        };
        let (first, behind) = tokio::join!(record(&log, "first"), reopen);
        assert!(first.is_err());
        opponent.held().full = false;
        record(&log, "after").await.unwrap();
        let kept = read(&opponent).await.unwrap();
        assert_eq!(kept.first().map(String::as_str), Some("before"));
        assert_eq!(kept.last().map(String::as_str), Some("after"));
        assert_eq!(kept.contains(&"first".to_owned()), swallowed);
        assert!(behind.is_err() || kept.contains(&"behind".to_owned()));
    }
}
