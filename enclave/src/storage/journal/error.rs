//! What can be wrong with a journal.

use crate::secret::SealError;
use sekisho_wire::codec::CodecError;
use sekisho_wire::store::StoreError;
use thiserror::Error;

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
    /// The store goes on after this entry, but does not give it.
    #[error("journal entry {sequence} is missing")]
    EntryMissing {
        /// Its number.
        sequence: u64,
    },
    /// What is in the store goes on under a later root key than the one that was unwrapped.
    #[error(
        "the journal goes on under the root key of generation {generation}, and the store's slot gives \
         that of generation {held}: the host has served an older slot than the journal's"
    )]
    RootKeyOlder {
        /// What it is sealed under.
        generation: u32,
        /// The newest one there is.
        held: u32,
    },
    /// What is in the store is sealed under a root key that was rotated away.
    #[error(
        "the journal is of the root key's generation {generation}, which was rotated away (now \
         {held}): the host has served an older journal than the slot's"
    )]
    RootKeyNewer {
        /// What it is sealed under.
        generation: u32,
        /// The one there is.
        held: u32,
    },
    /// An entry does not follow the one before it.
    #[error("journal entry {sequence} does not follow the entry before it")]
    ChainBroken {
        /// Its number.
        sequence: u64,
    },
    /// The chain ends before where the store, or a snapshot, says that it has been.
    #[error("the journal has been at entry {head}, its entries end at {reached}")]
    Incomplete {
        /// Where it has been.
        head: u64,
        /// Where the chain ends.
        reached: u64,
    },
    /// The snapshot was changed, or belongs to another root key.
    #[error(
        "the journal's snapshot does not open: it was changed, or sealed under another root key"
    )]
    SnapshotDoesNotOpen,
    /// The entries name another snapshot than the store has served, or another history's.
    #[error("the store served a snapshot that is not the journal's current one")]
    SnapshotNotCurrent,
    /// The store does not give a part of the snapshot.
    #[error("part {number} of the journal's snapshot is missing")]
    ChunkMissing {
        /// From 0.
        number: u32,
    },
    /// The store gave something else in place of a part of the snapshot.
    #[error("part {number} of the journal's snapshot is not the one that belongs to it")]
    ChunkNotCurrent {
        /// From 0.
        number: u32,
    },
    /// The store answers, but keeps what it was told to drop.
    #[error("the store does not drop the entries before the snapshot")]
    NotCompacted,
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
    /// Another worker of the service has written since this one took the journal over.
    #[error("another worker of this service has taken the journal over")]
    Superseded,
    /// The store is another one than the peer's, or an older copy of it.
    #[error(
        "the journal does not have the entry {sequence} that the peer attests: it is another store \
         than the peer's, or an older copy of it"
    )]
    NotThePeers {
        /// Number of the peer's newest entry.
        sequence: u64,
    },
    /// 2^64 entries.
    #[error("the journal is full")]
    Exhausted,
}

impl JournalError {
    /// Whether an honest store can cause this while a worker that was killed still has a commit
    /// on its way: a newer snapshot has taken the place of the one that was being read.
    pub(super) fn may_have_been_overtaken(&self) -> bool {
        matches!(
            self,
            Self::EntryMissing { .. }
                | Self::SnapshotNotCurrent
                | Self::ChunkMissing { .. }
                | Self::ChunkNotCurrent { .. }
        )
    }
}
