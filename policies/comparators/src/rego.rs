//! The rule in Rego, by regorus.

use crate::{KEY, USER, register};
use regorus::{Engine, Value};

pub fn contender() -> Box<dyn FnMut() -> bool> {
    let policy = format!(
        r#"package key
        import rego.v1
        default allow := false
        allow if {{
            input.principal == "{USER}"
            input.action == "kms:Decrypt"
            input.attestation.pcr0 == "{}"
            input.attestation.pcr8 == "{}"
        }}"#,
        register(1),
        register(2),
    );
    let mut engine = Engine::new();
    engine.add_policy("key.rego".into(), policy).unwrap();
    let input = serde_json::json!({
        "principal": USER,
        "action": "kms:Decrypt",
        "resource": KEY,
        "attestation": { "pcr0": register(1), "pcr8": register(2) },
        "encryptionContext": { "dataset": "claims", "tenant": "acme" },
        "sourceIp": "192.0.2.7",
    })
    .to_string();
    Box::new(move || {
        engine.set_input_json(&input).unwrap();
        engine.eval_rule("data.key.allow".into()).unwrap() == Value::from(true)
    })
}
