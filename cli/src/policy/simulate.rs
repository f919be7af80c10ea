//! `sekisho policy simulate`: which recorded decisions a new policy would make otherwise.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sekisho_policy_engine::{Decision, Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::run::{reason, word};
use super::{module, request};
use crate::audit::progress;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  What would have been decided otherwise on this key, had it had the new policy:
    sekisho audit export --out decisions.jsonl
    sekisho policy simulate iam --config new-policy.json --against decisions.jsonl \\
      --key 1234abcd-12ab-34cd-56ef-1234567890ab

What the audit log keeps of a request is replayed: action, principal, key, encryption context, time,
and module id and PCRs of the attestation. Tags, aliases and the operation's parameters are not in
it: a policy that reads those is better tested with `sekisho policy test`.

Exit status: 0 no decision changes, 1 some would, 2 wrong usage.";

/// A line of an export may have; an entry of the log has at most 64 KiB.
const LINE_LIMIT: u64 = 1024 * 1024;

/// Replay recorded decisions against a policy, and show whose answer would change.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chosen: module::Chosen,

    /// What `sekisho audit export` wrote; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    against: PathBuf,

    /// Only decisions about this key: its ARN or the end of it.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Print what changes as JSON, one decision a line.
    #[arg(long)]
    json: bool,
}

/// A line of the export, as far as it is replayed.
#[derive(Deserialize)]
struct Recorded {
    time: String,
    operation: String,
    principal: String,
    key: Option<String>,
    resource: Option<String>,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
    attestation: Option<RecordedAttestation>,
    decision: Option<RecordedDecision>,
    request_id: String,
}

#[derive(Deserialize, Serialize)]
struct RecordedAttestation {
    module_id: String,
    pcrs: BTreeMap<String, String>,
    #[serde(default, rename(serialize = "nonce_fresh"))]
    for_request: bool,
}

#[derive(Deserialize)]
struct RecordedDecision {
    allowed: bool,
}

/// Counts of what was replayed.
#[derive(Default)]
struct Tally {
    replayed: u64,
    changed: u64,
    /// About no key, about another one, or never decided by a policy.
    passed_over: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let policy = arguments.chosen.policy()?;
    let path = arguments.against.as_path();
    let (length, input) =
        open(path).map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    let tally = replay(arguments, &policy, length, input)?;
    let Tally { replayed, changed, passed_over } = tally;
    eprintln!("{replayed} decisions replayed, {changed} would change; {passed_over} passed over");
    match changed {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{changed} decisions would change"))),
    }
}

/// The input, and its length where it has one.
fn open(path: &Path) -> io::Result<(u64, Box<dyn BufRead>)> {
    if path == Path::new("-") {
        return Ok((0, Box::new(BufReader::new(io::stdin()))));
    }
    let file = File::open(path)?;
    Ok((file.metadata()?.len(), Box::new(BufReader::new(file))))
}

fn replay(
    arguments: &Arguments,
    policy: &Policy,
    length: u64,
    mut input: Box<dyn BufRead>,
) -> Result<Tally, Failure> {
    let bar = progress("replaying");
    bar.set_length(length);
    let (mut tally, mut number, mut line) = (Tally::default(), 0u64, String::new());
    loop {
        line.clear();
        number += 1;
        let wrong = |reason: String| {
            let path = arguments.against.display();
            Failure::usage(format_args!("{path}, line {number}: {reason}"))
        };
        let read = (&mut input).take(LINE_LIMIT).read_line(&mut line);
        let read = read.map_err(|error| wrong(error.to_string()))?;
        if read == 0 {
            break;
        }
        bar.inc(read as u64);
        let recorded: Recorded =
            serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let is_meant = arguments.key.as_ref().is_none_or(|wanted| {
            recorded.key.as_ref().is_some_and(|key| key.ends_with(wanted.as_str()))
        });
        // Whether a key is made is decided by the account's policy.
        let by_account = recorded.resource.as_deref() == Some("*");
        let of_key = recorded.key.as_ref().filter(|_| is_meant && !by_account);
        let Some((key, decision)) = of_key.zip(recorded.decision.as_ref()) else {
            tally.passed_over += 1;
            continue;
        };
        let request =
            request::parse(&to_request(&recorded, key)).map_err(|e| wrong(e.to_string()))?;
        let evaluation = policy.evaluate(&request);
        tally.replayed += 1;
        if (evaluation.decision() == &Decision::Allow) != decision.allowed {
            tally.changed += 1;
            bar.suspend(|| {
                println!("{}", change(&recorded, decision, evaluation.decision(), arguments.json));
            });
        }
    }
    bar.finish_and_clear();
    Ok(tally)
}

/// As a request's author would write it.
fn to_request(recorded: &Recorded, key: &str) -> Value {
    let service = if recorded.operation.contains(':') { "" } else { "kms:" };
    json!({
        "action": format!("{service}{}", recorded.operation),
        "principal": { "arn": recorded.principal },
        "key": { "arn": key },
        "encryption_context": recorded.encryption_context,
        "attestation": recorded.attestation,
        "time": recorded.time,
    })
}

fn change(recorded: &Recorded, was: &RecordedDecision, is: &Decision, as_json: bool) -> String {
    let was = if was.allowed { "allow" } else { "deny" };
    if as_json {
        return json!({
            "time": recorded.time, "operation": recorded.operation,
            "principal": recorded.principal, "key": recorded.key,
            "request_id": recorded.request_id,
            "was": was, "would_be": word(is), "reason": reason(is),
        })
        .to_string();
    }
    let why = reason(is).map(|reason| format!(": {}", reason.escape_debug())).unwrap_or_default();
    let who = recorded.principal.escape_debug();
    let (time, operation) = (recorded.time.escape_debug(), recorded.operation.escape_debug());
    format!("{time}  {operation:<16}  {who:<44}  {was} -> {}{why}", word(is))
}
