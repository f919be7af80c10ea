//! The store as a stream of the worker sees it: every call is counted and timed.

use std::sync::Arc;
use std::time::Instant;

use sekisho_wire::store::Page;
use sekisho_wire::{Commit, RecordKey, Store, StoreError};

use super::RedbStore;
use super::audit::AppendStream;
use crate::metrics::{Answer, Call, Metrics};

/// A [`RedbStore`] with a count of what is asked of it.
pub(crate) struct Measured {
    store: Arc<RedbStore>,
    metrics: Arc<Metrics>,
    stream: Arc<AppendStream>,
}

impl Measured {
    /// Looks where journal and audit log end at the start.
    pub(crate) async fn new(store: Arc<RedbStore>, metrics: Arc<Metrics>) -> Self {
        if let Ok(head) = store.head().await {
            metrics.head.raise(head);
        }
        if let Ok(Some((tail, _))) = store.audit_tail().await {
            metrics.audit_tail.raise(tail);
        }
        Self { store, metrics, stream: Arc::default() }
    }

    /// For one stream more.
    pub(crate) fn for_stream(&self) -> Self {
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        Self { store, metrics, stream: Arc::default() }
    }

    async fn measure<T>(
        &self,
        call: Call,
        answering: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let answer = answering.await;
        self.metrics.call_time.of(call).observe(started.elapsed());
        self.metrics.calls.of(call).of(kind(&answer)).increment();
        answer
    }
}

fn kind<T>(answer: &Result<T, StoreError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(StoreError::Conflict { .. }) => Answer::Conflict,
        Err(StoreError::TooLarge) => Answer::TooLarge,
        Err(StoreError::Full) => Answer::Full,
        Err(StoreError::Unavailable) => Answer::Unavailable,
        Err(StoreError::Malformed) => Answer::Malformed,
    }
}

impl Store for Measured {
    async fn head(&self) -> Result<u64, StoreError> {
        self.measure(Call::Head, self.store.head()).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let sequence = commit.sequence;
        self.measure(Call::Commit, self.store.commit(commit)).await?;
        self.metrics.head.raise(sequence);
        Ok(())
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.measure(Call::Get, self.store.get(key)).await
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        self.measure(Call::Entries, self.store.entries(from, limit)).await
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        self.measure(Call::Compact, self.store.compact(before, head)).await
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        let appended = self.store.append_audit_on(&self.stream, sequence, record);
        self.measure(Call::AppendAudit, appended).await?;
        self.metrics.audit_records.increment();
        self.metrics.audit_tail.raise(sequence);
        Ok(())
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        self.measure(Call::Audit, self.store.audit(from, limit)).await
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.measure(Call::AuditTail, self.store.audit_tail_on(&self.stream)).await
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.measure(Call::Slot, self.store.slot(slot)).await
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.measure(Call::FillSlot, self.store.fill_slot(slot, content)).await
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.measure(Call::ReplaceSlot, self.store.replace_slot(slot, held, content)).await
    }
}
