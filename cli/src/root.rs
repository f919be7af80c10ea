//! `sekisho root`: the root key of a running service.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::Asker;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Everything that a service stores hangs from its root key. A rotation makes another one, in the same
enclave and kept in the same way, and seals everything under it again while the service serves.

Examples:
  sekisho root rotate
  sekisho root status --json

Who may do so: the account's root, and whom a policy allows sekisho:RotateRootKey and
sekisho:GetRootKeyStatus. What a rotation protects from, and what not: docs/unsealing.md.";

/// The root key: rotate it, and see how far a rotation is.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asker: Asker,
    /// Print the service's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a new root key, and begin to seal everything under it. Ends all sessions.
    Rotate,
    /// Show its generation, since when, and how many records are left of the one before.
    Status,
}

/// Asks the service.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = arguments.asker.client()?;
    let operation = match arguments.command {
        Command::Rotate => "Sekisho.RotateRootKey",
        Command::Status => "Sekisho.GetRootKeyStatus",
    };
    let answer = client.call(operation, &json!({})).await.map_err(Failure::failed)?;
    if arguments.json {
        println!("{answer:#}");
    } else {
        println!("{}", shown(&answer));
    }
    Ok(())
}

fn shown(answer: &Value) -> String {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds of a time of this age")]
    let seconds = answer.get("Since").and_then(Value::as_f64).map(|since| since as i64);
    let since = seconds.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
    let since = since.and_then(|since| since.format(&Rfc3339).ok());
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    let state = match answer.get("Rotating").and_then(Value::as_bool) {
        Some(true) => format!("rotating, {} records left", number("RecordsLeft")),
        _ => "nothing is left of another".to_owned(),
    };
    format!("root key of generation {}{since}: {state}", number("Generation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_in_words() {
        let first = json!({ "Generation": 1, "Rotating": false, "RecordsLeft": 0 });
        assert_eq!(shown(&first), "root key of generation 1: nothing is left of another");
        let second = json!({ "Generation": 2, "Rotating": true, "RecordsLeft": 7, "Since": 1_790_000_000.5 });
        assert_eq!(
            shown(&second),
            "root key of generation 2 since 2026-09-21T14:13:20Z: rotating, 7 records left"
        );
    }
}
