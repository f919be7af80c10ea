//! The CiphertextBlob: what `Encrypt` gives out and `Decrypt` takes back.
//!
//! ```text
//! version (1) = 0x01 ‖ key id (16) ‖ material id (32) ‖ salt (32) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! Message key and nonce are HKDF-SHA-256 of the key material with the salt; the header before
//! the salt and the canonical encryption context are the associated data. The written format,
//! with a test vector, is `docs/ciphertext-blob.md`.

use super::context::EncryptionContext;
use super::id::KeyId;
use super::material::{KeyMaterial, MaterialId};
use crate::secret::{self, OpenError, SALT_LENGTH, SealError, TAG_LENGTH};
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL_MESSAGE: &[u8] = b"sekisho v1 ciphertext blob";

const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 1 + 16 + 32;

/// A well-formed ciphertext, not yet opened.
#[derive(Debug)]
pub(crate) struct CiphertextBlob {
    pub(crate) key_id: KeyId,
    pub(crate) material_id: MaterialId,
    header: [u8; HEADER_LENGTH],
    sealed: Vec<u8>,
}

/// The bytes are no ciphertext of this service.
#[derive(Debug, Error)]
#[error("not a ciphertext of this service")]
pub(crate) struct NotACiphertext;

impl CiphertextBlob {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NotACiphertext> {
        let (header, sealed) = bytes.split_first_chunk().ok_or(NotACiphertext)?;
        let (version, ids) = header.split_first().ok_or(NotACiphertext)?;
        let (key_id, material_id) = ids.split_first_chunk::<16>().ok_or(NotACiphertext)?;
        let material_id: [u8; 32] = material_id.try_into().map_err(|_| NotACiphertext)?;
        if *version != VERSION || sealed.len() <= SALT_LENGTH + TAG_LENGTH {
            return Err(NotACiphertext);
        }
        Ok(Self {
            key_id: KeyId::from_bytes(*key_id),
            material_id: MaterialId::from_bytes(material_id),
            header: *header,
            sealed: sealed.to_vec(),
        })
    }

    /// Opens it with the material that it names.
    pub(crate) fn open(
        &self,
        material: &KeyMaterial,
        context: &EncryptionContext,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let associated_data = associated_data(&self.header, context);
        let secret = material.secret().ok_or(OpenError)?;
        secret::open(secret, LABEL_MESSAGE, &associated_data, &self.sealed)
    }
}

/// Encrypts under a key's material; the answer is the whole blob.
pub(crate) fn encrypt(
    key_id: KeyId,
    material: &KeyMaterial,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut salt = [0; SALT_LENGTH];
    secret::fill_random(&mut salt)?;
    encrypt_with_salt(key_id, material, context, plaintext, &salt)
}

fn encrypt_with_salt(
    key_id: KeyId,
    material: &KeyMaterial,
    context: &EncryptionContext,
    plaintext: &[u8],
    salt: &[u8; SALT_LENGTH],
) -> Result<Vec<u8>, SealError> {
    let header: Vec<u8> =
        [&[VERSION], key_id.as_bytes().as_slice(), material.id().as_bytes()].concat();
    let associated_data = associated_data(&header, context);
    let sealed = secret::seal_with_salt(
        material.secret().ok_or(SealError::NoMaterial)?,
        LABEL_MESSAGE,
        salt,
        &associated_data,
        plaintext,
    )?;
    Ok([header, sealed].concat())
}

fn associated_data(header: &[u8], context: &EncryptionContext) -> Vec<u8> {
    [header, &context.canonical()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn material() -> KeyMaterial {
        KeyMaterial::from_secret(Secret::from_bytes(&[0x42; 32]), 0)
    }

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// The vector of `docs/ciphertext-blob.md`.
    #[test]
    fn test_vector() {
        let blob = encrypt_with_salt(
            KeyId::from_bytes([0x11; 16]),
            &material(),
            &context(&[("purpose", "test"), ("app", "sekisho")]),
            b"a key passes the checkpoint",
            &[0x22; 32],
        )
        .unwrap();
        let document = include_str!("../../../docs/ciphertext-blob.md");
        let wanted: String = document
            .split("```vector")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(hex::encode(blob), wanted);
    }

    #[test]
    fn context_order_does_not_matter_but_every_pair_does() {
        let blob =
            encrypt(KeyId::NIL, &material(), &context(&[("a", "1"), ("b", "2")]), b"plaintext")
                .unwrap();
        let blob = CiphertextBlob::parse(&blob).unwrap();
        assert!(blob.open(&material(), &context(&[("b", "2"), ("a", "1")])).is_ok());
        for wrong in [&[("a", "1")][..], &[("a", "1b"), ("", "2")], &[("a", "1"), ("b", "3")], &[]]
        {
            assert!(blob.open(&material(), &context(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn malformed_blobs_are_refused() {
        let good = encrypt(KeyId::NIL, &material(), &context(&[]), b"p").unwrap();
        assert!(CiphertextBlob::parse(&good).is_ok());
        for length in 0..=HEADER_LENGTH + SALT_LENGTH + TAG_LENGTH {
            assert!(CiphertextBlob::parse(&good[..length]).is_err(), "{length} bytes");
        }
        let mut version = good.clone();
        version[0] = 2;
        assert!(CiphertextBlob::parse(&version).is_err());
        for position in 1..good.len() {
            let mut changed = good.clone();
            changed[position] ^= 0x80;
            let opened = CiphertextBlob::parse(&changed)
                .map(|blob| blob.open(&material(), &context(&[])).is_ok());
            assert!(!matches!(opened, Ok(true)), "byte {position}");
        }
    }
}
