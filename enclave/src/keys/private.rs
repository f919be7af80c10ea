//! The secret of a key that is no symmetric encryption key.

use crate::secret::{RandomUnavailable, fill_random};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::spec::KeySpec;

/// An HMAC key, or a private key as PKCS #8 (RFC 5208). A clone shares it.
#[derive(Clone)]
pub(crate) struct PrivateMaterial(Arc<Zeroizing<Vec<u8>>>);

impl PrivateMaterial {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Arc::new(bytes))
    }

    /// As long as the output of the hash, as AWS makes HMAC keys.
    pub(crate) fn generate_hmac(spec: KeySpec) -> Result<Self, MacError> {
        let mut bytes = Zeroizing::new(vec![0; Self::hmac_length(spec)?]);
        fill_random(&mut bytes)?;
        Ok(Self::new(bytes))
    }

    /// Bytes of an HMAC key of this spec, if it is made here, and at least if it is imported.
    pub(crate) fn hmac_length(spec: KeySpec) -> Result<usize, MacError> {
        Ok(mac_algorithm(spec)?.digest_algorithm().output_len)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// HMAC (FIPS 198-1) of `message`.
    pub(crate) fn mac(&self, spec: KeySpec, message: &[u8]) -> Result<Vec<u8>, MacError> {
        let key = hmac::Key::new(mac_algorithm(spec)?, self.expose());
        Ok(hmac::sign(&key, message).as_ref().to_vec())
    }

    /// Compares in constant time, the whole tag.
    pub(crate) fn verify_mac(
        &self,
        spec: KeySpec,
        message: &[u8],
        mac: &[u8],
    ) -> Result<(), MacError> {
        let key = hmac::Key::new(mac_algorithm(spec)?, self.expose());
        hmac::verify(&key, message, mac).map_err(|_| MacError::Invalid)
    }
}

fn mac_algorithm(spec: KeySpec) -> Result<hmac::Algorithm, MacError> {
    match spec {
        KeySpec::Hmac224 => Ok(hmac::HMAC_SHA224),
        KeySpec::Hmac256 => Ok(hmac::HMAC_SHA256),
        KeySpec::Hmac384 => Ok(hmac::HMAC_SHA384),
        KeySpec::Hmac512 => Ok(hmac::HMAC_SHA512),
        _ => Err(MacError::NotAnHmacKey),
    }
}

/// Why there is no MAC, or why it is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MacError {
    #[error("the key is no HMAC key")]
    NotAnHmacKey,
    #[error("the MAC is not of this message")]
    Invalid,
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

impl std::fmt::Debug for PrivateMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateMaterial(redacted)")
    }
}

impl Serialize for PrivateMaterial {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.expose())
    }
}

impl<'de> Deserialize<'de> for PrivateMaterial {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::deserialize(deserializer).map(|bytes| Self::new(Zeroizing::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.2 and §4.3.
    #[test]
    fn hmac_gives_the_published_values() {
        for (key, message, spec, wanted) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                KeySpec::Hmac224,
                "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
            ),
            (
                vec![0x0b; 20],
                b"Hi There",
                KeySpec::Hmac256,
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                KeySpec::Hmac384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                KeySpec::Hmac512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let material = PrivateMaterial::new(Zeroizing::new(key));
            let mac = material.mac(spec, message).unwrap();
            assert_eq!(hex::encode(&mac), wanted, "{spec:?}");
            assert!(material.verify_mac(spec, message, &mac).is_ok());
            for length in 0..mac.len() {
                assert!(material.verify_mac(spec, message, &mac[..length]).is_err(), "{length}");
            }
            let mut changed = mac.clone();
            changed[0] ^= 1;
            assert!(material.verify_mac(spec, message, &changed).is_err());
        }
        let symmetric = PrivateMaterial::generate_hmac(KeySpec::SymmetricDefault);
        assert!(matches!(symmetric, Err(MacError::NotAnHmacKey)));
    }
}
