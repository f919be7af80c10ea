//! Requests, and what the policy says to them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use sekisho_policy::{
    Attestation, AttestationKind, Decision, Key, Pair, Pcr, Policy, Principal, Request,
};
use sekisho_policy_engine::{self as engine, ConfigureError, Engine, Limits, Module, stock};
use sekisho_policy_iam::Iam;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub const USER: &str = "arn:aws:iam::111122223333:user/ada";
pub const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
/// 2026-06-15T12:00:00Z
const NOW: u64 = 1_781_524_800_000;

/// What came of a document and a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Allow,
    Deny,
    None,
    /// The document was refused at this place.
    Refused(String),
}

/// Has the policy read the document and decide.
pub fn ask(document: &Value, request: &Request) -> Outcome {
    match Iam::configure(document.to_string().as_bytes()) {
        Err(refused) => Outcome::Refused(refused.place),
        Ok(state) => match Iam::evaluate(&state, request).decision {
            Decision::Allow => Outcome::Allow,
            Decision::Deny(_) => Outcome::Deny,
            Decision::NoOpinion => Outcome::None,
        },
    }
}

/// The committed component in its sandbox.
pub struct Component(Module);

impl Component {
    pub fn admit() -> Self {
        let engine = Engine::new(Limits::default()).unwrap();
        Self(engine.admit(stock::IAM).unwrap())
    }

    /// As [`ask`].
    pub fn ask(&self, document: &Value, request: &Request) -> Outcome {
        let policy = match self.0.configure(document.to_string().as_bytes()) {
            Ok(policy) => policy,
            Err(ConfigureError::Refused(refused)) => return Outcome::Refused(refused.place),
            Err(other) => panic!("{other} for {document}"),
        };
        let evaluation = policy.evaluate(&across(request));
        assert_eq!(evaluation.failure(), None, "{document}");
        match evaluation.decision() {
            engine::Decision::Allow => Outcome::Allow,
            engine::Decision::Deny(_) => Outcome::Deny,
            engine::Decision::NoOpinion => Outcome::None,
        }
    }
}

/// The request in the engine's types, which the contract gives the same names.
fn across(request: &Request) -> engine::Request {
    let across_pairs = |pairs: &[Pair]| pairs.iter().map(across_pair).collect::<Vec<_>>();
    engine::Request {
        action: request.action.clone(),
        resource: request.resource.clone(),
        principal: engine::Principal {
            arn: request.principal.arn.clone(),
            account: request.principal.account.clone(),
            tags: across_pairs(&request.principal.tags),
        },
        key: request.key.clone().map(|key| engine::Key {
            tags: across_pairs(&key.tags),
            arn: key.arn,
            spec: key.spec,
            usage: key.usage,
            origin: key.origin,
            state: key.state,
            aliases: key.aliases,
        }),
        encryption_context: across_pairs(&request.encryption_context),
        parameters: across_pairs(&request.parameters),
        attestation: request.attestation.as_ref().map(across_attestation),
        grants: vec![],
        time: request.time,
        source_ip: request.source_ip.clone(),
    }
}

fn across_pair(pair: &Pair) -> engine::Pair {
    engine::Pair { name: pair.name.clone(), value: pair.value.clone() }
}

fn across_attestation(attestation: &Attestation) -> engine::Attestation {
    engine::Attestation {
        kind: match attestation.kind {
            AttestationKind::Enclave => engine::AttestationKind::Enclave,
            AttestationKind::NitroTpm => engine::AttestationKind::NitroTpm,
        },
        module_id: attestation.module_id.clone(),
        timestamp: attestation.timestamp,
        age: attestation.age,
        pcrs: attestation
            .pcrs
            .iter()
            .map(|pcr| engine::Pcr { index: pcr.index, value: pcr.value.clone() })
            .collect(),
        user_data: None,
        nonce: None,
        nonce_fresh: attestation.nonce_fresh,
        public_key_sha256: None,
    }
}

/// One value or several of a parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Values {
    One(String),
    Several(Vec<String>),
}

type Names<T> = Option<BTreeMap<String, T>>;

/// How a request differs from the one that `tests/cases/README.md` describes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestOf {
    action: Option<String>,
    resource: Option<String>,
    principal: Option<String>,
    principal_tags: Names<String>,
    /// `null`: there is no key.
    #[serde(default, deserialize_with = "given")]
    key: Option<()>,
    aliases: Option<Vec<String>>,
    tags: Names<String>,
    context: Names<String>,
    parameters: Names<Values>,
    enclave: Names<String>,
    nitro_tpm: Names<String>,
    /// `null`: there is no address.
    #[serde(default, deserialize_with = "given")]
    source_ip: Option<Option<String>>,
}

/// Tells `null` from nothing.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl RequestOf {
    /// This request, with what it leaves open as in `shared`.
    pub fn over(&self, shared: &RequestOf) -> RequestOf {
        let (own, shared) = (self.clone(), shared.clone());
        RequestOf {
            action: own.action.or(shared.action),
            resource: own.resource.or(shared.resource),
            principal: own.principal.or(shared.principal),
            principal_tags: own.principal_tags.or(shared.principal_tags),
            key: own.key.or(shared.key),
            aliases: own.aliases.or(shared.aliases),
            tags: own.tags.or(shared.tags),
            context: own.context.or(shared.context),
            parameters: own.parameters.or(shared.parameters),
            enclave: own.enclave.or(shared.enclave),
            nitro_tpm: own.nitro_tpm.or(shared.nitro_tpm),
            source_ip: own.source_ip.or(shared.source_ip),
        }
    }

    pub fn build(self) -> Request {
        let principal = self.principal.unwrap_or_else(|| USER.into());
        let key = Key {
            arn: KEY.into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            usage: "ENCRYPT_DECRYPT".into(),
            origin: "AWS_KMS".into(),
            state: "Enabled".into(),
            aliases: self.aliases.unwrap_or_default(),
            tags: pairs(self.tags),
        };
        let enclave = self.enclave.map(|pcrs| (AttestationKind::Enclave, pcrs));
        let nitro_tpm = self.nitro_tpm.map(|pcrs| (AttestationKind::NitroTpm, pcrs));
        Request {
            action: self.action.unwrap_or_else(|| "kms:Decrypt".into()),
            resource: self.resource.unwrap_or_else(|| KEY.into()),
            principal: Principal {
                account: principal.split(':').nth(4).unwrap().into(),
                arn: principal,
                tags: pairs(self.principal_tags),
            },
            key: self.key.is_none().then_some(key),
            encryption_context: pairs(self.context),
            parameters: parameters(self.parameters),
            attestation: enclave.or(nitro_tpm).map(|(kind, pcrs)| attestation(kind, pcrs)),
            grants: vec![],
            time: NOW,
            source_ip: self.source_ip.flatten(),
        }
    }
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

fn pairs(names: Names<String>) -> Vec<Pair> {
    names.unwrap_or_default().iter().map(|(name, value)| pair(name, value)).collect()
}

/// A pair for each value.
fn parameters(names: Names<Values>) -> Vec<Pair> {
    let mut parameters = Vec::new();
    for (name, values) in names.unwrap_or_default() {
        match values {
            Values::One(value) => parameters.push(pair(&name, &value)),
            Values::Several(values) => {
                parameters.extend(values.iter().map(|value| pair(&name, value)));
            }
        }
    }
    parameters
}

fn attestation(kind: AttestationKind, pcrs: BTreeMap<String, String>) -> Attestation {
    let pcr = |(index, value): (String, String)| Pcr { index: index.parse().unwrap(), value };
    Attestation {
        kind,
        module_id: "i-0-enc0".into(),
        timestamp: NOW,
        age: 0,
        pcrs: pcrs.into_iter().map(pcr).collect(),
        user_data: None,
        nonce: None,
        nonce_fresh: true,
        public_key_sha256: None,
    }
}
