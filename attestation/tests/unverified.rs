//! What can be shown of documents that do not verify.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[macro_use]
mod common;

use common::cbor::{array, bytes, head, map, unsigned};
use common::enclave::Enclave;
use sekisho_attestation::{Kind, UnverifiedDocument};

#[test]
fn a_document_that_the_strict_reader_refuses_is_shown() {
    let enclave = Enclave::new();
    let payload = enclave.fields().and("extra", &unsigned(1)).indefinite();
    let kid = map(&[(unsigned(4), bytes(b"kid"))]);
    let (one, two) = payload.split_at(500);
    let chunked = [vec![0x5f], bytes(one), bytes(two), vec![0xff]].concat();
    let loose = [head(6, 99), array(&[bytes(b""), kid, chunked, bytes(&[1; 7])])].concat();
    assert_ne!(enclave.rule(&loose), "accepted");
    let read = UnverifiedDocument::read(&loose).unwrap();
    assert_eq!((read.tag, read.indefinite, read.complete), (Some(99), true, true));
    assert_eq!(read.module_id.as_deref(), Some(&*enclave.document.module_id));
    assert_eq!((read.kind, read.pcrs.len()), (Some(Kind::Enclave), 16));
    assert_eq!((read.certificates.len(), read.signature_length), (5, 7));
    assert_eq!(read.unknown_fields, ["extra"]);
    assert_eq!(read.nonce.as_deref(), Some(&b"nonce"[..]));
}

#[test]
fn of_a_document_cut_off_anywhere_the_start_is_shown() {
    let enclave = Enclave::new();
    let document = enclave.document.sign(&enclave.leaf.key);
    let mut fields = 0;
    for end in (0..document.len() - 97).step_by(13) {
        let Ok(read) = UnverifiedDocument::read(&document[..end]) else {
            assert!(end < 100, "{end}");
            continue;
        };
        assert!(!read.complete, "{end}");
        let now = [
            read.module_id.is_some(),
            read.timestamp.is_some(),
            read.pcrs.len() == 16,
            !read.certificates.is_empty(),
            read.public_key.is_some(),
            read.user_data.is_some(),
        ];
        let now = now.into_iter().filter(|met| *met).count();
        assert!(now >= fields, "{end}");
        fields = now;
    }
    assert_eq!(fields, 6);
}

#[test]
fn what_is_no_document_is_not_shown() {
    for bytes in [&b""[..], b"text", &[0x84], &[0x84, 0x40, 0xa0, 0x41], &[0; 20_000]] {
        assert!(UnverifiedDocument::read(bytes).is_err());
    }
}
