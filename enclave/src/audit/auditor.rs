//! The auditor's key pair. The worker has its public half only.

use super::block::{EXPORTER_CONTEXT, INFO};
use super::sealer::cipher;
use crate::hpke::{Encapsulated, HpkePair};
use aws_lc_rs::aead::LessSafeKey;
use std::fmt;

/// Reads blocks. Keeps the key of the epoch that it read last: an epoch's blocks follow one another.
pub struct AuditorPrivateKey {
    pair: HpkePair,
    epoch: Option<(Encapsulated, LessSafeKey)>,
}

impl AuditorPrivateKey {
    /// The public key as SubjectPublicKeyInfo, DER: what a worker is given.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key()
    }

    /// SHA-256 of [`AuditorPrivateKey::public_key`]: what blocks name.
    pub fn identifier(&self) -> &[u8; 32] {
        self.pair.identifier()
    }

    /// The cipher of an epoch.
    pub(super) fn epoch(&mut self, encapsulated: &Encapsulated) -> Option<&LessSafeKey> {
        if self.epoch.as_ref().is_none_or(|(known, _)| known != encapsulated) {
            let key = self.pair.private.export(encapsulated, INFO, EXPORTER_CONTEXT)?;
            self.epoch = Some((*encapsulated, cipher(&key)?));
        }
        self.epoch.as_ref().map(|(_, cipher)| cipher)
    }
}

impl From<HpkePair> for AuditorPrivateKey {
    fn from(pair: HpkePair) -> Self {
        Self { pair, epoch: None }
    }
}

impl fmt::Debug for AuditorPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuditorPrivateKey")
            .field("identifier", &hex::encode(self.identifier()))
            .finish_non_exhaustive()
    }
}
