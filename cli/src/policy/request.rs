//! A policy's request as its author writes it: JSON with the contract's names.
//!
//! Pairs are objects, and whatever is left out has a plain value: the resource is the key's ARN or
//! `*`, the principal the root of its account, times are 0.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_policy_engine::{
    Attestation, AttestationKind, Grant, Key, Pair, Pcr, Principal, Request,
};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The account of a principal and a key that name none.
const ACCOUNT: &str = "111122223333";

type Pairs = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    action: String,
    resource: Option<String>,
    principal: Option<WrittenPrincipal>,
    key: Option<WrittenKey>,
    #[serde(default)]
    encryption_context: Pairs,
    #[serde(default)]
    parameters: Pairs,
    attestation: Option<WrittenAttestation>,
    #[serde(default)]
    grants: Vec<WrittenGrant>,
    time: Option<Time>,
    source_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrincipal {
    arn: String,
    account: Option<String>,
    #[serde(default)]
    tags: Pairs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    arn: Option<String>,
    spec: Option<String>,
    usage: Option<String>,
    origin: Option<String>,
    state: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    tags: Pairs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAttestation {
    #[serde(default)]
    kind: Kind,
    module_id: Option<String>,
    timestamp: Option<Time>,
    #[serde(default)]
    age: u64,
    #[serde(default)]
    pcrs: BTreeMap<u8, String>,
    user_data: Option<String>,
    nonce: Option<String>,
    #[serde(default)]
    nonce_fresh: bool,
    public_key_sha256: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Enclave,
    NitroTpm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrant {
    id: String,
    name: Option<String>,
}

/// Milliseconds since 1970, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Milliseconds(u64),
    Text(String),
}

/// A request that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotARequest(String);

/// Reads a request.
pub(super) fn parse(value: &Value) -> Result<Request, NotARequest> {
    let written = Written::deserialize(value).map_err(|error| NotARequest(error.to_string()))?;
    let key = written.key.map(|key| Key {
        arn: key.arn.unwrap_or_else(|| {
            format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab")
        }),
        spec: key.spec.unwrap_or_else(|| "SYMMETRIC_DEFAULT".into()),
        usage: key.usage.unwrap_or_else(|| "ENCRYPT_DECRYPT".into()),
        origin: key.origin.unwrap_or_else(|| "AWS_KMS".into()),
        state: key.state.unwrap_or_else(|| "Enabled".into()),
        aliases: key.aliases,
        tags: pairs(key.tags),
    });
    let resource = written.resource.or_else(|| key.as_ref().map(|key| key.arn.clone()));
    let grants = written.grants.into_iter();
    Ok(Request {
        action: written.action,
        resource: resource.unwrap_or_else(|| "*".into()),
        principal: principal(written.principal),
        key,
        encryption_context: pairs(written.encryption_context),
        parameters: pairs(written.parameters),
        attestation: written.attestation.map(attestation).transpose()?,
        grants: grants.map(|WrittenGrant { id, name }| Grant { id, name }).collect(),
        time: milliseconds("time", written.time)?,
        source_ip: written.source_ip,
    })
}

fn principal(written: Option<WrittenPrincipal>) -> Principal {
    let WrittenPrincipal { arn, account, tags } = written.unwrap_or_else(|| WrittenPrincipal {
        arn: format!("arn:aws:iam::{ACCOUNT}:root"),
        account: None,
        tags: Pairs::new(),
    });
    let of_arn = || arn.split(':').nth(4).filter(|account| !account.is_empty());
    let account = account.unwrap_or_else(|| of_arn().unwrap_or(ACCOUNT).to_owned());
    Principal { account, tags: pairs(tags), arn }
}

fn attestation(written: WrittenAttestation) -> Result<Attestation, NotARequest> {
    let kind = match written.kind {
        Kind::Enclave => AttestationKind::Enclave,
        Kind::NitroTpm => AttestationKind::NitroTpm,
    };
    let registers = written.pcrs.into_iter();
    Ok(Attestation {
        kind,
        module_id: written.module_id.unwrap_or_else(|| "i-0-enc0".into()),
        timestamp: milliseconds("attestation.timestamp", written.timestamp)?,
        age: written.age,
        pcrs: registers.map(|(index, value)| Pcr { index, value }).collect(),
        user_data: bytes("attestation.user_data", written.user_data)?,
        nonce: bytes("attestation.nonce", written.nonce)?,
        nonce_fresh: written.nonce_fresh,
        public_key_sha256: written.public_key_sha256,
    })
}

/// By rising name, as the worker has them.
fn pairs(written: Pairs) -> Vec<Pair> {
    written.into_iter().map(|(name, value)| Pair { name, value }).collect()
}

fn bytes(place: &str, written: Option<String>) -> Result<Option<Vec<u8>>, NotARequest> {
    let decode = |text| BASE64.decode(text);
    written
        .map(decode)
        .transpose()
        .map_err(|error| NotARequest(format!("{place} is not base64: {error}")))
}

fn milliseconds(place: &str, written: Option<Time>) -> Result<u64, NotARequest> {
    let text = match written {
        None => return Ok(0),
        Some(Time::Milliseconds(milliseconds)) => return Ok(milliseconds),
        Some(Time::Text(text)) => text,
    };
    OffsetDateTime::parse(&text, &Rfc3339)
        .ok()
        .and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok())
        .ok_or_else(|| {
            NotARequest(format!(
                "{place} is neither milliseconds since 1970 nor like 2026-01-15T12:00:00Z: {text}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_has_a_plain_value() {
        let request = parse(&json!({ "action": "kms:Decrypt", "key": {} })).unwrap();
        assert_eq!(request.principal.arn, "arn:aws:iam::111122223333:root");
        assert_eq!(request.resource, request.key.unwrap().arn);
        let account = parse(&json!({ "action": "kms:CreateKey" })).unwrap();
        assert_eq!(account.resource, "*");
    }

    #[test]
    fn everything_can_be_said() {
        let request = parse(&json!({
            "action": "kms:Decrypt",
            "principal": { "arn": "arn:aws:iam::999988887777:user/a", "tags": { "team": "x" } },
            "encryption_context": { "b": "2", "a": "1" },
            "attestation": {
                "kind": "nitro-tpm", "pcrs": { "4": "00" }, "nonce": "bm9uY2U=",
                "timestamp": "1970-01-01T00:00:01Z",
            },
            "grants": [{ "id": "g" }],
            "time": 5,
        }))
        .unwrap();
        assert_eq!(request.principal.account, "999988887777");
        assert_eq!(request.encryption_context[0].name, "a");
        let attestation = request.attestation.unwrap();
        assert_eq!((attestation.kind, attestation.timestamp), (AttestationKind::NitroTpm, 1000));
        assert_eq!(attestation.nonce.as_deref(), Some(&b"nonce"[..]));
        assert_eq!((request.time, request.grants.len()), (5, 1));
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (written, reason) in [
            (json!({}), "missing field `action`"),
            (json!({ "action": "a", "kay": {} }), "unknown field `kay`"),
            (json!({ "action": "a", "time": "noon" }), "time is neither"),
            (json!({ "action": "a", "attestation": { "nonce": "?" } }), "nonce is not base64"),
        ] {
            let error = parse(&written).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
