//! The operations, one file for each family. Every one needs a [`Permit`].

pub(crate) mod access_keys;
pub(crate) mod aliases;
pub(crate) mod cryptography;
pub(crate) mod keys;
pub(crate) mod policies;
pub(crate) mod principals;
mod tags;

use crate::api::{Action, ApiError, Pattern, Text};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

/// `KeyIdType` of AWS's service model.
const KEY_ID: Text = Text::length(1, 2048);
/// `MarkerType` of AWS's service model.
const MARKER: Text = Text {
    min: 1,
    max: 1024,
    pattern: Some(Pattern {
        text: "[\\u0020-\\u00FF]*",
        allows: |letter| matches!(letter, '\u{20}'..='\u{ff}'),
    }),
};
/// `PolicyType` of AWS's service model; AWS's own limit of 32 KiB is below its maximum.
const POLICY: Text = Text {
    min: 1,
    max: 131_072,
    pattern: Some(Pattern {
        text: "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
        allows: |letter| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}'),
    }),
};

/// Carries out what was permitted. The answer may not leave before it is recorded.
pub(crate) async fn perform(
    service: &Service,
    action: Action,
    permit: Permit,
) -> Result<Value, ApiError> {
    match action {
        Action::CreateAlias(input) => input.perform(service, permit).await,
        Action::CreateKey(input) => input.perform(service, permit).await,
        Action::Decrypt(input) => input.perform(permit),
        Action::DescribeKey(input) => input.perform(service, permit),
        Action::Encrypt(input) => input.perform(permit),
        Action::GenerateDataKey(input) => input.perform(permit),
        Action::GetKeyPolicy(input) => input.perform(permit),
        Action::ListAliases(input) => input.perform(service).await,
        Action::ListKeys(input) => input.perform(service),
        Action::PutKeyPolicy(input) => input.perform(service, permit).await,
        Action::CreateAccessKey(input) => input.perform(service, permit).await,
        Action::CreatePrincipal(input) => input.perform(service, permit).await,
        Action::CreateSession(input) => input.perform(service, permit),
        Action::DeleteAccessKey(input) => input.perform(service).await,
        Action::DeletePrincipal(input) => input.perform(service).await,
        Action::ListAccessKeys(input) => input.perform(service).await,
        Action::ListPrincipals(input) => input.perform(service).await,
        Action::UpdateAccessKey(input) => input.perform(service).await,
    }
}

/// One page of a listing: asked for one more than `limit`, so as to know whether there are more.
fn page<T>(
    mut found: Vec<T>,
    limit: usize,
    member: &str,
    marker: impl Fn(&T) -> String,
    item: impl Fn(&T) -> Value,
) -> Value {
    let truncated = found.len() > limit;
    found.truncate(limit);
    let items: Vec<Value> = found.iter().map(item).collect();
    let mut answer = json!({ member: items, "Truncated": truncated });
    if let (true, Some(last), Some(members)) = (truncated, found.last(), answer.as_object_mut()) {
        members.insert("NextMarker".into(), marker(last).into());
    }
    answer
}

/// AWS gives times as seconds since 1970 with milliseconds behind the point.
fn seconds(milliseconds: u64) -> Value {
    // Exact: a time of this age has far fewer than 53 bits of milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit in 53 bits")]
    let seconds = milliseconds as f64 / 1000.0;
    json!(seconds)
}
