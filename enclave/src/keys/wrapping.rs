//! How key material travels to the worker: wrapped under a key pair that is made for it (AWS KMS
//! Developer Guide, "Importing key material", steps 2 and 3).
//!
//! The import token is the private wrapping key, sealed: version (1), salt (32), ciphertext, tag (16)
//! under a subkey of the root key, bound to the KMS key. The worker stores nothing, and a token is as
//! good after a restart. `docs/imported-keys.md` says what that means.

use super::id::KeyId;
use super::pair::{KeyPair, PairError};
use super::private::PrivateMaterial;
use super::spec::{KeySpec, KeyType, KeyUsage};
use crate::secret::{self, SealError, Secret};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL_TOKEN: &[u8] = b"sekisho v1 import token";
const VERSION: u8 = 1;

/// AWS KMS `AlgorithmSpec`, those that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WrappingAlgorithm {
    /// The material itself, by RSAES-OAEP (RFC 8017 §7.1).
    Direct(OaepHash),
    /// An AES-256 key by RSAES-OAEP, and the material by AES key wrap with padding (RFC 5649).
    Hybrid(OaepHash),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OaepHash {
    Sha1,
    Sha256,
}

impl OaepHash {
    fn algorithm(self) -> &'static str {
        match self {
            Self::Sha1 => "RSAES_OAEP_SHA_1",
            Self::Sha256 => "RSAES_OAEP_SHA_256",
        }
    }
}

/// How a key's material may be wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapping {
    algorithm: WrappingAlgorithm,
    /// Of the wrapping key: RSA.
    spec: KeySpec,
}

impl Wrapping {
    /// AWS's names, if the two can wrap material of a key of spec `material`.
    pub(crate) fn named(algorithm: &str, spec: &str, material: KeySpec) -> Option<Self> {
        let algorithm = match algorithm {
            "RSAES_OAEP_SHA_1" => WrappingAlgorithm::Direct(OaepHash::Sha1),
            "RSAES_OAEP_SHA_256" => WrappingAlgorithm::Direct(OaepHash::Sha256),
            "RSA_AES_KEY_WRAP_SHA_1" => WrappingAlgorithm::Hybrid(OaepHash::Sha1),
            "RSA_AES_KEY_WRAP_SHA_256" => WrappingAlgorithm::Hybrid(OaepHash::Sha256),
            // RSAES_PKCS1_V1_5 since October 2023, and SM2PKE outside of China.
            _ => return None,
        };
        let wrapping = Self { algorithm, spec: KeySpec::named(spec)? };
        wrapping.modulus_length()?;
        wrapping.is_for(material).then_some(wrapping)
    }

    fn is_for(self, material: KeySpec) -> bool {
        let is_asymmetric = material.key_type() == KeyType::Asymmetric;
        match self.algorithm {
            WrappingAlgorithm::Hybrid(_) => is_asymmetric,
            WrappingAlgorithm::Direct(_) => match material.name() {
                rsa if rsa.starts_with("RSA_") => false,
                // AWS has it so for both.
                "ECC_NIST_P521" | "ECC_NIST_EDWARDS25519" => self.spec != KeySpec::Rsa2048,
                _ => true,
            },
        }
    }

    /// Bytes.
    fn modulus_length(self) -> Option<usize> {
        match self.spec {
            KeySpec::Rsa2048 => Some(256),
            KeySpec::Rsa3072 => Some(384),
            KeySpec::Rsa4096 => Some(512),
            _ => None,
        }
    }

    /// The spec of the key pair that has to be made for it.
    pub(crate) fn spec(self) -> KeySpec {
        self.spec
    }
}

/// What an import token holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct WrappingKey {
    pub(crate) wrapping: Wrapping,
    /// Milliseconds since 1970; from then on it unwraps nothing.
    pub(crate) expires: u64,
    /// PKCS #8.
    pub(crate) private: PrivateMaterial,
}

impl WrappingKey {
    /// Whether `encrypted` can be what this key wraps by its length: material itself is one block.
    pub(crate) fn fits(&self, encrypted: &[u8]) -> bool {
        let block = self.wrapping.modulus_length();
        match self.wrapping.algorithm {
            WrappingAlgorithm::Direct(_) => block == Some(encrypted.len()),
            WrappingAlgorithm::Hybrid(_) => true,
        }
    }

    /// The key material in `encrypted`. Whatever is wrong with it is one error.
    pub(crate) fn unwrap(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotUnwrapped> {
        let Wrapping { algorithm, spec } = self.wrapping;
        let pair = KeyPair::from_pkcs8(spec, KeyUsage::EncryptDecrypt, self.private.expose())?;
        match algorithm {
            WrappingAlgorithm::Direct(hash) => Ok(pair.decrypt(hash.algorithm(), encrypted)?),
            WrappingAlgorithm::Hybrid(hash) => {
                let length = self.wrapping.modulus_length().ok_or(NotUnwrapped)?;
                let (key, wrapped) = encrypted.split_at_checked(length).ok_or(NotUnwrapped)?;
                let key = pair.decrypt(hash.algorithm(), key)?;
                let key = AesKek::new(&AES_256, &key).map_err(|_| NotUnwrapped)?;
                let mut room = Zeroizing::new(vec![0; wrapped.len()]);
                let material = key.unwrap_with_padding(wrapped, &mut room);
                Ok(Zeroizing::new(material.map_err(|_| NotUnwrapped)?.to_vec()))
            }
        }
    }
}

/// Makes and opens import tokens.
#[derive(Debug)]
pub(crate) struct ImportTokens(RwLock<Secret>);

impl ImportTokens {
    pub(crate) fn new(key: Secret) -> Self {
        Self(RwLock::new(key))
    }

    /// After a rotation of the root key: no token of before counts.
    pub(crate) fn replace(&self, key: Secret) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn key(&self) -> RwLockReadGuard<'_, Secret> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token of a wrapping key, for the material of `key` alone.
    pub(crate) fn seal(&self, key: KeyId, wrapping: &WrappingKey) -> Result<Vec<u8>, SealToken> {
        let plaintext = Zeroizing::new(codec::encode(wrapping)?);
        let sealed = secret::seal(&self.key(), LABEL_TOKEN, key.as_bytes(), &plaintext)?;
        Ok([[VERSION].as_slice(), &sealed].concat())
    }

    /// The wrapping key of a token that came for `key`, if it is still to be used at `now`.
    pub(crate) fn open(
        &self,
        key: KeyId,
        token: &[u8],
        now: u64,
    ) -> Result<WrappingKey, OpenToken> {
        let sealed = token.strip_prefix(&[VERSION]).ok_or(OpenToken::Invalid)?;
        let opened = secret::open(&self.key(), LABEL_TOKEN, key.as_bytes(), sealed);
        let plaintext = opened.map_err(|_| OpenToken::Invalid)?;
        let wrapping: WrappingKey = codec::decode(&plaintext).map_err(|_| OpenToken::Invalid)?;
        if wrapping.expires <= now {
            return Err(OpenToken::Expired);
        }
        Ok(wrapping)
    }
}

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum SealToken {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum OpenToken {
    #[error("the token is of another key, or of nobody's")]
    Invalid,
    #[error("the token has expired")]
    Expired,
}

/// The encrypted key material does not unwrap.
#[derive(Debug, Error)]
#[error("the key material does not unwrap")]
pub(crate) struct NotUnwrapped;

impl From<PairError> for NotUnwrapped {
    fn from(_: PairError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
