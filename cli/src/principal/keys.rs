//! `sekisho principal keys`.

use clap::Subcommand;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::output::{Credentials, print, text};
use crate::aws::{CallError, Client};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a further access key; the secret is shown this once.
    Create {
        name: String,
        /// It signs for so many seconds from now, and then no more.
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u32>,
    },
    /// List a principal's access keys, without their secrets.
    List { name: String },
    /// Let an access key sign no more, and end its sessions, until it is enabled again.
    Disable { name: String, access_key_id: String },
    /// Let a disabled access key sign again.
    Enable { name: String, access_key_id: String },
    /// Delete an access key, and end its sessions.
    Delete { name: String, access_key_id: String },
}

pub(super) async fn run(client: &Client, command: Command, as_json: bool) -> Result<(), CallError> {
    match command {
        Command::Create { name, expires_in } => {
            let mut body = json!({ "PrincipalName": name });
            if let (Some(seconds), Some(members)) = (expires_in, body.as_object_mut()) {
                let at = OffsetDateTime::now_utc().unix_timestamp().saturating_add(seconds.into());
                members.insert("ExpirationDate".into(), at.into());
            }
            let answer = client.call("Sekisho.CreateAccessKey", &body).await?;
            if as_json {
                print(&answer);
            } else {
                Credentials::of_key(&answer).print(&name);
            }
        }
        Command::List { name } => {
            let body = json!({ "PrincipalName": name });
            let answer = client.call("Sekisho.ListAccessKeys", &body).await?;
            if as_json {
                print(&answer);
            } else {
                for key in answer.get("AccessKeys").and_then(Value::as_array).into_iter().flatten()
                {
                    println!("{:<24} {}", text(key, "AccessKeyId"), text(key, "Status"));
                }
            }
        }
        Command::Disable { name, access_key_id } => {
            update(client, &name, &access_key_id, "Inactive").await?;
        }
        Command::Enable { name, access_key_id } => {
            update(client, &name, &access_key_id, "Active").await?;
        }
        Command::Delete { name, access_key_id } => {
            let body = json!({ "PrincipalName": name, "AccessKeyId": access_key_id });
            client.call("Sekisho.DeleteAccessKey", &body).await?;
        }
    }
    Ok(())
}

async fn update(client: &Client, name: &str, id: &str, status: &str) -> Result<(), CallError> {
    let body = json!({ "PrincipalName": name, "AccessKeyId": id, "Status": status });
    client.call("Sekisho.UpdateAccessKey", &body).await.map(drop)
}
