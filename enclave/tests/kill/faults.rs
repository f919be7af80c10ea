//! The host's process: the real store, on a disk that is at times slow, full or failing.

use sekisho_devkit::Random;
use sekisho_host::RedbStore;
use sekisho_wire::store::{Page, serve_store};
use sekisho_wire::{Address, Commit, RecordKey, Store, StoreError};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One start in so many is with faults.
const FAULTY: u64 = 3;

pub(super) async fn host(folder: &Path, seed: u64) {
    let store = Address::Unix { path: folder.join("store") };
    let data = folder.join("data");
    if !seed.is_multiple_of(FAULTY) {
        let worker = Address::Unix { path: folder.join("nobody") };
        let config = sekisho_host::Config::new("127.0.0.1:0".parse().unwrap(), worker, store, data);
        return sekisho_host::run(config, |_| {}, std::future::pending()).await.unwrap();
    }
    let faulty = Arc::new(Faulty {
        store: RedbStore::open(&data).unwrap(),
        random: Mutex::new(Random::new(seed)),
    });
    let listener = store.listen().await.unwrap();
    loop {
        if let Ok(stream) = listener.accept().await {
            tokio::spawn(serve_store(stream, faulty.clone()));
        }
    }
}

struct Faulty {
    store: RedbStore,
    random: Mutex<Random>,
}

enum Fault {
    None,
    /// Nothing is written.
    Full,
    /// An fsync that failed: what was written before it may be there, or may not.
    FailedBefore,
    FailedAfter,
}

impl Faulty {
    /// A slow disk, then maybe a fault.
    async fn fault(&self) -> Fault {
        let (delay, fault) = {
            let mut random = self.random.lock().unwrap();
            (random.below(40), random.below(30))
        };
        if delay >= 35 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        match fault {
            0 => Fault::Full,
            1 => Fault::FailedBefore,
            2 => Fault::FailedAfter,
            _ => Fault::None,
        }
    }

    async fn write<T>(
        &self,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.fault().await {
            Fault::None => write.await,
            Fault::Full => Err(StoreError::Full),
            Fault::FailedBefore => Err(StoreError::Unavailable),
            Fault::FailedAfter => {
                let _ = write.await;
                Err(StoreError::Unavailable)
            }
        }
    }
}

impl Store for Faulty {
    async fn head(&self) -> Result<u64, StoreError> {
        self.store.head().await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.write(self.store.commit(commit)).await
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key).await
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        self.store.entries(from, limit).await
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        self.write(self.store.compact(before, head)).await
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        self.write(self.store.append_audit(sequence, record)).await
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        self.store.audit(from, limit).await
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.store.audit_tail().await
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.slot(slot).await
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(self.store.fill_slot(slot, content)).await
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.write(self.store.replace_slot(slot, held, content)).await
    }
}
