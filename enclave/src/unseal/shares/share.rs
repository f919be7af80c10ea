//! One operator's share: as its holder gets it, and as the holder gives it to a worker.
//!
//! Both are HPKE messages in the form of docs/hpke-recipient.md. The one to the holder is in base mode:
//! that it comes from the worker is known from the attested connection on which it came. The one to
//! the worker is in Auth mode (RFC 9180 §5.1.3), under the holder's own key: only who holds it can
//! give the share, and a host that has made up shares, a root key and a store has nobody to give them.
//! The worker's key lives as long as the worker: what was recorded of an earlier start does not open.

use super::shamir::{Bytes, LENGTH};
use crate::hpke::{HpkeKey, HpkePair, SealFailed, UnusableKey};
use crate::principals::first::NotForThisKey;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// `info` of the two messages (RFC 9180 §5.1).
const INFO_HOLDER: &[u8] = b"sekisho v1 operator share";
const INFO_WORKER: &[u8] = b"sekisho v1 operator share for a worker";
const LABEL_NEXT: &[u8] = b"sekisho v1 next holders of operator shares";
/// The only version so far.
const VERSION: u8 = 1;

/// Which making of shares a share belongs to: random.
pub(super) type CeremonyId = [u8; 16];

/// A share of the key that wraps the root key.
pub struct OperatorShare {
    pub(super) ceremony: CeremonyId,
    pub(super) index: u8,
    pub(super) threshold: u8,
    pub(super) share: Bytes,
}

/// For whom a share is given: a digest of the next holders and their threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHolders([u8; 32]);

impl NextHolders {
    /// `holders` by the SHA-256 of their public keys, in their order.
    pub fn new(holders: &[[u8; 32]], threshold: u8) -> Self {
        let mut digest = Sha256::new().chain_update(LABEL_NEXT).chain_update([threshold]);
        for holder in holders {
            digest.update(holder);
        }
        Self(digest.finalize().into())
    }
}

/// As it is written into both messages.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    #[serde(with = "serde_bytes")]
    ceremony: CeremonyId,
    index: u8,
    threshold: u8,
    #[serde(with = "serde_bytes")]
    share: [u8; LENGTH],
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.share.zeroize();
    }
}

impl OperatorShare {
    /// Opens what `OperatorShare::encrypt` made, with the holder's key pair.
    ///
    /// # Errors
    /// [`NotForThisKey`], also where the bytes were changed or are of a later version.
    pub fn open(holder: &HpkePair, encrypted: &[u8]) -> Result<Self, NotForThisKey> {
        let opened = holder.open(INFO_HOLDER, b"", encrypted).ok_or(NotForThisKey)?;
        Self::decode(&opened).ok_or(NotForThisKey)
    }

    pub(super) fn encrypt(&self, holder: &HpkeKey) -> Result<Vec<u8>, ShareError> {
        Ok(holder.seal_for(INFO_HOLDER, b"", &self.encode()?)?)
    }

    /// The message with which its holder gives it to the worker whose key (DER
    /// SubjectPublicKeyInfo) was learnt over an attested connection.
    ///
    /// # Errors
    /// [`ShareError`], where the worker's key is none, or HPKE fails.
    pub fn for_worker(&self, holder: &HpkePair, worker: &[u8]) -> Result<Vec<u8>, ShareError> {
        let worker = HpkeKey::from_spki(worker)?;
        Ok(worker.seal_from(holder, INFO_WORKER, b"", &self.encode()?)?)
    }

    /// [`OperatorShare::for_worker`], given so that the root key is wrapped for other holders: for
    /// these and no others.
    ///
    /// # Errors
    /// [`ShareError`], where the worker's key is none, or HPKE fails.
    pub fn for_rekeying(
        &self,
        holder: &HpkePair,
        worker: &[u8],
        next: &NextHolders,
    ) -> Result<Vec<u8>, ShareError> {
        let worker = HpkeKey::from_spki(worker)?;
        Ok(worker.seal_from(holder, INFO_WORKER, &next.0, &self.encode()?)?)
    }

    /// What the holder with this public key has given to the worker with this pair.
    pub(super) fn given_to(
        worker: &HpkePair,
        holder: &HpkeKey,
        next: Option<&NextHolders>,
        message: &[u8],
    ) -> Option<Self> {
        let bound = next.map_or(b"".as_slice(), |next| &next.0);
        Self::decode(&worker.open_from(holder, INFO_WORKER, bound, message)?)
    }

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let Self { ceremony, index, threshold, share } = self;
        let stored = Stored {
            version: VERSION,
            ceremony: *ceremony,
            index: *index,
            threshold: *threshold,
            share: **share,
        };
        codec::encode(&stored).map(Zeroizing::new)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = codec::decode(bytes).ok()?;
        let Stored { version, ceremony, index, threshold, share } = &stored;
        let share = Zeroizing::new(*share);
        let made = Self { ceremony: *ceremony, index: *index, threshold: *threshold, share };
        (*version == VERSION).then_some(made)
    }

    /// Which making of shares it belongs to.
    pub fn ceremony(&self) -> &[u8; 16] {
        &self.ceremony
    }

    /// From 1 on.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How many it takes.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }
}

impl fmt::Debug for OperatorShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OperatorShare")
            .field("ceremony", &hex::encode(self.ceremony))
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// A share was not encrypted.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The key to encrypt it to.
    #[error("the key to encrypt the share to: {0}")]
    Key(#[from] UnusableKey),
    /// It cannot be written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// HPKE.
    #[error("the random generator or HPKE failed")]
    Encrypt,
}

impl From<SealFailed> for ShareError {
    fn from(_: SealFailed) -> Self {
        Self::Encrypt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> OperatorShare {
        let share = Zeroizing::new([7; LENGTH]);
        OperatorShare { ceremony: [1; 16], index: 2, threshold: 3, share }
    }

    #[test]
    fn only_its_holder_opens_it_and_nothing_of_it_prints() {
        let (holder, other) = (HpkePair::generate().unwrap(), HpkePair::generate().unwrap());
        let key = HpkeKey::from_spki(holder.public_key()).unwrap();
        let encrypted = share().encrypt(&key).unwrap();
        let opened = OperatorShare::open(&holder, &encrypted).unwrap();
        assert_eq!((opened.ceremony, opened.index, opened.threshold), ([1; 16], 2, 3));
        assert_eq!(*opened.share, [7; LENGTH]);
        assert!(OperatorShare::open(&other, &encrypted).is_err());
        assert!(!format!("{opened:?}").contains('7'));
        for position in 0..encrypted.len() {
            let mut changed = encrypted.clone();
            changed[position] ^= 1;
            assert!(OperatorShare::open(&holder, &changed).is_err(), "byte {position}");
        }
    }

    #[test]
    fn only_its_holder_gives_it_and_to_one_worker() {
        let pair = || HpkePair::generate().unwrap();
        let (holder, thief, worker, next) = (pair(), pair(), pair(), pair());
        let key = |pair: &HpkePair| HpkeKey::from_spki(pair.public_key()).unwrap();
        let message = share().for_worker(&holder, worker.public_key()).unwrap();
        let given = OperatorShare::given_to(&worker, &key(&holder), None, &message).unwrap();
        assert_eq!(*given.share, [7; LENGTH]);
        // Who knows the share, and not the holder's private key.
        let stolen = share().for_worker(&thief, worker.public_key()).unwrap();
        assert!(OperatorShare::given_to(&worker, &key(&holder), None, &stolen).is_none());
        // A worker that was started later.
        assert!(OperatorShare::given_to(&next, &key(&holder), None, &message).is_none());
        // What was encrypted to the worker without a sender.
        let base = share().encrypt(&key(&worker)).unwrap();
        assert!(OperatorShare::given_to(&worker, &key(&holder), None, &base).is_none());
        for position in 0..message.len() {
            let mut changed = message.clone();
            changed[position] ^= 1;
            let given = OperatorShare::given_to(&worker, &key(&holder), None, &changed);
            assert!(given.is_none(), "byte {position}");
        }
    }
}
