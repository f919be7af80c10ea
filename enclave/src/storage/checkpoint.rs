//! Where a chain stands: the journal's, and the audit log's.

use super::record::BlobHash;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// Number and hash of the newest link of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) hash: BlobHash,
}

impl Checkpoint {
    /// Before the first link.
    pub(crate) const GENESIS: Self = Self { sequence: 0, hash: BlobHash::GENESIS };
}

/// The newest durable link of a chain, for another chain to name. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest(Arc<Mutex<Option<Checkpoint>>>);

impl Newest {
    pub(crate) fn set(&self, checkpoint: Checkpoint) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
    }

    pub(crate) fn current(&self) -> Option<Checkpoint> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
