//! Rules 1 to 10 and 34 of the checklist: the envelope.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use common::cbor::{self, NULL, array, bytes, head, map, text, unsigned};
use common::enclave::Enclave;
use p384::ecdsa::signature::Signer as _;
use p384::ecdsa::signature::hazmat::PrehashSigner as _;
use p384::ecdsa::{Signature, SigningKey};
use sekisho_devkit::{envelope, random_key, sign_payload};
use sha2::{Digest as _, Sha256};

const ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

/// A good document's parts, each as CBOR.
fn parts(enclave: &Enclave) -> [Vec<u8>; 4] {
    let payload = enclave.document.payload();
    let signature = sign(&enclave.leaf.key, "Signature1", ES384, b"", &payload);
    [bytes(ES384), map(&[]), bytes(&payload), bytes(&signature)]
}

fn sign(key: &SigningKey, context: &str, protected: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(&sig_structure(context, protected, aad, payload));
    signature.to_bytes().to_vec()
}

fn sig_structure(context: &str, protected: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    array(&[text(context), bytes(protected), bytes(aad), bytes(payload)])
}

#[test]
fn rule_01_tags_other_than_one_cose_sign1() {
    let enclave = Enclave::new();
    let good = array(&parts(&enclave));
    assert_eq!(enclave.rule(&good), "accepted");
    let tagged = |tag: u64| [head(6, tag), good.clone()].concat();
    assert_eq!(enclave.rule(&tagged(18)), "accepted");
    for tag in [16, 17, 61, 96, 97, 98, 55799] {
        assert_eq!(enclave.rule(&tagged(tag)), "cose-tag");
    }
    let twice = [head(6, 18), tagged(18)].concat();
    assert_eq!(enclave.rule(&twice), "cbor-wrong-type");
    let long = [vec![0xd8, 18], good.clone()].concat();
    assert_eq!(enclave.rule(&long), "cbor-not-shortest");
}

#[test]
fn rule_02_bytes_after_the_document() {
    let enclave = Enclave::new();
    let good = array(&parts(&enclave));
    assert_eq!(enclave.rule(&[&good[..], &[0]].concat()), "cbor-trailing-bytes");
    assert_eq!(enclave.rule(&[&good[..], &good].concat()), "cbor-trailing-bytes");
    for end in [0, 1, 2, 10, good.len() - 1] {
        assert_eq!(enclave.rule(&good[..end]), "cbor-malformed", "{end}");
    }
}

#[test]
fn rule_03_the_array_has_four_items_and_a_definite_length() {
    let enclave = Enclave::new();
    let parts = parts(&enclave);
    let indefinite = [vec![0x9f], parts.concat(), vec![0xff]].concat();
    assert_eq!(enclave.rule(&indefinite), "cbor-indefinite-length");
    assert_eq!(enclave.rule(&array(&parts[..3])), "cose-structure");
    let five = [&parts[..], &[cbor::unsigned(0)]].concat();
    assert_eq!(enclave.rule(&array(&five)), "cose-structure");
    let long = [vec![0x98, 4], parts.concat()].concat();
    assert_eq!(enclave.rule(&long), "cbor-not-shortest");
    assert_eq!(enclave.rule(&map(&[])), "cbor-wrong-type");
}

#[test]
fn rule_04_the_payload_is_one_short_byte_string() {
    let enclave = Enclave::new();
    let [protected, unprotected, _, signature] = parts(&enclave);
    let payload = enclave.document.payload();
    let with = |item: Vec<u8>| {
        let items = [protected.clone(), unprotected.clone(), item, signature.clone()];
        enclave.rule(&array(&items))
    };
    let (first, second) = payload.split_at(1000);
    let chunked = [vec![0x5f], bytes(first), bytes(second), vec![0xff]].concat();
    assert_eq!(with(chunked), "cbor-indefinite-length");
    let length = (payload.len() as u32).to_be_bytes();
    assert_eq!(with([&[0x5a], &length[..], &payload].concat()), "cbor-not-shortest");
    assert_eq!(with(NULL.to_vec()), "cbor-wrong-type");
    assert_eq!(with([head(3, 3), b"abc".to_vec()].concat()), "cbor-wrong-type");
    assert_eq!(with(bytes(b"")), "payload-size");
    assert_eq!(with(bytes(&[0; 16385])), "payload-size");
    assert_eq!(enclave.rule(&sign_payload(&[0; 17000], &enclave.leaf.key)), "document-size");
    let claimed = [&[0x5b][..], &u64::MAX.to_be_bytes(), &payload].concat();
    assert_eq!(with(claimed), "cbor-malformed");
}

#[test]
fn rule_05_the_unprotected_header_is_empty() {
    let enclave = Enclave::new();
    let [protected, _, payload, signature] = parts(&enclave);
    let with = |item: Vec<u8>| {
        let items = [protected.clone(), item, payload.clone(), signature.clone()];
        enclave.rule(&array(&items))
    };
    let kid = map(&[(unsigned(4), bytes(b"kid"))]);
    assert_eq!(with(kid), "cose-unprotected-header");
    let alg = map(&[(unsigned(1), vec![0x38, 0x22])]);
    assert_eq!(with(alg), "cose-unprotected-header");
    assert_eq!(with(vec![0xbf, 0xff]), "cbor-indefinite-length", "policy");
    assert_eq!(with(vec![0xb8, 0]), "cbor-not-shortest");
    assert_eq!(with(NULL.to_vec()), "cbor-wrong-type");
}

#[test]
fn rule_06_the_protected_header_is_es384_and_nothing_else() {
    let enclave = Enclave::new();
    let payload = enclave.document.payload();
    let with = |protected: &[u8]| {
        let signature = sign(&enclave.leaf.key, "Signature1", protected, b"", &payload);
        enclave.rule(&envelope(protected, &payload, &signature))
    };
    assert_eq!(with(ES384), "accepted");
    for protected in [
        &[0xa1, 0x01, 0x26][..],                           // ES256
        &[0xa1, 0x01, 0x38, 0x23],                         // ES512
        &[0xa1, 0x01, 0x20],                               // -1, as QEMU has it
        &[0xa1, 0x01, 0x65, b'E', b'S', b'3', b'8', b'4'], // as text
        &[0xa0],                                           // no alg
        &[],                                               // empty
        &[0xa2, 0x01, 0x38, 0x22, 0x04, 0x40],             // a header more
        &[0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x01],       // crit
        &[0xa2, 0x01, 0x38, 0x22, 0x01, 0x38, 0x22],       // twice
        &[0xa1, 0x01, 0x38, 0x22, 0x00],                   // trailing
        &[0xa1, 0x01, 0x39, 0x00, 0x22],                   // not shortest
        &[0xa1, 0x18, 0x01, 0x38, 0x22],                   // not shortest
        &[0xb8, 0x01, 0x01, 0x38, 0x22],                   // not shortest
        &[0xbf, 0x01, 0x38, 0x22, 0xff],                   // indefinite
    ] {
        assert_eq!(with(protected), "cose-protected-header", "{protected:02x?}");
    }
    let [_, unprotected, payload, signature] = parts(&enclave);
    let items = [ES384.to_vec(), unprotected, payload, signature];
    assert_eq!(enclave.rule(&array(&items)), "cbor-wrong-type");
}

#[test]
fn rule_07_signatures_that_are_none() {
    let enclave = Enclave::new();
    let payload = enclave.document.payload();
    let good = sign(&enclave.leaf.key, "Signature1", ES384, b"", &payload);
    let with = |signature: &[u8]| enclave.rule(&envelope(ES384, &payload, signature));
    let (r, s) = good.split_at(48);
    let der = Signature::from_slice(&good).unwrap().to_der();
    for wrong in
        [&[][..], &[0; 64], &good[..64], &good[..95], &[&good[..], &[0]].concat(), der.as_bytes()]
    {
        assert_eq!(with(wrong), "signature-length");
    }
    let order = p384_order();
    let mut flipped = good.clone();
    flipped[95] ^= 1;
    for wrong in [
        vec![0; 96],
        [s, r].concat(),
        [&order[..], s].concat(),
        [r, &order].concat(),
        [r, &[0; 48]].concat(),
        [&[0; 48], s].concat(),
        flipped,
    ] {
        assert_eq!(with(&wrong), "document-signature");
    }
    let [protected, unprotected, payload, _] = parts(&enclave);
    let items = [protected, unprotected, payload, NULL.to_vec()];
    assert_eq!(enclave.rule(&array(&items)), "cbor-wrong-type");
}

/// The order of the P-384 group (SEC 2 §2.5.1).
fn p384_order() -> [u8; 48] {
    let mut order = [0xff; 48];
    let low = b"\xc7\x63\x4d\x81\xf4\x37\x2d\xdf\x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\
                \xcc\xc5\x29\x73";
    order[24..].copy_from_slice(low);
    order
}

#[test]
fn rule_08_another_sig_structure() {
    let enclave = Enclave::new();
    let payload = enclave.document.payload();
    let key = &enclave.leaf.key;
    let with = |signature: &[u8]| enclave.rule(&envelope(ES384, &payload, signature));
    assert_eq!(with(&sign(key, "Signature1", ES384, b"aad", &payload)), "document-signature");
    assert_eq!(with(&sign(key, "Signature", ES384, b"", &payload)), "document-signature");
    let structure = sig_structure("Signature1", ES384, b"", &payload);
    let sha256: Signature = key.sign_prehash(&Sha256::digest(structure)).unwrap();
    assert_eq!(with(&sha256.to_bytes()), "document-signature");
    let bare: Signature = key.sign(&payload);
    assert_eq!(with(&bare.to_bytes()), "document-signature");
}

#[test]
fn rule_09_any_bit_flip() {
    let enclave = Enclave::new();
    let good = array(&parts(&enclave));
    assert_eq!(enclave.rule(&good), "accepted");
    // Each byte once, in steps that meet every field and every certificate.
    for position in (0..good.len()).step_by(41) {
        let mut flipped = good.clone();
        flipped[position] ^= 1 << (position % 8);
        assert_ne!(enclave.rule(&flipped), "accepted", "byte {position}");
    }
}

#[test]
fn rule_10_signed_by_another_key_or_by_the_instances_authority() {
    let enclave = Enclave::new();
    for key in [&random_key(), &enclave.chain.instance().key, &enclave.chain.authorities[0].key] {
        assert_eq!(enclave.rule(&enclave.document.sign(key)), "document-signature");
    }
}

#[test]
fn rule_34_a_document_as_qemu_makes_it() {
    let enclave = Enclave::new();
    let mut document = enclave.document.clone();
    document.certificate = vec![0; 0];
    document.cabundle = vec![vec![0; 0]];
    let qemu = envelope(&[0xa1, 0x01, 0x20], &document.payload(), &[0; 64]);
    assert_eq!(enclave.rule(&qemu), "cose-protected-header");
}
