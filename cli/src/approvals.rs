//! `sekisho approvals`: operations that wait until others agree.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::aws::{Asker, CallError, Client};
use crate::failure::Failure;

const EXAMPLES: &str = "\
A key's policy can let an operation happen only when members of a group approve it. Whoever asks
gets an error with a request's id, the members approve it, and the same operation again succeeds
once.

Examples:
  sekisho approvals list
  sekisho approvals approve 3f0a…-1b2c3d4e";

/// Operations that wait for approvals: see, approve and deny them.
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
    /// List what waits for you, and what of yours waits for others.
    List,
    /// Agree to an operation.
    Approve {
        /// As the error and the list have it.
        request_id: String,
    },
    /// Keep an operation from happening until its time is over.
    Deny {
        /// As the error and the list have it.
        request_id: String,
    },
}

/// Asks the service.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = arguments.asker.client()?;
    let found = match &arguments.command {
        Command::List => list(&client).await,
        Command::Approve { request_id } => answer(&client, "Sekisho.Approve", request_id).await,
        Command::Deny { request_id } => answer(&client, "Sekisho.Deny", request_id).await,
    };
    let found = found.map_err(Failure::failed)?;
    if arguments.json {
        println!("{:#}", json!({ "Approvals": found }));
    } else {
        found.iter().for_each(|request| print!("{}", shown(request)));
    }
    Ok(())
}

async fn list(client: &Client) -> Result<Vec<Value>, CallError> {
    let (mut found, mut body) = (Vec::new(), json!({}));
    loop {
        let mut page = client.call("Sekisho.ListApprovals", &body).await?;
        if let Some(Value::Array(some)) = page.get_mut("Approvals").map(Value::take) {
            found.extend(some);
        }
        match page.get("NextMarker") {
            Some(marker) => body = json!({ "Marker": marker }),
            None => return Ok(found),
        }
    }
}

async fn answer(client: &Client, operation: &str, id: &str) -> Result<Vec<Value>, CallError> {
    let mut answer = client.call(operation, &json!({ "RequestId": id })).await?;
    Ok(answer.get_mut("Approval").map(Value::take).into_iter().collect())
}

/// An operation in a few lines. Whatever the service says is escaped.
fn shown(request: &Value) -> String {
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or("-");
        text.escape_debug().to_string()
    };
    let mut lines = format!(
        "{}  {:<8}  {}  {}  {}\n",
        text(request, "RequestId"),
        text(request, "Status"),
        text(request, "Operation"),
        text(request, "Principal"),
        text(request, "Resource"),
    );
    let parameters = request.get("Parameters").and_then(Value::as_object);
    for (name, value) in parameters.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().escape_debug();
        lines.push_str(&format!("    {} = {value}\n", name.escape_debug()));
    }
    for group in request.get("Groups").and_then(Value::as_array).into_iter().flatten() {
        let number = |name: &str| group.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (approved, needed) = (number("Approved"), number("Needed"));
        lines.push_str(&format!("    {approved} of {needed} of {}\n", text(group, "Name")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_shown_with_what_approvers_must_know() {
        let request = json!({
            "RequestId": "ab-cd", "Status": "PENDING", "Operation": "ScheduleKeyDeletion",
            "Principal": "arn:aws:iam::1:user/a", "Resource": "arn:aws:kms:r:1:key/\u{1b}[2J",
            "Parameters": { "PendingWindowInDays": "7" },
            "Groups": [{ "Name": "custodians", "Needed": 2, "Approved": 1 }],
        });
        assert_eq!(
            shown(&request),
            "ab-cd  PENDING   ScheduleKeyDeletion  arn:aws:iam::1:user/a  \
             arn:aws:kms:r:1:key/\\u{1b}[2J\n    PendingWindowInDays = 7\n    1 of 2 of custodians\n"
        );
    }
}
