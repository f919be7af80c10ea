//! Real documents of 2021 to 2026, and 165 derived and synthetic ones, answer as their manifests
//! say, under both backends.
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

use common::{Vector, vectors, vectors_folder};
use sekisho_attestation::backend::SignatureAlgorithms;
use sekisho_attestation::{
    Expectation, Kind, PcrValue, Pcrs, Rejection, Timestamp, TrustAnchors, VerifiedDocument,
    Verifier,
};

/// What the manifest leaves to the verifier's policy, and is accepted here.
const ACCEPTED_BY_POLICY: [&str; 3] =
    ["syn_ok_pcr_order.bin", "syn_user_data_513.bin", "syn_nonce_513.bin"];

mod real {
    over_both_backends!(check_real_documents);
    use super::check_real_documents;
}

mod negative {
    over_both_backends!(check_negative_documents);
    use super::check_negative_documents;
}

fn check_real_documents<B: SignatureAlgorithms + Copy>(backend: B) {
    let Some(vectors) = vectors("nitro") else { return };
    assert_eq!(vectors.len(), 35);
    let verifier = Verifier::with_backend(TrustAnchors::aws_nitro(), backend);
    let mut surprises = Vec::new();
    for vector in &vectors {
        let kind = match &*vector.kind {
            "nitro-tpm" => Kind::NitroTpm,
            _ => Kind::Enclave,
        };
        let expectation = if vector.pcrs.is_empty() {
            Expectation::any_measurement()
        } else {
            Expectation::measurements(pcrs(vector))
        };
        let expectation = expectation.kind(kind);
        let verify =
            |expectation: &Expectation, at| verifier.verify(&vector.bytes, at, expectation);
        let strict = verify(&expectation, vector.at);
        match (&*vector.expect, strict) {
            ("accept", Ok(document)) => check_window(vector, &document, &expectation, &verifier),
            ("reject", Err(_)) => {}
            ("reject-unless-debug-allowed", Err(Rejection::Debug)) => {
                let lenient = expectation.allow_debug();
                let document = verify(&lenient, vector.at).unwrap();
                assert!(document.is_debug());
                check_window(vector, &document, &lenient, &verifier);
            }
            (expect, answer) => surprises.push((&vector.file, expect, answer.err())),
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

/// Rule 14 of the checklist: any instant inside the certificates' window is good, any outside is
/// not; and rule 29: the other kind never is.
fn check_window<B: SignatureAlgorithms>(
    vector: &Vector,
    document: &VerifiedDocument,
    expectation: &Expectation,
    verifier: &Verifier<B>,
) {
    let verify = |at| verifier.verify(&vector.bytes, at, expectation);
    let end = document.not_after();
    verify(end).unwrap();
    let second = 1000;
    let after = Timestamp::from_millis(end.as_millis() + second);
    assert_eq!(verify(after).unwrap_err().rule(), "certificate-expired", "{}", vector.file);
    let before = Timestamp::from_millis(end.as_millis() - 4 * 3600 * second);
    let rule = verify(before).unwrap_err().rule();
    assert_eq!(rule, "certificate-not-yet-valid", "{}", vector.file);
    let other = match document.kind() {
        Kind::Enclave => Kind::NitroTpm,
        Kind::NitroTpm => Kind::Enclave,
    };
    let rejection =
        verifier.verify(&vector.bytes, vector.at, &expectation.clone().kind(other)).unwrap_err();
    assert_eq!(rejection.rule(), "kind");
}

fn pcrs(vector: &Vector) -> Pcrs {
    let value = |text: &String| text.parse::<PcrValue>().unwrap();
    Pcrs::new(vector.pcrs.iter().map(|(index, text)| (*index, value(text)))).unwrap()
}

fn check_negative_documents<B: SignatureAlgorithms + Copy>(backend: B) {
    let Some(vectors) = vectors("nitro-negative") else { return };
    assert_eq!(vectors.len(), 165);
    let aws = Verifier::with_backend(TrustAnchors::aws_nitro(), backend);
    let root = vectors_folder().unwrap().join("nitro-negative/synth_root.der");
    let synthetic = Verifier::with_backend(
        TrustAnchors::from_der([std::fs::read(root).unwrap()]).unwrap(),
        backend,
    );
    let mut surprises = Vec::new();
    for vector in &vectors {
        let verifier = if vector.synthetic { &synthetic } else { &aws };
        let verify =
            |expectation: &Expectation| verifier.verify(&vector.bytes, vector.at, expectation);
        let any = Expectation::any_measurement();
        let accepted_without = verify(&any).is_ok();
        let pcr0 = Pcrs::new([(0, PcrValue::new([0x11; 48]))]).unwrap();
        let as_expected = match &*vector.expect {
            "accept" => accepted_without,
            "reject" => !accepted_without && verify(&any.allow_debug()).is_err(),
            "policy" => accepted_without == ACCEPTED_BY_POLICY.contains(&&*vector.file),
            "reject-unless-debug-allowed" => {
                verify(&any.clone()).err() == Some(Rejection::Debug)
                    && verify(&any.allow_debug()).is_ok()
            }
            "reject-when-nonce-expected" => {
                accepted_without && verify(&any.nonce([7; 32])).err() == Some(Rejection::Nonce)
            }
            "reject-when-pcr-expected" => {
                accepted_without
                    && matches!(
                        verify(&Expectation::measurements(pcr0)),
                        Err(Rejection::PcrMissing(_))
                    )
            }
            "reject-when-max-age" => {
                accepted_without
                    && verify(&any.max_age(Duration::from_secs(300))).err()
                        == Some(Rejection::TooOld)
            }
            other => panic!("the manifest has a new word: {other}"),
        };
        if !as_expected {
            let answer = verify(&Expectation::any_measurement()).err();
            surprises.push((&vector.file, &vector.expect, answer));
        } else if std::env::var_os("SEKISHO_PRINT_RULES").is_some() {
            let rule = verify(&Expectation::any_measurement()).err().map(|r| r.rule());
            println!("{} {}", vector.file, rule.unwrap_or("-"));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}
