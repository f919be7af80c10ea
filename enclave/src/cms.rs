//! CiphertextForRecipient: CMS EnvelopedData (RFC 5652) in the exact BER that AWS KMS emits.
//!
//! The outer containers are of indefinite length, as AWS's are: SDKs in the field parse this shape
//! byte by byte. RSAES-OAEP with SHA-256 (RFC 4055) carries a fresh AES-256 key to the recipient,
//! AES-256-CBC with PKCS #7 padding (RFC 3565) carries the content.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::{RandomUnavailable, fill_random};

pub(crate) mod open;

/// `SEQUENCE {` of indefinite length.
const OPEN_SEQUENCE: &[u8] = &[0x30, 0x80];
/// `[0] {` of indefinite length.
const OPEN_CONTEXT_0: &[u8] = &[0xa0, 0x80];
/// Ends a container of indefinite length.
const END_OF_CONTENTS: &[u8] = &[0x00, 0x00];
/// INTEGER 2: the version of EnvelopedData and of a recipient named by key identifier.
const VERSION_2: &[u8] = &[0x02, 0x01, 0x02];
/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.1.7 with SHA-256 and MGF1 with SHA-256, each with its NULL parameters.
const RSAES_OAEP_SHA_256: &[u8] = &[
    0x30, 0x3c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0,
    0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
    0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
];
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

const TAG_OCTET_STRING: u8 = 0x04;
const TAG_SEQUENCE: u8 = 0x30;
const TAG_SET: u8 = 0x31;
const TAG_SUBJECT_KEY_IDENTIFIER: u8 = 0x80;

/// The end of every SubjectPublicKeyInfo that is taken: INTEGER 65537. Other exponents are either
/// weak (1, even, 3) or used by nobody.
const EXPONENT_65537: &[u8] = &[0x02, 0x03, 0x01, 0x00, 0x01];
/// RSA moduli that are taken, bits.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The attested public key that an answer is encrypted to.
pub(crate) struct OaepKey {
    key: OaepPublicEncryptingKey,
    /// SHA-256 of the DER SubjectPublicKeyInfo: AWS's subject key identifier.
    pub(crate) identifier: [u8; 32],
}

/// The attested public key cannot be used.
#[derive(Debug, Error)]
#[error(
    "the document's public key is not an RSA key of 2048 to 4096 bits in DER SubjectPublicKeyInfo form"
)]
pub(crate) struct UnusableKey;

impl OaepKey {
    /// Reads a DER SubjectPublicKeyInfo. The enclave chose these bytes: nothing in them is trusted.
    pub(crate) fn from_spki(spki: &[u8]) -> Result<Self, UnusableKey> {
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| UnusableKey)?;
        // The parser lets trailing bytes pass; a key has one encoding.
        let canonical: PublicKeyX509Der<'_> = key.as_der().map_err(|_| UnusableKey)?;
        if canonical.as_ref() != spki
            || !spki.ends_with(EXPONENT_65537)
            || !MODULUS_BITS.contains(&key.key_size_bits())
        {
            return Err(UnusableKey);
        }
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| UnusableKey)?;
        Ok(Self { key, identifier: Sha256::digest(spki).into() })
    }

    /// Encrypts `content` so that only the holder of the private key reads it.
    pub(crate) fn envelop(&self, content: &[u8]) -> Result<Vec<u8>, EnvelopError> {
        let mut content_key = Zeroizing::new([0; 32]);
        fill_random(content_key.as_mut_slice())?;
        let mut room = vec![0; self.key.ciphertext_size()];
        let encrypted_key =
            self.key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_slice(), &mut room, None)?;

        let key = UnboundCipherKey::new(&AES_256, content_key.as_slice())?;
        let mut encrypted_content = content.to_vec();
        let context = PaddedBlockEncryptingKey::cbc_pkcs7(key)?.encrypt(&mut encrypted_content)?;
        let DecryptionContext::Iv128(iv) = context else {
            return Err(EnvelopError::Cipher(Unspecified));
        };
        Ok(self.encode(encrypted_key, iv.as_ref(), &encrypted_content))
    }

    fn encode(&self, encrypted_key: &[u8], iv: &[u8], encrypted_content: &[u8]) -> Vec<u8> {
        let recipient = element(
            TAG_SEQUENCE,
            &[
                VERSION_2,
                &element(TAG_SUBJECT_KEY_IDENTIFIER, &[&self.identifier]),
                RSAES_OAEP_SHA_256,
                &element(TAG_OCTET_STRING, &[encrypted_key]),
            ],
        );
        [
            OPEN_SEQUENCE,
            ENVELOPED_DATA,
            OPEN_CONTEXT_0,
            OPEN_SEQUENCE,
            VERSION_2,
            &element(TAG_SET, &[&recipient]),
            OPEN_SEQUENCE,
            DATA,
            &element(TAG_SEQUENCE, &[AES_256_CBC, &element(TAG_OCTET_STRING, &[iv])]),
            OPEN_CONTEXT_0,
            &element(TAG_OCTET_STRING, &[encrypted_content]),
            &END_OF_CONTENTS.repeat(5),
        ]
        .concat()
    }
}

/// Tag, definite length (X.690 §8.1.3), contents.
fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = contents.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let head = match significant.as_slice() {
        [] => vec![tag, 0],
        [short] if *short < 0x80 => vec![tag, *short],
        // At most eight length bytes: the count fits beside the flag.
        long => [&[tag, 0x80 | u8::try_from(long.len()).unwrap_or(8)], long].concat(),
    };
    [head, contents].concat()
}

/// Why an answer could not be encrypted to the recipient.
#[derive(Debug, Error)]
pub(crate) enum EnvelopError {
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error("RSA-OAEP or AES-CBC failed")]
    Cipher(Unspecified),
}

impl From<Unspecified> for EnvelopError {
    fn from(error: Unspecified) -> Self {
        Self::Cipher(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};

    fn key(size: KeySize) -> (PrivateDecryptingKey, OaepKey) {
        let private = PrivateDecryptingKey::generate(size).unwrap();
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let recipient = OaepKey::from_spki(spki.as_ref()).unwrap();
        (private, recipient)
    }

    /// The fixed bytes and lengths of the samples of AWS KMS: 457 bytes for one block of content.
    #[test]
    fn has_the_shape_of_awss_answers() {
        let (_, recipient) = key(KeySize::Rsa2048);
        let envelope = recipient.envelop(b"Hello, World").unwrap();
        assert_eq!(envelope.len(), 461);
        assert_eq!(
            &envelope[..20],
            hex::decode("308006092a864886f70d010703a0803080020102").unwrap()
        );
        assert_eq!(
            &envelope[20..33],
            hex::decode("3182016b30820167020102 8020".replace(' ', "")).unwrap()
        );
        assert_eq!(&envelope[33..65], &recipient.identifier);
        assert_eq!(&envelope[387..389], &[0x30, 0x80]);
        assert_eq!(&envelope[431..435], &[0xa0, 0x80, 0x04, 0x10]);
        assert_eq!(&envelope[451..], &[0; 10]);
    }

    #[test]
    fn the_private_key_opens_the_content_key() {
        let (private, recipient) = key(KeySize::Rsa3072);
        let envelope = recipient.envelop(&[7; 4096]).unwrap();
        let at = 127 + 4;
        let encrypted_key = &envelope[at..at + 384];
        let mut room = [0; 384];
        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let content_key =
            private.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, &mut room, None).unwrap();
        assert_eq!(content_key.len(), 32);
    }

    #[test]
    fn other_keys_are_refused() {
        for spki in [&b""[..], &[0x30, 0x00], b"-----BEGIN PUBLIC KEY-----", &[4; 65]] {
            assert!(OaepKey::from_spki(spki).is_err());
        }
        let (private, _) = key(KeySize::Rsa2048);
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let mut trailing = spki.as_ref().to_vec();
        trailing.push(0);
        assert!(OaepKey::from_spki(&trailing).is_err());
        let mut exponent_3 = spki.as_ref().to_vec();
        let last = exponent_3.len() - 1;
        exponent_3[last] = 3;
        assert!(OaepKey::from_spki(&exponent_3).is_err());
    }
}
