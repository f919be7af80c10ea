//! A request as Rego's `input`, with the contract's names: as authors write it in tables of tests
//! (`cli/src/policy/request.rs`), with times in milliseconds.

use regorus::Value;
use sekisho_policy::{Attestation, AttestationKind, Grant, Key, Pair, Principal, Request};
use std::collections::BTreeMap;

type Members = BTreeMap<Value, Value>;

pub(crate) fn of(request: &Request) -> Value {
    let mut input = Members::new();
    put(&mut input, "action", text(&request.action));
    put(&mut input, "resource", text(&request.resource));
    put(&mut input, "principal", principal(&request.principal));
    put(&mut input, "encryption_context", pairs(&request.encryption_context));
    put(&mut input, "parameters", pairs(&request.parameters));
    put(&mut input, "grants", request.grants.iter().map(grant).collect::<Vec<_>>().into());
    put(&mut input, "time", request.time.into());
    if let Some(key) = &request.key {
        put(&mut input, "key", described(key));
    }
    if let Some(attestation) = &request.attestation {
        put(&mut input, "attestation", measured(attestation));
    }
    if let Some(address) = &request.source_ip {
        put(&mut input, "source_ip", text(address));
    }
    input.into()
}

fn principal(principal: &Principal) -> Value {
    let mut members = Members::new();
    put(&mut members, "arn", text(&principal.arn));
    put(&mut members, "account", text(&principal.account));
    put(&mut members, "tags", pairs(&principal.tags));
    members.into()
}

fn described(key: &Key) -> Value {
    let mut members = Members::new();
    for (name, value) in [
        ("arn", &key.arn),
        ("spec", &key.spec),
        ("usage", &key.usage),
        ("origin", &key.origin),
        ("state", &key.state),
    ] {
        put(&mut members, name, text(value));
    }
    let aliases: Vec<Value> = key.aliases.iter().map(|alias| text(alias)).collect();
    put(&mut members, "aliases", aliases.into());
    put(&mut members, "tags", pairs(&key.tags));
    members.into()
}

fn measured(attestation: &Attestation) -> Value {
    let kind = match attestation.kind {
        AttestationKind::Enclave => "enclave",
        AttestationKind::NitroTpm => "nitro-tpm",
    };
    let mut members = Members::new();
    put(&mut members, "kind", text(kind));
    put(&mut members, "module_id", text(&attestation.module_id));
    put(&mut members, "timestamp", attestation.timestamp.into());
    put(&mut members, "age", attestation.age.into());
    put(&mut members, "nonce_fresh", attestation.nonce_fresh.into());
    let pcrs = attestation.pcrs.iter();
    let pcrs: Members =
        pcrs.map(|pcr| (Value::from(pcr.index.to_string()), text(&pcr.value))).collect();
    put(&mut members, "pcrs", pcrs.into());
    if let Some(digest) = &attestation.public_key_sha256 {
        put(&mut members, "public_key_sha256", text(digest));
    }
    for (name, bytes) in [("nonce", &attestation.nonce), ("user_data", &attestation.user_data)] {
        if let Some(bytes) = bytes {
            put(&mut members, name, base64(bytes).into());
        }
    }
    members.into()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize);
            let there = place <= group.len();
            text.push(digit.filter(|_| there).map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

fn grant(grant: &Grant) -> Value {
    let mut members = Members::new();
    put(&mut members, "id", text(&grant.id));
    if let Some(name) = &grant.name {
        put(&mut members, "name", text(name));
    }
    members.into()
}

fn pairs(pairs: &[Pair]) -> Value {
    let members: Members = pairs.iter().map(|pair| (text(&pair.name), text(&pair.value))).collect();
    members.into()
}

fn text(value: &str) -> Value {
    Value::from(value)
}

fn put(members: &mut Members, name: &str, value: Value) {
    members.insert(text(name), value);
}
