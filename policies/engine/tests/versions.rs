//! A component that was built for version 0.1.0 of the contract, before 0.2.0 was there, goes on
//! working. `components/attested-0.1.0.wasm` is the stock policy `attested` as it was then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{
    ACCEPTED_VERSIONS, ConfigureError, Decision, Engine, Failure, Limits, ModuleDigest, stock,
};
use support::{
    EMPTY_STATE, ROOT, component, componentize, core_module, enclave, register, request,
};

const OLD: &[u8] = include_bytes!("components/attested-0.1.0.wasm");
const OLD_WIT: &str = include_str!("components/policy-0.1.0.wit");

#[test]
fn a_component_of_an_older_version_goes_on_working() {
    assert_eq!(
        ModuleDigest::of(OLD).to_string(),
        "0c40d79ac3e5fec7ec035b6191953b9412dec44ff9f46de713448bee48fb7116"
    );
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(OLD).unwrap();
    assert_eq!(module.contract_version(), "0.1.0");
    let now = engine.admit(stock::ATTESTED).unwrap();
    assert_eq!(now.contract_version(), "0.2.0");
    assert_eq!(ACCEPTED_VERSIONS, ["0.2.0", "0.1.0"]);

    let configuration = format!(
        r#"{{"measurements":[{{"name":"pipeline","pcrs":{{"0":"{}"}}}}],
            "administrators":["{ROOT}"]}}"#,
        register(1),
    );
    for module in [module, now] {
        let policy = module.configure(configuration.as_bytes()).unwrap();
        let mut attested = request("kms:Decrypt", "arn:aws:iam::111122223333:user/anyone");
        let denied = policy.evaluate(&attested);
        assert_eq!(denied.failure(), None);
        assert_eq!(denied.decision(), &Decision::Deny("the request carries no attestation".into()));
        attested.attestation = Some(enclave(1, 2));
        let allowed = policy.evaluate(&attested);
        assert_eq!(allowed.decision(), &Decision::Allow);
        let annotations: Vec<_> = allowed.annotations().collect();
        assert_eq!(
            (annotations[0].name.as_str(), annotations[0].value.as_str()),
            ("measurement", "pipeline")
        );
        assert_eq!(allowed.approvals().count(), 0);
    }
}

/// What a service says of a stock policy before it is compiled.
#[test]
fn every_stock_policy_is_of_the_newest_version() {
    let engine = Engine::new(Limits::default()).unwrap();
    for (name, bytes) in stock::ALL {
        let module = engine.admit(bytes).unwrap();
        assert_eq!(module.contract_version(), ACCEPTED_VERSIONS[0], "{name}");
    }
}

/// What 0.2.0 added is no answer of 0.1.0, and an answer of the one is not read as one of the other.
#[test]
fn an_older_component_cannot_ask_for_what_came_later() {
    // The answer at 128: allow, one obligation at 192 with case 2, which 0.1.0 does not have.
    let evaluate = "(i32.store (i32.const 140) (i32.const 192))
        (i32.store (i32.const 144) (i32.const 1))
        (i32.store8 (i32.const 192) (i32.const 2))
        i32.const 128";
    let module = core_module(EMPTY_STATE, evaluate, "");
    let engine = Engine::new(Limits::default()).unwrap();
    let ask = |component: &[u8]| {
        let module = engine.admit(component).unwrap();
        module.configure(b"").unwrap().evaluate(&request("kms:Sign", ROOT))
    };
    let now = ask(&component(EMPTY_STATE, evaluate, ""));
    assert_eq!((now.failure(), now.answer().obligations.len()), (None, 1));

    let text = wasm_with_version(&module);
    let older = ask(&componentize(text, OLD_WIT));
    assert!(matches!(older.failure(), Some(Failure::Malformed(_))), "{older:?}");
}

/// A stock policy that is compiled when it is first used; what is none then decides nothing.
#[test]
fn a_module_is_admitted_on_use() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit_on_use(stock::DENY_PLAINTEXT_EXPORT);
    assert_eq!(module.digest(), ModuleDigest::of(stock::DENY_PLAINTEXT_EXPORT));
    let policy = module.configure(b"null").unwrap();
    let denied = policy.evaluate(&request("kms:Decrypt", ROOT));
    assert!(denied.failure().is_none() && matches!(denied.decision(), Decision::Deny(_)));
    assert_eq!(module.contract_version(), "0.2.0");

    let broken = engine.admit_on_use(b"no component");
    assert!(matches!(broken.configure(b"null"), Err(ConfigureError::Failed(Failure::Start(_)))));
    let denied = broken.policy_from_state(Vec::new()).evaluate(&request("kms:Decrypt", ROOT));
    assert!(matches!(denied.failure(), Some(Failure::Start(_))));
    assert!(matches!(denied.decision(), Decision::Deny(_)));
}

/// The core module with the exports' names of 0.1.0, which have the same length.
fn wasm_with_version(module: &[u8]) -> Vec<u8> {
    let (from, to) = (b"policy@0.2.0#", b"policy@0.1.0#");
    let mut module = module.to_vec();
    for at in 0..module.len() - from.len() {
        if module[at..].starts_with(from) {
            module[at..at + to.len()].copy_from_slice(to);
        }
    }
    module
}
