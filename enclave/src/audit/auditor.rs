//! The auditor's key pair. The worker has its public half only.

use super::block::{EXPORTER_CONTEXT, INFO};
use super::sealer::cipher;
use crate::hpke::{Encapsulated, HpkeKey, HpkePrivateKey, P384_SPKI};
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::agreement::{ECDH_P384, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Reads blocks. Keeps the key of the epoch that it read last: an epoch's blocks follow one another.
pub struct AuditorPrivateKey {
    pair: PrivateKey,
    hpke: HpkePrivateKey,
    public: Vec<u8>,
    identifier: [u8; 32],
    epoch: Option<(Encapsulated, LessSafeKey)>,
}

impl AuditorPrivateKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`InvalidAuditorKey`] where the random generator fails.
    pub fn generate() -> Result<Self, InvalidAuditorKey> {
        Self::of(PrivateKey::generate(&ECDH_P384).map_err(|_| InvalidAuditorKey)?)
    }

    /// Reads a P-384 private key in DER: PKCS #8 (RFC 5208) or RFC 5915.
    ///
    /// # Errors
    /// [`InvalidAuditorKey`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidAuditorKey> {
        Self::of(PrivateKey::from_private_key_der(&ECDH_P384, der).map_err(|_| InvalidAuditorKey)?)
    }

    /// Reads the scalar, 48 bytes, big endian.
    ///
    /// # Errors
    /// [`InvalidAuditorKey`] where it is 0, or not below the curve's order.
    pub fn from_scalar(scalar: &[u8; 48]) -> Result<Self, InvalidAuditorKey> {
        Self::of(PrivateKey::from_private_key(&ECDH_P384, scalar).map_err(|_| InvalidAuditorKey)?)
    }

    fn of(pair: PrivateKey) -> Result<Self, InvalidAuditorKey> {
        let scalar: EcPrivateKeyBin<'_> = pair.as_be_bytes().map_err(|_| InvalidAuditorKey)?;
        let hpke = HpkePrivateKey::from_scalar(scalar.as_ref()).ok_or(InvalidAuditorKey)?;
        let point = pair.compute_public_key().map_err(|_| InvalidAuditorKey)?;
        let public = [P384_SPKI, point.as_ref()].concat();
        let identifier = HpkeKey::from_spki(&public).map_err(|_| InvalidAuditorKey)?.identifier;
        Ok(Self { pair, hpke, public, identifier, epoch: None })
    }

    /// The private key as PKCS #8, DER.
    ///
    /// # Errors
    /// [`InvalidAuditorKey`] where it cannot be written.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, InvalidAuditorKey> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| InvalidAuditorKey)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public key as SubjectPublicKeyInfo, DER: what a worker is given.
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// SHA-256 of [`AuditorPrivateKey::public_key`]: what blocks name.
    pub fn identifier(&self) -> &[u8; 32] {
        &self.identifier
    }

    /// The cipher of an epoch.
    pub(super) fn epoch(&mut self, encapsulated: &Encapsulated) -> Option<&LessSafeKey> {
        if self.epoch.as_ref().is_none_or(|(known, _)| known != encapsulated) {
            let key = self.hpke.export(encapsulated, INFO, EXPORTER_CONTEXT)?;
            self.epoch = Some((*encapsulated, cipher(&key)?));
        }
        self.epoch.as_ref().map(|(_, cipher)| cipher)
    }
}

impl fmt::Debug for AuditorPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuditorPrivateKey")
            .field("identifier", &hex::encode(self.identifier))
            .finish_non_exhaustive()
    }
}

/// Not an auditor's private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a P-384 private key")]
pub struct InvalidAuditorKey;
