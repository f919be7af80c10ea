//! The recipient opens what AWS KMS wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use sekisho_devkit::cms::EnvelopedData;

#[test]
fn samples_of_aws_are_read_and_no_prefix_or_extension_of_them() {
    let Some(folder) = std::env::var_os("SEKISHO_VECTORS") else {
        eprintln!("\n*** SKIPPED: SEKISHO_VECTORS is not set, no published vector was tried ***\n");
        return;
    };
    let folder = std::path::Path::new(&folder).join("cms");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    for name in [
        "edgebit_ciphertext_for_recipient.ber",
        "rust_hello_ciphertext_for_recipient.ber",
        "mbedtls_c_ciphertext_for_recipient.ber",
        "rust_storage_ciphertext_for_recipient_nokey.ber",
        "aws_sdk_c_input_ber.bin",
        "aws_sdk_c_input_ber_w_ctx.bin",
    ] {
        let ber = read(name);
        let enveloped = EnvelopedData::decode(&ber).unwrap();
        assert_eq!(enveloped.key_identifier.len(), 32, "{name}");
        assert_eq!(enveloped.encrypted_key.len(), 256, "{name}");
        assert_eq!(enveloped.ciphertext.len() % 16, 0, "{name}");
        for end in 0..ber.len() {
            assert!(EnvelopedData::decode(&ber[..end]).is_err(), "{name} {end}");
        }
        assert!(EnvelopedData::decode(&[&ber[..], &[0]].concat()).is_err());
    }
    for suffix in ["", "_w_ctx"] {
        let ber = read(&format!("aws_sdk_c_input_ber{suffix}.bin"));
        let enveloped = EnvelopedData::decode(&ber).unwrap();
        let part = |name: &str| read(&format!("aws_sdk_c_{name}_out{suffix}.bin"));
        assert_eq!(enveloped.encrypted_key, part("encrypted_key"));
        assert_eq!(enveloped.iv[..], part("iv"));
        assert_eq!(enveloped.ciphertext, part("ciphertext"));
    }
}
