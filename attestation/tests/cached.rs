//! Cached and uncached verification always agree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

use common::enclave::{Enclave, HOUR, NOW, at, validity};
use proptest::prelude::*;
use sekisho_attestation::{Expectation, TrustAnchors, Verifier};

/// Documents of three chains under one root, good ones and bad ones, and their root.
struct Documents {
    root: Vec<u8>,
    documents: Vec<Vec<u8>>,
}

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(|| {
    let enclave = Enclave::new();
    let mut documents = Vec::new();
    for hours in 0..3 {
        let start = common::enclave::now() + hours * HOUR;
        let chain = enclave.pki.chain(start);
        for leaf_hours in 0..2 {
            let leaf = chain.leaf(&enclave.document.module_id, start + leaf_hours * HOUR);
            let mut document = enclave.document.clone();
            document.certificate = leaf.certificate.clone();
            document.cabundle = chain.cabundle();
            documents.push(document.sign(&leaf.key));
            // The same leaf, another document; the same leaf, no signature.
            document.nonce = None;
            documents.push(document.sign(&leaf.key));
            documents.push(document.sign(&enclave.leaf.key));
            // The same leaf under another bundle: with a repetition, and another chain's.
            document.cabundle.insert(1, document.cabundle[0].clone());
            documents.push(document.sign(&leaf.key));
            document.cabundle = enclave.chain.cabundle();
            documents.push(document.sign(&leaf.key));
        }
        // A leaf that ends earlier than its key's other one.
        let mut document = enclave.document.clone();
        let key = &enclave.leaf.key;
        let short = validity(NOW, NOW + Duration::from_secs(60));
        let short = chain.leaf_template(&document.module_id, key, short);
        document.certificate = short.sign(&chain.instance().key);
        document.cabundle = chain.cabundle();
        documents.push(document.sign(key));
    }
    Documents { root: enclave.pki.root_der().to_vec(), documents }
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any documents, in any order, at any instants, with any capacity, some of them with a byte
    /// changed: every answer is what a verifier without a cache answers.
    #[test]
    fn cached_and_uncached_agree(
        capacity in 1_usize..4,
        steps in prop::collection::vec(
            (0_usize..33, -2_i64..30 * 3600, prop::option::weighted(0.3, any::<prop::sample::Index>())),
            1..24,
        ),
    ) {
        let anchors = TrustAnchors::from_der([&DOCUMENTS.root]).unwrap();
        let plain = backend_verifier(anchors.clone());
        let cached = backend_verifier(anchors).with_cache(NonZeroUsize::new(capacity).unwrap());
        let expectation = Expectation::any_measurement();
        for (document, seconds, flip) in steps {
            let mut document = DOCUMENTS.documents[document % DOCUMENTS.documents.len()].clone();
            if let Some(flip) = flip {
                let position = flip.index(document.len());
                document[position] ^= 1;
            }
            let instant = at(NOW.saturating_add_signed(seconds));
            prop_assert_eq!(
                cached.verify(&document, instant, &expectation),
                plain.verify(&document, instant, &expectation)
            );
            // And again, from the cache.
            prop_assert_eq!(
                cached.verify(&document, instant, &expectation),
                plain.verify(&document, instant, &expectation)
            );
        }
    }
}

trait AddSigned {
    fn saturating_add_signed(self, seconds: i64) -> Self;
}

impl AddSigned for Duration {
    fn saturating_add_signed(self, seconds: i64) -> Self {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { self.saturating_sub(by) } else { self.saturating_add(by) }
    }
}

#[cfg(feature = "aws-lc-rs")]
fn backend_verifier(anchors: TrustAnchors) -> Verifier<sekisho_attestation::backend::AwsLc> {
    Verifier::with_backend(anchors, sekisho_attestation::backend::AwsLc)
}

#[cfg(not(feature = "aws-lc-rs"))]
fn backend_verifier(anchors: TrustAnchors) -> Verifier {
    Verifier::new(anchors)
}

#[test]
fn signature_checks_are_told_beforehand() {
    let anchors = TrustAnchors::from_der([&DOCUMENTS.root]).unwrap();
    let verifier = Verifier::new(anchors).with_cache(NonZeroUsize::MIN);
    let [first, same_leaf, .., other_leaf] = &DOCUMENTS.documents[..6] else { unreachable!() };
    let now = at(NOW + HOUR);
    let checks = |document: &[u8]| verifier.signature_checks(document, now).unwrap();
    assert_eq!(checks(first), 5);
    verifier.verify(first, now, &Expectation::any_measurement()).unwrap();
    assert_eq!((checks(first), checks(same_leaf), checks(other_leaf)), (1, 1, 2));
    let later = at(NOW + 4 * HOUR);
    assert_eq!(verifier.signature_checks(first, later), Ok(2), "the leaf has expired");
    let much_later = at(NOW + 25 * HOUR);
    assert_eq!(verifier.signature_checks(first, much_later), Ok(5), "the chain has expired");
    assert!(verifier.signature_checks(b"", now).is_err());
}
