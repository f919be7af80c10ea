use super::*;
use sekisho_policy::{Attestation, AttestationKind, Decision, Obligation, Pcr};

const ROOT: &str = "arn:aws:iam::111122223333:root";
const INGEST: &str = "arn:aws:iam::111122223333:user/ingest";

fn register(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

fn configuration() -> String {
    format!(
        r#"{{"measurements":[{{"name":"one","pcrs":{{"0":"{}","8":"{}"}}}},
            {{"name":"tpm","kind":"nitro-tpm","pcrs":{{"4":"{}"}}}}],
            "encryptors":["{INGEST}"],"administrators":["{ROOT}"]}}"#,
        register(1),
        register(0xab).to_uppercase(),
        register(4),
    )
}

fn request(action: &str, arn: &str, attestation: Option<Attestation>) -> Request {
    Request {
        action: action.into(),
        resource: "*".into(),
        principal: Principal { arn: arn.into(), account: "111122223333".into(), tags: vec![] },
        key: None,
        encryption_context: vec![],
        parameters: vec![],
        attestation,
        grants: vec![],
        time: 0,
        source_ip: None,
    }
}

fn attestation(kind: AttestationKind, pcrs: &[(u8, u8)]) -> Attestation {
    Attestation {
        kind,
        module_id: "i-0-enc0".into(),
        timestamp: 0,
        age: 0,
        pcrs: pcrs
            .iter()
            .map(|(index, byte)| Pcr { index: *index, value: register(*byte) })
            .collect(),
        user_data: None,
        nonce: None,
        nonce_fresh: false,
        public_key_sha256: None,
    }
}

fn enclave(pcrs: &[(u8, u8)]) -> Option<Attestation> {
    Some(attestation(AttestationKind::Enclave, pcrs))
}

fn ask(configuration: &str, request: &Request) -> Answer {
    let state = Attested::configure(configuration.as_bytes()).unwrap();
    Attested::evaluate(&state, request)
}

#[test]
fn table_of_requests() {
    let tpm = |pcrs| Some(attestation(AttestationKind::NitroTpm, pcrs));
    let right = &[(0, 1), (1, 9), (8, 0xab)];
    for (action, arn, attestation, allowed) in [
        ("kms:Decrypt", "anyone", enclave(right), true),
        ("kms:GenerateDataKey", "anyone", enclave(right), true),
        ("kms:Decrypt", "anyone", tpm(&[(4, 4)]), true),
        ("kms:Decrypt", ROOT, None, false),
        ("kms:Decrypt", "anyone", enclave(&[(0, 1)]), false),
        ("kms:Decrypt", "anyone", enclave(&[(0, 1), (8, 0xac)]), false),
        ("kms:Decrypt", "anyone", enclave(&[(4, 4)]), false),
        ("kms:Decrypt", "anyone", tpm(&[(0, 1), (8, 0xab)]), false),
        ("kms:Decrypt", "anyone", enclave(&[]), false),
        ("kms:Encrypt", INGEST, None, true),
        ("kms:GenerateDataKeyWithoutPlaintext", INGEST, None, true),
        ("kms:GenerateDataKey", INGEST, None, false),
        ("kms:Encrypt", ROOT, None, false),
        ("kms:Encrypt", "anyone", enclave(right), false),
        ("kms:PutKeyPolicy", ROOT, None, true),
        ("kms:DescribeKey", ROOT, None, true),
        ("kms:PutKeyPolicy", INGEST, None, false),
        ("kms:PutKeyPolicy", "anyone", enclave(right), false),
        ("kms:Sign", ROOT, enclave(right), false),
        ("kms:ReEncryptFrom", ROOT, enclave(right), false),
        ("kms:ReplicateKey", ROOT, None, false),
        ("kms:Unheard", ROOT, enclave(right), false),
        ("", ROOT, None, false),
    ] {
        let answer = ask(&configuration(), &request(action, arn, attestation));
        match answer.decision {
            Decision::Allow => assert!(allowed, "{action} by {arn}"),
            Decision::Deny(_) => assert!(!allowed, "{action} by {arn}"),
            Decision::NoOpinion => panic!("this policy always has an opinion"),
        }
    }
}

#[test]
fn an_allowed_release_names_the_measurement() {
    let answer =
        ask(&configuration(), &request("kms:Decrypt", "anyone", enclave(&[(0, 1), (8, 0xab)])));
    let [Obligation::Annotate(pair)] = &answer.obligations[..] else {
        panic!("one annotation");
    };
    assert_eq!((&pair.name[..], &pair.value[..]), ("measurement", "one"));
}

#[test]
fn actions_narrow_what_attestation_opens() {
    let narrow = configuration().replacen('{', r#"{"actions":["kms:Decrypt"],"#, 1);
    let right = || enclave(&[(0, 1), (8, 0xab)]);
    let decrypt = ask(&narrow, &request("kms:Decrypt", ROOT, right()));
    assert_eq!(decrypt.decision, Decision::Allow);
    let generate = ask(&narrow, &request("kms:GenerateDataKey", ROOT, right()));
    assert!(matches!(generate.decision, Decision::Deny(_)));
}

#[test]
fn any_operation_can_need_a_document() {
    let wide = configuration().replacen(
        '{',
        r#"{"actions":["kms:Sign","kms:PutKeyPolicy","kms:Encrypt"],"#,
        1,
    );
    let right = || enclave(&[(0, 1), (8, 0xab)]);
    for (action, arn, attestation, refusal) in [
        ("kms:Sign", "anyone", right(), None),
        ("kms:Sign", ROOT, None, Some("the request carries no attestation")),
        ("kms:Sign", ROOT, enclave(&[(0, 2)]), Some("matches no listed measurement")),
        ("kms:GenerateMac", "anyone", right(), Some("not among the policy's actions")),
        ("kms:Decrypt", "anyone", right(), Some("not among the policy's actions")),
        // The lists are not opened by an attestation, they need one more.
        ("kms:PutKeyPolicy", ROOT, right(), None),
        ("kms:PutKeyPolicy", ROOT, None, Some("the request carries no attestation")),
        ("kms:PutKeyPolicy", "anyone", right(), Some("not an administrator")),
        ("kms:DescribeKey", ROOT, None, None),
        ("kms:Encrypt", INGEST, right(), None),
        ("kms:Encrypt", INGEST, None, Some("the request carries no attestation")),
        ("kms:Encrypt", ROOT, right(), Some("not an encryptor")),
        ("kms:ReEncryptTo", INGEST, None, None),
    ] {
        match (ask(&wide, &request(action, arn, attestation)).decision, refusal) {
            (Decision::Allow, None) => {}
            (Decision::Deny(reason), Some(refusal)) => {
                assert!(reason.contains(refusal), "{reason}")
            }
            (decision, _) => panic!("{action} by {arn}: {decision:?}"),
        }
    }
}

#[test]
fn every_known_action_has_a_place_of_its_own() {
    let mut all = Actions::NONE;
    for name in ["kms:Decrypt", "kms:Sign", "kms:Encrypt", "kms:PutKeyPolicy", "kms:UpdateAlias"] {
        let action = Action::named(name).unwrap();
        assert!(!all.contains(action), "{name}");
        all.insert(action);
        assert!(all.contains(action), "{name}");
    }
    assert!(Action::named("kms:ReplicateKey").is_none());
}

#[test]
fn a_wrong_configuration_is_refused_at_its_place() {
    let zeros = "0".repeat(96);
    let ones = "1".repeat(96);
    let one = |pcrs: &str| format!(r#"{{"measurements":[{{"name":"a","pcrs":{pcrs}}}]}}"#);
    for (configuration, place) in [
        ("".into(), "byte 0"),
        ("[]".into(), ""),
        ("{}".into(), ""),
        (r#"{"measurements":[]}"#.into(), ""),
        (r#"{"measurements":[{}]}"#.into(), "measurements[0]"),
        (r#"{"measurement":[]}"#.into(), "measurement"),
        (one("{}"), "measurements[0].pcrs"),
        (one(r#"{"0":"12"}"#), "measurements[0].pcrs.0"),
        (one(&format!(r#"{{"32":"{ones}"}}"#)), "measurements[0].pcrs.32"),
        (one(&format!(r#"{{"00":"{ones}"}}"#)), "measurements[0].pcrs.00"),
        (one(&format!(r#"{{"+1":"{ones}"}}"#)), "measurements[0].pcrs.+1"),
        (one(&format!(r#"{{"1":"{zeros}"}}"#)), "measurements[0].pcrs.1"),
        (one(&format!(r#"{{"1":"{}"}}"#, "g".repeat(96))), "measurements[0].pcrs.1"),
        (configuration().replacen('{', r#"{"actions":["kms:CreateKey"],"#, 1), "actions[0]"),
        (configuration().replacen('{', r#"{"actions":[],"#, 1), "actions"),
        (configuration().replace(INGEST, "arn:aws:iam::*:root"), "encryptors[0]"),
        (configuration().replace(ROOT, "root"), "administrators[0]"),
        (configuration().replace("\"tpm\"", "\"one\""), "measurements[1]"),
        (configuration().replace("nitro-tpm", "sgx"), "measurements[1].kind"),
    ] {
        let error = Attested::configure(configuration.as_bytes()).unwrap_err();
        assert_eq!(error.place, place, "{configuration}: {}", error.reason);
    }
}

#[test]
fn a_state_that_is_none_is_a_deny() {
    let state = Attested::configure(configuration().as_bytes()).unwrap();
    let request = request("kms:Decrypt", ROOT, enclave(&[(0, 9)]));
    for cut in 0..state.len() {
        let answer = Attested::evaluate(&state[..cut].to_vec(), &request);
        assert!(matches!(answer.decision, Decision::Deny(_)), "{cut}");
    }
}
