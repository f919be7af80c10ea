//! The stock policies, as the worker runs them.

use crate::{Contender, KEY, ROOT, USER, register};
use sekisho_policy_engine::{
    Attestation, AttestationKind, Decision, Engine, Key, Limits, Pair, Pcr, Policy, Principal,
    Request, stock,
};

/// Its module admitted and its configuration read before; an instance for each decision.
fn contender(name: &'static str, configure: fn(&Engine) -> Policy) -> Box<dyn FnMut() -> bool> {
    let policy = configure(&Engine::new(Limits::default()).unwrap());
    let request = request();
    let once = policy.evaluate(&request);
    assert_eq!(once.decision(), &Decision::Allow, "{name}: {once:?}");
    println!("{name}: {} of fuel", once.fuel());
    Box::new(move || policy.evaluate(&request).decision() == &Decision::Allow)
}

pub const CONTENDERS: [Contender; 4] = [
    ("attested", |name| contender(name, attested)),
    ("iam, five statements", |name| contender(name, iam)),
    ("cedar", |name| contender(name, cedar)),
    ("rego", |name| contender(name, rego)),
];

fn attested(engine: &Engine) -> Policy {
    let configuration = format!(
        r#"{{"measurements":[{{"name":"pipeline-v3","pcrs":{{"0":"{}","8":"{}"}}}}],
            "administrators":["{ROOT}"]}}"#,
        register(1),
        register(2),
    );
    engine.admit(stock::ATTESTED).unwrap().configure(configuration.as_bytes()).unwrap()
}

fn iam(engine: &Engine) -> Policy {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Allow","Principal":{{"AWS":"{ROOT}"}},"Action":"kms:*","Resource":"*"}},
        {{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*",
          "Condition":{{"StringLike":{{"kms:RecipientAttestation:ImageSha384":"0000*"}}}}}},
        {{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*",
          "Condition":{{"StringNotEqualsIfExists":{{"kms:EncryptionContext:tenant":"acme"}}}}}},
        {{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111122223333:user/ingest"}},
          "Action":["kms:Encrypt","kms:GenerateDataKey*"],"Resource":"*"}},
        {{"Effect":"Allow","Principal":{{"AWS":"{USER}"}},
          "Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*",
          "Condition":{{"StringEqualsIgnoreCase":{{
            "kms:RecipientAttestation:ImageSha384":"{}","kms:RecipientAttestation:PCR8":"{}"}}}}}}
        ]}}"#,
        register(1),
        register(2),
    );
    engine.admit(stock::IAM).unwrap().configure(document.as_bytes()).unwrap()
}

fn cedar(engine: &Engine) -> Policy {
    let configuration = serde_json::json!({ "policies": crate::cedar::policy() }).to_string();
    engine.admit(stock::CEDAR).unwrap().configure(configuration.as_bytes()).unwrap()
}

fn rego(engine: &Engine) -> Policy {
    let configuration = serde_json::json!({ "policy": crate::rego::policy() }).to_string();
    engine.admit(stock::REGO).unwrap().configure(configuration.as_bytes()).unwrap()
}

pub fn request() -> Request {
    let pair = |name: &str, value: &str| Pair { name: name.into(), value: value.into() };
    let value = |index| match index {
        0 => 1,
        8 => 2,
        other => other,
    };
    Request {
        action: "kms:Decrypt".into(),
        resource: KEY.into(),
        principal: Principal {
            arn: USER.into(),
            account: "111122223333".into(),
            tags: vec![pair("team", "claims")],
        },
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
        attestation: Some(Attestation {
            kind: AttestationKind::Enclave,
            module_id: "i-0123456789abcdef0-enc0123456789abcdef".into(),
            timestamp: 1_789_999_999_000,
            age: 1000,
            pcrs: (0..16).map(|index| Pcr { index, value: register(value(index)) }).collect(),
            user_data: None,
            nonce: Some(vec![7; 32]),
            nonce_fresh: true,
            public_key_sha256: Some("ab".repeat(32)),
        }),
        grants: vec![],
        time: 1_790_000_000_000,
        source_ip: Some("192.0.2.7".into()),
    }
}
