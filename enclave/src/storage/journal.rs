//! The sealed journal: the order of all changes, as the worker knows it and the host cannot bend it.
//!
//! Entry *n* names the hash of entry *n − 1* and, for each record that it writes, the hash of the
//! sealed blob. The worker keeps an index of record → (version, hash), built at boot from the
//! newest [snapshot] and the entries after it. A record from the past fails the index; a gap, a
//! fork or a changed entry fails the chain. An entry also names the audit log's newest block.
//! What is not noticed here: a journal cut at its end while the worker was off. Whoever holds a
//! later [`Checkpoint`] notices.
//!
//! Entries and records are sealed under a generation of the root key ([`rotation`]).
//!
//! A worker begins with an entry of its own ([`Journal::take_over`]). From then on an entry that it
//! did not write ends its [`Tenure`].

mod error;
mod rotation;
mod snapshot;

pub use error::JournalError;
pub(crate) use rotation::{Generation, Sweep};
pub use snapshot::Cadence;

use super::checkpoint::{Checkpoint, Newest};
use super::index::{Index, Indexed};
use super::record::{self, BlobHash, RecordId};
use super::tenure::{Tenure, WorkerId};
use crate::log::{Event, log};
use crate::secret::{self, JournalKeys, SealError};
use rotation::NextRoot;
use sekisho_wire::codec;
use sekisho_wire::store::{Commit, MAX_PAGE_ITEMS, Store, StoreClient, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::timeout;
use zeroize::Zeroizing;

const LABEL_ENTRY: &[u8] = b"sekisho v1 journal entry";

/// What a change on its way has overtaken is read anew: a whole boot, or one record.
const ATTEMPTS: usize = 3;
/// How long a reader of a record that is not there waits for whoever writes.
const WRITER_TIME: Duration = Duration::from_secs(1);

/// How often a worker that takes over may be overtaken by the one that still writes.
const TAKE_OVER_ATTEMPTS: usize = 100;

/// The plaintext of one entry.
#[derive(Serialize, Deserialize)]
struct Entry {
    sequence: u64,
    previous: BlobHash,
    /// Each record written, with the hash of its new blob; none where it was deleted.
    writes: Vec<(RecordId, Option<BlobHash>)>,
    /// The audit log's newest durable block, where it is another than in the entry before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audited: Option<Checkpoint>,
    /// From the next entry on, everything is sealed under this generation of the root key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_root: Option<NextRoot>,
    /// Who has written it; none in entries from before workers said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<WorkerId>,
}

struct State {
    checkpoint: Checkpoint,
    audited: Option<Checkpoint>,
    root: Generation,
    index: Index,
}

impl Default for State {
    fn default() -> Self {
        Self {
            checkpoint: Checkpoint::GENESIS,
            audited: None,
            root: Generation::FIRST,
            index: Index::default(),
        }
    }
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
    cadence: Cadence,
    /// Held by the one who makes a snapshot, or begins a generation: neither in the other.
    making: Mutex<()>,
    /// Wakes who makes snapshots.
    due: Notify,
    audit: OnceLock<Newest>,
    tenure: Tenure,
    worker: WorkerId,
    /// Whether an entry of this worker is in the chain: every one behind it has to be its own.
    begun: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Known,
    /// A commit went out and no answer came back: read on before writing again.
    Unknown,
}

/// What a journal has to be, so that it is opened at all.
pub(crate) struct Opening {
    pub(crate) cadence: Cadence,
    pub(crate) tenure: Tenure,
    /// An entry that it has to hold: the newest that a peer attests.
    pub(crate) holds: Option<Checkpoint>,
}

impl From<Cadence> for Opening {
    fn from(cadence: Cadence) -> Self {
        Self { cadence, tenure: Tenure::default(), holds: None }
    }
}

impl Journal {
    /// Reads the newest snapshot and every entry after it, and checks every link.
    pub(crate) async fn open(
        store: StoreClient,
        keys: JournalKeys,
        opening: impl Into<Opening>,
    ) -> Result<Self, JournalError> {
        let Opening { cadence, tenure, holds } = opening.into();
        let journal = Self {
            store,
            keys,
            state: RwLock::default(),
            writer: Mutex::new(Certainty::Known),
            cadence,
            making: Mutex::new(()),
            due: Notify::new(),
            audit: OnceLock::new(),
            tenure,
            worker: WorkerId::generate().map_err(SealError::from)?,
            begun: AtomicBool::new(false),
        };
        for _ in 1..ATTEMPTS {
            match journal.load(holds).await {
                Err(error) if error.may_have_been_overtaken() => {
                    log(Event::JournalReadAgain(&error));
                }
                result => return result.map(|()| journal),
            }
        }
        journal.load(holds).await.map(|()| journal)
    }

    async fn load(&self, holds: Option<Checkpoint>) -> Result<(), JournalError> {
        let head = self.store.head().await?;
        let (state, snapshot) = self.restore().await?;
        let mut passed = holds.is_none_or(|holds| state.checkpoint == holds);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.read_on_past(|at| passed |= holds == Some(at)).await?;
        if let (false, Some(Checkpoint { sequence, .. })) = (passed, holds) {
            return Err(JournalError::NotThePeers { sequence });
        }
        let reached = self.checkpoint().sequence;
        // Also where nothing was written yet under the newest root key.
        self.keys_of(self.generation().number)?;
        // The snapshot knows what happened until it was complete, so the chain has to go as far.
        let head = snapshot.map_or(head, |snapshot| head.max(snapshot.version));
        if reached < head {
            return Err(JournalError::Incomplete { head, reached });
        }
        if self.read(|state| state.index.row(&RecordId::Snapshot)) != snapshot {
            return Err(JournalError::SnapshotNotCurrent);
        }
        Ok(())
    }

    /// From now on entries name the newest block of this log.
    pub(crate) fn name_audit_blocks(&self, newest: Newest) {
        // Set once, at boot.
        let _ = self.audit.set(newest);
    }

    /// The newest audit block that the journal names.
    pub(crate) fn audited(&self) -> Option<Checkpoint> {
        self.read(|state| state.audited)
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.read(|state| state.checkpoint)
    }

    pub(crate) fn contains(&self, id: &RecordId) -> bool {
        self.read(|state| state.index.row(id).is_some())
    }

    /// Up to `limit` record ids in order, from the first that is `>= from` while `belongs` holds.
    pub(crate) fn ids(
        &self,
        from: &RecordId,
        limit: usize,
        belongs: impl Fn(&RecordId) -> bool,
    ) -> Vec<RecordId> {
        self.read(|state| state.index.ids(from).take_while(|id| belongs(id)).take(limit).collect())
    }

    /// The current version of a record, the number of the entry that wrote it.
    pub(crate) fn version(&self, id: &RecordId) -> Option<u64> {
        self.read(|state| state.index.row(id)).map(|row| row.version)
    }

    /// The current plaintext of a record; none where there is no such record.
    pub(crate) async fn get(
        &self,
        id: &RecordId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, JournalError> {
        Ok(self.get_versioned(id).await?.map(|(_, plaintext)| plaintext))
    }

    /// [`Journal::get`], with the version that it is of.
    pub(crate) async fn get_versioned(
        &self,
        id: &RecordId,
    ) -> Result<Option<(u64, Zeroizing<Vec<u8>>)>, JournalError> {
        let row = || self.read(|state| state.index.row(id).map(|row| (row, state.root)));
        let mut seen = row();
        for _ in 1..ATTEMPTS {
            match self.get_row(id, seen).await {
                Err(JournalError::RecordMissing | JournalError::RecordNotCurrent) => {}
                result => return result,
            }
            // Maybe it was changed meanwhile, or by a commit whose answer was lost. Who asks may be
            // the writer itself, for whom nothing has changed, and which must not wait for itself.
            let Ok(_writer) = timeout(WRITER_TIME, self.writer.lock()).await else { break };
            self.read_on().await?;
            let now = row();
            if now == seen {
                break;
            }
            seen = now;
        }
        self.get_row(id, seen).await
    }

    async fn get_row(
        &self,
        id: &RecordId,
        row: Option<(Indexed, Generation)>,
    ) -> Result<Option<(u64, Zeroizing<Vec<u8>>)>, JournalError> {
        let Some((indexed, root)) = row else { return Ok(None) };
        let key = id.storage_key(&self.keys.record_names);
        let sealed = self.store.get(key).await?.ok_or(JournalError::RecordMissing)?;
        if BlobHash::of(&sealed) != indexed.hash {
            return Err(JournalError::RecordNotCurrent);
        }
        let keys = self.keys_of(root.of_version(indexed.version))?;
        record::open(&keys.records, id, indexed.version, &sealed)
            .map(|plaintext| Some((indexed.version, plaintext)))
            .map_err(|_| JournalError::RecordNotCurrent)
    }

    /// Waits for the right to write: between this and the commit nothing else changes.
    pub(crate) async fn writer(&self) -> Result<Writer<'_>, JournalError> {
        let mut certainty = self.writer.lock().await;
        if self.tenure.has_ended() {
            return Err(JournalError::Superseded);
        }
        if *certainty == Certainty::Unknown {
            self.read_on().await?;
            *certainty = Certainty::Known;
        }
        Ok(Writer { journal: self, certainty })
    }

    /// Writes an entry of this worker's own, where none is in the chain yet; before it serves, or
    /// goes by anything that it has read. It ends the tenure of whoever wrote before. Whether it did:
    /// once is enough.
    pub(crate) async fn take_over(&self) -> Result<bool, JournalError> {
        for attempt in 1..=TAKE_OVER_ATTEMPTS {
            if self.begun.load(Ordering::Acquire) {
                return Ok(false);
            }
            let committing = async { self.writer().await?.commit(Vec::new()).await };
            match committing.await {
                Ok(_) => return Ok(true),
                // Another worker was faster, or the last message of one that was killed; its entries
                // are read before the next attempt.
                Err(JournalError::Store(StoreError::Conflict { .. })) => {}
                // A start is not given up for one answer; what the host has kept is found.
                Err(JournalError::Store(StoreError::Unavailable)) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        Err(JournalError::Superseded)
    }

    /// Looks for entries of another worker from time to time, for as long as this future is polled:
    /// who is not asked for anything does not find them otherwise.
    pub(crate) async fn keep_watch(&self, pause: Duration) {
        while !self.tenure.has_ended() {
            tokio::time::sleep(pause).await;
            let behind =
                self.store.head().await.is_ok_and(|head| head > self.checkpoint().sequence);
            if behind && let Err(error) = self.look().await {
                log(Event::StorageBroken(&error));
            }
        }
    }

    /// Looks once for entries that this worker has not seen.
    ///
    /// # Errors
    /// [`JournalError::Superseded`] where another worker's is among them, and this one has begun.
    pub(crate) async fn look(&self) -> Result<(), JournalError> {
        let _writer = self.writer.lock().await;
        self.read_on().await
    }

    /// Follows the chain from where this worker stands to its end.
    async fn read_on(&self) -> Result<(), JournalError> {
        self.read_on_past(|_| {}).await
    }

    async fn read_on_past(&self, mut passed: impl FnMut(Checkpoint)) -> Result<(), JournalError> {
        loop {
            let from = self.checkpoint().sequence.saturating_add(1);
            let page = self.store.entries(from, MAX_PAGE_ITEMS).await?;
            match page.first() {
                None => return Ok(()),
                Some((sequence, _)) if *sequence != from => {
                    return Err(JournalError::EntryMissing { sequence: from });
                }
                Some(_) => {}
            }
            for (_, sealed) in page {
                passed(self.follow(&sealed)?);
            }
        }
    }

    fn follow(&self, sealed: &[u8]) -> Result<Checkpoint, JournalError> {
        let (at, root) = self.read(|state| (state.checkpoint, state.root));
        let sequence = at.sequence.saturating_add(1);
        let keys = self.keys_of(root.number)?;
        let plaintext = secret::open(&keys.entries, LABEL_ENTRY, &sequence.to_be_bytes(), sealed)
            .map_err(|_| JournalError::EntryDoesNotOpen { sequence })?;
        let entry: Entry = codec::decode(&plaintext)?;
        let next_root = entry.next_root.is_none_or(|next| next.follows(root));
        if entry.sequence != sequence || entry.previous != at.hash || !next_root {
            return Err(JournalError::ChainBroken { sequence });
        }
        let reached = Checkpoint { sequence, hash: BlobHash::of(sealed) };
        if entry.worker == Some(self.worker) {
            self.begun.store(true, Ordering::Release);
        } else if self.begun.load(Ordering::Acquire) {
            self.tenure.end();
            return Err(JournalError::Superseded);
        }
        self.apply(&entry, reached.hash);
        Ok(reached)
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
        state.audited = entry.audited.or(state.audited);
        if let Some(next) = entry.next_root {
            state.root = next.after(entry.sequence);
        }
        state.checkpoint = Checkpoint { sequence: entry.sequence, hash };
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many of the journal's kinds of plaintext `bytes` can be read as.
pub(crate) fn readable_as(bytes: &[u8]) -> usize {
    usize::from(codec::decode::<Entry>(bytes).is_ok()) + snapshot::readable_as(bytes)
}

/// The one writer of a journal.
pub(crate) struct Writer<'a> {
    journal: &'a Journal,
    certainty: MutexGuard<'a, Certainty>,
}

impl Writer<'_> {
    /// The number that the commit will have.
    fn sequence(&self) -> Result<u64, JournalError> {
        self.journal.checkpoint().sequence.checked_add(1).ok_or(JournalError::Exhausted)
    }

    /// Commits all of `writes` or none of them; durable when it returns.
    pub(crate) async fn commit(self, writes: Vec<Write>) -> Result<Checkpoint, JournalError> {
        self.commit_and_begin(writes, None).await
    }

    /// [`Writer::commit`], after which everything is sealed under the generation `next_root`.
    async fn commit_and_begin(
        mut self,
        writes: Vec<Write>,
        next_root: Option<NextRoot>,
    ) -> Result<Checkpoint, JournalError> {
        let journal = self.journal;
        let sequence = self.sequence()?;
        let (Checkpoint { hash: previous, .. }, root) =
            journal.read(|state| (state.checkpoint, state.root));
        let keys = journal.keys_of(root.number)?;
        let newest = journal.audit.get().and_then(Newest::current);
        let audited = newest.filter(|newest| Some(*newest) != journal.audited());
        let worker = Some(journal.worker);
        let mut entry =
            Entry { sequence, previous, writes: Vec::new(), audited, next_root, worker };
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for write in writes {
            let key = write.id.storage_key(&journal.keys.record_names);
            let hash = match &write.plaintext {
                Some(plaintext) => {
                    let mut sealed = record::seal(&keys.records, &write.id, sequence, plaintext)?;
                    if write.id == RecordId::Snapshot {
                        sealed = snapshot::labelled(sealed, root.number);
                    }
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
            &keys.entries,
            LABEL_ENTRY,
            &sequence.to_be_bytes(),
            &codec::encode(&entry)?,
        )?;
        let hash = BlobHash::of(&sealed);

        // Whatever goes wrong from here on, the host may or may not have kept the entry.
        *self.certainty = Certainty::Unknown;
        let committed = journal.store.commit(Commit { sequence, entry: sealed, puts, deletes });
        if let Err(error) = committed.await {
            if matches!(error, StoreError::Conflict { .. }) {
                journal.read_on().await?;
            }
            return Err(error.into());
        }
        *self.certainty = Certainty::Known;
        journal.apply(&entry, hash);
        journal.begun.store(true, Ordering::Release);
        if journal.snapshot_is_due() {
            journal.due.notify_one();
        }
        Ok(Checkpoint { sequence, hash })
    }
}
