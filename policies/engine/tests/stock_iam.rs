//! The stock policy `iam` through the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{ConfigureError, Decision, Engine, Failure, Limits, stock};
use support::{ROOT, enclave, register, request};

const USER: &str = "arn:aws:iam::111122223333:user/ada";

fn document() -> String {
    format!(
        r#"{{
        "Version": "2012-10-17",
        "Statement": [
            {{"Sid": "admin", "Effect": "Allow", "Principal": {{"AWS": "{ROOT}"}},
              "Action": ["kms:Describe*", "kms:PutKeyPolicy"], "Resource": "*"}},
            {{"Sid": "enclave", "Effect": "Allow", "Principal": {{"AWS": "{USER}"}},
              "Action": "kms:Decrypt", "Resource": "*",
              "Condition": {{"StringEqualsIgnoreCase": {{
                  "kms:RecipientAttestation:ImageSha384": "{}"}},
                "StringEquals": {{"kms:EncryptionContext:tenant": "acme"}}}}}},
            {{"Sid": "not-that-tenant", "Effect": "Deny", "Principal": "*",
              "Action": "kms:*", "Resource": "*",
              "Condition": {{"StringEquals": {{"kms:EncryptionContext:tenant": "evil"}}}}}}
        ]}}"#,
        register(0xab).to_uppercase(),
    )
}

#[test]
fn decides_as_the_document_says() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::IAM).unwrap();
    let policy = module.configure(document().as_bytes()).unwrap();

    let administer = policy.evaluate(&request("kms:DescribeKey", ROOT));
    assert_eq!(administer.failure(), None);
    assert_eq!(administer.decision(), &Decision::Allow);

    let mut decrypt = request("kms:Decrypt", USER);
    assert_eq!(policy.evaluate(&decrypt).decision(), &Decision::NoOpinion);
    decrypt.attestation = Some(enclave(0xab, 0));
    let allowed = policy.evaluate(&decrypt);
    assert_eq!(allowed.decision(), &Decision::Allow);
    assert_eq!(allowed.annotations().next().unwrap().value, "enclave");
    decrypt.encryption_context = vec![support::pair("tenant", "evil")];
    assert_eq!(
        policy.evaluate(&decrypt).decision(),
        &Decision::Deny("explicit deny: not-that-tenant".into())
    );
}

#[test]
fn a_wrong_document_is_refused_at_its_place() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::IAM).unwrap();
    let wrong = document().replace("kms:PutKeyPolicy", "s3:PutObject");
    let Err(ConfigureError::Refused(error)) = module.configure(wrong.as_bytes()) else {
        panic!("an action of s3");
    };
    assert_eq!(error.place, "Statement[0].Action[1]");
}

/// A pattern that is compared with a long text again and again costs a bounded denial.
#[test]
fn a_hostile_pattern_is_a_bounded_denial() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::IAM).unwrap();
    let pattern = ["*", &"a".repeat(4000), "b"].concat();
    let document = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",
            "Condition":{{"StringLike":{{"kms:EncryptionContext:text":"{pattern}"}}}}}}}}"#
    );
    let policy = module.configure(document.as_bytes()).unwrap();
    let mut request = request("kms:Decrypt", USER);
    request.encryption_context = vec![support::pair("text", &"a".repeat(8192))];
    let evaluation = policy.evaluate(&request);
    assert_eq!(evaluation.failure(), Some(&Failure::Fuel));
    assert!(matches!(evaluation.decision(), Decision::Deny(_)));
    request.encryption_context = vec![support::pair("text", &pattern[1..])];
    assert_eq!(policy.evaluate(&request).decision(), &Decision::Allow);
}

/// The longest document that AWS would take, and the longest the engine takes.
#[test]
fn long_documents_fit_the_budgets() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::IAM).unwrap();
    for size in [32 * 1024, 64 * 1024] {
        let statement = |index: usize| {
            format!(
                r#"{{"Sid":"s{index}","Effect":"Deny","Principal":{{"AWS":"{USER}"}},"Action":["kms:Enc*","kms:*Mac"],"Resource":"*","Condition":{{"StringLike":{{"kms:EncryptionContext:n{index}":["a*","*b"]}}}}}}"#
            )
        };
        let mut document = String::from(r#"{"Statement":["#);
        for index in 0.. {
            let next = statement(index);
            if document.len() + next.len() + 3 > size {
                break;
            }
            document += &[if index > 0 { "," } else { "" }, &next].concat();
        }
        document += "]}";
        let policy = module.configure(document.as_bytes()).unwrap();
        let evaluation = policy.evaluate(&request("kms:Encrypt", USER));
        assert_eq!(evaluation.failure(), None);
        assert_eq!(evaluation.decision(), &Decision::NoOpinion);
    }
}
