//! Rules 24 to 27 and 30 to 33 and 35 of the checklist: what is expected of a document, and what
//! must be accepted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use std::time::Duration;

use common::enclave::{Enclave, HOUR, NOW, at};
use sekisho_attestation::{
    Expectation, InvalidPcrs, PcrIndex, PcrValue, Pcrs, Rejection, TrustAnchors, Verifier,
};
use sekisho_devkit::{Document, PayloadForm, envelope};

fn signed(enclave: &Enclave, change: impl FnOnce(&mut Document)) -> Vec<u8> {
    let mut document = enclave.document.clone();
    change(&mut document);
    document.sign(&enclave.leaf.key)
}

fn index(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

fn pcrs(registers: &[(u8, PcrValue)]) -> Expectation {
    Expectation::measurements(Pcrs::new(registers.iter().copied()).unwrap())
}

fn value_of(enclave: &Enclave, index: u64) -> PcrValue {
    PcrValue::try_from(&*enclave.document.pcrs[&index]).unwrap()
}

#[test]
fn rule_24_debug_is_three_zeros_whatever_the_others_are() {
    let enclave = Enclave::new();
    let any = Expectation::any_measurement;
    let zeros = |indices: &[u64]| {
        signed(&enclave, |document| {
            for index in indices {
                document.pcrs.insert(*index, vec![0; 48]);
            }
        })
    };
    let debug = zeros(&[0, 1, 2]);
    assert_eq!(enclave.verify(&debug, &any()), Err(Rejection::Debug));
    let verified = enclave.verify(&debug, &any().allow_debug()).unwrap();
    assert!(verified.is_debug());
    assert!(!verified.pcrs().get(4).unwrap().is_zero());
    for partly in [&[0][..], &[1], &[2], &[0, 1], &[1, 2]] {
        for expectation in [any(), any().allow_debug()] {
            let rejection = enclave.verify(&zeros(partly), &expectation).unwrap_err();
            assert_eq!(rejection, Rejection::ZeroMeasurement(index(partly[0] as u8)));
        }
    }
    let only_pcr0 = signed(&enclave, |document| {
        document.pcrs = [(0, vec![0; 48]), (4, vec![1; 48])].into();
    });
    assert_eq!(enclave.verify(&only_pcr0, &any()), Err(Rejection::Debug));
    // To expect zeros is not to allow debug.
    let expect_zeros = pcrs(&[(0, PcrValue::ZERO)]);
    assert_eq!(enclave.verify(&debug, &expect_zeros), Err(Rejection::Debug));
}

#[test]
fn rule_25_an_expected_pcr_that_is_absent_fails() {
    let enclave = Enclave::new();
    let only_10 = signed(&enclave, |document| document.pcrs = [(10, vec![1; 48])].into());
    let pcr0 = value_of(&enclave, 0);
    let missing = Err(Rejection::PcrMissing(index(0)));
    assert_eq!(enclave.verify(&only_10, &pcrs(&[(0, pcr0)])), missing);
    let both = pcrs(&[(10, PcrValue::new([1; 48])), (0, pcr0)]);
    assert_eq!(enclave.verify(&only_10, &both), missing);
    let good = signed(&enclave, |_| ());
    assert!(enclave.verify(&good, &pcrs(&[(0, pcr0), (5, PcrValue::ZERO)])).is_ok());
    let of_zero = pcrs(&[(16, PcrValue::ZERO)]);
    assert_eq!(enclave.verify(&good, &of_zero), Err(Rejection::PcrMissing(index(16))));
    let other = pcrs(&[(0, pcr0), (1, pcr0)]);
    assert_eq!(enclave.verify(&good, &other), Err(Rejection::PcrMismatch(index(1))));
}

#[test]
fn rule_25_and_30_no_expectation_is_empty_and_no_value_is_short() {
    assert_eq!(Pcrs::new([]), Err(InvalidPcrs::Empty));
    assert_eq!(Pcrs::new([(32, PcrValue::ZERO)]), Err(InvalidPcrs::Index));
    let twice = [(1, PcrValue::ZERO), (1, PcrValue::ZERO)];
    assert_eq!(Pcrs::new(twice), Err(InvalidPcrs::Duplicate(index(1))));
    for text in ["", "00", &"0".repeat(95), &"0".repeat(97), &"g".repeat(96), &"é".repeat(48)] {
        assert!(text.parse::<PcrValue>().is_err(), "{text}");
    }
    for bytes in [&[][..], &[0; 32], &[0; 47], &[0; 49], &[0; 64]] {
        assert!(PcrValue::try_from(bytes).is_err());
    }
    let (upper, lower) = ("AB".repeat(48), "ab".repeat(48));
    assert_eq!(upper.parse::<PcrValue>().unwrap(), lower.parse().unwrap());
    assert_eq!(upper.parse::<PcrValue>().unwrap().to_string(), lower);
}

#[test]
fn rule_26_nonces() {
    let enclave = Enclave::new();
    let with = |nonce: Option<&[u8]>, expected: &[u8]| {
        let document = signed(&enclave, |d| d.nonce = nonce.map(<[u8]>::to_vec));
        enclave.verify(&document, &Expectation::any_measurement().nonce(expected)).err()
    };
    let refused = Some(Rejection::Nonce);
    assert_eq!(with(Some(b"nonce"), b"nonce"), None);
    assert_eq!(with(None, b"nonce"), refused);
    assert_eq!(with(Some(b""), b"nonce"), refused);
    assert_eq!(with(Some(b"nonc"), b"nonce"), refused, "a prefix of it");
    assert_eq!(with(Some(b"nonce!"), b"nonce"), refused, "it is a prefix");
    assert_eq!(with(Some(b"nonsE"), b"nonce"), refused);
    assert_eq!(with(Some(b""), b""), refused, "an empty nonce proves nothing");
    assert_eq!(with(None, b""), refused);
}

#[test]
fn rule_26_user_data() {
    let enclave = Enclave::new();
    let with = |data: Option<&[u8]>, expected: &[u8]| {
        let document = signed(&enclave, |d| d.user_data = data.map(<[u8]>::to_vec));
        enclave.verify(&document, &Expectation::any_measurement().user_data(expected)).err()
    };
    let refused = Some(Rejection::UserData);
    assert_eq!(with(Some(b"data"), b"data"), None);
    assert_eq!(with(Some(b""), b""), None);
    assert_eq!(with(None, b""), refused, "absent is not empty");
    assert_eq!(with(None, b"data"), refused);
    assert_eq!(with(Some(b"dat"), b"data"), refused);
}

#[test]
fn rule_27_public_keys_are_opaque_bytes() {
    let enclave = Enclave::new();
    for key in [&b"-----BEGIN PUBLIC KEY-----"[..], &[7; 32], &[4; 65], &[0]] {
        let document = signed(&enclave, |d| d.public_key = Some(key.to_vec()));
        let verified = enclave.verify(&document, &Expectation::any_measurement()).unwrap();
        assert_eq!(verified.public_key(), Some(key));
    }
    let document = signed(&enclave, |d| d.public_key = None);
    let verified = enclave.verify(&document, &Expectation::any_measurement()).unwrap();
    assert_eq!(verified.public_key(), None);
}

#[test]
fn rule_31_the_replay_key_is_of_the_payload() {
    let enclave = Enclave::new();
    let good = signed(&enclave, |_| ());
    let tagged = [&[0xd2], &good[..]].concat();
    let signature = p384::ecdsa::Signature::from_slice(&good[good.len() - 96..]).unwrap();
    let (r, s) = (signature.r(), signature.s());
    let twin = p384::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let payload = enclave.document.payload();
    let twin = envelope(&[0xa1, 0x01, 0x38, 0x22], &payload, &twin.to_bytes());
    assert_ne!(twin, good);
    let verify = |document: &[u8]| {
        enclave.verify(document, &Expectation::any_measurement()).unwrap().payload_sha384()
    };
    assert_eq!(verify(&good), verify(&tagged));
    assert_eq!(verify(&good), verify(&twin), "high s and low s");
    let other = signed(&enclave, |d| d.nonce = Some(b"other".to_vec()));
    assert_ne!(verify(&good), verify(&other));
}

#[test]
fn rule_32_time_is_the_callers_and_freshness_is_bounded() {
    let enclave = Enclave::new();
    let verifier = Verifier::new(TrustAnchors::from_der([enclave.pki.root_der()]).unwrap());
    let document = signed(&enclave, |_| ());
    let verify = |instant: Duration, expectation: &Expectation| {
        verifier.verify(&document, at(instant), expectation).err()
    };
    let any = Expectation::any_measurement;
    let (second, milli) = (Duration::from_secs(1), Duration::from_millis(1));
    // As long as the leaf is valid, and no longer, whatever the document says.
    assert_eq!(verify(NOW + 3 * HOUR, &any()), None);
    let rule = |instant| verify(instant, &any()).unwrap().rule();
    assert_eq!(rule(NOW + 3 * HOUR + milli), "certificate-expired");
    assert_eq!(rule(NOW - 3 * second - milli), "certificate-not-yet-valid");

    let age = any().max_age(60 * second);
    assert_eq!(verify(NOW + 60 * second, &age), None);
    assert_eq!(verify(NOW + 60 * second + milli, &age), Some(Rejection::TooOld));
    let skew = any().max_skew(second);
    assert_eq!(verify(NOW - second, &skew), None);
    assert_eq!(verify(NOW - second - milli, &skew), Some(Rejection::InTheFuture));
    assert_eq!(verify(NOW - 3 * second, &any()), None);
    assert_eq!(verify(NOW - 3 * second, &age), None);
    let strict = any().max_age(2 * second);
    assert_eq!(verify(NOW - 3 * second, &strict), Some(Rejection::InTheFuture));
}

#[test]
fn rule_33_nothing_is_acted_on_before_the_signature_and_no_error_quotes_the_document() {
    let enclave = Enclave::new();
    let mut document = signed(&enclave, |d| d.pcrs.values_mut().for_each(|pcr| pcr.fill(0)));
    *document.last_mut().unwrap() ^= 1;
    let rejection = enclave.verify(&document, &Expectation::any_measurement().nonce(*b"other"));
    assert_eq!(rejection, Err(Rejection::DocumentSignature), "not debug, not nonce");
    // All that a rejection can hold is which rule, which field, which certificate: it is Copy.
    fn is_copy<T: Copy>() {}
    is_copy::<Rejection>();
}

#[test]
fn rule_35_pcr0_alone_is_expected_only_if_asked_for() {
    // PCR0 hashes an image's sections without their lengths: expectations take as many as wanted,
    // and each of them counts.
    let enclave = Enclave::new();
    let all: Vec<_> = (0..=2).map(|i| (i as u8, value_of(&enclave, i))).collect();
    let good = signed(&enclave, |_| ());
    assert!(enclave.verify(&good, &pcrs(&all)).is_ok());
    for i in 0..=2_u8 {
        let moved = signed(&enclave, |d| {
            d.pcrs.insert(u64::from(i), vec![9; 48]);
        });
        let mismatch = Err(Rejection::PcrMismatch(index(i)));
        assert_eq!(enclave.verify(&moved, &pcrs(&all)), mismatch);
    }
}

#[test]
fn must_accept() {
    let enclave = Enclave::new();
    let accepted = |change: fn(&mut Document)| {
        let document = signed(&enclave, change);
        enclave.verify(&document, &Expectation::any_measurement()).unwrap()
    };
    accepted(|d| d.form = PayloadForm::Indefinite);
    accepted(|d| d.form = PayloadForm::Definite);
    let sparse = accepted(|d| d.pcrs.retain(|index, _| [0, 1, 2, 3, 4, 8].contains(index)));
    assert_eq!(sparse.pcrs().len(), 6);
    let more = accepted(|d| {
        d.pcrs.insert(16, vec![7; 48]);
    });
    assert_eq!(more.pcrs().get(16), Some(&PcrValue::new([7; 48])));
    assert_eq!(accepted(|d| d.user_data = Some(Vec::new())).user_data(), Some(&b""[..]));
    accepted(|d| (d.user_data, d.nonce, d.public_key) = (None, None, None));
}
