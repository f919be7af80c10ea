mod decisions;
mod documents;
mod limits;

use crate::Iam;
use sekisho_policy::{Decision, Key, Pair, Policy, Principal, Request};

const ROOT: &str = "arn:aws:iam::111122223333:root";
const USER: &str = "arn:aws:iam::111122223333:user/ada";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<Pair> {
    pairs.iter().map(|(name, value)| pair(name, value)).collect()
}

/// A request by `arn` on a key with one alias and one tag.
fn request(action: &str, arn: &str) -> Request {
    Request {
        action: action.into(),
        resource: KEY.into(),
        principal: Principal {
            arn: arn.into(),
            account: arn.split(':').nth(4).unwrap_or_default().into(),
            tags: pairs(&[("Team", "risk")]),
        },
        key: Some(Key {
            arn: KEY.into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            usage: "ENCRYPT_DECRYPT".into(),
            origin: "AWS_KMS".into(),
            state: "Enabled".into(),
            aliases: vec!["alias/one".into(), "alias/two".into()],
            tags: pairs(&[("Stage", "prod")]),
        }),
        encryption_context: vec![],
        parameters: vec![],
        attestation: None,
        grants: vec![],
        time: 0,
        source_ip: None,
    }
}

fn ask(document: &str, request: &Request) -> Decision {
    match Iam::configure(document.as_bytes()) {
        Ok(state) => Iam::evaluate(&state, request).decision,
        Err(error) => panic!("{}: {} in {document}", error.place, error.reason),
    }
}

/// A document of one statement: its effect, and what follows `"Effect": …`.
fn statement(effect: &str, rest: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}",{rest}}}]}}"#)
}

/// A statement on everyone, every action and resource under one condition.
fn under(effect: &str, condition: &str) -> String {
    statement(
        effect,
        &format!(r#""Principal":"*","Action":"*","Resource":"*","Condition":{{{condition}}}"#),
    )
}
