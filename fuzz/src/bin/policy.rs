//! Any bytes as the configuration of a stock policy, whose first byte says which: an AWS policy document
//! or a list of measurements. One that is taken decides, and decides the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::within_allowance;
use sekisho_policy::{
    Answer, Attestation, AttestationKind, ConfigurationError, Key, Pair, Pcr, Policy, Principal,
    Request, State,
};
use sekisho_policy_attested::Attested;
use sekisho_policy_iam::Iam;
use std::sync::LazyLock;

static REQUEST: LazyLock<Request> = LazyLock::new(|| {
    let pair = |name: &str, value: &str| Pair { name: name.into(), value: value.into() };
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    Request {
        action: "kms:Decrypt".into(),
        resource: key.into(),
        principal: Principal {
            arn: "arn:aws:iam::111122223333:user/ada".into(),
            account: "111122223333".into(),
            tags: vec![pair("team", "claims")],
        },
        key: Some(Key {
            arn: key.into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            usage: "ENCRYPT_DECRYPT".into(),
            origin: "AWS_KMS".into(),
            state: "Enabled".into(),
            aliases: vec!["alias/pipeline".into()],
            tags: vec![],
        }),
        encryption_context: vec![pair("tenant", "acme")],
        parameters: vec![pair("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")],
        attestation: Some(Attestation {
            kind: AttestationKind::Enclave,
            module_id: "i-0123456789abcdef0-enc0123456789abcdef".into(),
            timestamp: 1_789_999_999_000,
            age: 1000,
            pcrs: (0..16).map(|index| Pcr { index, value: "ab".repeat(48) }).collect(),
            user_data: None,
            nonce: Some(vec![7; 32]),
            nonce_fresh: true,
            public_key_sha256: Some("ab".repeat(32)),
        }),
        grants: vec![],
        time: 1_790_000_000_000,
        source_ip: Some("192.0.2.7".into()),
    }
});

fuzz_target!(|input: &[u8]| {
    let request = &*REQUEST;
    let Some((which, configuration)) = input.split_first() else { return };
    within_allowance(|| match which % 2 {
        0 => decide::<Iam>(configuration, request),
        _ => decide::<Attested>(configuration, request),
    });
});

fn decide<P: Policy>(configuration: &[u8], request: &Request) {
    let state = match P::configure(configuration) {
        Ok(state) => state.encode(),
        Err(ConfigurationError { place, reason }) => {
            assert!(!reason.is_empty(), "refused without a reason at {place}");
            return;
        }
    };
    let answer = || -> Answer {
        let state = P::State::decode(state.clone()).expect("a policy reads its own state");
        P::evaluate(&state, request)
    };
    assert_eq!(answer(), answer());
}
