//! Whatever certification path is accepted here, rustls-webpki accepts too. The reverse does not
//! hold: it does not ask for the order, the root, or the constraints that AWS's profile has.
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

use common::enclave::{Enclave, NOW, at};
use sekisho_attestation::{
    Expectation, Kind, Timestamp, TrustAnchors, UnverifiedDocument, Verifier,
};
use webpki::aws_lc_rs::ECDSA_P384_SHA384;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

fn by_webpki(document: &[u8], at: Timestamp) -> Result<(), Error> {
    let certificates = UnverifiedDocument::read(document).unwrap().certificates;
    let certificates: Vec<_> =
        certificates.iter().map(|certificate| certificate.der.as_slice().into()).collect();
    let [root, intermediates @ .., leaf] = &certificates[..] else { panic!("no chain") };
    let anchor = anchor_from_trusted_cert(root)?;
    let time = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(at.as_seconds()));
    EndEntityCert::try_from(leaf)?
        .verify_for_usage(
            &[ECDSA_P384_SHA384],
            &[anchor],
            intermediates,
            time,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(|_| ())
}

#[test]
fn the_real_documents() {
    let Some(vectors) = common::vectors("nitro") else { return };
    let verifier = Verifier::new(TrustAnchors::aws_nitro());
    let mut agreed = 0;
    for vector in vectors {
        let kind = if vector.kind == "nitro-tpm" { Kind::NitroTpm } else { Kind::Enclave };
        let expectation = Expectation::any_measurement().allow_debug().kind(kind);
        if verifier.verify(&vector.bytes, vector.at, &expectation).is_ok() {
            by_webpki(&vector.bytes, vector.at).unwrap();
            agreed += 1;
        }
    }
    assert_eq!(agreed, 30);
}

#[test]
fn documents_of_the_development_kit() {
    let enclave = Enclave::new();
    let document = enclave.document.sign(&enclave.leaf.key);
    assert_eq!(enclave.rule(&document), "accepted");
    by_webpki(&document, at(NOW)).unwrap();
}
