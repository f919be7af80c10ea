//! `sekisho policy install`, `list` and `delete`: the components that a service knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_policy_engine::{DEFAULT_COMPONENT, ModuleDigest};
use serde_json::{Value, json};
use std::time::Duration;

use super::module;
use crate::aws::{Asker, CallError, Client};
use crate::failure::Failure;

const REGISTER: &str = "Sekisho.RegisterPolicyModule";

/// Bytes of a component in one request.
const PART: usize = 1024 * 1024;

const EXAMPLES: &str = "\
The service and the access key that asks are found as the AWS CLI finds them; what
`sekisho dev` prints sets them. Only who may do sekisho:RegisterPolicyModule may install: the root.

Examples:
  The project in this folder, after `sekisho policy build`:
    sekisho policy install . --name backup-1

  Then a key's policy names it:
    aws kms put-key-policy --key-id alias/backup --policy \\
      '{\"module\": \"backup-1\", \"config\": {\"purpose\": \"backup\"}}'

An installed module never changes: a new version gets a name of its own, and keys move to it one by
one with put-key-policy.";

/// Install a policy's component in a service.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A project's folder, or a component's file.
    policy: String,

    /// The name that key policies use: lower-case letters, digits and hyphens.
    #[arg(long)]
    name: String,

    #[command(flatten)]
    asker: Asker,

    /// Print the service's answer as JSON.
    #[arg(long)]
    json: bool,
}

/// List the policy components that a service knows.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    asker: Asker,

    /// Print the service's answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Delete an installed policy component that no key's policy uses.
///
/// The service names the keys that still use it; give them another policy first.
#[derive(clap::Args, Debug)]
pub(crate) struct DeleteArguments {
    /// The name under which it was installed.
    name: String,

    #[command(flatten)]
    asker: Asker,

    /// Print the service's answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let component = module::component(&arguments.policy)?;
    // What the service would refuse is said before it is asked.
    module::admit_component(&arguments.policy, &component)?;
    let client = arguments.asker.client()?;
    let answer = register(&client, &arguments.name, &component).await.map_err(Failure::failed)?;
    if arguments.json {
        println!("{answer}");
    } else {
        let installed = answer.get("PolicyModule").unwrap_or(&Value::Null);
        println!("installed {}", line(installed));
        println!("a key's policy names it: {{\"module\": \"{}\", \"config\": …}}", arguments.name);
    }
    Ok(())
}

/// In one request, or in parts of it where it is larger than one.
async fn register(client: &Client, name: &str, component: &[u8]) -> Result<Value, CallError> {
    let patience = compiling(component.len());
    if component.len() <= DEFAULT_COMPONENT {
        let body = json!({ "Name": name, "Component": BASE64.encode(component) });
        return client.call_patiently(REGISTER, &body, patience).await;
    }
    let (sha256, mut offset) = (ModuleDigest::of(component).to_string(), 0);
    loop {
        let part = component.get(offset..).unwrap_or_default();
        let part = part.get(..PART).unwrap_or(part);
        let body = json!({
            "Name": name, "Component": BASE64.encode(part),
            "Sha256": sha256, "Size": component.len(), "Offset": offset,
        });
        offset = offset.saturating_add(part.len());
        let answer = client.call_patiently(REGISTER, &body, patience).await?;
        // After the last part, or before it where the service knows the component already.
        if offset >= component.len() || answer.get("PolicyModule").is_some() {
            return Ok(answer);
        }
    }
}

/// How long a service may take to try a component and to compile it: a quarter of a minute for 18 MB,
/// ten times that in a debug build, and as much again where the machine has much else to do.
fn compiling(size: usize) -> Duration {
    Duration::from_secs(60 + size as u64 / (32 * 1024))
}

pub(super) async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let client = arguments.asker.client()?;
    let answer = client.call("Sekisho.ListPolicyModules", &json!({})).await;
    let answer = answer.map_err(Failure::failed)?;
    if arguments.json {
        println!("{answer}");
        return Ok(());
    }
    for known in answer.get("PolicyModules").and_then(Value::as_array).into_iter().flatten() {
        println!("{}", line(known));
    }
    Ok(())
}

pub(super) async fn delete(arguments: &DeleteArguments) -> Result<(), Failure> {
    let client = arguments.asker.client()?;
    let body = json!({ "Name": arguments.name });
    let answer = client.call("Sekisho.DeletePolicyModule", &body).await;
    let answer = answer.map_err(Failure::failed)?;
    if arguments.json {
        println!("{answer}");
    } else {
        println!("deleted {}", line(answer.get("PolicyModule").unwrap_or(&Value::Null)));
    }
    Ok(())
}

/// `backup-1  b0b25646…  31877 bytes  sekisho:policy@0.1.0`
fn line(known: &Value) -> String {
    let text = |name: &str| {
        let text = known.get(name).and_then(Value::as_str).unwrap_or("?");
        text.escape_debug().to_string()
    };
    let size = known.get("Size").and_then(Value::as_u64).unwrap_or(0);
    let stock = known.get("Stock").and_then(Value::as_bool).unwrap_or(false);
    let stock = if stock { "  stock" } else { "" };
    let (name, digest, contract) = (text("Name"), text("Sha256"), text("Contract"));
    format!("{name:<24}  {digest}  {size:>7} bytes  sekisho:policy@{contract}{stock}")
}
