//! Makes blocks: encrypts to the auditor, signs as the service.
//!
//! The auditor's key is used once an *epoch*: one encapsulation, from whose context the key of
//! all its blocks is exported. So a block costs one AES-256-GCM and one Ed25519 signature, and the
//! worker itself can read none that it wrote before the epoch.

use super::block::{
    AuditBlock, AuditSignatureKey, EXPORTER_CONTEXT, HEADER_LENGTH, INFO, MAGIC, SIGNATURE_LENGTH,
    nonce, signed_message,
};
use crate::hpke::{Encapsulated, HpkeKey};
use crate::secret::Secret;
use crate::storage::record::BlobHash;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, UnboundKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Blocks of one epoch. Nonces count up within it, so none comes twice; 2^16 blocks of 64 KiB stay
/// far below what one AES-256-GCM key may carry, and make an encapsulation's millisecond cost
/// nothing.
const EPOCH_BLOCKS: u32 = 1 << 16;

/// The one maker of a service's blocks.
pub(crate) struct BlockSealer {
    auditor: HpkeKey,
    signature: Ed25519KeyPair,
    public: AuditSignatureKey,
    epoch: Epoch,
    /// Of the epoch before.
    former: Option<Encapsulated>,
}

struct Epoch {
    encapsulated: Encapsulated,
    cipher: LessSafeKey,
    /// The number of the next block. It also counts blocks that the host never kept.
    next: u32,
}

/// A block on its way to the host.
pub(super) struct SealedBlock {
    pub(super) bytes: Vec<u8>,
    pub(super) hash: BlobHash,
}

impl BlockSealer {
    /// For the auditor with this SubjectPublicKeyInfo, signing with the key of `seed`.
    pub(crate) fn new(auditor: &[u8], seed: &Secret) -> Result<Self, SealerError> {
        let auditor = HpkeKey::from_spki(auditor).map_err(|_| SealerError::Auditor)?;
        let signature = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_| SealerError::SignatureKey)?;
        let public = signature.public_key().as_ref().try_into();
        let public = AuditSignatureKey::from_bytes(public.map_err(|_| SealerError::SignatureKey)?);
        // Now, and not while the first decision waits.
        let epoch = Epoch::begin(&auditor)?;
        Ok(Self { auditor, signature, public, epoch, former: None })
    }

    pub(crate) fn public(&self) -> AuditSignatureKey {
        self.public
    }

    /// Whether it made this block, in this epoch or the one before: an epoch is one worker's alone.
    pub(super) fn made(&self, block: &AuditBlock<'_>) -> bool {
        *block.encapsulated == self.epoch.encapsulated || Some(*block.encapsulated) == self.former
    }

    /// Makes block `sequence` after the one with the hash `previous`.
    pub(super) fn seal(
        &mut self,
        sequence: u64,
        previous: BlobHash,
        plaintext: &[u8],
    ) -> Result<SealedBlock, SealerError> {
        if self.epoch.next >= EPOCH_BLOCKS {
            let next = Epoch::begin(&self.auditor)?;
            self.former = Some(std::mem::replace(&mut self.epoch, next).encapsulated);
        }
        let Self { auditor, signature, epoch, .. } = self;
        let number = epoch.next;
        // Counted before anything can fail: a nonce is never used twice.
        epoch.next = epoch.next.saturating_add(1);

        let mut bytes = Vec::with_capacity(HEADER_LENGTH + plaintext.len() + 16 + SIGNATURE_LENGTH);
        bytes.extend(MAGIC);
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(previous.as_bytes());
        bytes.extend(auditor.identifier);
        bytes.extend(epoch.encapsulated);
        bytes.extend(number.to_be_bytes());
        bytes.extend(plaintext);
        let (header, content) =
            bytes.split_at_mut_checked(HEADER_LENGTH).ok_or(SealerError::Seal)?;
        let tag = epoch
            .cipher
            .seal_in_place_separate_tag(nonce(number), Aad::from(header), content)
            .map_err(|_| SealerError::Seal)?;
        bytes.extend(tag.as_ref());

        let mut hasher = Sha256::new_with_prefix(&bytes);
        let digest = hasher.clone().finalize().into();
        let signature =
            signature.try_sign(&signed_message(&digest)).map_err(|_| SealerError::Sign)?;
        hasher.update(signature.as_ref());
        bytes.extend(signature.as_ref());
        Ok(SealedBlock { bytes, hash: BlobHash::from_bytes(hasher.finalize().into()) })
    }

    /// With an epoch whose encapsulation is known: for the test vector.
    #[cfg(test)]
    pub(super) fn begin_with(&mut self, random: &mut crate::hpke::Fixed, next: u32) {
        let exported = self.auditor.export_with(INFO, EXPORTER_CONTEXT, random);
        let (encapsulated, key) = exported.unwrap();
        self.epoch = Epoch { encapsulated, cipher: cipher(&key).unwrap(), next };
    }
}

impl Epoch {
    fn begin(auditor: &HpkeKey) -> Result<Self, SealerError> {
        let exported = auditor.export(INFO, EXPORTER_CONTEXT);
        let (encapsulated, key) = exported.map_err(|_| SealerError::Seal)?;
        let cipher = cipher(&key).ok_or(SealerError::Seal)?;
        Ok(Self { encapsulated, cipher, next: 0 })
    }
}

/// AWS-LC's AES-256-GCM, in place: the fastest there is here, for every block goes through it.
pub(super) fn cipher(key: &Secret) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new)
}

/// Why there is no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealerError {
    /// The boot configuration's key for the auditor.
    #[error(
        "the auditor's key is not a P-384 key in DER SubjectPublicKeyInfo form with a named curve \
         and an uncompressed point"
    )]
    Auditor,
    /// No key to sign with.
    #[error("the audit signature key cannot be made")]
    SignatureKey,
    /// The random generator or HPKE failed.
    #[error("a block cannot be encrypted to the auditor")]
    Seal,
    /// AWS-LC failed.
    #[error("a block cannot be signed")]
    Sign,
}
