//! A P-384 key pair of somebody outside, to whom a worker encrypts: the auditor, the administrator,
//! the holder of a share. The worker has its public half only.

use super::{HpkeKey, HpkePrivateKey, P384_SPKI};
use aws_lc_rs::agreement::{ECDH_P384, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Opens what was encrypted to its public key.
pub struct HpkePair {
    pair: PrivateKey,
    pub(crate) private: HpkePrivateKey,
    public: Vec<u8>,
    identifier: [u8; 32],
}

impl HpkePair {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`InvalidPrivateKey`] where the random generator fails.
    pub fn generate() -> Result<Self, InvalidPrivateKey> {
        Self::of(PrivateKey::generate(&ECDH_P384).map_err(|_| InvalidPrivateKey)?)
    }

    /// Reads a P-384 private key in DER: PKCS #8 (RFC 5208) or RFC 5915.
    ///
    /// # Errors
    /// [`InvalidPrivateKey`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidPrivateKey> {
        Self::of(PrivateKey::from_private_key_der(&ECDH_P384, der).map_err(|_| InvalidPrivateKey)?)
    }

    /// Reads the scalar, 48 bytes, big endian.
    ///
    /// # Errors
    /// [`InvalidPrivateKey`] where it is 0, or not below the curve's order.
    pub fn from_scalar(scalar: &[u8; 48]) -> Result<Self, InvalidPrivateKey> {
        Self::of(PrivateKey::from_private_key(&ECDH_P384, scalar).map_err(|_| InvalidPrivateKey)?)
    }

    fn of(pair: PrivateKey) -> Result<Self, InvalidPrivateKey> {
        let scalar: EcPrivateKeyBin<'_> = pair.as_be_bytes().map_err(|_| InvalidPrivateKey)?;
        let private = HpkePrivateKey::from_scalar(scalar.as_ref()).ok_or(InvalidPrivateKey)?;
        let point = pair.compute_public_key().map_err(|_| InvalidPrivateKey)?;
        let public = [P384_SPKI, point.as_ref()].concat();
        let identifier = HpkeKey::from_spki(&public).map_err(|_| InvalidPrivateKey)?.identifier;
        Ok(Self { pair, private, public, identifier })
    }

    /// What was encrypted to it for the use `info`, bound to `associated_data`; none for anything
    /// else.
    pub(crate) fn open(
        &self,
        info: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.private.open(info, associated_data, sealed)
    }

    /// What the holder of `sender` has encrypted to it for the use `info`; none for anything else.
    pub(crate) fn open_from(
        &self,
        sender: &HpkeKey,
        info: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.private.open_from(sender, info, associated_data, sealed)
    }

    /// The private key as PKCS #8, DER.
    ///
    /// # Errors
    /// [`InvalidPrivateKey`] where it cannot be written.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, InvalidPrivateKey> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| InvalidPrivateKey)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public key as SubjectPublicKeyInfo, DER: what a worker is given.
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// SHA-256 of [`HpkePair::public_key`].
    pub fn identifier(&self) -> &[u8; 32] {
        &self.identifier
    }
}

impl fmt::Debug for HpkePair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HpkePair")
            .field("identifier", &hex::encode(self.identifier))
            .finish_non_exhaustive()
    }
}

/// Not such a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a P-384 private key")]
pub struct InvalidPrivateKey;
