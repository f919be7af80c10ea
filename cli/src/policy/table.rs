//! `sekisho policy test`: a table of requests and the answers they should get.

use std::path::{Path, PathBuf};

use sekisho_policy_engine::{Decision, Evaluation, Module};
use serde::Deserialize;
use serde_json::{Value, json};

use super::run::{reason, word};
use super::{module, request};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  The project in this folder, after `sekisho policy build`, with its tests/cases.json:
    sekisho policy test

  An AWS policy document, before anybody depends on it:
    sekisho policy test iam --table key-policy.cases.json

A table is JSON. A case's request is merged into the table's (RFC 7396: null takes a member away),
and a configuration of its own takes the place of the table's:
  { \"configuration\": { \"purpose\": \"backup\" },
    \"request\": { \"action\": \"kms:Decrypt\" },
    \"cases\": [
      { \"name\": \"its purpose\", \"expect\": \"allow\",
        \"request\": { \"encryption_context\": { \"purpose\": \"backup\" } } },
      { \"name\": \"another\", \"expect\": \"deny\", \"reason\": \"purpose\",
        \"request\": { \"encryption_context\": { \"purpose\": \"sale\" } } },
      { \"name\": \"no configuration\", \"expect\": \"refused\", \"configuration\": 1 } ] }

Exit status: 0 all as expected, 1 some not, 2 wrong usage.";

/// Test a policy against a table of requests and expected answers.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A project's folder, a component's file, or a stock policy's name.
    #[arg(default_value = ".")]
    policy: String,

    /// The table [default: tests/cases.json in the project's folder].
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    configuration: Value,
    #[serde(default)]
    request: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    configuration: Option<Value>,
    #[serde(default)]
    request: Value,
    expect: Expected,
    /// Part of the reason of a deny, or of a refused configuration.
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Allow,
    Deny,
    NoOpinion,
    /// The configuration is not taken.
    Refused,
}

impl Expected {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NoOpinion => "no-opinion",
            Self::Refused => "refused",
        }
    }
}

/// What a case came to.
struct Outcome {
    name: String,
    /// How it differs from what is expected.
    difference: Option<String>,
    /// None where the configuration was refused.
    fuel: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = match &arguments.table {
        Some(path) => path.clone(),
        None => Path::new(&arguments.policy).join("tests").join("cases.json"),
    };
    let table = read(&path)?;
    let admitted = module::admit(&arguments.policy)?;
    let mut outcomes = Vec::with_capacity(table.cases.len());
    for case in &table.cases {
        let outcome = check(&admitted, &table, case).map_err(|reason| {
            Failure::usage(format_args!("{}: case '{}': {reason}", path.display(), case.name))
        })?;
        if !arguments.json {
            print_case(&outcome);
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| outcome.difference.is_some()).count();
    let fuel = outcomes.iter().filter_map(|outcome| outcome.fuel).max().unwrap_or(0);
    let passed = outcomes.len().saturating_sub(failed);
    if arguments.json {
        println!("{}", to_json(&outcomes, passed, failed));
    } else {
        println!("\n{passed} passed, {failed} failed; at most {fuel} of fuel a decision");
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{failed} of {} cases failed", outcomes.len()))),
    }
}

fn read(path: &Path) -> Result<Table, Failure> {
    let table: Table = serde_json::from_value(module::json(path)?)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    if table.cases.is_empty() {
        return Err(Failure::usage(format_args!("{} has no cases", path.display())));
    }
    Ok(table)
}

/// Runs one case; an error where the case itself is wrong.
fn check(admitted: &Module, table: &Table, case: &Case) -> Result<Outcome, String> {
    let configuration = case.configuration.as_ref().unwrap_or(&table.configuration);
    let outcome = |difference, fuel| Ok(Outcome { name: case.name.clone(), difference, fuel });
    let policy = match module::configure(admitted, configuration) {
        Ok(policy) if case.expect == Expected::Refused => {
            let state = policy.state().len();
            return outcome(Some(format!("the configuration is taken ({state} bytes)")), None);
        }
        Ok(policy) => policy,
        Err(refusal) => {
            let refusal = refusal.to_string();
            return outcome(different(case, Expected::Refused.word(), Some(&refusal)), None);
        }
    };
    let mut written = table.request.clone();
    merge(&mut written, &case.request);
    let request = request::parse(&written).map_err(|error| error.to_string())?;
    let evaluation = policy.evaluate(&request);
    outcome(decided_otherwise(case, &evaluation), Some(evaluation.fuel()))
}

fn decided_otherwise(case: &Case, evaluation: &Evaluation) -> Option<String> {
    let decision: &Decision = evaluation.decision();
    different(case, word(decision), reason(decision))
}

fn different(case: &Case, found: &str, reason: Option<&str>) -> Option<String> {
    let why = reason.map(|reason| format!(" ({})", reason.escape_debug())).unwrap_or_default();
    if found != case.expect.word() {
        return Some(format!("{} is expected, not {found}{why}", case.expect.word()));
    }
    let wanted = case.reason.as_deref()?;
    let is_there = reason.is_some_and(|reason| reason.contains(wanted));
    (!is_there).then(|| format!("the reason should speak of '{wanted}'{why}"))
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        if !patch.is_null() {
            target.clone_from(patch);
        }
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in members {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn print_case(outcome: &Outcome) {
    match &outcome.difference {
        None => println!("ok    {}", outcome.name),
        Some(difference) => println!("FAIL  {}: {difference}", outcome.name),
    }
}

fn to_json(outcomes: &[Outcome], passed: usize, failed: usize) -> Value {
    let cases: Vec<_> = outcomes
        .iter()
        .map(|Outcome { name, difference, fuel }| {
            json!({ "name": name, "ok": difference.is_none(), "difference": difference, "fuel": fuel })
        })
        .collect();
    json!({ "passed": passed, "failed": failed, "cases": cases })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7396, appendix A, that have to do with objects.
    #[test]
    fn requests_are_merged_as_the_rfc_says() {
        for (target, patch, merged) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[1]}), json!({"a":[2,3]}), json!({"a":[2,3]})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut found = target;
            merge(&mut found, &patch);
            assert_eq!(found, merged);
        }
    }

    #[test]
    fn a_case_passes_only_as_expected() {
        let admitted = module::admit("iam").unwrap();
        let document = |effect| {
            json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": effect, "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
            }] })
        };
        let table = |expect: &str, effect, reason: Option<&str>| {
            json!({
                "configuration": document(effect),
                "request": { "action": "kms:Decrypt", "key": {} },
                "cases": [{ "name": "one", "expect": expect, "reason": reason }],
            })
        };
        for (expect, effect, reason, difference) in [
            ("allow", "Allow", None, None),
            ("deny", "Deny", None, None),
            ("deny", "Allow", None, Some("deny is expected, not allow")),
            ("deny", "Deny", Some("the weather"), Some("speak of 'the weather'")),
            ("refused", "Allow", None, Some("is taken")),
            ("refused", "Perhaps", Some("Effect"), None),
        ] {
            let table: Table = serde_json::from_value(table(expect, effect, reason)).unwrap();
            let found = check(&admitted, &table, &table.cases[0]).unwrap().difference;
            match (&found, difference) {
                (None, None) => {}
                (Some(found), Some(wanted)) => assert!(found.contains(wanted), "{found}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
