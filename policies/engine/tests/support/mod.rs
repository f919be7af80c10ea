//! Requests, and components written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use sekisho_policy_engine::{Attestation, AttestationKind, Key, Pcr, Principal, Request};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

pub const ROOT: &str = "arn:aws:iam::111122223333:root";
pub const ADA: &str = "arn:aws:iam::111122223333:user/ada";
pub const BOB: &str = "arn:aws:iam::111122223333:user/bob";
pub const KEY: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// A typical request: a user decrypts with an encryption context.
pub fn request(action: &str, arn: &str) -> Request {
    Request {
        action: action.into(),
        resource: KEY.into(),
        principal: Principal { arn: arn.into(), account: "111122223333".into(), tags: vec![] },
        key: Some(Key {
            arn: KEY.into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            usage: "ENCRYPT_DECRYPT".into(),
            origin: "AWS_KMS".into(),
            state: "Enabled".into(),
            aliases: vec!["alias/pipeline".into()],
            tags: vec![],
        }),
        encryption_context: vec![pair("dataset", "claims"), pair("tenant", "acme")],
        parameters: vec![pair("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")],
        attestation: None,
        grants: vec![],
        time: 1_790_000_000_000,
        source_ip: Some("192.0.2.7".into()),
    }
}

pub fn pair(name: &str, value: &str) -> sekisho_policy_engine::Pair {
    sekisho_policy_engine::Pair { name: name.into(), value: value.into() }
}

/// A register of 48 times the same byte.
pub fn register(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

/// An enclave with all sixteen registers, of which PCR0 and PCR8 are as given.
pub fn enclave(pcr0: u8, pcr8: u8) -> Attestation {
    let value = |index| match index {
        0 => pcr0,
        8 => pcr8,
        other => other,
    };
    Attestation {
        kind: AttestationKind::Enclave,
        module_id: "i-0123456789abcdef0-enc0123456789abcdef".into(),
        timestamp: 1_789_999_999_000,
        age: 1000,
        pcrs: (0..16).map(|index| Pcr { index, value: register(value(index)) }).collect(),
        user_data: None,
        nonce: Some(vec![7; 32]),
        nonce_fresh: true,
        public_key_sha256: Some("ab".repeat(32)),
    }
}

/// A core module with the contract's exports. `configure` and `evaluate` are bodies
/// that leave the address of their result; `more` stands beside them.
pub fn core_module(configure: &str, evaluate: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                global.get $free
                global.get $free local.get 3 i32.add i32.const 7 i32.add i32.const -8 i32.and
                global.set $free)
            (func (export "sekisho:policy/policy@0.2.0#configure")
                (param i32 i32) (result i32) {configure})
            (func (export "sekisho:policy/policy@0.2.0#evaluate")
                (param i32) (result i32) {evaluate})
            {more})"#
    );
    wat::parse_str(text).unwrap()
}

/// `core_module` as a component of the contract.
pub fn component(configure: &str, evaluate: &str, more: &str) -> Vec<u8> {
    let wit = include_str!("../../../wit/policy.wit");
    componentize(core_module(configure, evaluate, more), wit)
}

/// Any core module as a component of the world `key-policy` in `wit`.
pub fn componentize(mut module: Vec<u8>, wit: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("policy.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("key-policy")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// `configure`: an empty state. Its result at 64 is `ok`, of a list at 0 of length 0;
/// memory starts with zeros.
pub const EMPTY_STATE: &str = "i32.const 64";

/// `evaluate`: allow. The answer at 128 is case 0, without obligations and lines.
pub const ALLOW: &str = "i32.const 128";
