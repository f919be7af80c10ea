//! What the worker asks of its host: to keep sealed blobs.
//!
//! The host sees record keys, sequence numbers and sizes; what the blobs mean, and whether the
//! host has kept them honestly, only the worker can tell.
//!
//! Three things are kept: *records*, by key; the *journal*, entries that number the changes to
//! the records; and the *audit log*, records that are only ever appended. Beside them are a few
//! *slots*: what a worker needs before it can read the others, its wrapped root key. A slot that is
//! filled changes only for who names what it holds.

mod client;
mod message;
mod serve;

pub use client::StoreClient;
pub use serve::serve_store;

use std::fmt;
use std::future::Future;

use serde::{Deserialize, Serialize};

/// The longest journal entry and the longest record: 2 MiB.
pub const MAX_BLOB: usize = 2 * 1024 * 1024;

/// The longest audit record: 64 KiB. KMS allows 8 KiB of encryption context in a request.
pub const MAX_AUDIT_RECORD: usize = 64 * 1024;

/// The longest content of a slot: 16 KiB. AWS KMS's ciphertexts have at most 6144 bytes.
pub const MAX_SLOT: usize = 16 * 1024;

/// Slots that a store has room for: one for each way to unseal, and some for those to come.
pub const MAX_SLOTS: usize = 16;

/// The sum of entry and records in a commit: 3 MiB, so that it fits into a frame.
pub const MAX_COMMIT_BYTES: usize = 3 * 1024 * 1024;

/// Puts and deletes, each, in a commit.
pub const MAX_COMMIT_RECORDS: usize = 4096;

/// The sum of the blobs in a page, unless the first alone is longer: 1 MiB.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// Entries that one [`Store::compact`] drops at the most, so that no commit waits long for it.
pub const MAX_COMPACTED: u32 = 4096;

/// Items in a page.
pub const MAX_PAGE_ITEMS: u32 = 4096;

/// Entries of the journal or records of the audit log with their sequence numbers, ascending.
pub type Page = Vec<(u64, Vec<u8>)>;

/// The name of a record; it means nothing to the host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A journal entry and the changes to records that it stands for: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Must be the store's head plus one.
    pub sequence: u64,
    /// The sealed journal entry, at most [`MAX_BLOB`] bytes.
    #[serde(with = "serde_bytes")]
    pub entry: Vec<u8>,
    /// Records to write, over what was there. At most [`MAX_COMMIT_RECORDS`] of at most
    /// [`MAX_BLOB`] bytes, with the entry at most [`MAX_COMMIT_BYTES`].
    #[serde(with = "message::records")]
    pub puts: Vec<(RecordKey, Vec<u8>)>,
    /// Records to delete, after the puts; one that is not there is no error.
    #[serde(with = "message::keys")]
    pub deletes: Vec<RecordKey>,
}

impl Commit {
    /// Checks the limits. A store checks them again.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`].
    pub fn check_limits(&self) -> Result<(), StoreError> {
        let blobs = || std::iter::once(&self.entry).chain(self.puts.iter().map(|(_, blob)| blob));
        let within = self.puts.len() <= MAX_COMMIT_RECORDS
            && self.deletes.len() <= MAX_COMMIT_RECORDS
            && blobs().all(|blob| blob.len() <= MAX_BLOB)
            && blobs().map(Vec::len).sum::<usize>() <= MAX_COMMIT_BYTES;
        if within { Ok(()) } else { Err(StoreError::TooLarge) }
    }
}

/// Keeps sealed blobs. [`StoreClient`] is the worker's; the host has one on its disk.
///
/// A change has happened, durably, if it was acknowledged. It has not if the error is one of
/// `Conflict`, `TooLarge` and `Full`. After any other error it may have happened, now or a little
/// later: read `head` or `audit_tail`, and rely on the sequence numbers.
pub trait Store: Send + Sync + 'static {
    /// The sequence number of the newest journal entry, 0 if there is none.
    fn head(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Appends to the journal and changes records, if `commit.sequence` is the head plus one.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The record of this key.
    fn get(
        &self,
        key: RecordKey,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Journal entries from `from` on, without a gap. Empty only when there is none; fewer than
    /// `limit` says nothing, since a page is also bounded by [`MAX_PAGE_ITEMS`] and
    /// [`MAX_PAGE_BYTES`].
    fn entries(
        &self,
        from: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Drops the oldest entries that are below `before`, at most [`MAX_COMPACTED`] of them, if
    /// the journal's head is `head`; answers with the number of the oldest entry that is left.
    ///
    /// Only the worker knows from where on the journal is needed. The head is compared so that
    /// what a worker asked for that is gone by now is not done to the journal of the next. The
    /// newest entry always stays.
    fn compact(
        &self,
        before: u64,
        head: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Appends to the audit log, if `sequence` is that of its tail plus one; the first is 1.
    ///
    /// An append may be sent before the answer of the one before. When one is refused, so are those
    /// that came behind it on the same stream, until [`Store::audit_tail`] was asked there: their
    /// numbers may be free by then, but the record that they follow would be another worker's.
    fn append_audit(
        &self,
        sequence: u64,
        record: Vec<u8>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Audit records from `from` on, as [`Store::entries`].
    fn audit(&self, from: u64, limit: u32)
    -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// The newest audit record.
    fn audit_tail(&self)
    -> impl Future<Output = Result<Option<(u64, Vec<u8>)>, StoreError>> + Send;

    /// What a slot holds, if it was ever filled.
    fn slot(
        &self,
        slot: RecordKey,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Fills a slot if it is empty, durably, and answers what it holds then: `content`, or what
    /// was there before.
    fn fill_slot(
        &self,
        slot: RecordKey,
        content: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    /// Puts `content` into a slot that holds exactly `held`, durably, and answers what it holds
    /// then: `content`, or what is there in place of `held`. An empty slot stays so, and is
    /// answered with nothing.
    fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
}

/// Why the store did not do as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StoreError {
    /// The sequence number is not the one after `head`; nothing has changed.
    #[error("the sequence number does not follow the store's head {head}")]
    Conflict {
        /// The newest sequence number of the journal or of the audit log.
        head: u64,
    },
    /// A blob, a commit or a message over its limit; nothing has changed.
    #[error("larger than the store's limits")]
    TooLarge,
    /// No space left; nothing has changed.
    #[error("the store is full")]
    Full,
    /// The store does not answer, or its disk fails. A change may have happened.
    #[error("the store is unavailable")]
    Unavailable,
    /// The other side's message makes no sense. A change may have happened.
    #[error("the message to or from the store is malformed")]
    Malformed,
}
