//! Whether blocks are the service's, and all of them, in their order.

use super::block::{AuditBlock, AuditSignatureKey, NotABlock};
use thiserror::Error;

/// Follows a log block by block. It does no I/O and opens nothing.
///
/// A log that is cut at its end is whole as far as it goes: compare [`AuditChain::newest`] with
/// what an attestation names.
#[derive(Debug, Clone)]
pub struct AuditChain {
    key: Option<AuditSignatureKey>,
    newest: u64,
    /// Nothing where the log is followed from its middle on.
    hash: Option<[u8; 32]>,
}

impl AuditChain {
    /// From the first block on. Without a `key` no signature is checked, and then a chain shows
    /// accidents, but nothing that someone did on purpose.
    pub fn new(key: Option<AuditSignatureKey>) -> Self {
        Self { key, newest: 0, hash: Some([0; 32]) }
    }

    /// From the block after `newest` on, whatever stands before it.
    pub fn after(newest: u64, key: Option<AuditSignatureKey>) -> Self {
        Self { key, newest, hash: None }
    }

    /// Number and hash of the block that was followed last; nothing before the first.
    pub fn newest(&self) -> Option<(u64, [u8; 32])> {
        self.hash.filter(|_| self.newest > 0).map(|hash| (self.newest, hash))
    }

    /// The number that comes next.
    pub fn expected(&self) -> u64 {
        self.newest.saturating_add(1)
    }

    /// Takes what the host keeps as number `record`. After an error the chain stands where it
    /// stood before.
    ///
    /// # Errors
    /// [`AuditFault`].
    pub fn follow<'a>(
        &mut self,
        record: u64,
        bytes: &'a [u8],
    ) -> Result<AuditBlock<'a>, AuditFault> {
        let expected = self.expected();
        let block = AuditBlock::parse(bytes)
            .map_err(|reason| AuditFault::NotABlock { sequence: expected, reason })?;
        let found = block.sequence();
        if let Some(key) = &self.key {
            // What the header says of its place is not believed yet.
            block.verify(key).map_err(|_| AuditFault::BadSignature { sequence: expected })?;
        }
        if found < expected {
            return Err(AuditFault::Repeated { expected, found });
        }
        if found > expected {
            return Err(AuditFault::Gap { expected, found });
        }
        if record != found {
            return Err(AuditFault::Misnumbered { sequence: found, record });
        }
        if self.hash.is_some_and(|hash| hash != *block.previous()) {
            return Err(AuditFault::NotLinked { sequence: found });
        }
        self.newest = found;
        self.hash = Some(*block.hash());
        Ok(block)
    }
}

/// What is wrong with a log, at its first wrong block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuditFault {
    /// Where this block should be there is none.
    #[error("audit block {sequence} is not one: {reason}")]
    NotABlock {
        /// The number that was expected.
        sequence: u64,
        /// Why not.
        reason: NotABlock,
    },
    /// It was changed, or somebody else made it.
    #[error(
        "audit block {sequence} does not bear the service's signature: it was changed, or forged"
    )]
    BadSignature {
        /// The number that was expected.
        sequence: u64,
    },
    /// A later block stands where this one should be.
    #[error("where audit block {expected} should be stands block {found}")]
    Gap {
        /// The number that was expected.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// A block that had its place before.
    #[error("where audit block {expected} should be stands block {found} again")]
    Repeated {
        /// The number that was expected.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// The host keeps it under another number.
    #[error("audit block {sequence} is kept as number {record}")]
    Misnumbered {
        /// The block's own number, which is signed.
        sequence: u64,
        /// The host's.
        record: u64,
    },
    /// It names another block as the one before it.
    #[error(
        "audit block {sequence} does not follow the block before it: one of the two is of another history"
    )]
    NotLinked {
        /// The later one.
        sequence: u64,
    },
}
