//! How a registered policy component stands in the journal: in one record where it fits, otherwise in
//! chunks, with a record that names them.
//!
//! The chunks are written first, each in an entry of its own, and the naming record last: there is a
//! whole component or none. What a crash leaves of chunks without it is removed at the next start, and
//! before the next component is written in chunks.

use super::store::StoreFault;
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use sekisho_policy_engine::ModuleDigest;
use sekisho_wire::codec;
use sekisho_wire::store::MAX_COMMIT_RECORDS;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a chunk, and of a component that needs none: a record of the store has 2 MiB at most.
const CHUNK: usize = 1920 * 1024;

/// A registered module as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct ModuleRecord {
    /// Milliseconds since 1970.
    pub(super) created: u64,
    /// The version of the contract that it speaks; journals of before do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) contract: Option<String>,
    /// Empty where it is in chunks.
    #[serde(with = "serde_bytes")]
    component: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunks: Option<Chunks>,
}

#[derive(Serialize, Deserialize)]
struct Chunks {
    number: u32,
    /// Of the whole component.
    size: usize,
    /// SHA-256 of it, lower-case hex.
    sha256: String,
}

impl ModuleRecord {
    /// SHA-256, lower-case hex.
    pub(super) fn digest(&self) -> ModuleDigest {
        let chunked = self.chunks.as_ref().and_then(|chunks| ModuleDigest::parse(&chunks.sha256));
        chunked.unwrap_or_else(|| ModuleDigest::of(&self.component))
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.chunks.as_ref().map_or(self.component.len(), |chunks| chunks.size)
    }
}

/// The record of a module; none where there is no such module.
pub(super) async fn read(
    journal: &Journal,
    name: &str,
) -> Result<Option<ModuleRecord>, StoreFault> {
    let record = journal.get(&RecordId::PolicyModule(name.to_owned())).await?;
    Ok(record.map(|record| codec::decode(&record)).transpose()?)
}

/// The component of a module; none where there is no such module.
pub(super) async fn component(
    journal: &Journal,
    name: &str,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let Some(ModuleRecord { component, chunks, .. }) = read(journal, name).await? else {
        return Ok(None);
    };
    let Some(Chunks { number, size, .. }) = chunks else { return Ok(Some(component)) };
    let mut whole = Vec::with_capacity(size);
    for number in 0..number {
        let chunk = journal.get(&chunk(name, number)).await?.ok_or(StoreFault::Inconsistent)?;
        whole.extend_from_slice(&chunk);
    }
    Ok(Some(whole))
}

/// Writes a module, all of it or nothing that counts. Whoever calls lets no other be written meanwhile.
pub(super) async fn write(
    journal: &Journal,
    name: &str,
    created: u64,
    contract: String,
    component: Vec<u8>,
) -> Result<(), StoreFault> {
    let contract = Some(contract);
    let record = if component.len() <= CHUNK {
        ModuleRecord { created, contract, component, chunks: None }
    } else {
        let sha256 = ModuleDigest::of(&component).to_string();
        let size = component.len();
        remove_orphans(journal).await?;
        let mut number = 0;
        for part in component.chunks(CHUNK) {
            let plaintext = Some(Zeroizing::new(part.to_vec()));
            let write = Write { id: chunk(name, number), plaintext };
            journal.writer().await?.commit(vec![write]).await?;
            number = number.saturating_add(1);
        }
        let chunks = Some(Chunks { number, size, sha256 });
        ModuleRecord { created, contract, component: Vec::new(), chunks }
    };
    let plaintext = Some(Zeroizing::new(codec::encode(&record)?));
    let write = Write { id: RecordId::PolicyModule(name.to_owned()), plaintext };
    journal.writer().await?.commit(vec![write]).await?;
    Ok(())
}

/// Deletes a module with its chunks, in one change.
pub(super) async fn delete(journal: &Journal, name: &str) -> Result<(), StoreFault> {
    let is_of_it =
        |id: &RecordId| matches!(id, RecordId::PolicyModuleChunk { name: of, .. } if of == name);
    let mut ids = journal.ids(&chunk(name, 0), MAX_COMMIT_RECORDS - 1, is_of_it);
    ids.push(RecordId::PolicyModule(name.to_owned()));
    let writes = ids.into_iter().map(|id| Write { id, plaintext: None }).collect();
    journal.writer().await?.commit(writes).await?;
    Ok(())
}

/// Removes chunks of modules that were never written to their end.
pub(super) async fn remove_orphans(journal: &Journal) -> Result<(), StoreFault> {
    let is_chunk = |id: &RecordId| matches!(id, RecordId::PolicyModuleChunk { .. });
    let chunks = journal.ids(&chunk("", 0), usize::MAX, is_chunk);
    let is_orphan = |id: &RecordId| match id {
        RecordId::PolicyModuleChunk { name, .. } => {
            !journal.contains(&RecordId::PolicyModule(name.clone()))
        }
        _ => false,
    };
    let orphans: Vec<RecordId> = chunks.into_iter().filter(is_orphan).collect();
    for some in orphans.chunks(MAX_COMMIT_RECORDS) {
        let writes = some.iter().map(|id| Write { id: id.clone(), plaintext: None }).collect();
        journal.writer().await?.commit(writes).await?;
    }
    Ok(())
}

fn chunk(name: &str, number: u32) -> RecordId {
    RecordId::PolicyModuleChunk { name: name.to_owned(), number }
}

#[cfg(test)]
mod tests {
    use super::super::modules::Modules;
    use super::*;
    use crate::secret::{RootKey, Subkeys};
    use crate::storage::journal::Cadence;
    use crate::storage::opponent::Opponent;
    use sekisho_policy_engine::{Engine, Limits, stock};
    use std::sync::Arc;

    async fn open(opponent: &Opponent) -> Arc<Journal> {
        let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
        Arc::new(Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap())
    }

    /// Two chunks and a rest, no two of whose bytes in the same place are the same.
    fn large() -> Vec<u8> {
        (0..CHUNK * 2 + 5).map(|at| (at % 251) as u8).collect()
    }

    fn chunks(journal: &Journal) -> usize {
        let is_chunk = |id: &RecordId| matches!(id, RecordId::PolicyModuleChunk { .. });
        journal.ids(&chunk("", 0), 100, is_chunk).len()
    }

    async fn put(journal: &Journal, name: &str, bytes: Vec<u8>) -> Result<(), StoreFault> {
        write(journal, name, 7, "0.2.0".into(), bytes).await
    }

    #[tokio::test]
    async fn a_large_component_comes_back_and_goes_whole() {
        let opponent = Opponent::default();
        let journal = open(&opponent).await;
        put(&journal, "a", large()).await.unwrap();
        put(&journal, "ab", large()).await.unwrap();
        put(&journal, "b", vec![1; CHUNK]).await.unwrap();
        assert_eq!(chunks(&journal), 6);
        let journal = open(&opponent).await;
        assert_eq!(component(&journal, "a").await.unwrap(), Some(large()));
        assert_eq!(component(&journal, "b").await.unwrap(), Some(vec![1; CHUNK]));
        let record = read(&journal, "a").await.unwrap().unwrap();
        assert_eq!((record.digest(), record.size()), (ModuleDigest::of(&large()), CHUNK * 2 + 5));
        assert_eq!((record.created, record.contract.as_deref()), (7, Some("0.2.0")));
        remove_orphans(&journal).await.unwrap();
        assert_eq!(chunks(&journal), 6, "none of them is an orphan");

        delete(&journal, "a").await.unwrap();
        assert_eq!(chunks(&journal), 3, "those of another name stay");
        assert_eq!(component(&journal, "a").await.unwrap(), None);
        assert_eq!(component(&journal, "ab").await.unwrap(), Some(large()));
    }

    #[tokio::test]
    async fn what_a_crash_leaves_is_no_module_and_is_removed() {
        // Entries: three chunks, then the record that names them.
        for last in 1..=4 {
            let opponent = Opponent::default();
            opponent.held().refuse_at = last;
            assert!(put(&*open(&opponent).await, "a", large()).await.is_err());
            opponent.held().refuse_at = 0;
            let journal = open(&opponent).await;
            assert_eq!(component(&journal, "a").await.unwrap(), None);
            assert_eq!(chunks(&journal), last as usize - 1);
            remove_orphans(&journal).await.unwrap();
            assert_eq!(chunks(&journal), 0);
            put(&journal, "a", large()).await.unwrap();
            let journal = open(&opponent).await;
            assert_eq!(component(&journal, "a").await.unwrap(), Some(large()));
        }
    }

    #[tokio::test]
    async fn a_host_cannot_swap_chunks() {
        let opponent = Opponent::default();
        let journal = open(&opponent).await;
        put(&journal, "a", large()).await.unwrap();
        let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
        let place = |number| chunk("a", number).storage_key(&keys.record_names);
        let first = opponent.held().records.get(&place(0)).unwrap().clone();
        opponent.held().records.insert(place(1), first);
        assert!(component(&journal, "a").await.is_err());
    }

    #[tokio::test]
    async fn what_is_registered_is_compiled_when_it_is_needed() {
        let opponent = Opponent::default();
        let journal = open(&opponent).await;
        // Not the bytes of a stock policy, which is known already.
        let mut own = stock::DENY_PLAINTEXT_EXPORT.to_vec();
        // A custom section without a name's bytes: id, size, length of the name.
        own.extend_from_slice(&[0, 1, 0]);
        put(&journal, "own", own.clone()).await.unwrap();
        put(&journal, "wrong", b"\0asm".to_vec()).await.unwrap();

        let modules = Modules::stock(&Engine::new(Limits::default()).unwrap()).unwrap();
        modules.load(&journal).await.unwrap();
        let known = modules.named("own").unwrap();
        assert_eq!((known.size, known.digest.clone()), (own.len(), digest(&own)));
        assert_eq!((known.module.is_compiled(), known.contract()), (false, Some("0.2.0")));
        assert!(known.module.configure(b"{}").is_err(), "nothing decides before it is compiled");
        let (one, other) = tokio::join!(modules.ready("own"), modules.ready(&known.digest));
        one.and(other).unwrap();
        assert!(known.module.is_compiled());
        assert_eq!(known.contract(), Some("0.2.0"));

        assert!(modules.named("wrong").is_some());
        modules.compile_all().await;
        assert!(modules.named("wrong").is_none(), "what is not admitted is given up");
        assert!(modules.named("own").is_some());
    }

    fn digest(bytes: &[u8]) -> String {
        ModuleDigest::of(bytes).to_string()
    }
}
