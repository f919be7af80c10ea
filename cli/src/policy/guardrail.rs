//! `sekisho policy guardrail`: the policy above all others.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::module;
use crate::aws::Asker;
use crate::failure::Failure;

const EXAMPLES: &str = "\
A guardrail can deny what any key policy, grant or identity policy allows, and never allows anything.
It has the form of a key's policy: an AWS policy document, or a module with its configuration.

Examples:
  sekisho policy guardrail set guardrail.json
  sekisho policy guardrail show
  sekisho policy guardrail remove";

/// The policy above all others: set, show or remove it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asker: Asker,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Put a guardrail in place of the one that is there, if there is one.
    Set {
        /// An AWS policy document, or {"module": …, "config": …}, JSON.
        file: PathBuf,
        /// Also one that will not let whoever asks set another.
        #[arg(long)]
        bypass_lockout_check: bool,
    },
    /// Print the guardrail as it was put.
    Show,
    /// Remove the guardrail.
    Remove,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = arguments.asker.client()?;
    let call = async |operation: &str, body: Value| {
        client.call(operation, &body).await.map_err(Failure::failed)
    };
    match &arguments.command {
        Command::Set { file, bypass_lockout_check } => {
            let policy = module::json(file)?.to_string();
            let body =
                json!({ "Policy": policy, "BypassPolicyLockoutSafetyCheck": bypass_lockout_check });
            call("Sekisho.PutGuardrail", body).await.map(drop)
        }
        Command::Show => {
            let answer = call("Sekisho.GetGuardrail", json!({})).await?;
            println!("{}", answer.get("Policy").and_then(Value::as_str).unwrap_or_default());
            Ok(())
        }
        Command::Remove => call("Sekisho.DeleteGuardrail", json!({})).await.map(drop),
    }
}
