//! The stock policy `attested` through the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{ConfigureError, Decision, Engine, Limits, stock};
use support::{ROOT, enclave, register, request};

fn configuration() -> String {
    format!(
        r#"{{"measurements":[{{"name":"pipeline","pcrs":{{"0":"{}","8":"{}"}}}}],
            "administrators":["{ROOT}"]}}"#,
        register(1),
        register(2),
    )
}

#[test]
fn releases_to_the_listed_measurement_alone() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::ATTESTED).unwrap();
    let policy = module.configure(configuration().as_bytes()).unwrap();
    let policy = module.policy_from_state(policy.state().to_vec());

    let mut attested = request("kms:Decrypt", "arn:aws:iam::111122223333:user/anyone");
    attested.attestation = Some(enclave(1, 2));
    let evaluation = policy.evaluate(&attested);
    assert_eq!(evaluation.failure(), None);
    assert_eq!(evaluation.decision(), &Decision::Allow);
    assert_eq!(evaluation.module(), module.digest());
    let annotations: Vec<_> = evaluation.annotations().collect();
    assert_eq!(annotations[0].value, "pipeline");
    assert!(evaluation.into_permit().is_ok());

    attested.attestation = Some(enclave(1, 3));
    let evaluation = policy.evaluate(&attested);
    assert_eq!(evaluation.failure(), None);
    assert!(matches!(evaluation.decision(), Decision::Deny(_)));
    assert!(evaluation.into_permit().is_err());

    let administer = policy.evaluate(&request("kms:PutKeyPolicy", ROOT));
    assert_eq!(administer.decision(), &Decision::Allow);
}

#[test]
fn a_wrong_configuration_is_refused_at_its_place() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::ATTESTED).unwrap();
    let wrong = configuration().replace(&register(2), "12");
    let Err(ConfigureError::Refused(error)) = module.configure(wrong.as_bytes()) else {
        panic!("the register is too short");
    };
    assert_eq!(error.place, "measurements[0].pcrs.8");
}
