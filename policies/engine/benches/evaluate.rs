//! What a decision costs: a fresh instance, one call, and the instance gone.
//!
//! `cargo bench -p sekisho-policy-engine`. The floor, measured for wasmtime 48 with a
//! guest that does nothing but compare, is 5.5 µs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]
#![allow(missing_docs, reason = "criterion's macros")]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use sekisho_policy_engine::{Decision, Engine, Limits, Policy, Request, stock};
use std::hint::black_box;
use support::{ALLOW, EMPTY_STATE, ROOT, component, enclave, register, request};

const USER: &str = "arn:aws:iam::111122223333:user/ada";

fn attested(engine: &Engine) -> Policy {
    let configuration = format!(
        r#"{{"measurements":[{{"name":"pipeline-v3","pcrs":{{"0":"{}","8":"{}"}}}}],
            "administrators":["{ROOT}"]}}"#,
        register(1),
        register(2),
    );
    let module = engine.admit(stock::ATTESTED).unwrap();
    module.configure(configuration.as_bytes()).unwrap()
}

/// Five statements; the request matches the last that allows.
fn iam(engine: &Engine) -> Policy {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Sid":"root","Effect":"Allow","Principal":{{"AWS":"{ROOT}"}},"Action":"kms:*","Resource":"*"}},
        {{"Sid":"no-debug","Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*",
          "Condition":{{"StringLike":{{"kms:RecipientAttestation:ImageSha384":"0000*"}}}}}},
        {{"Sid":"tenant","Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*",
          "Condition":{{"StringNotEqualsIfExists":{{"kms:EncryptionContext:tenant":"acme"}}}}}},
        {{"Sid":"ingest","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111122223333:user/ingest"}},
          "Action":["kms:Encrypt","kms:GenerateDataKey*"],"Resource":"*"}},
        {{"Sid":"pipeline","Effect":"Allow","Principal":{{"AWS":"{USER}"}},
          "Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*",
          "Condition":{{"StringEqualsIgnoreCase":{{"kms:RecipientAttestation:ImageSha384":"{}",
                                                 "kms:RecipientAttestation:PCR8":"{}"}}}}}}
        ]}}"#,
        register(1),
        register(2),
    );
    let module = engine.admit(stock::IAM).unwrap();
    module.configure(document.as_bytes()).unwrap()
}

fn attested_request() -> Request {
    let mut request = request("kms:Decrypt", USER);
    request.attestation = Some(enclave(1, 2));
    request
}

fn decisions(criterion: &mut Criterion) {
    let engine = Engine::new(Limits::default()).unwrap();
    let nothing = engine.admit(&component(EMPTY_STATE, ALLOW, "")).unwrap().configure(b"").unwrap();
    let request = attested_request();
    for (name, policy) in [
        ("nothing (hand-written)", nothing),
        ("attested", attested(&engine)),
        ("iam, five statements", iam(&engine)),
    ] {
        let once = policy.evaluate(&request);
        assert_eq!(once.decision(), &Decision::Allow, "{once:?}");
        println!("{name}: fuel {}, state {} bytes", once.fuel(), policy.state().len());
        criterion.bench_function(&format!("evaluate/{name}"), |bencher| {
            bencher.iter(|| policy.evaluate(black_box(&request)));
        });
    }
}

fn registration(criterion: &mut Criterion) {
    let engine = Engine::new(Limits::default()).unwrap();
    let mut group = criterion.benchmark_group("admit");
    group.sample_size(10);
    for (name, component) in stock::ALL {
        group.bench_function(name, |bencher| {
            bencher.iter(|| engine.admit(black_box(component)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, registration);
criterion_main!(benches);
