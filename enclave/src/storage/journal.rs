//! The sealed journal: the order of all changes, as the worker knows it and the host cannot bend it.
//!
//! Entry *n* names the hash of entry *n − 1* and, for each record that it writes, the hash of the
//! sealed blob. The worker keeps an index of record → (version, hash), built from the entries at
//! boot. A record from the past fails the index; a gap, a fork or a changed entry fails the chain.
//! What is not noticed here: a journal cut at its end while the worker was off. Whoever holds a
//! later [`Checkpoint`] notices.

use super::record::{self, BlobHash, RecordId};
use crate::secret::{self, JournalKeys, SealError};
use sekisho_wire::codec::{self, CodecError};
use sekisho_wire::store::{Commit, Store, StoreClient, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

const LABEL_ENTRY: &[u8] = b"sekisho v1 journal entry";

/// Entries asked for in one page while the journal is read.
const PAGE: u32 = 512;

/// Where a journal stands: number and hash of its newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) hash: BlobHash,
}

/// The plaintext of one entry.
#[derive(Serialize, Deserialize)]
struct Entry {
    sequence: u64,
    previous: BlobHash,
    /// Each record written, with the hash of its new blob; none where it was deleted.
    writes: Vec<(RecordId, Option<BlobHash>)>,
}

#[derive(Clone, Copy)]
struct Indexed {
    version: u64,
    hash: BlobHash,
}

struct State {
    checkpoint: Checkpoint,
    index: BTreeMap<RecordId, Indexed>,
}

/// A record's plaintext to be written, or its deletion.
pub(crate) struct Write {
    pub(crate) id: RecordId,
    pub(crate) plaintext: Option<Zeroizing<Vec<u8>>>,
}

/// The journal of one worker, open.
pub(crate) struct Journal {
    store: StoreClient,
    keys: JournalKeys,
    state: RwLock<State>,
    /// Held by the one writer; says whether the last commit's fate is known.
    writer: Mutex<Certainty>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Known,
    /// A commit went out and no answer came back: read on before writing again.
    Unknown,
}

impl Journal {
    /// Reads the whole journal and checks every link.
    pub(crate) async fn open(store: StoreClient, keys: JournalKeys) -> Result<Self, JournalError> {
        let journal = Self {
            store,
            keys,
            state: RwLock::new(State {
                checkpoint: Checkpoint { sequence: 0, hash: BlobHash::GENESIS },
                index: BTreeMap::new(),
            }),
            writer: Mutex::new(Certainty::Known),
        };
        let head = journal.store.head().await?;
        journal.read_on().await?;
        let reached = journal.checkpoint().sequence;
        if reached != head {
            return Err(JournalError::Incomplete { head, reached });
        }
        Ok(journal)
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.read(|state| state.checkpoint)
    }

    pub(crate) fn contains(&self, id: &RecordId) -> bool {
        self.read(|state| state.index.contains_key(id))
    }

    /// Up to `limit` record ids in order, from the first that is `>= from` while `belongs` holds.
    pub(crate) fn ids(
        &self,
        from: &RecordId,
        limit: usize,
        belongs: impl Fn(&RecordId) -> bool,
    ) -> Vec<RecordId> {
        self.read(|state| {
            let from_here = state.index.range(from..).map(|(id, _)| id);
            from_here.take_while(|id| belongs(id)).take(limit).cloned().collect()
        })
    }

    /// The current plaintext of a record; none where there is no such record.
    pub(crate) async fn get(
        &self,
        id: &RecordId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, JournalError> {
        let Some(indexed) = self.read(|state| state.index.get(id).copied()) else {
            return Ok(None);
        };
        let key = id.storage_key(&self.keys.record_names);
        let sealed = self.store.get(key).await?.ok_or(JournalError::RecordMissing)?;
        if BlobHash::of(&sealed) != indexed.hash {
            return Err(JournalError::RecordNotCurrent);
        }
        record::open(&self.keys.records, id, indexed.version, &sealed)
            .map(Some)
            .map_err(|_| JournalError::RecordNotCurrent)
    }

    /// Waits for the right to write: between this and the commit nothing else changes.
    pub(crate) async fn writer(&self) -> Result<Writer<'_>, JournalError> {
        let mut certainty = self.writer.lock().await;
        if *certainty == Certainty::Unknown {
            self.read_on().await?;
            *certainty = Certainty::Known;
        }
        Ok(Writer { journal: self, certainty })
    }

    /// Follows the chain from where this worker stands to its end.
    async fn read_on(&self) -> Result<(), JournalError> {
        loop {
            let from = self.checkpoint().sequence.saturating_add(1);
            let page = self.store.entries(from, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (_, sealed) in page {
                self.follow(&sealed)?;
            }
        }
    }

    fn follow(&self, sealed: &[u8]) -> Result<(), JournalError> {
        let at = self.checkpoint();
        let sequence = at.sequence.saturating_add(1);
        let plaintext =
            secret::open(&self.keys.entries, LABEL_ENTRY, &sequence.to_be_bytes(), sealed)
                .map_err(|_| JournalError::EntryDoesNotOpen { sequence })?;
        let entry: Entry = codec::decode(&plaintext)?;
        if entry.sequence != sequence || entry.previous != at.hash {
            return Err(JournalError::ChainBroken { sequence });
        }
        self.apply(&entry, BlobHash::of(sealed));
        Ok(())
    }

    fn apply(&self, entry: &Entry, hash: BlobHash) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (id, written) in &entry.writes {
            match written {
                Some(hash) => {
                    let indexed = Indexed { version: entry.sequence, hash: *hash };
                    state.index.insert(id.clone(), indexed);
                }
                None => {
                    state.index.remove(id);
                }
            }
        }
        state.checkpoint = Checkpoint { sequence: entry.sequence, hash };
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one writer of a journal.
pub(crate) struct Writer<'a> {
    journal: &'a Journal,
    certainty: MutexGuard<'a, Certainty>,
}

impl Writer<'_> {
    /// Commits all of `writes` or none of them; durable when it returns.
    pub(crate) async fn commit(mut self, writes: Vec<Write>) -> Result<Checkpoint, JournalError> {
        let journal = self.journal;
        let at = journal.checkpoint();
        let sequence = at.sequence.checked_add(1).ok_or(JournalError::Exhausted)?;
        let mut entry = Entry { sequence, previous: at.hash, writes: Vec::new() };
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for write in writes {
            let key = write.id.storage_key(&journal.keys.record_names);
            let hash = match &write.plaintext {
                Some(plaintext) => {
                    let keys = &journal.keys.records;
                    let sealed = record::seal(keys, &write.id, sequence, plaintext)?;
                    let hash = BlobHash::of(&sealed);
                    puts.push((key, sealed));
                    Some(hash)
                }
                None => {
                    deletes.push(key);
                    None
                }
            };
            entry.writes.push((write.id, hash));
        }
        let sealed = secret::seal(
            &journal.keys.entries,
            LABEL_ENTRY,
            &sequence.to_be_bytes(),
            &codec::encode(&entry)?,
        )?;
        let hash = BlobHash::of(&sealed);

        // Whatever goes wrong from here on, the host may or may not have kept the entry.
        *self.certainty = Certainty::Unknown;
        journal.store.commit(Commit { sequence, entry: sealed, puts, deletes }).await?;
        *self.certainty = Certainty::Known;
        journal.apply(&entry, hash);
        Ok(journal.checkpoint())
    }
}

/// Why the journal could not be read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The store did not do its part.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// An entry was changed, or belongs to another root key.
    #[error(
        "journal entry {sequence} does not open: it was changed, or sealed under another root key"
    )]
    EntryDoesNotOpen {
        /// Its number.
        sequence: u64,
    },
    /// An entry does not follow the one before it.
    #[error("journal entry {sequence} does not follow the entry before it")]
    ChainBroken {
        /// Its number.
        sequence: u64,
    },
    /// The store claims another end than the chain has.
    #[error("the store says that the journal ends at {head}, its entries end at {reached}")]
    Incomplete {
        /// What the store claims.
        head: u64,
        /// Where the chain ends.
        reached: u64,
    },
    /// The index has a record that the store does not give.
    #[error("the store does not have a record that the journal names")]
    RecordMissing,
    /// The store gave an older or changed blob.
    #[error("the store served a record that is not the current one")]
    RecordNotCurrent,
    /// The plaintext of an entry or a record is not of the expected shape.
    #[error("a sealed record is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// 2^64 entries.
    #[error("the journal is full")]
    Exhausted,
}
