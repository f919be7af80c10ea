//! Any bytes as the KMS's answer that carries the root key: what the worker opens, read as the
//! tests' own reader reads it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sekisho_devkit::cms::EnvelopedData;
use sekisho_enclave::probe::parsers::Recipient;
use sekisho_fuzz::within_allowance;

static KEY: LazyLock<Recipient> = LazyLock::new(|| Recipient::generate().expect("randomness"));

fuzz_target!(|input: &[u8]| {
    LazyLock::force(&KEY);
    let (reads, opens) = within_allowance(|| KEY.open(input));
    assert!(reads || !opens, "it opens without being read");
    // The other reader takes more lengths than the shortest, so it reads all that is read here.
    assert!(!reads || EnvelopedData::decode(input).is_ok(), "the two readers differ");
});
