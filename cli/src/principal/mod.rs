//! `sekisho principal`: who may sign requests to a service, and with which access keys.

mod claim;
mod keys;
mod output;
mod policies;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::aws::{Asker, CallError, Client};
use crate::failure::Failure;
use crate::key_pair;
use output::{Credentials, print, text};

const EXAMPLES: &str = "\
The service and the access key that asks are found as the AWS CLI finds them; what
`sekisho dev` prints sets them.

Examples:
  A principal and its first access key, as a profile of the credentials file:
    sekisho principal create alice --tag team=kiosk >> ~/.aws/credentials
    AWS_PROFILE=alice aws kms list-keys

  Rotation: a second key, then the first one disabled, then deleted:
    sekisho principal keys create alice
    sekisho principal keys disable alice AKIA...
    sekisho principal keys delete alice AKIA...

  What it may do with every key whose policy leaves that to the account:
    sekisho principal put-policy alice decrypt decrypt.json

  Credentials that end by themselves, of whoever asks:
    sekisho principal session deploy --duration 900";

/// Principals, their access keys, and sessions.
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
    /// Make an administrator's key pair.
    ///
    /// The private key goes to a file that only its owner may read; the public key, with which a
    /// worker is started, to standard output. Both are in PEM: P-384.
    Keygen(key_pair::Arguments),
    Claim(claim::Arguments),
    #[command(flatten)]
    Signed(Signed),
}

#[derive(Subcommand, Debug)]
enum Signed {
    /// Make a principal and its first access key; the secret is shown this once.
    Create {
        /// Part of its ARN: arn:aws:iam::ACCOUNT:user/NAME
        name: String,
        /// A tag that policies see; repeatable.
        #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
        tags: Vec<(String, String)>,
    },
    /// List the principals; not those that the service was started with.
    List,
    /// Delete a principal that has no access keys.
    Delete {
        name: String,
        /// Delete its access keys first.
        #[arg(long)]
        with_keys: bool,
    },
    /// Access keys: at most two a principal, so that one can replace the other.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Give a principal an identity policy, in place of one of the same name.
    PutPolicy {
        name: String,
        policy_name: String,
        /// An AWS policy document whose statements have no Principal.
        file: PathBuf,
    },
    /// Print a principal's identity policy.
    GetPolicy { name: String, policy_name: String },
    /// Take an identity policy from a principal.
    DeletePolicy { name: String, policy_name: String },
    /// List the names of a principal's identity policies.
    ListPolicies { name: String },
    /// Credentials of whoever asks that end by themselves; they end earlier with the access key
    /// that they were made with.
    Session {
        /// Stands in the audit log.
        name: String,
        /// Seconds, 900 to 129600.
        #[arg(long, default_value_t = 3600)]
        duration: u32,
    },
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a tag is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Asks the service.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { asker, json: as_json, command } = arguments;
    match command {
        Command::Keygen(arguments) => key_pair::run(&arguments),
        Command::Claim(arguments) => claim::run(arguments, as_json).await,
        Command::Signed(command) => signed(&asker.client()?, command, as_json).await,
    }
}

/// What a request that somebody has signed asks for.
async fn signed(client: &Client, command: Signed, as_json: bool) -> Result<(), Failure> {
    let answered = match command {
        Signed::Create { name, tags } => create(client, &name, &tags, as_json).await,
        Signed::List => list(client, as_json).await,
        Signed::Delete { name, with_keys } => delete(client, &name, with_keys).await,
        Signed::Keys(command) => keys::run(client, command, as_json).await,
        Signed::PutPolicy { name, policy_name, file } => {
            policies::put(client, &name, &policy_name, &policies::read(&file)?).await
        }
        Signed::GetPolicy { name, policy_name } => {
            policies::get(client, &name, &policy_name, as_json).await
        }
        Signed::DeletePolicy { name, policy_name } => {
            policies::delete(client, &name, &policy_name).await
        }
        Signed::ListPolicies { name } => policies::list(client, &name, as_json).await,
        Signed::Session { name, duration } => session(client, &name, duration, as_json).await,
    };
    answered.map_err(Failure::failed)
}

async fn create(
    client: &Client,
    name: &str,
    tags: &[(String, String)],
    as_json: bool,
) -> Result<(), CallError> {
    let tag = |(name, value): &(String, String)| json!({ "TagKey": name, "TagValue": value });
    let tags: Vec<_> = tags.iter().map(tag).collect();
    let body = json!({ "PrincipalName": name, "Tags": tags });
    let mut answer = client.call("Sekisho.CreatePrincipal", &body).await?;
    let key = client.call("Sekisho.CreateAccessKey", &json!({ "PrincipalName": name })).await?;
    if as_json {
        if let (Some(answer), Some(key)) = (answer.as_object_mut(), key.get("AccessKey")) {
            answer.insert("AccessKey".into(), key.clone());
        }
        print(&answer);
    } else {
        Credentials::of_key(&key).print(name);
    }
    Ok(())
}

async fn list(client: &Client, as_json: bool) -> Result<(), CallError> {
    let mut principals: Vec<Value> = Vec::new();
    let mut body = json!({});
    loop {
        let mut page = client.call("Sekisho.ListPrincipals", &body).await?;
        if let Some(Value::Array(found)) = page.get_mut("Principals").map(Value::take) {
            principals.extend(found);
        }
        match page.get("NextMarker") {
            Some(marker) => body = json!({ "Marker": marker }),
            None => break,
        }
    }
    if as_json {
        print(&json!({ "Principals": principals }));
    } else {
        for principal in &principals {
            println!("{:<24} {}", text(principal, "PrincipalName"), text(principal, "Arn"));
        }
    }
    Ok(())
}

async fn delete(client: &Client, name: &str, with_keys: bool) -> Result<(), CallError> {
    let body = json!({ "PrincipalName": name });
    if with_keys {
        let answer = client.call("Sekisho.ListAccessKeys", &body).await?;
        for key in answer.get("AccessKeys").and_then(Value::as_array).into_iter().flatten() {
            let body = json!({ "PrincipalName": name, "AccessKeyId": text(key, "AccessKeyId") });
            client.call("Sekisho.DeleteAccessKey", &body).await?;
        }
    }
    client.call("Sekisho.DeletePrincipal", &body).await.map(drop)
}

async fn session(
    client: &Client,
    name: &str,
    duration: u32,
    as_json: bool,
) -> Result<(), CallError> {
    let body = json!({ "SessionName": name, "DurationSeconds": duration });
    let answer = client.call("Sekisho.CreateSession", &body).await?;
    if as_json {
        print(&answer);
    } else {
        Credentials::of_session(&answer).print(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_split_at_its_first_equals_sign() {
        assert_eq!(tag("team=a=b"), Ok(("team".into(), "a=b".into())));
        assert_eq!(tag("team="), Ok(("team".into(), String::new())));
        assert!(tag("team").is_err());
    }
}
