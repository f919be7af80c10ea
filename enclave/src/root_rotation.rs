//! Rotation of the root key: a new one, and everything sealed again under it while the service serves.
//!
//! First the next root key is kept ([`Keeper::next`]) beside the one before; then the journal goes on
//! under it; then records of before are sealed again, some at a time; and when a snapshot stands in the
//! place of all entries of before, the former root key is kept no longer. Each step is durable before
//! the next, and what is left to do follows from what lies in the store: a worker that is killed goes
//! on at its next start.

use crate::api::Response;
use crate::audit::{AuditEntry, AuditLog, Outcome};
use crate::clock::milliseconds;
use crate::keyring::{HeldKeyring, Keyring, KeyringError};
use crate::log::{Event, log};
use crate::secret::Subkeys;
use crate::storage::journal::{Journal, JournalError, Sweep};
use crate::unseal::{Failure, Keeper};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};

/// Between two entries with records that are sealed again: others write meanwhile.
const BREATH: Duration = Duration::from_millis(5);
/// After a failure, until the next attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// What stands as the operation in the audit log at the end of a rotation.
const FINISHED: &str = "FinishRootKeyRotation";
/// Who does it.
const PRINCIPAL: &str = "sekisho";

/// Rotates the root key of a running worker.
pub(crate) struct RootRotation {
    pub(crate) journal: Arc<Journal>,
    pub(crate) keyring: HeldKeyring,
    pub(crate) keeper: Keeper,
    /// Takes the newest root key's keys to what hangs from it beside the journal.
    pub(crate) renew: Box<dyn Fn(Subkeys) + Send + Sync>,
    pub(crate) audit: AuditLog,
    pub(crate) work: Work,
}

/// Who begins, and who goes on.
#[derive(Default)]
pub(crate) struct Work {
    /// Held by the one who begins a rotation.
    beginning: Mutex<()>,
    wake: Notify,
}

/// Where the root key stands.
pub(crate) struct Standing {
    /// Of the newest root key.
    pub(crate) generation: u32,
    /// When it came, in milliseconds since 1970; none for the first.
    pub(crate) since: Option<u64>,
    pub(crate) rotating: bool,
    /// Records that are still sealed under the one before.
    pub(crate) records_left: usize,
}

impl RootRotation {
    pub(crate) fn standing(&self) -> Standing {
        let newest = self.keyring.read(Keyring::generation);
        let rotating = self.keyring.read(Keyring::is_rotating);
        let reached = self.journal.generation();
        let begun = reached.number == newest;
        let records_left = match (rotating, begun) {
            (false, _) => 0,
            (true, true) => self.journal.former_records(),
            (true, false) => self.journal.all_records(),
        };
        let since = Some(reached.since).filter(|since| begun && *since > 0);
        Standing { generation: newest, since, rotating, records_left }
    }

    /// Makes the next root key, and begins with it. Goes on to its end also where who asked does not
    /// wait for it.
    pub(crate) async fn rotate(self: &Arc<Self>) -> Result<Standing, NotRotated> {
        let rotation = self.clone();
        let begun = tokio::spawn(async move { rotation.begin().await });
        begun.await.map_err(|_| NotRotated::Failed(Failure::Internal))?
    }

    async fn begin(&self) -> Result<Standing, NotRotated> {
        let _one = self.work.beginning.try_lock().map_err(|_| NotRotated::UnderWay)?;
        if self.keyring.read(Keyring::is_rotating) {
            return Err(NotRotated::UnderWay);
        }
        if !self.keeper.can_rotate() {
            return Err(NotRotated::Failed(Failure::NoKeeper));
        }
        // Not where another worker has taken over.
        drop(self.journal.writer().await?);
        let before = self.keyring.read(Keyring::copy);
        let next = self.keeper.next(&before).await.inspect_err(|failure| {
            log(Event::RootKeyNotRotated(failure));
        })?;
        let subkeys = next.subkeys()?;
        log(Event::RootKeyRotates { generation: next.generation() });
        self.keyring.replace(next);
        (self.renew)(subkeys);
        self.work.wake.notify_one();
        Ok(self.standing())
    }

    /// Goes on with what is to be done, for as long as this future is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut sweep = Sweep::default();
        loop {
            if !self.keyring.read(Keyring::is_rotating) {
                self.work.wake.notified().await;
                continue;
            }
            match self.step(&mut sweep).await {
                Ok(()) => tokio::time::sleep(BREATH).await,
                Err(NotRotated::Journal(JournalError::Superseded)) => return,
                Err(error) => {
                    match &error {
                        NotRotated::Journal(error) => log(Event::RootRotationWaits(error)),
                        NotRotated::Failed(failure) => log(Event::RootKeyNotRotated(failure)),
                        NotRotated::UnderWay | NotRotated::Keyring(_) => {}
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn step(&self, sweep: &mut Sweep) -> Result<(), NotRotated> {
        let keyring = self.keyring.read(Keyring::copy);
        if self.journal.generation().number < keyring.generation() {
            let keys = keyring.newest_sealing_keys()?;
            let now = milliseconds(OffsetDateTime::now_utc());
            self.journal.begin(keys, now).await?;
        }
        if !self.journal.reseal(sweep).await? {
            return Ok(());
        }
        // What was before is then needed at no start.
        self.journal.snapshot().await?;
        let left = self.keeper.forget_former(&keyring).await?;
        let generation = left.generation();
        self.keyring.replace(left);
        self.journal.forget_former();
        log(Event::RootKeyRotated { generation });
        let entry = AuditEntry {
            time: milliseconds(OffsetDateTime::now_utc()),
            operation: FINISHED.into(),
            principal: PRINCIPAL.into(),
            reason: Some(format!("everything is sealed under generation {generation}")),
            ..AuditEntry::default()
        };
        let response = Response::of(String::new(), Ok(json!({})));
        // A log that cannot be written says so itself, and stops all that anybody asks for.
        let _ = self.audit.record(Outcome { entry, response }).await;
        Ok(())
    }
}

/// Why the root key is not rotated.
#[derive(Debug, Error)]
pub(crate) enum NotRotated {
    #[error(
        "a rotation of the root key is under way: wait until no record is left of the one before"
    )]
    UnderWay,
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}
