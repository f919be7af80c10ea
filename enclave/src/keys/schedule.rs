//! What time does to keys: a key whose pending window is over is deleted, one whose rotation period
//! is over gets new material, one whose imported material expires loses it.
//!
//! For each key that waits for a time the journal has a record named by this time, written in the
//! same entry as the key. What is next is therefore known from the journal's index, after a restart
//! as before. What is done and the end of its record are one entry: it is done exactly once.

use super::Key;
use super::grants::retirable_writes;
use super::id::KeyId;
use super::multi_region::Family;
use super::state::KeyState;
use super::store::{HeldKey, KeyStore, StoreFault};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
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
        self.first_due(1).first().map(|(time, ..)| *time)
    }

    /// Until the time of [`KeyStore::next_due`] may be another.
    pub(crate) async fn rescheduled(&self) {
        self.rescheduled.notified().await;
    }

    /// Does the one thing that has waited longest of what can be done in any Region, if its time has
    /// come at `now`.
    /// A key that cannot be read (a host may refuse its record) keeps nothing else waiting.
    pub(crate) async fn do_next_due(&self, now: u64) -> Result<Option<Done>, StoreFault> {
        let mut outcome = Ok(None);
        for (time, id, region) in self.first_due(ATTEMPTS) {
            if time > now {
                break;
            }
            match self.in_region(&region).do_due(time, id, now).await {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(fault) => outcome = Err(fault),
            }
        }
        outcome
    }

    async fn do_due(&self, time: u64, id: KeyId, now: u64) -> Result<Option<Done>, StoreFault> {
        self.read_ahead(id).await?;
        let writer = self.journal.writer().await?;
        if !self.contains(RecordId::Due { time, key: id }) {
            return Ok(None);
        }
        let family = self.family(id).await?.filter(|family| family.own().due() == Some(time));
        let (mut writes, done) = self.due(family.ok_or(StoreFault::Inconsistent)?, now)?;
        if matches!(done, Done::Deleted { .. }) {
            writes.extend(self.usage_writes(id));
        }
        writer.commit(writes).await?;
        if !matches!(done, Done::Rotated { .. }) {
            self.forget(id);
        }
        Ok(Some(done))
    }

    /// By time, of all Regions.
    fn first_due(&self, limit: usize) -> Vec<(u64, KeyId, String)> {
        let is_due = |id: &RecordId| matches!(id, RecordId::Due { .. });
        let mut found = Vec::new();
        for region in self.regions() {
            let first = RecordId::Due { time: 0, key: KeyId::NIL };
            let ids = self.in_region(&region).ids(first, limit, is_due);
            found.extend(ids.into_iter().filter_map(|id| match id {
                RecordId::Due { time, key } => Some((time, key, region.clone())),
                _ => None,
            }));
        }
        found.sort();
        found.truncate(limit);
        found
    }

    /// What time does to a key, and to those that are related to it.
    fn due(&self, mut family: Family, now: u64) -> Result<(Vec<Write>, Done), StoreFault> {
        let held = family.held().clone();
        let arn = held.arn.clone();
        let expires = held.key.next_expiry().is_some_and(|expiry| expiry <= now);
        match held.key.state {
            KeyState::PendingDeletion { deletion } if deletion <= now => {
                let mut writes = self.localized(self::deletion(&held));
                writes.extend(family.bereave(now)?);
                Ok((writes, Done::Deleted { arn }))
            }
            _ if expires => {
                family.change().expire(now);
                Ok((family.writes()?, Done::Expired { arn }))
            }
            KeyState::Enabled => {
                family.change().rotate_automatically(now)?;
                family.share();
                Ok((family.writes()?, Done::Rotated { arn }))
            }
            KeyState::Disabled
            | KeyState::PendingImport
            | KeyState::PendingDeletion { .. }
            | KeyState::PendingReplicaDeletion { .. } => Err(StoreFault::Inconsistent),
        }
    }
}

/// All that names a key.
fn deletion(held: &HeldKey) -> Vec<Write> {
    let gone = |id| Write { id, plaintext: None };
    let aliases = held.aliases.iter().cloned().map(RecordId::Alias);
    let due = held.key.due().map(|time| RecordId::Due { time, key: held.key.id });
    let all = aliases.chain(due).chain([RecordId::Key(held.key.id)]);
    let mut writes: Vec<Write> = all.map(gone).collect();
    writes.extend(retirable_writes(held.key.id, &held.key.grants, &[]));
    writes
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
