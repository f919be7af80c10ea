//! One block of the audit log: encrypted to the auditor, signed by the service, readable alone.
//!
//! The format is written down in docs/audit.md. A block's *digest* is SHA-256 of all but its
//! signature, and is what is signed; its *hash* is SHA-256 of all of it, and is what the next
//! block, the journal and attestations name.

use super::AuditEntry;
use super::auditor::AuditorPrivateKey;
use super::chain::AuditFault;
use crate::hpke::{ENCAPSULATED_LENGTH, Encapsulated};
use crate::storage::record::BlobHash;
use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use sekisho_wire::codec;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// What every block begins with; the last byte is the version.
pub(super) const MAGIC: [u8; 4] = *b"SKA\x01";
/// In front of the digest in what is signed: such a signature means nothing anywhere else.
const LABEL_SIGNATURE: &[u8] = b"sekisho v1 audit block signature";
/// `info` of the key schedule (RFC 9180 §5.1).
pub(super) const INFO: &[u8] = b"sekisho v1 audit log";
/// `exporter_context` of an epoch's key (RFC 9180 §5.3).
pub(super) const EXPORTER_CONTEXT: &[u8] = b"sekisho v1 audit block key";

/// Magic, sequence, previous, auditor, enc, number.
pub(super) const HEADER_LENGTH: usize = 4 + 8 + 32 + 32 + ENCAPSULATED_LENGTH + 4;
const TAG_LENGTH: usize = 16;
pub(super) const SIGNATURE_LENGTH: usize = 64;

/// The public key (Ed25519) under which the service signs its audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSignatureKey([u8; 32]);

impl AuditSignatureKey {
    /// Takes 32 bytes (RFC 8032 §5.1.2). That they are a point of the curve shows when a
    /// signature is verified.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for AuditSignatureKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

/// The bytes that are signed for a digest.
pub(super) fn signed_message(digest: &[u8; 32]) -> Vec<u8> {
    [LABEL_SIGNATURE, digest].concat()
}

/// The nonce of the block with this number in its epoch.
pub(super) fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; 12];
    if let Some(last) = nonce.last_chunk_mut::<4>() {
        *last = number.to_be_bytes();
    }
    Nonce::assume_unique_for_key(nonce)
}

/// A block that was read; nothing in it is believed before [`AuditBlock::verify`].
pub struct AuditBlock<'a> {
    sequence: u64,
    previous: [u8; 32],
    auditor: [u8; 32],
    pub(super) encapsulated: &'a Encapsulated,
    number: u32,
    header: &'a [u8],
    ciphertext: &'a [u8],
    signature: &'a [u8; SIGNATURE_LENGTH],
    digest: [u8; 32],
    hash: BlobHash,
}

impl<'a> AuditBlock<'a> {
    /// Reads a block's fields, and checks none of them.
    ///
    /// # Errors
    /// [`NotABlock`] where the bytes are too short, or of another format.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotABlock> {
        if !bytes.starts_with(&MAGIC) {
            return Err(NotABlock::OtherFormat);
        }
        let (unsigned, signature) =
            bytes.split_last_chunk::<SIGNATURE_LENGTH>().ok_or(NotABlock::TooShort)?;
        let (header, ciphertext) =
            unsigned.split_at_checked(HEADER_LENGTH).ok_or(NotABlock::TooShort)?;
        if ciphertext.len() < TAG_LENGTH {
            return Err(NotABlock::TooShort);
        }
        let mut rest = header.get(MAGIC.len()..).unwrap_or_default();
        let mut hasher = Sha256::new_with_prefix(unsigned);
        let digest = hasher.clone().finalize().into();
        hasher.update(signature);
        Ok(Self {
            sequence: u64::from_be_bytes(*take(&mut rest)?),
            previous: *take(&mut rest)?,
            auditor: *take(&mut rest)?,
            encapsulated: take(&mut rest)?,
            number: u32::from_be_bytes(*take(&mut rest)?),
            header,
            ciphertext,
            signature,
            digest,
            hash: BlobHash::from_bytes(hasher.finalize().into()),
        })
    }

    /// Its number in the log; the first is 1.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The hash of the block before it; zeros in the first.
    pub fn previous(&self) -> &[u8; 32] {
        &self.previous
    }

    /// SHA-256 of the SubjectPublicKeyInfo (DER) of the auditor's key that it is encrypted to.
    pub fn auditor(&self) -> &[u8; 32] {
        &self.auditor
    }

    /// SHA-256 of the whole block.
    pub fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }

    #[cfg(test)]
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn blob_hash(&self) -> BlobHash {
        self.hash
    }

    /// Checks that the holder of `key` signed every byte of it.
    ///
    /// # Errors
    /// [`AuditFault::BadSignature`].
    pub fn verify(&self, key: &AuditSignatureKey) -> Result<(), AuditFault> {
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(&signed_message(&self.digest), self.signature)
            .map_err(|_| AuditFault::BadSignature { sequence: self.sequence })
    }

    /// Its decisions, in the order in which they were made.
    ///
    /// That a block opens says that someone who knows the auditor's public key made it: who, says
    /// [`AuditBlock::verify`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(&self, auditor: &mut AuditorPrivateKey) -> Result<Vec<AuditEntry>, Unreadable> {
        if self.auditor != *auditor.identifier() {
            return Err(Unreadable::OtherAuditor);
        }
        let cipher = auditor.epoch(self.encapsulated).ok_or(Unreadable::DoesNotOpen)?;
        let mut content = self.ciphertext.to_vec();
        let plaintext = cipher
            .open_in_place(nonce(self.number), Aad::from(self.header), &mut content)
            .map_err(|_| Unreadable::DoesNotOpen)?;
        let entries: Vec<ByteBuf> = codec::decode(plaintext).map_err(|_| Unreadable::Malformed)?;
        entries
            .iter()
            .map(|entry| codec::decode(entry).map_err(|_| Unreadable::Malformed))
            .collect()
    }
}

fn take<'a, const LENGTH: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; LENGTH], NotABlock> {
    let (taken, left) = rest.split_first_chunk::<LENGTH>().ok_or(NotABlock::TooShort)?;
    *rest = left;
    Ok(taken)
}

/// Bytes that are no block of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotABlock {
    /// They do not begin as a block of this version does.
    #[error(
        "it does not begin as a block of this version: it was changed, or an earlier Sekisho wrote \
         this store, whose audit log was sealed in another way and cannot be taken over (for a \
         folder of `sekisho dev`: sekisho dev --reset)"
    )]
    OtherFormat,
    /// Fewer than a header, a tag and a signature.
    #[error("it is cut short")]
    TooShort,
}

/// Why a block's decisions cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is for somebody else.
    #[error("it is encrypted to another auditor's key")]
    OtherAuditor,
    /// It was changed, or made without the key that it names.
    #[error("it does not open")]
    DoesNotOpen,
    /// It opens, and its content is not a list of decisions.
    #[error("its content is malformed")]
    Malformed,
}
