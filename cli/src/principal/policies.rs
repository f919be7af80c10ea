//! `sekisho principal put-policy`, `get-policy`, `delete-policy` and `list-policies`.

use std::path::Path;

use serde_json::{Value, json};

use super::output::{print, text};
use crate::aws::{CallError, Client};
use crate::failure::Failure;

/// A policy document has at most 6144 bytes; what is longer the service refuses.
const FILE_LIMIT: u64 = 1024 * 1024;

pub(super) fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed =
        |error: std::io::Error| Failure::usage(format_args!("{}: {error}", file.display()));
    let mut document = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(FILE_LIMIT).read_to_string(&mut document).map_err(failed)?;
    Ok(document)
}

pub(super) async fn put(
    client: &Client,
    principal: &str,
    name: &str,
    document: &str,
) -> Result<(), CallError> {
    let body =
        json!({ "PrincipalName": principal, "PolicyName": name, "PolicyDocument": document });
    client.call("Sekisho.PutPrincipalPolicy", &body).await.map(drop)
}

pub(super) async fn get(
    client: &Client,
    principal: &str,
    name: &str,
    as_json: bool,
) -> Result<(), CallError> {
    let body = json!({ "PrincipalName": principal, "PolicyName": name });
    let answer = client.call("Sekisho.GetPrincipalPolicy", &body).await?;
    if as_json {
        print(&answer);
    } else {
        println!("{}", answer.get("PolicyDocument").and_then(Value::as_str).unwrap_or_default());
    }
    Ok(())
}

pub(super) async fn delete(client: &Client, principal: &str, name: &str) -> Result<(), CallError> {
    let body = json!({ "PrincipalName": principal, "PolicyName": name });
    client.call("Sekisho.DeletePrincipalPolicy", &body).await.map(drop)
}

pub(super) async fn list(client: &Client, principal: &str, as_json: bool) -> Result<(), CallError> {
    // A principal has fewer policies than a page.
    let body = json!({ "PrincipalName": principal });
    let answer = client.call("Sekisho.ListPrincipalPolicies", &body).await?;
    if as_json {
        print(&answer);
        return Ok(());
    }
    for name in answer.get("PolicyNames").and_then(Value::as_array).into_iter().flatten() {
        println!("{}", text(&json!({ "Name": name }), "Name"));
    }
    Ok(())
}
