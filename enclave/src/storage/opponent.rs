//! For tests: a store in memory that can be bent in every way a hostile host could bend it.

use super::journal::{Journal, JournalError, Write};
use super::record::RecordId;
use crate::keys::id::KeyId;
use sekisho_wire::store::{Commit, Page, RecordKey, Store, StoreClient, StoreError, serve_store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use zeroize::Zeroizing;

/// What the host holds, open to the test.
#[derive(Default, Clone)]
pub(crate) struct Held {
    pub(crate) entries: BTreeMap<u64, Vec<u8>>,
    pub(crate) records: BTreeMap<RecordKey, Vec<u8>>,
    pub(crate) audit: BTreeMap<u64, Vec<u8>>,
    pub(crate) slots: BTreeMap<RecordKey, Vec<u8>>,
    /// The next write is kept, but its answer never comes.
    pub(crate) swallow_answer: bool,
    /// The commit of this number is refused; one of this number is kept without an answer.
    pub(crate) refuse_at: u64,
    pub(crate) swallow_at: u64,
    /// Every write fails.
    pub(crate) full: bool,
    /// What it does with the wish to drop old entries.
    pub(crate) compaction: Compaction,
}

/// What a host may do when it is asked to drop old entries.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compaction {
    #[default]
    Done,
    Refused,
    /// It says that it has done it.
    Ignored,
    /// It says that it has got no further.
    Stuck,
}

/// The host's side.
#[derive(Default, Clone)]
pub(crate) struct Opponent(Arc<Mutex<Held>>);

impl Opponent {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    /// A worker's client of this store, over a stream and the real protocol.
    pub(crate) fn client(&self) -> StoreClient {
        let (worker, host) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve_store(host, Arc::new(self.clone())));
        StoreClient::over(worker)
    }

    fn written(&self, held: &mut Held) -> Result<(), StoreError> {
        if std::mem::take(&mut held.swallow_answer) {
            return Err(StoreError::Unavailable);
        }
        Ok(())
    }
}

impl Store for Opponent {
    async fn head(&self) -> Result<u64, StoreError> {
        Ok(self.held().entries.keys().last().copied().unwrap_or(0))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let mut held = self.held();
        let head = held.entries.keys().last().copied().unwrap_or(0);
        if held.full || commit.sequence == held.refuse_at {
            return Err(StoreError::Full);
        }
        held.swallow_answer |= commit.sequence == held.swallow_at;
        if commit.sequence != head + 1 {
            return Err(StoreError::Conflict { head });
        }
        held.entries.insert(commit.sequence, commit.entry);
        held.records.extend(commit.puts);
        for key in commit.deletes {
            held.records.remove(&key);
        }
        self.written(&mut held)
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().records.get(&key).cloned())
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let held = self.held();
        let page = held.entries.range(from..).take(limit as usize);
        Ok(page.map(|(sequence, entry)| (*sequence, entry.clone())).collect())
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        let mut held = self.held();
        let newest = held.entries.keys().last().copied().unwrap_or(0);
        if newest != head {
            return Err(StoreError::Conflict { head: newest });
        }
        match held.compaction {
            Compaction::Done => held.entries = held.entries.split_off(&before.min(newest)),
            Compaction::Refused => return Err(StoreError::Unavailable),
            Compaction::Ignored => return Ok(before),
            Compaction::Stuck => return Ok(1),
        }
        Ok(held.entries.keys().next().copied().unwrap_or(0))
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        let mut held = self.held();
        let head = held.audit.keys().last().copied().unwrap_or(0);
        if held.full {
            return Err(StoreError::Full);
        }
        if sequence != head + 1 {
            return Err(StoreError::Conflict { head });
        }
        held.audit.insert(sequence, record);
        self.written(&mut held)
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let held = self.held();
        let page = held.audit.range(from..).take(limit as usize);
        Ok(page.map(|(sequence, block)| (*sequence, block.clone())).collect())
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let held = self.held();
        Ok(held.audit.iter().next_back().map(|(sequence, block)| (*sequence, block.clone())))
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().slots.get(&slot).cloned())
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let mut held = self.held();
        if held.full {
            return Err(StoreError::Full);
        }
        let content = held.slots.entry(slot).or_insert(content).clone();
        self.written(&mut held).map(|()| content)
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        expected: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut held = self.held();
        if held.full {
            return Err(StoreError::Full);
        }
        if held.slots.get(&slot) == Some(&expected) {
            held.slots.insert(slot, content);
        }
        let now = held.slots.get(&slot).cloned();
        self.written(&mut held).map(|()| now)
    }
}

pub(crate) fn key(number: u8) -> RecordId {
    RecordId::Key(KeyId::from_bytes([number; 16]))
}

pub(crate) fn alias(name: &str) -> RecordId {
    RecordId::Alias(format!("alias/{name}"))
}

pub(crate) async fn put(journal: &Journal, id: RecordId, text: &str) -> Result<(), JournalError> {
    let plaintext = Some(Zeroizing::new(text.as_bytes().to_vec()));
    journal.writer().await?.commit(vec![Write { id, plaintext }]).await.map(|_| ())
}
