//! Any bytes as what a component's memory has where its answer should be: the host reads them as the
//! contract's types, within their bounds, or denies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::within_allowance;
use sekisho_policy_engine::{Decision, Engine, Limits, Module, Obligation, Principal, Request};
use std::sync::LazyLock;

/// Built by `sekisho policy build` of `answer.c`: the first thing that the host puts into an instance is
/// the policy's state, and there the answer is said to be.
const BYTES: &[u8] = include_bytes!("../answer/answer.wasm");

static COMPONENT: LazyLock<(Module, Request)> = LazyLock::new(|| {
    let engine = Engine::new(Limits::default()).expect("an engine");
    let request = Request {
        action: "kms:Decrypt".into(),
        resource: "*".into(),
        principal: Principal {
            arn: "arn:aws:iam::111122223333:root".into(),
            account: "111122223333".into(),
            tags: vec![],
        },
        key: None,
        encryption_context: vec![],
        parameters: vec![],
        attestation: None,
        grants: vec![],
        time: 0,
        source_ip: None,
    };
    (engine.admit(BYTES).expect("it is admitted"), request)
});

// Compiling is no part of an input's time.
fuzz_target!(init: { LazyLock::force(&COMPONENT); }, |input: &[u8]| {
    let (module, request) = &*COMPONENT;
    let policy = module.policy_from_state(input.to_vec());
    let evaluation = within_allowance(|| policy.evaluate(request));
    let answer = evaluation.answer();
    let allowance = Limits::default().answer;
    assert!(answer.obligations.len() <= allowance.obligations);
    for obligation in &answer.obligations {
        match obligation {
            Obligation::Annotate(pair) => {
                assert!(pair.name.len() <= allowance.annotation);
                assert!(pair.value.len() <= allowance.annotation);
            }
            Obligation::RequireApprovals(approvals) => {
                assert!(usize::from(approvals.needed) <= approvals.members.len());
                assert!(approvals.needed > 0 && approvals.within >= 60);
            }
            Obligation::DelegateToAccount => {}
        }
    }
    assert!(answer.log.len() <= allowance.log_lines);
    assert!(answer.log.iter().all(|line| line.len() <= allowance.log_line));
    if let Decision::Deny(reason) = &answer.decision {
        assert!(reason.len() <= allowance.reason);
    }
    // Where there is a failure, nothing but a deny came of it.
    if evaluation.failure().is_some() {
        assert!(matches!(evaluation.decision(), Decision::Deny(_)));
        assert!(evaluation.into_permit().is_err());
    }
});
