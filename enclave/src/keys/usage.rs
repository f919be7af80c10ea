//! When a key was last used (AWS, GetKeyLastUsage).
//!
//! A use is a cryptographic operation that succeeded and whose audit record is durable. It is noted
//! in memory, so that requests do not wait for the journal, and what was noted is written every few
//! minutes and at an orderly stop, one record a key. A worker that ends otherwise forgets what it
//! noted since: the audit log alone has every use.

use super::id::KeyId;
use super::store::{KeyStore, StoreFault, put};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Records in one entry of the journal.
const AT_ONCE: usize = 1000;

/// The last use of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastUsage {
    /// AWS's name.
    pub(crate) operation: String,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    /// Of the request, and so of its audit record.
    pub(crate) request_id: String,
}

/// Since when uses are noted: written with the first of them.
#[derive(Serialize, Deserialize)]
struct Tracking {
    since: u64,
}

/// What was noted and is not written yet, by the key's record: no more than there are keys.
#[derive(Default)]
pub(crate) struct Usages(Mutex<HashMap<RecordId, LastUsage>>);

impl Usages {
    fn noted(&self) -> MutexGuard<'_, HashMap<RecordId, LastUsage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests end in another order than they began: the latest counts.
    fn note(&self, key: RecordId, usage: LastUsage) {
        let mut noted = self.noted();
        if noted.get(&key).is_none_or(|known| known.time <= usage.time) {
            noted.insert(key, usage);
        }
    }

    fn take(&self, limit: usize) -> Vec<(RecordId, LastUsage)> {
        let mut noted = self.noted();
        let keys: Vec<RecordId> = noted.keys().take(limit).cloned().collect();
        keys.into_iter().filter_map(|key| noted.remove_entry(&key)).collect()
    }
}

/// The record of the last use of the key that has a record.
fn of_key(record: &RecordId) -> RecordId {
    match record {
        RecordId::Key(id) => RecordId::LastUsage(*id),
        RecordId::In { region, record } => {
            RecordId::In { region: region.clone(), record: Box::new(of_key(record)) }
        }
        other => other.clone(),
    }
}

impl KeyStore {
    /// Notes a use of each key.
    pub(crate) fn note_usage(&self, keys: &[KeyId], usage: &LastUsage) {
        for key in keys {
            self.usages.note(self.local(RecordId::Key(*key)), usage.clone());
        }
    }

    /// The last use of a key that is known; none where it was not used since uses are noted.
    pub(crate) async fn last_usage(&self, key: KeyId) -> Result<Option<LastUsage>, StoreFault> {
        let noted = self.usages.noted().get(&self.local(RecordId::Key(key))).cloned();
        match noted {
            Some(usage) => Ok(Some(usage)),
            None => self.load(RecordId::LastUsage(key)).await,
        }
    }

    /// Since when uses are noted: `now` where none ever was.
    pub(crate) async fn tracking_since(&self, now: u64) -> Result<u64, StoreFault> {
        let tracking: Option<Tracking> = self.at_home().load(RecordId::UsageTracking).await?;
        Ok(tracking.map_or(now, |tracking| tracking.since))
    }

    /// Writes what was noted; `started` is when this worker began to note.
    pub(crate) async fn store_usages(&self, started: u64) -> Result<(), StoreFault> {
        loop {
            let taken = self.usages.take(AT_ONCE);
            if taken.is_empty() {
                return Ok(());
            }
            if let Err(fault) = self.write_usages(&taken, started).await {
                // For the next time, unless they were used again meanwhile.
                taken.into_iter().for_each(|(key, usage)| self.usages.note(key, usage));
                return Err(fault);
            }
        }
    }

    async fn write_usages(
        &self,
        usages: &[(RecordId, LastUsage)],
        started: u64,
    ) -> Result<(), StoreFault> {
        let writer = self.journal.writer().await?;
        let mut writes = Vec::new();
        for (key, usage) in usages {
            // A key that was deleted meanwhile leaves nothing behind.
            if self.journal.contains(key) {
                writes.push(put(of_key(key), usage)?);
            }
        }
        if !writes.is_empty() && !self.journal.contains(&RecordId::UsageTracking) {
            writes.push(put(RecordId::UsageTracking, &Tracking { since: started })?);
        }
        if !writes.is_empty() {
            writer.commit(writes).await?;
        }
        Ok(())
    }

    /// What is to go with a key.
    pub(super) fn usage_writes(&self, key: KeyId) -> Option<Write> {
        let id = self.local(RecordId::LastUsage(key));
        self.journal.contains(&id).then_some(Write { id, plaintext: None })
    }
}
