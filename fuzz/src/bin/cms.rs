//! Any bytes as a CiphertextForRecipient.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_devkit::cms::EnvelopedData;
use sekisho_fuzz::within_allowance;

fuzz_target!(|input: &[u8]| {
    let decoded = within_allowance(|| EnvelopedData::decode(input));
    if let Ok(enveloped) = decoded {
        let parts = enveloped.encrypted_key.len() + enveloped.ciphertext.len();
        assert!(parts < input.len() && enveloped.key_identifier.len() < input.len());
    }
});
