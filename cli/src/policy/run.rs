//! `sekisho policy run`: one request, one answer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sekisho_policy_engine::{Decision, Evaluation};
use serde_json::{Value, json};

use super::{module, request};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  A request against an AWS policy document:
    sekisho policy run iam --config key-policy.json --request decrypt.json

  Against a component of your own, for a program:
    sekisho policy run backup.wasm --config config.json --request decrypt.json --json

A request has the names of the contract; only \"action\" must be there:
  { \"action\": \"kms:Decrypt\",
    \"principal\": { \"arn\": \"arn:aws:iam::111122223333:user/alice\", \"tags\": { \"team\": \"x\" } },
    \"key\": { \"aliases\": [\"alias/backup\"] },
    \"encryption_context\": { \"purpose\": \"backup\" },
    \"attestation\": { \"pcrs\": { \"0\": \"3f0a…\" } },
    \"time\": \"2026-01-15T12:00:00Z\" }

Exit status: 0 allow, 1 deny or no opinion, 2 wrong usage.";

/// Ask a policy about one request.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chosen: module::Chosen,

    /// The request, JSON.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let written = module::json(&arguments.request)?;
    let request = request::parse(&written).map_err(|error| {
        Failure::usage(format_args!("{}: {error}", arguments.request.display()))
    })?;
    let policy = arguments.chosen.policy()?;
    // The first run touches everything for the first time.
    policy.evaluate(&request);
    let started = Instant::now();
    let evaluation = policy.evaluate(&request);
    let took = started.elapsed();
    if arguments.json {
        println!("{}", to_json(&evaluation, took));
    } else {
        print!("{}", to_text(&evaluation, took));
    }
    match evaluation.decision() {
        Decision::Allow => Ok(()),
        _ => Err(Failure::Failed("the policy does not allow it".into())),
    }
}

/// `allow`, `deny` or `no-opinion`.
pub(super) fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny(_) => "deny",
        Decision::NoOpinion => "no-opinion",
    }
}

/// Why, where the policy says it.
pub(super) fn reason(decision: &Decision) -> Option<&str> {
    match decision {
        Decision::Deny(reason) => Some(reason),
        Decision::Allow | Decision::NoOpinion => None,
    }
}

fn to_json(evaluation: &Evaluation, took: Duration) -> Value {
    let annotations = evaluation.annotations().map(|pair| (pair.name.clone(), json!(pair.value)));
    json!({
        "decision": word(evaluation.decision()),
        "reason": reason(evaluation.decision()),
        "annotations": annotations.collect::<serde_json::Map<_, _>>(),
        "log": evaluation.answer().log,
        "fuel": evaluation.fuel(),
        "microseconds": took.as_micros() as u64,
        "module": evaluation.module().to_string(),
    })
}

fn to_text(evaluation: &Evaluation, took: Duration) -> String {
    let mut text = word(evaluation.decision()).to_owned();
    if let Some(reason) = reason(evaluation.decision()) {
        text.push_str(&format!(": {}", reason.escape_debug()));
    }
    text.push('\n');
    for pair in evaluation.annotations() {
        let (name, value) = (pair.name.escape_debug(), pair.value.escape_debug());
        text.push_str(&format!("annotation  {name} = {value}\n"));
    }
    for line in &evaluation.answer().log {
        text.push_str(&format!("log         {}\n", line.escape_debug()));
    }
    text.push_str(&format!("fuel        {}\n", evaluation.fuel()));
    text.push_str(&format!("time        {} µs\n", took.as_micros()));
    text.push_str(&format!("module      {}\n", evaluation.module()));
    text
}
