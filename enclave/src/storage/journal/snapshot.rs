//! Snapshots: the index as it stood, so that a boot reads it and not the whole history.
//!
//! A snapshot is made of chunks and a manifest, all of them records of the journal. Chunks are
//! taken one after another while others write, so each may know more than the one before it. That
//! does no harm: the manifest names the entry at which the first chunk was taken, and whoever
//! reads the snapshot applies all entries after that one, up to at least the manifest's own.
//! Every record that changed in between is set right by an entry, every other one was the same
//! all the time.
//!
//! The manifest's entry also deletes the chunks of the snapshot before, so at each instant there
//! is one whole snapshot or, before the first, the journal from its beginning. A manifest counts
//! only if the chain that follows it names its hash: one of another history, or an older one,
//! does not. Only when the manifest is durable is the store told to drop the entries before it.

use super::super::checkpoint::Checkpoint;
use super::super::index::{Index, Indexed};
use super::super::record::{self, BlobHash, RecordId};
use super::{Generation, Journal, JournalError, State, Write};
use crate::keys::id::KeyId;
use crate::log::{Event, log};
use crate::secret::SealingKeys;
use sekisho_wire::codec::{self, CodecError};
use sekisho_wire::store::{MAX_COMMIT_RECORDS, Store};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// A row of a key in a chunk: id, version, hash.
const ROW: usize = 16 + 8 + 32;

/// Between a sealed manifest and its generation.
const GENERATION: &[u8] = b"sekisho root generation";

/// Chunks asked for before the first has come: enough to keep both sides busy.
const AHEAD: usize = 4;

/// After a snapshot that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// When snapshots are made, and of what size their chunks are.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// Entries after a snapshot until the next; more where the index is large.
    pub entries: u64,
    /// Rows in a chunk.
    pub rows: usize,
}

impl Cadence {
    /// 4096 entries are read in a few dozen milliseconds. 4096 rows are at most 1.5 MiB, which a
    /// blob takes, and for keys 224 KiB, which take about a millisecond to seal.
    pub const DEFAULT: Self = Self { entries: 4096, rows: 4096 };

    /// A snapshot of many records costs more, so it comes after more entries: the work it adds
    /// to each change stays the same, and reading the entries stays cheaper than the snapshot.
    fn due(self, entries: u64, records: usize) -> bool {
        entries >= self.entries.max(records as u64 / 32)
    }
}

/// What a boot starts from.
#[derive(Serialize, Deserialize)]
struct Manifest {
    /// Where the journal stood before the first chunk was taken.
    start: Checkpoint,
    /// The audit log's newest block at the time.
    audited: Option<Checkpoint>,
    /// The manifest's own entry.
    sequence: u64,
    /// What chunks and manifest are sealed under: no generation begins while they are made.
    #[serde(default)]
    root: Generation,
    chunks: Vec<Indexed>,
}

#[derive(Serialize, Deserialize)]
struct Chunk {
    /// Rows of keys, of [`ROW`] bytes each.
    #[serde(with = "serde_bytes")]
    keys: Vec<u8>,
    others: Vec<(RecordId, Indexed)>,
}

impl Journal {
    /// Whether enough entries have come since the last snapshot.
    pub(crate) fn snapshot_is_due(&self) -> bool {
        self.read(|state| {
            let last = state.index.row(&RecordId::Snapshot).map_or(0, |row| row.version);
            let entries = state.checkpoint.sequence.saturating_sub(last);
            self.cadence.due(entries, state.index.len())
        })
    }

    /// Makes a snapshot whenever one is due, for as long as this future is polled.
    pub(crate) async fn keep_snapshots(self: Arc<Self>) {
        loop {
            if !self.snapshot_is_due() {
                self.due.notified().await;
                continue;
            }
            if let Err(error) = self.snapshot().await {
                log(Event::SnapshotFailed(&error));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Makes a snapshot and has the store drop the entries before it.
    pub(crate) async fn snapshot(&self) -> Result<(), JournalError> {
        let _one_at_a_time = self.making.lock().await;
        let (start, audited, root) =
            self.read(|state| (state.checkpoint, state.audited, state.root));
        let chunks = self.write_chunks(start).await?;

        let writer = self.writer().await?;
        let sequence = writer.sequence()?;
        let manifest = Manifest { start, audited, sequence, root, chunks };
        let of_others = |id: &RecordId| matches!(id, RecordId::SnapshotChunk { start: other, .. } if *other != start.sequence);
        let old = self.read(|state| {
            // In the order of ids, chunks come after the manifest.
            let chunks = state.index.others(Some(&RecordId::Snapshot));
            let ids = chunks.map(|(id, _)| id).filter(|id| of_others(id));
            ids.take(MAX_COMMIT_RECORDS).cloned().collect::<Vec<_>>()
        });
        let mut writes = vec![put(RecordId::Snapshot, &manifest)?];
        writes.extend(old.into_iter().map(|id| Write { id, plaintext: None }));
        writer.commit(writes).await?;
        log(Event::SnapshotMade { entries: start.sequence, chunks: manifest.chunks.len() });
        self.compact(start.sequence).await
    }

    async fn write_chunks(&self, start: Checkpoint) -> Result<Vec<Indexed>, JournalError> {
        let mut chunks = Vec::new();
        let (mut last_key, mut last_other) = (None, None);
        loop {
            let mut chunk = Chunk { keys: Vec::new(), others: Vec::new() };
            self.read(|state| {
                for (id, row) in state.index.keys(last_key).take(self.cadence.rows) {
                    pack(id, row, &mut chunk.keys);
                    last_key = Some(*id);
                }
                let others = state.index.others(last_other.as_ref());
                let others = others.filter(|(id, _)| !id.is_of_snapshot());
                let room = self.cadence.rows.saturating_sub(chunk.keys.len() / ROW);
                chunk.others.extend(others.take(room).map(|(id, row)| (id.clone(), *row)));
            });
            if chunk.keys.is_empty() && chunk.others.is_empty() {
                return Ok(chunks);
            }
            if let Some((id, _)) = chunk.others.last() {
                last_other = Some(id.clone());
            }
            let number = u32::try_from(chunks.len()).map_err(|_| JournalError::Exhausted)?;
            let id = RecordId::SnapshotChunk { start: start.sequence, number };
            let writer = self.writer().await?;
            writer.commit(vec![put(id.clone(), &chunk)?]).await?;
            let row = self.read(|state| state.index.row(&id));
            chunks.push(row.ok_or(JournalError::RecordMissing)?);
        }
    }

    /// Has the store drop all entries up to `through`, a bounded number at a time.
    async fn compact(&self, through: u64) -> Result<(), JournalError> {
        let before = through.saturating_add(1);
        let mut oldest = 0;
        loop {
            // With the writer's place held the head is known, and nothing waits for long.
            let writer = self.writer().await?;
            let head = self.checkpoint().sequence;
            let left = self.store.compact(before, head).await?;
            drop(writer);
            if left >= before {
                return Ok(());
            }
            if left <= oldest {
                return Err(JournalError::NotCompacted);
            }
            oldest = left;
        }
    }

    /// The state of the store's snapshot, and which one that is; the chain has yet to confirm it.
    pub(super) async fn restore(&self) -> Result<(State, Option<Indexed>), JournalError> {
        let name = RecordId::Snapshot.storage_key(&self.keys.record_names);
        let Some(sealed) = self.store.get(name).await? else {
            self.keys_of(Generation::FIRST.number)?;
            return Ok((State::default(), None));
        };
        let (blob, generation) = generation_of(&sealed);
        let keys = self.keys_of(generation)?;
        let plaintext = record::open(&keys.records, &RecordId::Snapshot, 0, blob)
            .map_err(|_| JournalError::SnapshotDoesNotOpen)?;
        let Manifest { start, audited, sequence, root, chunks } = codec::decode(&plaintext)?;
        if root.number != generation {
            return Err(JournalError::SnapshotDoesNotOpen);
        }
        let snapshot = Indexed { version: sequence, hash: BlobHash::of(&sealed) };
        let index = self.read_chunks(start.sequence, chunks, &keys).await?;
        Ok((State { checkpoint: start, audited, root, index }, Some(snapshot)))
    }

    async fn read_chunks(
        &self,
        start: u64,
        chunks: Vec<Indexed>,
        sealing: &SealingKeys,
    ) -> Result<Index, JournalError> {
        let (mut keys, mut others) = (Vec::new(), Vec::new());
        let mut expected = (0..).zip(chunks);
        let mut coming = VecDeque::with_capacity(AHEAD);
        loop {
            for (number, row) in expected.by_ref().take(AHEAD.saturating_sub(coming.len())) {
                let id = RecordId::SnapshotChunk { start, number };
                let name = id.storage_key(&self.keys.record_names);
                let store = self.store.clone();
                let chunk = tokio::spawn(async move { store.get(name).await });
                coming.push_back((number, id, row, chunk));
            }
            let Some((number, id, row, chunk)) = coming.pop_front() else { break };
            let sealed = chunk.await.map_err(|_| JournalError::ChunkMissing { number })??;
            let sealed = sealed.ok_or(JournalError::ChunkMissing { number })?;
            if BlobHash::of(&sealed) != row.hash {
                return Err(JournalError::ChunkNotCurrent { number });
            }
            let plaintext = record::open(&sealing.records, &id, row.version, &sealed)
                .map_err(|_| JournalError::ChunkNotCurrent { number })?;
            let chunk: Chunk = codec::decode(&plaintext)?;
            unpack(&chunk.keys, &mut keys)?;
            others.extend(chunk.others);
            others.push((id, row));
        }
        Ok(Index::from_rows(keys, others))
    }
}

/// A manifest with the generation that it is sealed under behind it, so that whoever lacks that root
/// key can say so. One of the first has none, as before there were others; whoever changes it keeps
/// it from being opened.
pub(super) fn labelled(mut sealed: Vec<u8>, generation: u32) -> Vec<u8> {
    if generation > Generation::FIRST.number {
        sealed.extend_from_slice(GENERATION);
        sealed.extend_from_slice(&generation.to_be_bytes());
    }
    sealed
}

fn generation_of(labelled: &[u8]) -> (&[u8], u32) {
    let found = labelled.split_last_chunk::<4>().and_then(|(rest, number)| {
        Some((rest.strip_suffix(GENERATION)?, u32::from_be_bytes(*number)))
    });
    found.unwrap_or((labelled, Generation::FIRST.number))
}

pub(super) fn readable_as(bytes: &[u8]) -> usize {
    let chunk: Result<Chunk, _> = codec::decode(bytes);
    let rows = chunk.and_then(|chunk| unpack(&chunk.keys, &mut Vec::new()));
    usize::from(codec::decode::<Manifest>(bytes).is_ok()) + usize::from(rows.is_ok())
}

fn put<T: Serialize>(id: RecordId, value: &T) -> Result<Write, CodecError> {
    Ok(Write { id, plaintext: Some(Zeroizing::new(codec::encode(value)?)) })
}

fn pack(id: &KeyId, row: &Indexed, rows: &mut Vec<u8>) {
    rows.extend_from_slice(id.as_bytes());
    rows.extend_from_slice(&row.version.to_be_bytes());
    rows.extend_from_slice(row.hash.as_bytes());
}

fn unpack(mut rows: &[u8], keys: &mut Vec<(KeyId, Indexed)>) -> Result<(), CodecError> {
    keys.reserve(rows.len() / ROW);
    while !rows.is_empty() {
        let (id, rest) = rows.split_first_chunk::<16>().ok_or(CodecError::Truncated)?;
        let (version, rest) = rest.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
        let (hash, rest) = rest.split_first_chunk::<32>().ok_or(CodecError::Truncated)?;
        let version = u64::from_be_bytes(*version);
        keys.push((KeyId::from_bytes(*id), Indexed { version, hash: BlobHash::from_bytes(*hash) }));
        rows = rest;
    }
    Ok(())
}
