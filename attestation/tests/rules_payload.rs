//! Rules 17 to 23, 28 and 29 of the checklist: the payload's fields.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use common::cbor::{BREAK, NULL, UNDEFINED, array, bytes, head, map, text, unsigned};
use common::enclave::{Enclave, NOW};
use sekisho_attestation::Expectation;

const MANDATORY: [&str; 6] =
    ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"];
const OPTIONAL: [&str; 3] = ["public_key", "user_data", "nonce"];

#[test]
fn rule_17_mandatory_fields_missing_or_null() {
    let enclave = Enclave::new();
    let fields = enclave.fields();
    assert_eq!(enclave.rule_of_payload(&fields.definite()), "accepted");
    assert_eq!(enclave.rule_of_payload(&fields.indefinite()), "accepted");
    for field in MANDATORY {
        let missing = fields.clone().without(field);
        assert_eq!(enclave.rule_of_payload(&missing.definite()), "field-missing", "{field}");
        assert_eq!(enclave.rule_of_payload(&missing.indefinite()), "field-missing", "{field}");
        assert_eq!(enclave.rule_with_field(field, &NULL), "cbor-wrong-type", "{field}");
    }
    for field in OPTIONAL {
        let absent = fields.clone().without(field);
        assert_eq!(enclave.rule_of_payload(&absent.definite()), "accepted", "{field}");
        assert_eq!(enclave.rule_with_field(field, &NULL), "accepted", "{field}");
    }
}

#[test]
fn rule_18_module_id_and_digest() {
    let enclave = Enclave::new();
    let module = |value: &[u8]| enclave.rule_with_field("module_id", value);
    assert_eq!(module(&text("")), "field-size");
    assert_eq!(module(&bytes(enclave.document.module_id.as_bytes())), "cbor-wrong-type");
    assert_eq!(module(&[head(3, 2), vec![0xff, 0xfe]].concat()), "cbor-not-utf8");
    assert_eq!(module(&[vec![0x7f], text("i-x"), vec![0xff]].concat()), "cbor-indefinite-length");
    let digest = |value: &[u8]| enclave.rule_with_field("digest", value);
    for wrong in ["", "sha384", "SHA256", "SHA512", "SHA384 ", "SHA-384"] {
        assert_eq!(digest(&text(wrong)), "digest");
    }
    assert_eq!(digest(&bytes(b"SHA384")), "cbor-wrong-type");
}

#[test]
fn rule_19_timestamps() {
    let enclave = Enclave::new();
    let timestamp = |value: &[u8]| enclave.rule_with_field("timestamp", value);
    assert_eq!(timestamp(&unsigned(0)), "timestamp-zero");
    assert_eq!(timestamp(&unsigned(1)), "accepted", "old, and no age is asked for");
    let wrong: [&[u8]; 7] = [
        &[0x20],                               // −1
        &[0x3b, 0, 0, 1, 0, 0, 0, 0, 0],       // a great negative
        &text("1768478400000"),                // text
        &[0xfb, 0x42, 0x79, 0, 0, 0, 0, 0, 0], // float
        &[0xc2, 0x41, 1],                      // bignum
        &[0xc1, 0x1a, 0x69, 0, 0, 0],          // tagged
        &[0xf5],                               // true
    ];
    for value in wrong {
        assert_eq!(timestamp(value), "cbor-wrong-type", "{value:02x?}");
    }
    assert_eq!(timestamp(&unsigned(u64::MAX)), "timestamp-after-certificate");
    let leaf_end = NOW.as_millis() as u64 + 3 * 3_600_000;
    assert_eq!(timestamp(&unsigned(leaf_end)), "accepted");
    assert_eq!(timestamp(&unsigned(leaf_end + 1)), "timestamp-after-certificate");
    let long = [&[0x1b][..], &0xffff_u64.to_be_bytes()].concat();
    assert_eq!(timestamp(&long), "cbor-not-shortest");
}

/// PCR 0 with a value that is not zero, and what comes before and after it.
fn pcrs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    map(pairs)
}

#[test]
fn rule_20_pcrs() {
    let enclave = Enclave::new();
    let rule = |value: &[u8]| enclave.rule_with_field("pcrs", value);
    let one = |index: Vec<u8>, value: Vec<u8>| pcrs(&[(index, value)]);
    let value = || bytes(&[1; 48]);
    assert_eq!(rule(&one(unsigned(0), value())), "accepted");
    assert_eq!(rule(&one(unsigned(31), value())), "accepted");
    assert_eq!(rule(&map(&[])), "pcr-count");
    let registers = |count| (0..count).map(|i| (unsigned(i), value())).collect::<Vec<_>>();
    assert_eq!(rule(&pcrs(&registers(32))), "accepted");
    assert_eq!(rule(&pcrs(&registers(33))), "pcr-count");
    let descending: Vec<_> = registers(16).into_iter().rev().collect();
    assert_eq!(rule(&pcrs(&descending)), "accepted", "policy: any order");
    for index in [32, 255, 256, 1 << 32, u64::MAX] {
        assert_eq!(rule(&one(unsigned(index), value())), "pcr-index", "{index}");
    }
    for index in [vec![0x20], text("0"), bytes(&[0]), NULL.to_vec(), vec![0xf4]] {
        assert_eq!(rule(&one(index, value())), "cbor-wrong-type");
    }
    for length in [0, 1, 32, 47, 49, 64, 65, 1024] {
        let value = bytes(&vec![1; length]);
        assert_eq!(rule(&one(unsigned(0), value)), "pcr-length", "{length}");
    }
    for value in [NULL.to_vec(), text(&"1".repeat(48)), unsigned(1)] {
        assert_eq!(rule(&one(unsigned(0), value)), "cbor-wrong-type");
    }
    let indefinite = [vec![0xbf], unsigned(0), value(), BREAK.to_vec()].concat();
    assert_eq!(rule(&indefinite), "cbor-indefinite-length", "policy");
    assert_eq!(rule(&array(&[unsigned(0), value()])), "cbor-wrong-type");
}

#[test]
fn rule_21_repetitions() {
    let enclave = Enclave::new();
    for field in MANDATORY.into_iter().chain(OPTIONAL) {
        let fields = enclave.fields();
        let (_, value) = fields.0.iter().find(|(key, _)| key == field).unwrap().clone();
        let twice = fields.and(field, &value);
        assert_eq!(enclave.rule_of_payload(&twice.definite()), "field-duplicate", "{field}");
        assert_eq!(enclave.rule_of_payload(&twice.indefinite()), "field-duplicate", "{field}");
    }
    let value = || bytes(&[1; 48]);
    let rule = |pairs: &[(Vec<u8>, Vec<u8>)]| enclave.rule_with_field("pcrs", &pcrs(pairs));
    assert_eq!(rule(&[(unsigned(4), value()), (unsigned(4), value())]), "pcr-duplicate");
    assert_eq!(rule(&[(unsigned(4), value()), (unsigned(4), bytes(&[2; 48]))]), "pcr-duplicate");
    assert_eq!(rule(&[(unsigned(4), value()), (vec![0x18, 4], value())]), "cbor-not-shortest");
    // The repetition hides behind a longer head.
    let mut payload = enclave.fields().definite();
    payload[0] += 1;
    payload.extend([0x78, 5]);
    payload.extend(*b"nonce");
    payload.extend(NULL);
    assert_eq!(enclave.rule_of_payload(&payload), "cbor-not-shortest");
}

#[test]
fn rule_22_other_keys_and_bytes_after_the_map() {
    let enclave = Enclave::new();
    let fields = enclave.fields();
    let unknown = fields.clone().and("extra", &NULL);
    assert_eq!(enclave.rule_of_payload(&unknown.definite()), "field-unknown", "policy");
    assert_eq!(enclave.rule_of_payload(&unknown.indefinite()), "field-unknown", "policy");
    for key in ["Nonce", "nonce ", "pcr", ""] {
        let fields = fields.clone().and(key, &NULL);
        assert_eq!(enclave.rule_of_payload(&fields.definite()), "field-unknown", "{key:?}");
    }
    let mut integer = fields.definite();
    integer[0] += 1;
    integer.extend([0, 0xf6]);
    assert_eq!(enclave.rule_of_payload(&integer), "cbor-wrong-type");
    let trailing = [fields.definite(), vec![0]].concat();
    assert_eq!(enclave.rule_of_payload(&trailing), "cbor-trailing-bytes");
    let trailing = [fields.indefinite(), BREAK.to_vec()].concat();
    assert_eq!(enclave.rule_of_payload(&trailing), "cbor-trailing-bytes");
    let mut early = fields.definite();
    early.push(0xff);
    assert_eq!(enclave.rule_of_payload(&early), "cbor-trailing-bytes");
    let mut no_break = fields.indefinite();
    no_break.pop();
    assert_eq!(enclave.rule_of_payload(&no_break), "cbor-malformed");
    // A break where a value should be.
    let mut half = fields.indefinite();
    half.truncate(half.len() - 1 - bytes(b"nonce").len());
    half.push(0xff);
    assert_eq!(enclave.rule_of_payload(&half), "cbor-wrong-type");
}

#[test]
fn rule_23_sizes_that_are_only_claimed() {
    let enclave = Enclave::new();
    let claim = |major: u8| [&[major << 5 | 27][..], &u64::MAX.to_be_bytes()].concat();
    assert_eq!(enclave.rule_of_payload(&claim(5)), "cbor-malformed");
    let fields = [claim(5), enclave.fields().definite()[1..].to_vec()].concat();
    assert_eq!(enclave.rule_of_payload(&fields), "cbor-malformed");
    assert_eq!(enclave.rule_with_field("pcrs", &claim(5)), "pcr-count");
    assert_eq!(enclave.rule_with_field("cabundle", &claim(4)), "cabundle-count");
    for field in ["certificate", "public_key", "user_data", "nonce"] {
        assert_eq!(enclave.rule_with_field(field, &claim(2)), "cbor-malformed", "{field}");
    }
    assert_eq!(enclave.rule_with_field("module_id", &claim(3)), "cbor-malformed");
    for nested in [[0x81; 10_000], [0xa1; 10_000], [0xd2; 10_000], [0x9f; 10_000]] {
        let rule = enclave.rule_of_payload(&nested);
        assert!(rule.starts_with("cbor-"), "{rule}");
        let rule = enclave.rule(&nested);
        assert!(rule.starts_with("cose-") || rule.starts_with("cbor-"), "{rule}");
        assert_eq!(enclave.rule_with_field("nonce", &nested), "cbor-wrong-type");
    }
}

#[test]
fn rule_28_optional_fields_within_their_limits() {
    let enclave = Enclave::new();
    let with =
        |field: &str, length: usize| enclave.rule_with_field(field, &bytes(&vec![7; length]));
    for field in ["user_data", "nonce"] {
        assert_eq!(with(field, 0), "accepted");
        assert_eq!(with(field, 512), "accepted");
        assert_eq!(with(field, 513), "accepted", "policy");
        assert_eq!(with(field, 1024), "accepted", "policy");
        assert_eq!(with(field, 1025), "field-size");
    }
    assert_eq!(with("public_key", 0), "field-size", "policy");
    assert_eq!(with("public_key", 1), "accepted");
    assert_eq!(with("public_key", 1024), "accepted");
    assert_eq!(with("public_key", 1025), "field-size");
    for field in OPTIONAL {
        assert_eq!(enclave.rule_with_field(field, &UNDEFINED), "cbor-wrong-type");
        assert_eq!(enclave.rule_with_field(field, &text("text")), "cbor-wrong-type");
        assert_eq!(enclave.rule_with_field(field, &[0xf8, 22]), "cbor-wrong-type", "long null");
        let chunked = [vec![0x5f], bytes(b"ab"), BREAK.to_vec()].concat();
        assert_eq!(enclave.rule_with_field(field, &chunked), "cbor-indefinite-length");
    }
}

#[test]
fn rule_29_kinds() {
    let enclave = Enclave::new();
    let fields = enclave.fields();
    let pcrs = pcrs(&[(unsigned(0), bytes(&[1; 48]))]);
    let both = fields.clone().and("nitrotpm_pcrs", &pcrs);
    assert_eq!(enclave.rule_of_payload(&both.definite()), "pcr-fields");
    // The PCRs of a NitroTPM in the document of an enclave's module.
    let tpm = fields.without("pcrs").and("nitrotpm_pcrs", &pcrs);
    assert_eq!(enclave.rule_of_payload(&tpm.definite()), "module-id-kind");

    // Another module than the certificate's, and parts of its name.
    let module = enclave.document.module_id.clone();
    let start = &module[..module.len() - 1];
    for other in ["i-0-enc0", start, &format!("{module}0"), &module.to_uppercase()] {
        let rule = enclave.rule_with_field("module_id", &text(other));
        assert_eq!(rule, "module-id-certificate", "{other}");
    }
}

#[test]
fn rule_29_a_nitro_tpm_is_no_enclave_and_an_enclave_no_nitro_tpm() {
    use common::enclave::{HOUR, validity};
    use sekisho_attestation::{Kind, Rejection};
    let enclave = Enclave::new();
    let module = "i-development-tpm0000000000000000";
    let leaf = enclave.chain.leaf_template(module, &enclave.leaf.key, validity(NOW, NOW + HOUR));
    let mut document = enclave.document.clone();
    document.certificate = leaf.sign(&enclave.chain.instance().key);
    document.module_id = module.to_owned();
    assert_eq!(enclave.rule(&document.sign(&enclave.leaf.key)), "module-id-kind");
    document.pcrs_field = "nitrotpm_pcrs".to_owned();
    document.pcrs.values_mut().for_each(|value| value.fill(0));
    let tpm = document.sign(&enclave.leaf.key);
    let any = Expectation::any_measurement();
    let kind = |expected, found| Err(Rejection::Kind { expected, found });
    assert_eq!(enclave.verify(&tpm, &any), kind(Kind::Enclave, Kind::NitroTpm));
    let verified = enclave.verify(&tpm, &any.clone().kind(Kind::NitroTpm)).unwrap();
    assert_eq!((verified.kind(), verified.is_debug()), (Kind::NitroTpm, false));
    let good = enclave.document.sign(&enclave.leaf.key);
    assert_eq!(
        enclave.verify(&good, &any.kind(Kind::NitroTpm)),
        kind(Kind::NitroTpm, Kind::Enclave)
    );
}
