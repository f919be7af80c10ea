//! Through the log block by block, to its end or to the first fault.

use sekisho_enclave::{AuditBlock, AuditChain, AuditFault, AuditSignatureKey, Unreadable};
use sekisho_host::{AuditItem, AuditReader};

use super::super::attestation::Attested;
use super::super::show;
use super::super::source::{Auditors, Log};
use super::report::Report;
use crate::failure::Failure;

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// One word.
    pub(super) kind: &'static str,
    /// The number of the first block that is not as it should be.
    pub(super) sequence: Option<u64>,
    pub(super) message: String,
}

impl Finding {
    fn at(sequence: u64, kind: &'static str, message: impl std::fmt::Display) -> Self {
        Self { kind, sequence: Some(sequence), message: message.to_string() }
    }
}

/// Reads the whole log; counts in `report` what was found before the first fault.
pub(super) fn walk(
    log: &mut Log,
    attested: Option<&Attested>,
    report: &mut Report<'_>,
) -> Result<Option<Finding>, Failure> {
    let mut reader = log.reader()?;
    let key = report.key.as_ref().map(|signed| signed.key);
    let mut chain = AuditChain::new(key);
    let bar = show::progress("verifying");
    loop {
        let (record, bytes) = match reader.next_item().map_err(Failure::failed)? {
            AuditItem::Record(record, bytes) => (record, bytes),
            AuditItem::Damaged { path, offset } => {
                let sequence = chain.expected();
                let message = format!(
                    "audit block {sequence}: {} cannot be read from byte {offset} on: the \
                     record there was changed, or the disk damaged it",
                    path.display()
                );
                return Ok(Some(Finding::at(sequence, "changed", message)));
            }
            AuditItem::End { unfinished } => {
                report.unfinished = unfinished;
                break;
            }
        };
        let block = match chain.follow(record, &bytes) {
            Ok(block) => block,
            Err(fault) => {
                let found = classify(fault, &bytes, &mut reader, key.as_ref(), &mut log.auditors);
                return found.map(Some).map_err(Failure::failed);
            }
        };
        if let Some(finding) = count(&block, &mut log.auditors, report) {
            return Ok(Some(finding));
        }
        if let Some(attested) = attested
            && attested.sequence == block.sequence()
            && attested.hash != *block.hash()
        {
            let message = format!(
                "audit block {} is another one than the service attests, though it signed both: \
                 this is another history of it, such as an older copy that went on",
                block.sequence()
            );
            return Ok(Some(Finding::at(block.sequence(), "other-history", message)));
        }
        let (read, all) = reader.progress();
        bar.set_length(all);
        bar.set_position(read);
    }
    bar.finish_and_clear();
    Ok(attested.and_then(|attested| cut(&chain, attested)))
}

/// The log ends before what the service attests.
fn cut(chain: &AuditChain, attested: &Attested) -> Option<Finding> {
    let missing = chain.expected();
    (missing <= attested.sequence).then(|| {
        let message = format!(
            "the log was cut at its end: from audit block {missing} on it is missing, and the \
             service attests block {}",
            attested.sequence
        );
        Finding::at(missing, "cut", message)
    })
}

/// Takes a block that has its place into account.
fn count(
    block: &AuditBlock<'_>,
    auditors: &mut Auditors,
    report: &mut Report<'_>,
) -> Option<Finding> {
    let sequence = block.sequence();
    report.blocks += 1;
    report.newest = Some((sequence, *block.hash()));
    if auditors.is_empty() {
        return None;
    }
    match auditors.open(block) {
        Ok(entries) => {
            report.opened += 1;
            for entry in &entries {
                report.decision(entry.time);
            }
            None
        }
        // The keys of the data folder may be older or newer than the block.
        Err(Unreadable::OtherAuditor) if !auditors.given => {
            report.for_others += 1;
            None
        }
        Err(reason) => {
            let message = format!("audit block {sequence} cannot be read: {reason}");
            Some(Finding::at(sequence, "unreadable", message))
        }
    }
}

/// Gives the chain's fault a name, with the help of what comes after it and of the auditor's key.
fn classify(
    fault: AuditFault,
    bytes: &[u8],
    reader: &mut AuditReader,
    key: Option<&AuditSignatureKey>,
    auditors: &mut Auditors,
) -> std::io::Result<Finding> {
    Ok(match fault {
        AuditFault::NotABlock { sequence, .. } => Finding::at(sequence, "changed", fault),
        AuditFault::BadSignature { sequence } if auditors.is_empty() => {
            Finding::at(sequence, "changed-or-forged", fault)
        }
        AuditFault::BadSignature { sequence } => {
            let opened = AuditBlock::parse(bytes).map(|block| auditors.open(&block));
            if matches!(opened, Ok(Ok(_))) {
                let message = format!(
                    "audit block {sequence} was forged: it opens, and the service has not signed \
                     it. Whoever knows the auditor's public key can make such a block"
                );
                Finding::at(sequence, "forged", message)
            } else {
                let message = format!(
                    "audit block {sequence} was changed: it neither opens nor bears the service's \
                     signature"
                );
                Finding::at(sequence, "changed", message)
            }
        }
        AuditFault::Gap { expected, found } if comes_later(reader, key, expected)? => {
            let message = format!(
                "audit blocks were reordered: block {found} stands where block {expected} should \
                 be, which comes later"
            );
            Finding::at(expected, "reordered", message)
        }
        AuditFault::Gap { expected, found } => {
            let last = found - 1;
            let message = if last == expected {
                format!("audit block {expected} is missing: block {found} stands in its place")
            } else {
                format!(
                    "audit blocks {expected} to {last} are missing: block {found} stands in their \
                     place"
                )
            };
            Finding::at(expected, "missing", message)
        }
        AuditFault::Repeated { expected, found } => {
            let message = format!(
                "audit block {found} was duplicated: it stands again where block {expected} \
                 should be"
            );
            Finding::at(expected, "duplicated", message)
        }
        AuditFault::Misnumbered { sequence, .. } => Finding::at(sequence, "renumbered", fault),
        AuditFault::NotLinked { sequence } => Finding::at(sequence, "other-history", fault),
    })
}

/// Whether the block is somewhere in the rest of the log.
fn comes_later(
    reader: &mut AuditReader,
    key: Option<&AuditSignatureKey>,
    sequence: u64,
) -> std::io::Result<bool> {
    loop {
        match reader.next_item()? {
            AuditItem::Record(_, bytes) => {
                let Ok(block) = AuditBlock::parse(&bytes) else { continue };
                let signed = key.is_none_or(|key| block.verify(key).is_ok());
                if signed && block.sequence() == sequence {
                    return Ok(true);
                }
            }
            AuditItem::Damaged { .. } => {}
            AuditItem::End { .. } => return Ok(false),
        }
    }
}
