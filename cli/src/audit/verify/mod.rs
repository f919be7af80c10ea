//! `sekisho audit verify`: whether the log is the service's, and all of it.

mod report;
mod walk;

use super::attestation::{Attested, Witness};
use super::source::{SignedBy, Source};
use crate::failure::Failure;
use report::Report;
use walk::Finding;

const EXAMPLES: &str = "\
Examples:
  The log of a `sekisho dev`, against the attestation of the service if it runs:
    sekisho audit verify

  A copy of a production host's data folder, against the service that wrote it:
    sekisho audit verify --store ./copy --auditor-key auditor.pem \\
      --endpoint https://kms.example:8443 --pcr 0=3f0a…

  The same without the service; the key is from an earlier `attest connect --json`:
    sekisho audit verify --store ./copy --auditor-key auditor.pem --signature-key 91c2…

The first fault is named by one word, which is also the first on standard error: changed, forged,
missing, reordered, duplicated, renumbered, other-history, unreadable, or cut. Without the auditor's
private key a changed block and a forged one look the same: changed-or-forged. Where no key is known
and no service is asked, nothing shows who wrote the log: unsigned.

Exit status: 0 verified, 1 a check failed, 2 wrong usage.";

/// Verify the log: every block's signature, number and predecessor, and that it opens.
///
/// A log that was cut at its end is whole as far as it goes. So the service is asked for an
/// attestation, which names the newest block and the key that blocks are signed under. What could
/// not be checked is said.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    witness: Witness,

    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut log = arguments.source.resolve()?;
    // First the attestation, then the log: what is attested is on the disk already.
    let attested = arguments.witness.ask(&log).await?;
    let mut report = Report::new(&log.store);
    let pinned = log.key.take();
    match &attested {
        Ok(attested) => {
            attested.checkpoints.warn();
            if let Some(finding) = other_key(attested, pinned.as_ref()) {
                return report.end(Some(finding), arguments.json);
            }
            report.attested = Some(attested);
            report.key = Some(SignedBy { key: attested.key, source: "the attestation" });
        }
        Err(why) => {
            report.not_checked.push(format!(
                "whether the log was cut at its end, or is of another history: {why}"
            ));
            report.key = pinned;
        }
    }
    if report.key.is_none() {
        report
            .not_checked
            .push("signatures: whoever can write to the folder can have made all of this".into());
    }
    if log.auditors.is_empty() {
        report.not_checked.push("whether the blocks open: give --auditor-key".into());
    }
    let finding = walk::walk(&mut log, attested.as_ref().ok(), &mut report)?;
    report.end(finding, arguments.json)
}

/// The key on the command line is not the one that the service attests.
fn other_key(attested: &Attested, pinned: Option<&SignedBy>) -> Option<Finding> {
    let pinned = pinned.filter(|pinned| pinned.key != attested.key)?;
    // What a data folder says is only what was attested before.
    (pinned.source == "--signature-key").then(|| Finding {
        kind: "signature-key",
        sequence: None,
        message: format!(
            "the service signs its log under {}, and --signature-key is {}",
            attested.key, pinned.key
        ),
    })
}
