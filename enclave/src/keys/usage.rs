//! When a key was last used (AWS, GetKeyLastUsage).
//!
//! A use is a cryptographic operation that succeeded and whose audit record is durable. It is noted
//! in memory, so that requests do not wait for the journal, and what was noted is written every few
//! minutes and at an orderly stop, one record a key. A worker that ends otherwise forgets what it
//! noted since: the audit log alone has every use.

use super::store::{KeyStore, StoreFault, put};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

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

/// What was noted and is not written yet: no more than there are keys.
#[derive(Default)]
pub(crate) struct Usages(Mutex<HashMap<Uuid, LastUsage>>);

impl Usages {
    fn noted(&self) -> MutexGuard<'_, HashMap<Uuid, LastUsage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a use of each key. Requests end in another order than they began: the latest counts.
    pub(crate) fn note(&self, keys: &[Uuid], usage: &LastUsage) {
        let mut noted = self.noted();
        for key in keys {
            if noted.get(key).is_none_or(|known| known.time <= usage.time) {
                noted.insert(*key, usage.clone());
            }
        }
    }

    fn take(&self, limit: usize) -> Vec<(Uuid, LastUsage)> {
        let mut noted = self.noted();
        let keys: Vec<Uuid> = noted.keys().copied().take(limit).collect();
        keys.into_iter().filter_map(|key| noted.remove(&key).map(|usage| (key, usage))).collect()
    }
}

impl KeyStore {
    /// The last use of a key that is known; none where it was not used since uses are noted.
    pub(crate) async fn last_usage(&self, key: Uuid) -> Result<Option<LastUsage>, StoreFault> {
        let noted = self.usages.noted().get(&key).cloned();
        match noted {
            Some(usage) => Ok(Some(usage)),
            None => self.load(&RecordId::LastUsage(key)).await,
        }
    }

    /// Since when uses are noted: `now` where none ever was.
    pub(crate) async fn tracking_since(&self, now: u64) -> Result<u64, StoreFault> {
        let tracking: Option<Tracking> = self.load(&RecordId::UsageTracking).await?;
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
                taken.iter().for_each(|(key, usage)| self.usages.note(&[*key], usage));
                return Err(fault);
            }
        }
    }

    async fn write_usages(
        &self,
        usages: &[(Uuid, LastUsage)],
        started: u64,
    ) -> Result<(), StoreFault> {
        let writer = self.journal.writer().await?;
        let mut writes = Vec::new();
        for (key, usage) in usages {
            // A key that was deleted meanwhile leaves nothing behind.
            if self.journal.contains(&RecordId::Key(*key)) {
                writes.push(put(RecordId::LastUsage(*key), usage)?);
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
    pub(super) fn usage_writes(&self, key: Uuid) -> Option<Write> {
        let id = RecordId::LastUsage(key);
        self.journal.contains(&id).then_some(Write { id, plaintext: None })
    }
}
