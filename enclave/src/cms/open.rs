//! Opens a CiphertextForRecipient: what AWS KMS, or another Sekisho, encrypted to a key of ours.
//!
//! The same CMS EnvelopedData as `cms.rs` writes (RFC 5652 §6), read strictly: the shape that AWS
//! KMS emits and nothing beside it. Containers may be of definite or indefinite length, and the
//! content in one piece or in chunks, as AWS's samples have them.
//!
//! AES-CBC authenticates nothing, and whoever has seen the public key can write such a message. So
//! a key of ours opens one message and is gone, every failure is the same error, and that the
//! message is the KMS's follows from the TLS connection that it came over.

use super::EXPONENT_65537;
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest message, bytes: 4096 of content are the most that KMS encrypts.
const MAX_ENVELOPE: usize = 8 * 1024;
/// A block of AES, and the initialization vector of CBC.
const BLOCK: usize = 16;
/// A key of AES-256.
const CONTENT_KEY: usize = 32;

const TAG_INTEGER: u8 = 0x02;
const TAG_OBJECT_IDENTIFIER: u8 = 0x06;
const TAG_OCTET_STRING: u8 = super::TAG_OCTET_STRING;
const TAG_SEQUENCE: u8 = super::TAG_SEQUENCE;
const TAG_SET: u8 = super::TAG_SET;
const TAG_CONTEXT_0: u8 = 0xa0;
const TAG_CONTEXT_0_PRIMITIVE: u8 = 0x80;
const TAG_CONTEXT_1: u8 = 0xa1;
const NULL: &[u8] = &[0x05, 0x00];

/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.1.7
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
/// 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
/// 2.16.840.1.101.3.4.2.1
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// The message does not open with this key. One error, whatever the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the answer is not encrypted to the key in the attestation document")]
pub(crate) struct NotOpened;

/// A key pair for one answer: its public half goes into an attestation document.
pub(crate) struct EphemeralKey {
    private: OaepPrivateDecryptingKey,
    spki: Vec<u8>,
}

impl EphemeralKey {
    /// A new RSA-2048 key; takes a tenth of a second, so not on a thread that others wait for.
    pub(crate) fn generate() -> Result<Self, NotOpened> {
        Self::of(PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| NotOpened)?)
    }

    pub(crate) fn of(key: PrivateDecryptingKey) -> Result<Self, NotOpened> {
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| NotOpened)?;
        let spki = spki.as_ref().to_vec();
        debug_assert!(spki.ends_with(EXPONENT_65537), "the exponent that KMS takes");
        let private = OaepPrivateDecryptingKey::new(key).map_err(|_| NotOpened)?;
        Ok(Self { private, spki })
    }

    /// DER SubjectPublicKeyInfo.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.spki
    }

    /// Opens the one message that is for this key.
    pub(crate) fn open(self, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        self.try_open(envelope)
    }

    /// [`EphemeralKey::open`] for tests and fuzzing, which make a key once.
    pub(crate) fn try_open(&self, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let parts = Envelope::parse(envelope)?;
        let identifier = Sha256::digest(&self.spki);
        if !bool::from(identifier.as_slice().ct_eq(parts.key_identifier)) {
            return Err(NotOpened);
        }
        let mut room = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let content_key = self
            .private
            .decrypt(&OAEP_SHA256_MGF1SHA256, parts.encrypted_key, &mut room, None)
            .map_err(|_| NotOpened)?;
        if content_key.len() != CONTENT_KEY {
            return Err(NotOpened);
        }
        let key = UnboundCipherKey::new(&AES_256, content_key).map_err(|_| NotOpened)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| NotOpened)?;
        let context = DecryptionContext::Iv128(FixedLength::from(parts.iv));
        let mut content = parts.encrypted_content;
        let length = key.decrypt(&mut content, context).map_err(|_| NotOpened)?.len();
        content.truncate(length);
        Ok(content)
    }
}

/// An EnvelopedData for one recipient, with the algorithms of AWS KMS.
pub(crate) struct Envelope<'b> {
    /// SHA-256 of the recipient's SubjectPublicKeyInfo.
    key_identifier: &'b [u8],
    encrypted_key: &'b [u8],
    iv: &'b [u8; BLOCK],
    /// Whole blocks, at least one; its chunks joined.
    encrypted_content: Zeroizing<Vec<u8>>,
}

impl<'b> Envelope<'b> {
    /// Reads a ContentInfo that fills `bytes`.
    pub(crate) fn parse(bytes: &'b [u8]) -> Result<Self, NotOpened> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(NotOpened);
        }
        let mut input = Ber(bytes);
        let envelope = input.constructed(TAG_SEQUENCE, |content_info| {
            content_info.identifier(ENVELOPED_DATA)?;
            content_info.constructed(TAG_CONTEXT_0, |content| {
                content.constructed(TAG_SEQUENCE, enveloped_data)
            })
        })?;
        input.end()?;
        Ok(envelope)
    }
}

/// RFC 5652 §6.1; neither originatorInfo nor unprotectedAttrs.
fn enveloped_data<'b>(enveloped: &mut Ber<'b>) -> Result<Envelope<'b>, NotOpened> {
    enveloped.version_2()?;
    // One recipient: whatever follows it is not the end of the set.
    let (key_identifier, encrypted_key) = enveloped.constructed(TAG_SET, |recipients| {
        recipients.constructed(TAG_SEQUENCE, |recipient| {
            recipient.version_2()?;
            let key_identifier = recipient.primitive(TAG_CONTEXT_0_PRIMITIVE)?;
            recipient.constructed(TAG_SEQUENCE, rsaes_oaep_sha_256)?;
            Ok((key_identifier, recipient.primitive(TAG_OCTET_STRING)?))
        })
    })?;
    enveloped.constructed(TAG_SEQUENCE, |encrypted| {
        encrypted.identifier(DATA)?;
        let iv = encrypted.constructed(TAG_SEQUENCE, |algorithm| {
            algorithm.identifier(AES_256_CBC)?;
            algorithm.primitive(TAG_OCTET_STRING)?.try_into().map_err(|_| NotOpened)
        })?;
        let encrypted_content = encrypted.content()?;
        if encrypted_content.is_empty() || encrypted_content.len() % BLOCK != 0 {
            return Err(NotOpened);
        }
        Ok(Envelope { key_identifier, encrypted_key, iv, encrypted_content })
    })
}

/// RSAES-OAEP-params (RFC 8017 §A.2.1): SHA-256, MGF1 with SHA-256, and the empty label, which is
/// the default and so not written.
fn rsaes_oaep_sha_256(algorithm: &mut Ber<'_>) -> Result<(), NotOpened> {
    algorithm.identifier(RSAES_OAEP)?;
    algorithm.constructed(TAG_SEQUENCE, |parameters| {
        parameters.constructed(TAG_CONTEXT_0, |hash| hash.constructed(TAG_SEQUENCE, sha_256))?;
        parameters.constructed(TAG_CONTEXT_1, |mask| {
            mask.constructed(TAG_SEQUENCE, |function| {
                function.identifier(MGF1)?;
                function.constructed(TAG_SEQUENCE, sha_256)
            })
        })
    })
}

/// The parameters may be absent or NULL (RFC 5754 §2).
fn sha_256(algorithm: &mut Ber<'_>) -> Result<(), NotOpened> {
    algorithm.identifier(SHA_256)?;
    if let Some(rest) = algorithm.0.strip_prefix(NULL) {
        algorithm.0 = rest;
    }
    Ok(())
}

/// What is left of some BER (X.690). The caller's structure is the nesting, so that no input
/// nests deeper than this file.
struct Ber<'b>(&'b [u8]);

enum Length {
    Definite(usize),
    /// Until two zero bytes.
    Indefinite,
}

impl<'b> Ber<'b> {
    /// A constructed element that `inside` reads to its end.
    fn constructed<T>(
        &mut self,
        tag: u8,
        inside: impl FnOnce(&mut Self) -> Result<T, NotOpened>,
    ) -> Result<T, NotOpened> {
        match self.head(tag)? {
            Length::Definite(length) => {
                let mut content = Ber(self.take(length)?);
                let read = inside(&mut content)?;
                content.end()?;
                Ok(read)
            }
            Length::Indefinite => {
                let read = inside(self)?;
                match self.take(2)? {
                    [0, 0] => Ok(read),
                    _ => Err(NotOpened),
                }
            }
        }
    }

    fn primitive(&mut self, tag: u8) -> Result<&'b [u8], NotOpened> {
        match self.head(tag)? {
            Length::Definite(length) => self.take(length),
            Length::Indefinite => Err(NotOpened),
        }
    }

    fn identifier(&mut self, wanted: &[u8]) -> Result<(), NotOpened> {
        let found = self.primitive(TAG_OBJECT_IDENTIFIER)?;
        if found == wanted { Ok(()) } else { Err(NotOpened) }
    }

    fn version_2(&mut self) -> Result<(), NotOpened> {
        if self.primitive(TAG_INTEGER)? == [2] { Ok(()) } else { Err(NotOpened) }
    }

    /// `[0] IMPLICIT OCTET STRING`, in one piece or in chunks (X.690 §8.7).
    fn content(&mut self) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        if self.0.first() == Some(&TAG_CONTEXT_0_PRIMITIVE) {
            return self.primitive(TAG_CONTEXT_0_PRIMITIVE).map(|piece| piece.to_vec().into());
        }
        self.constructed(TAG_CONTEXT_0, |chunks| {
            // At its full size at once: a vector that grows leaves copies behind.
            let mut joined = Zeroizing::new(Vec::with_capacity(chunks.0.len()));
            while chunks.0.first() == Some(&TAG_OCTET_STRING) {
                joined.extend_from_slice(chunks.primitive(TAG_OCTET_STRING)?);
            }
            Ok(joined)
        })
    }

    fn end(&self) -> Result<(), NotOpened> {
        if self.0.is_empty() { Ok(()) } else { Err(NotOpened) }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], NotOpened> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NotOpened)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The tag that must come, and the length after it in its shortest form, two bytes at most.
    fn head(&mut self, tag: u8) -> Result<Length, NotOpened> {
        let [found, first, rest @ ..] = self.0 else { return Err(NotOpened) };
        if *found != tag {
            return Err(NotOpened);
        }
        self.0 = rest;
        match *first {
            short @ 0..0x80 => Ok(Length::Definite(short.into())),
            0x80 => Ok(Length::Indefinite),
            0x81 => match self.take(1)? {
                [length @ 0x80..=0xff] => Ok(Length::Definite((*length).into())),
                _ => Err(NotOpened),
            },
            0x82 => match self.take(2)? {
                [high @ 1..=0xff, low] => {
                    Ok(Length::Definite(u16::from_be_bytes([*high, *low]).into()))
                }
                _ => Err(NotOpened),
            },
            _ => Err(NotOpened),
        }
    }
}

#[cfg(test)]
mod tests;
