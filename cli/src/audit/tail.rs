//! `sekisho audit tail`: the last decisions.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::time::Duration;

use sekisho_enclave::AuditEntry;

use super::decisions::{Block, Decisions};
use super::show::{self, Decision};
use super::source::{Log, Source};
use crate::failure::Failure;

/// How often the end of the log is looked at.
const POLL: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  What a `sekisho dev` decided last, and what it decides from now on:
    sekisho audit tail --follow

  The last hundred decisions of a host's log, for a program:
    sekisho audit tail --store /var/lib/sekisho --auditor-key auditor.pem -n 100 --json

A line has time, outcome, operation, principal, key, and why not. The outcome is allowed, denied (by a
policy), refused (before a policy was asked), or failed (allowed, and it did not work).";

/// Print the last decisions.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,

    /// How many decisions.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    lines: usize,

    /// Go on with those that are made from now on, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,

    /// Print each as one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { source, lines, follow, json } = arguments;
    let mut log = source.resolve()?;
    log.need_an_auditor()?;
    if log.key.is_none() {
        eprintln!("warning: no signature is checked: give --signature-key");
    }
    let (mut decisions, last) = last(&mut log, lines)?;
    let print = |block: u64, entry: &AuditEntry| {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &Decision::new(block, entry))?;
            writeln!(out)
        } else {
            writeln!(out, "{}", show::line(entry))
        }
    };
    let printed = async {
        for (block, entry) in &last {
            print(*block, entry).map_err(Ended::Out)?;
        }
        if !follow {
            return Ok(());
        }
        loop {
            match decisions.next(&mut log.auditors).map_err(Ended::Log)? {
                Some(Block { sequence, entries }) => {
                    for entry in &entries {
                        print(sequence, entry).map_err(Ended::Out)?;
                    }
                }
                None => {
                    io::stdout().flush().map_err(Ended::Out)?;
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    };
    match printed.await {
        // Whoever reads has seen enough.
        Err(Ended::Out(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Ended::Out(error)) => Err(Failure::failed(error)),
        Err(Ended::Log(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

enum Ended {
    Out(io::Error),
    Log(Failure),
}

/// The last `lines` decisions with their blocks' numbers, and a reader that stands behind them.
///
/// Looks through as many of the newest segments as it takes.
fn last(log: &mut Log, lines: usize) -> Result<(Decisions, VecDeque<(u64, AuditEntry)>), Failure> {
    let all = log.reader()?.segments();
    let mut segments = 1;
    loop {
        let mut decisions = Decisions::new(log.newest(segments)?, log);
        let mut last = VecDeque::new();
        while let Some(Block { sequence, entries }) = decisions.next(&mut log.auditors)? {
            last.extend(entries.into_iter().map(|entry| (sequence, entry)));
            last.drain(..last.len().saturating_sub(lines));
        }
        if last.len() >= lines || segments >= all {
            return Ok((decisions, last));
        }
        segments = segments.saturating_mul(2);
    }
}
