//! What time does to keys: a key whose pending window is over is deleted, one whose rotation period
//! is over gets new material, one whose imported material expires loses it.
//!
//! For each key that waits for a time the journal has a record named by this time, written in the
//! same entry as the key. What is next is therefore known from the journal's index, after a restart
//! as before. What is done and the end of its record are one entry: it is done exactly once.

use super::Key;
use super::grants::retirable_writes;
use super::state::KeyState;
use super::store::{HeldKey, KeyStore, StoreFault, key_write};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Keys that are tried before a failure is reported.
const ATTEMPTS: usize = 100;

/// Something that was done because its time had come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Deleted { arn: String },
    Rotated { arn: String },
    Expired { arn: String },
}

impl KeyStore {
    /// When something is to be done next; milliseconds since 1970.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.first_due(1).first().map(|(time, _)| *time)
    }

    /// Until the time of [`KeyStore::next_due`] may be another.
    pub(crate) async fn rescheduled(&self) {
        self.rescheduled.notified().await;
    }

    /// Does the one thing that has waited longest of what can be done, if its time has come at `now`.
    /// A key that cannot be read (a host may refuse its record) keeps nothing else waiting.
    pub(crate) async fn do_next_due(&self, now: u64) -> Result<Option<Done>, StoreFault> {
        let mut outcome = Ok(None);
        for (time, id) in self.first_due(ATTEMPTS) {
            if time > now {
                break;
            }
            match self.do_due(time, id, now).await {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(fault) => outcome = Err(fault),
            }
        }
        outcome
    }

    async fn do_due(&self, time: u64, id: Uuid, now: u64) -> Result<Option<Done>, StoreFault> {
        // A record that the host withholds is missed here, and not while everybody waits to write.
        self.by_id(id).await?;
        let writer = self.journal.writer().await?;
        if !self.journal.contains(&RecordId::Due { time, key: id }) {
            return Ok(None);
        }
        let held = self.by_id(id).await?.filter(|held| held.key.due() == Some(time));
        let held = held.ok_or(StoreFault::Inconsistent)?;
        let (writes, done) = due(&held, now)?;
        writer.commit(writes).await?;
        if !matches!(done, Done::Rotated { .. }) {
            self.forget(id);
        }
        Ok(Some(done))
    }

    fn first_due(&self, limit: usize) -> Vec<(u64, Uuid)> {
        let is_due = |id: &RecordId| matches!(id, RecordId::Due { .. });
        let first = RecordId::Due { time: 0, key: Uuid::nil() };
        let ids = self.journal.ids(&first, limit, is_due);
        ids.into_iter()
            .filter_map(|id| match id {
                RecordId::Due { time, key } => Some((time, key)),
                _ => None,
            })
            .collect()
    }
}

/// What time does to a key.
fn due(held: &HeldKey, now: u64) -> Result<(Vec<Write>, Done), StoreFault> {
    let expires = held.key.next_expiry().is_some_and(|expiry| expiry <= now);
    match held.key.state {
        KeyState::PendingDeletion { deletion } if deletion <= now => {
            let gone = |id| Write { id, plaintext: None };
            let aliases = held.aliases.iter().cloned().map(RecordId::Alias);
            let of_key = held.key.due().map(|time| RecordId::Due { time, key: held.key.id });
            let all = aliases.chain(of_key).chain([RecordId::Key(held.key.id)]);
            let mut writes: Vec<Write> = all.map(gone).collect();
            writes.extend(retirable_writes(held.key.id, &held.key.grants, &[]));
            Ok((writes, Done::Deleted { arn: held.arn.clone() }))
        }
        _ if expires => {
            let mut key = held.key.clone();
            key.expire(now);
            Ok((changed(held, &key)?, Done::Expired { arn: held.arn.clone() }))
        }
        KeyState::Enabled => {
            let mut key = held.key.clone();
            key.rotate_automatically(now)?;
            Ok((changed(held, &key)?, Done::Rotated { arn: held.arn.clone() }))
        }
        KeyState::Disabled | KeyState::PendingImport | KeyState::PendingDeletion { .. } => {
            Err(StoreFault::Inconsistent)
        }
    }
}

fn changed(held: &HeldKey, key: &Key) -> Result<Vec<Write>, StoreFault> {
    let mut writes = due_writes(&held.key, key);
    writes.push(key_write(key, &held.policy, &held.aliases)?);
    Ok(writes)
}

/// What a change of a key changes of the times that something is due.
pub(super) fn due_writes(before: &Key, after: &Key) -> Vec<Write> {
    if before.due() == after.due() {
        return Vec::new();
    }
    let record = |time| RecordId::Due { time, key: before.id };
    let ended = before.due().map(|time| Write { id: record(time), plaintext: None });
    let begun =
        after.due().map(|time| Write { id: record(time), plaintext: Some(Zeroizing::default()) });
    ended.into_iter().chain(begun).collect()
}
