//! The log as decisions, block by block: for those who want to read it.

use sekisho_enclave::{AuditChain, AuditEntry};
use sekisho_host::{AuditItem, AuditReader};

use super::source::{Auditors, Log};
use crate::failure::Failure;

/// Reads on from where it stands. Chain and signatures are checked on the way.
pub(super) struct Decisions {
    reader: AuditReader,
    chain: AuditChain,
}

/// The decisions of one block.
pub(super) struct Block {
    pub(super) sequence: u64,
    pub(super) entries: Vec<AuditEntry>,
}

impl Decisions {
    /// From a reader's beginning on.
    pub(super) fn new(reader: AuditReader, log: &Log) -> Self {
        let key = log.key.as_ref().map(|signed| signed.key);
        let chain = match reader.first() {
            None | Some(0 | 1) => AuditChain::new(key),
            Some(first) => AuditChain::after(first - 1, key),
        };
        Self { reader, chain }
    }

    /// The next block; nothing at what is the end at this moment.
    pub(super) fn next(&mut self, auditors: &mut Auditors) -> Result<Option<Block>, Failure> {
        let (record, bytes) = match self.reader.next_item().map_err(Failure::failed)? {
            AuditItem::Record(record, bytes) => (record, bytes),
            AuditItem::End { .. } => return Ok(None),
            AuditItem::Damaged { path, offset } => {
                return Err(broken(format_args!("{}: damaged at byte {offset}", path.display())));
            }
        };
        let block = self.chain.follow(record, &bytes).map_err(broken)?;
        let sequence = block.sequence();
        let entries = auditors.open(&block).map_err(|reason| {
            Failure::failed(format_args!(
                "audit block {sequence}: {reason} (SHA-256 of the public key: {})",
                hex::encode(block.auditor())
            ))
        })?;
        Ok(Some(Block { sequence, entries }))
    }

    /// Bytes that were read, and bytes that there are.
    pub(super) fn progress(&self) -> (u64, u64) {
        self.reader.progress()
    }
}

fn broken(reason: impl std::fmt::Display) -> Failure {
    Failure::failed(format_args!("{reason}; sekisho audit verify tells more"))
}
