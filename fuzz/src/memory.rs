//! A store in memory, for a journal that is opened again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sekisho_wire::store::{Page, serve_store};
use sekisho_wire::{Commit, RecordKey, Store, StoreClient, StoreError};

/// What a host holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub entries: BTreeMap<u64, Vec<u8>>,
    pub records: BTreeMap<RecordKey, Vec<u8>>,
    pub audit: BTreeMap<u64, Vec<u8>>,
    pub slots: BTreeMap<RecordKey, Vec<u8>>,
}

/// A host that does as it is asked, over what it holds. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Held>>);

impl Memory {
    pub fn of(held: Held) -> Self {
        Self(Arc::new(Mutex::new(held)))
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("no target panics here")
    }

    /// The worker's side of a stream to it; within a runtime.
    pub fn client(&self) -> StoreClient {
        let (worker, host) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve_store(host, Arc::new(self.clone())));
        StoreClient::over(worker)
    }
}

fn newest(entries: &BTreeMap<u64, Vec<u8>>) -> u64 {
    entries.keys().last().copied().unwrap_or(0)
}

fn page(entries: &BTreeMap<u64, Vec<u8>>, from: u64, limit: u32) -> Page {
    let page = entries.range(from..).take(limit as usize);
    page.map(|(sequence, bytes)| (*sequence, bytes.clone())).collect()
}

impl Store for Memory {
    async fn head(&self) -> Result<u64, StoreError> {
        Ok(newest(&self.held().entries))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let mut held = self.held();
        let head = newest(&held.entries);
        if commit.sequence != head + 1 {
            return Err(StoreError::Conflict { head });
        }
        held.entries.insert(commit.sequence, commit.entry);
        held.records.extend(commit.puts);
        commit.deletes.iter().for_each(|key| drop(held.records.remove(key)));
        Ok(())
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().records.get(&key).cloned())
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        Ok(page(&self.held().entries, from, limit))
    }

    async fn compact(&self, before: u64, _: u64) -> Result<u64, StoreError> {
        let mut held = self.held();
        held.entries = held.entries.split_off(&before);
        Ok(held.entries.keys().next().copied().unwrap_or(0))
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        self.held().audit.insert(sequence, record);
        Ok(())
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        Ok(page(&self.held().audit, from, limit))
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Ok(self.held().audit.iter().next_back().map(|(at, bytes)| (*at, bytes.clone())))
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().slots.get(&slot).cloned())
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Ok(self.held().slots.entry(slot).or_insert(content).clone())
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let slots = &mut self.held().slots;
        if slots.get(&slot) == Some(&held) {
            slots.insert(slot, content);
        }
        Ok(slots.get(&slot).cloned())
    }
}
