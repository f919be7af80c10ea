//! The host's store: what [`sekisho_wire::Store`] promises, on a local disk.
//!
//! ```text
//! <folder>/journal.redb      the journal and the records
//! <folder>/audit/*.audit     the audit log
//! ```
//!
//! Nothing blocks a runtime's thread: three threads wait for the disk, one commits, one appends
//! to the audit log, one reads. The two that write take all that has queued up as one batch.

mod audit;
mod journal;
mod measured;
mod reader;
mod segment;
mod segments;

pub(crate) use self::measured::Measured;
pub use reader::{AuditItem, AuditReader};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use sekisho_wire::store::Page;
use sekisho_wire::{Commit, RecordKey, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

use self::audit::{Append, AppendStream, AuditLog, Disk};
use self::journal::Journal;
use self::segments::Segments;
use crate::metrics::{Log, Metrics};

/// Requests that wait for a thread; further ones wait for room. Four streams' worth.
const QUEUE: usize = 1024;

/// Commits that share a transaction, and audit records that share an fdatasync.
const BATCH: usize = 256;

/// Keeps journal, records and audit log in a folder of its own.
///
/// Dropping it waits for what has been queued.
pub struct RedbStore {
    commits: mpsc::Sender<JournalJob>,
    appends: mpsc::Sender<AuditJob>,
    reads: mpsc::Sender<ReadJob>,
    journal_file: PathBuf,
    segments: Arc<Segments>,
    // After the senders: the threads end when those are gone.
    _threads: Threads,
}

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) journal: u64,
    pub(crate) audit: u64,
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum JournalJob {
    Commit(Commit, Answer<()>),
    Head(Answer<u64>),
    Compact(u64, u64, Answer<u64>),
    FillSlot(RecordKey, Vec<u8>, Answer<Vec<u8>>),
    ReplaceSlot(RecordKey, Vec<u8>, Vec<u8>, Answer<Option<Vec<u8>>>),
}

enum AuditJob {
    Append(Append, Answer<()>),
    Tail(Arc<AppendStream>, Answer<Option<(u64, Vec<u8>)>>),
}

enum ReadJob {
    Get(RecordKey, Answer<Option<Vec<u8>>>),
    Entries(u64, u32, Answer<Page>),
    Audit(u64, u32, Answer<Page>),
    Slot(RecordKey, Answer<Option<Vec<u8>>>),
}

impl RedbStore {
    /// Opens the store in `folder`, or makes it there; blocks while a crash is repaired.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; among others when another process has it open.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_measured(folder, Arc::default())
    }

    /// [`RedbStore::open`], with the time that batches take to become durable in `metrics`.
    pub(crate) fn open_measured(folder: &Path, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder)?;
        let journal_file = folder.join("journal.redb");
        let journal = Arc::new(Journal::open(&journal_file)?);
        let audit = AuditLog::open(&folder.join("audit"), Disk::REAL)?;
        let segments = audit.segments();

        let (commits, jobs) = mpsc::channel(QUEUE);
        let (writer, measured) = (Arc::clone(&journal), Arc::clone(&metrics));
        let committing = spawn("commit", move || commit_batches(&writer, jobs, &measured))?;
        let (appends, jobs) = mpsc::channel(QUEUE);
        let appending = spawn("audit", move || append_batches(audit, jobs, &metrics))?;
        let (reads, mut jobs) = mpsc::channel(QUEUE);
        let readable = Arc::clone(&segments);
        let reading = spawn("read", move || {
            while let Some(job) = jobs.blocking_recv() {
                match job {
                    ReadJob::Get(key, answer) => reply(answer, journal.get(key)),
                    ReadJob::Entries(from, limit, answer) => {
                        reply(answer, journal.entries(from, limit));
                    }
                    ReadJob::Audit(from, limit, answer) => {
                        reply(answer, readable.page(from, limit));
                    }
                    ReadJob::Slot(slot, answer) => reply(answer, journal.slot(slot)),
                }
            }
        })?;
        let _threads = Threads(vec![committing, appending, reading]);
        Ok(Self { commits, appends, reads, journal_file, segments, _threads })
    }

    /// [`Store::append_audit`] on a stream, where an append that is refused refuses those behind it.
    async fn append_audit_on(
        &self,
        stream: &Arc<AppendStream>,
        sequence: u64,
        record: Vec<u8>,
    ) -> Result<(), StoreError> {
        if record.len() > sekisho_wire::store::MAX_AUDIT_RECORD {
            return Err(StoreError::TooLarge);
        }
        let append = Append { sequence, record, stream: Arc::clone(stream) };
        ask(&self.appends, |answer| AuditJob::Append(append, answer)).await
    }

    /// [`Store::audit_tail`] on a stream, whose next append is looked at again.
    async fn audit_tail_on(
        &self,
        stream: &Arc<AppendStream>,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        ask(&self.appends, |answer| AuditJob::Tail(Arc::clone(stream), answer)).await
    }

    /// How large it is now; one `stat(2)`.
    pub(crate) fn sizes(&self) -> Sizes {
        let journal = std::fs::metadata(&self.journal_file).map_or(0, |file| file.len());
        Sizes { journal, audit: self.segments.bytes() }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("store-{name}")).spawn(run)
}

struct Threads(Vec<JoinHandle<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            let _ = thread.join();
        }
    }
}

fn commit_batches(journal: &Journal, mut jobs: mpsc::Receiver<JournalJob>, metrics: &Metrics) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (mut commits, mut answers, mut heads) = (vec![], vec![], vec![]);
        let (mut compactions, mut fillings, mut replacements) = (vec![], vec![], vec![]);
        for job in batch.drain(..) {
            match job {
                JournalJob::Compact(before, head, answer) => {
                    compactions.push((before, head, answer));
                }
                JournalJob::Commit(commit, answer) => {
                    commits.push(commit);
                    answers.push(answer);
                }
                JournalJob::Head(answer) => heads.push(answer),
                JournalJob::FillSlot(slot, content, answer) => {
                    fillings.push((slot, content, answer));
                }
                JournalJob::ReplaceSlot(slot, held, content, answer) => {
                    replacements.push((slot, held, content, answer));
                }
            }
        }
        if !commits.is_empty() {
            let started = Instant::now();
            let results = journal.commit(&commits);
            metrics.sync_time.of(Log::Journal).observe(started.elapsed());
            answers.into_iter().zip(results).for_each(|(answer, result)| reply(answer, result));
        }
        for (before, head, answer) in compactions {
            reply(answer, journal.compact(before, head));
        }
        for (slot, content, answer) in fillings {
            reply(answer, journal.fill_slot(slot, &content));
        }
        for (slot, held, content, answer) in replacements {
            reply(answer, journal.replace_slot(slot, &held, &content));
        }
        // After the commits of the batch: whoever asks for the head has all before settled.
        for answer in heads {
            reply(answer, journal.head());
        }
    }
}

fn append_batches(mut audit: AuditLog, mut jobs: mpsc::Receiver<AuditJob>, metrics: &Metrics) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (mut records, mut answers, mut tails) = (vec![], vec![], vec![]);
        for job in batch.drain(..) {
            match job {
                AuditJob::Append(append, answer) => {
                    records.push(append);
                    answers.push(answer);
                }
                AuditJob::Tail(stream, answer) => tails.push((stream, answer)),
            }
        }
        let results = if records.is_empty() {
            Vec::new()
        } else {
            let started = Instant::now();
            let results = audit.append(&records);
            metrics.sync_time.of(Log::Audit).observe(started.elapsed());
            results
        };
        answers.into_iter().zip(results).for_each(|(answer, result)| reply(answer, result));
        for (stream, answer) in tails {
            stream.resumes();
            reply(answer, Ok(audit.tail()));
        }
    }
}

/// Whoever asked may have gone.
fn reply<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    let _ = answer.send(result);
}

async fn ask<J, T>(
    queue: &mpsc::Sender<J>,
    job: impl FnOnce(Answer<T>) -> J,
) -> Result<T, StoreError> {
    let (sender, answer) = oneshot::channel();
    queue.send(job(sender)).await.map_err(|_| StoreError::Unavailable)?;
    answer.await.map_err(|_| StoreError::Unavailable)?
}

impl Store for RedbStore {
    async fn head(&self) -> Result<u64, StoreError> {
        ask(&self.commits, JournalJob::Head).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.check_limits()?;
        ask(&self.commits, |answer| JournalJob::Commit(commit, answer)).await
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        ask(&self.reads, |answer| ReadJob::Get(key, answer)).await
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        ask(&self.reads, |answer| ReadJob::Entries(from, limit, answer)).await
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        ask(&self.commits, |answer| JournalJob::Compact(before, head, answer)).await
    }

    /// Each call is a stream of its own.
    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        self.append_audit_on(&Arc::default(), sequence, record).await
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        ask(&self.reads, |answer| ReadJob::Audit(from, limit, answer)).await
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.audit_tail_on(&Arc::default()).await
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        ask(&self.reads, |answer| ReadJob::Slot(slot, answer)).await
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if content.len() > sekisho_wire::store::MAX_SLOT {
            return Err(StoreError::TooLarge);
        }
        ask(&self.commits, |answer| JournalJob::FillSlot(slot, content, answer)).await
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if content.len() > sekisho_wire::store::MAX_SLOT {
            return Err(StoreError::TooLarge);
        }
        ask(&self.commits, |answer| JournalJob::ReplaceSlot(slot, held, content, answer)).await
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's database: in use, damaged, of a newer version.
    #[error("the journal: {0}")]
    Journal(#[from] redb::Error),
    /// A record is missing in the middle of a segment.
    #[error("the audit log is damaged: {path} has record {sequence} where {expected} should be")]
    AuditGap {
        /// The segment.
        path: PathBuf,
        /// The sequence number that should come.
        expected: u64,
        /// The one that does.
        sequence: u64,
    },
    /// A file or the folder.
    #[error(transparent)]
    Io(#[from] io::Error),
}
