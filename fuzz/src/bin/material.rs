//! Any bytes as the key material that an import token unwrapped: the first byte picks the kind of key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::probe::parsers;
use sekisho_fuzz::within_allowance;

const KINDS: [(&str, &str); 6] = [
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    ("HMAC_384", "GENERATE_VERIFY_MAC"),
    ("RSA_2048", "SIGN_VERIFY"),
    ("RSA_2048", "ENCRYPT_DECRYPT"),
    ("ECC_NIST_P256", "SIGN_VERIFY"),
    ("ECC_NIST_P521", "KEY_AGREEMENT"),
];

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let (spec, usage) = KINDS[usize::from(*kind) % KINDS.len()];
    let der = within_allowance(|| parsers::ber(bytes));
    if let Some(der) = &der {
        assert!(der.len() <= bytes.len(), "DER is the shortest form");
        assert_eq!(parsers::ber(der).as_ref(), Some(der), "DER is BER, and its own DER");
    }
    let is_right = within_allowance(|| parsers::key_material(spec, usage, bytes));
    assert!(!is_right || der.is_some() || bytes.len() <= 128, "a private key that is not BER");
});
