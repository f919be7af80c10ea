//! The recipient opens what AWS KMS wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use sekisho_devkit::cms::EnvelopedData;
use sekisho_devkit::{Recipient, published_rsa_key, published_vectors};

#[test]
fn samples_of_aws_are_read_and_no_prefix_or_extension_of_them() {
    let Some(folder) = published_vectors("cms") else { return };
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

#[test]
fn samples_with_a_key_are_opened() {
    let Some(folder) = published_vectors("cms") else { return };
    let recipient = |name: &str| {
        let key = published_rsa_key(&folder.join(format!("{name}_rsa_key.json")));
        Recipient::from_pkcs8(&key.unwrap()).unwrap()
    };
    let sample = |name: &str| {
        std::fs::read(folder.join(format!("{name}_ciphertext_for_recipient.ber"))).unwrap()
    };
    let names = ["edgebit", "rust_hello", "mbedtls_c"];
    let plaintext = |name: &str| recipient(name).open(&sample(name)).unwrap();
    assert_eq!(plaintext("edgebit"), std::fs::read(folder.join("edgebit_plaintext.bin")).unwrap());
    assert_eq!(plaintext("rust_hello"), b"Hello, World");
    assert_eq!(plaintext("mbedtls_c").len(), 32);
    for (one, other) in names.into_iter().zip(names.into_iter().cycle().skip(1)) {
        assert!(recipient(one).open(&sample(other)).is_err(), "{one} opens {other}");
    }
    // Any bit: of the ciphertext CBC keeps quiet about all but the padding, which is why nothing
    // but the CMS structure and the encrypted key is tried here.
    let good = sample("rust_hello");
    let ours = recipient("rust_hello");
    for position in (0..good.len() - 16 - 8).step_by(7) {
        let mut flipped = good.clone();
        flipped[position] ^= 1;
        assert!(ours.open(&flipped) != Ok(b"Hello, World".to_vec()), "byte {position}");
    }
}
