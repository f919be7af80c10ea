//! The root keys that a worker holds, by generation, and what hangs from them.
//!
//! A service begins with one. A rotation adds the next, and the one before goes when nothing is
//! sealed under it any more. What an unseal provider unwraps is the newest; the others lie beside it
//! in the store, sealed under it. So do two keys of the first generation that stay as they are: the
//! one that makes the names of records, which the host has, and the one that signs the audit log,
//! which auditors know (docs/unsealing.md says what that means).

use crate::secret::{
    self, JournalKeys, OpenError, RootKey, SealError, SealingKeys, Secret, Subkeys,
};
use sekisho_wire::RecordKey;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

const LABEL_SEALED: &[u8] = b"sekisho v1 keyring";
/// The only version so far.
const VERSION: u8 = 1;
/// Generations in use at the same time: one, and while a rotation is under way its successor.
const MAX_ROOTS: usize = 2;

/// The root keys of a service.
#[derive(Debug)]
pub(crate) struct Keyring {
    /// By rising generation; never empty.
    roots: Vec<(u32, RootKey)>,
    record_names: Secret,
    audit_signature: Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    roots: Vec<StoredRoot>,
    #[serde(with = "serde_bytes")]
    record_names: [u8; 32],
    #[serde(with = "serde_bytes")]
    audit_signature: [u8; 32],
    /// For a peer: where it lies in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<RecordKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRoot {
    generation: u32,
    #[serde(with = "serde_bytes")]
    root: [u8; 32],
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.record_names.zeroize();
        self.audit_signature.zeroize();
        self.roots.iter_mut().for_each(|stored| stored.root.zeroize());
    }
}

impl Keyring {
    /// Of a service whose root key was never rotated.
    pub(crate) fn first(root: RootKey) -> Self {
        let (record_names, audit_signature) = (root.record_names(), root.audit_signature());
        Self { roots: vec![(1, root)], record_names, audit_signature }
    }

    /// The newest root key and its generation.
    pub(crate) fn newest(&self) -> (u32, Option<&RootKey>) {
        self.roots.last().map_or((0, None), |(generation, root)| (*generation, Some(root)))
    }

    /// The number of the newest.
    pub(crate) fn generation(&self) -> u32 {
        self.newest().0
    }

    /// Whether more than one is in use.
    pub(crate) fn is_rotating(&self) -> bool {
        self.roots.len() > 1
    }

    pub(crate) fn copy(&self) -> Self {
        let again =
            |(generation, root): &(u32, RootKey)| (*generation, RootKey::from_bytes(root.expose()));
        self.of(self.roots.iter().map(again).collect())
    }

    /// What the journal seals with under the newest.
    pub(crate) fn newest_sealing_keys(&self) -> Result<SealingKeys, KeyringError> {
        let (generation, newest) = self.newest();
        Ok(newest.ok_or(KeyringError::Malformed)?.sealing_keys(generation))
    }

    /// With `root` as the next generation beside the newest.
    pub(crate) fn with_next(&self, root: RootKey) -> Result<Self, KeyringError> {
        let (generation, newest) = self.newest();
        let newest = newest.ok_or(KeyringError::Malformed)?;
        let next = generation.checked_add(1).ok_or(KeyringError::Malformed)?;
        let newest = RootKey::from_bytes(newest.expose());
        Ok(self.of(vec![(generation, newest), (next, root)]))
    }

    /// With the newest alone.
    pub(crate) fn without_former(&self) -> Result<Self, KeyringError> {
        let (generation, newest) = self.newest();
        let newest = newest.ok_or(KeyringError::Malformed)?;
        Ok(self.of(vec![(generation, RootKey::from_bytes(newest.expose()))]))
    }

    fn of(&self, roots: Vec<(u32, RootKey)>) -> Self {
        let again = |secret: &Secret| Secret::from_bytes(secret.expose());
        Self {
            roots,
            record_names: again(&self.record_names),
            audit_signature: again(&self.audit_signature),
        }
    }

    /// One key for each purpose; sessions and import tokens are of the newest root key alone.
    pub(crate) fn subkeys(&self) -> Result<Subkeys, KeyringError> {
        let newest = self.newest().1.ok_or(KeyringError::Malformed)?;
        let sealing = self.roots.iter().map(|(generation, root)| root.sealing_keys(*generation));
        let names = Secret::from_bytes(self.record_names.expose());
        Ok(Subkeys {
            journal: JournalKeys::new(names, sealing.collect()),
            audit_signature: Secret::from_bytes(self.audit_signature.expose()),
            sessions: newest.sessions(),
            import_tokens: newest.import_tokens(),
        })
    }

    /// As it lies in the store: sealed under the newest root key.
    pub(crate) fn seal(&self) -> Result<Vec<u8>, KeyringError> {
        let newest = self.newest().1.ok_or(KeyringError::Malformed)?;
        Ok(secret::seal(&newest.keyring(), LABEL_SEALED, b"", &self.encode(None)?)?)
    }

    /// What lies beside the wrapped `root`; nothing does where it is the first.
    ///
    /// # Errors
    /// [`KeyringError::OtherRoot`], where `root` is not the newest one in it.
    pub(crate) fn open(root: RootKey, sealed: Option<&[u8]>) -> Result<Self, KeyringError> {
        let Some(sealed) = sealed else { return Ok(Self::first(root)) };
        let plaintext = secret::open(&root.keyring(), LABEL_SEALED, b"", sealed)?;
        let (keyring, _) = Self::decode(&plaintext)?;
        let is_newest = |newest: &RootKey| bool::from(newest.expose().ct_eq(root.expose()));
        match keyring.newest().1.is_some_and(is_newest) {
            true => Ok(keyring),
            false => Err(KeyringError::OtherRoot),
        }
    }

    /// For a peer, encrypted to it: a root key that was never rotated as its bytes, as workers of
    /// before know it. `slot` is where it lies in the store, for when the rotation is at its end.
    pub(crate) fn for_peer(
        &self,
        slot: Option<RecordKey>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        match self.roots.as_slice() {
            [(1, root)] => Ok(Zeroizing::new(root.expose().to_vec())),
            _ => self.encode(slot),
        }
    }

    /// What [`Keyring::for_peer`] made.
    pub(crate) fn from_peer(bytes: &[u8]) -> Result<(Self, Option<RecordKey>), KeyringError> {
        match <&[u8; 32]>::try_from(bytes) {
            Ok(root) => Ok((Self::first(RootKey::from_bytes(root)), None)),
            Err(_) => Self::decode(bytes),
        }
    }

    fn encode(&self, slot: Option<RecordKey>) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let stored = |(generation, root): &(u32, RootKey)| StoredRoot {
            generation: *generation,
            root: *root.expose(),
        };
        let stored = Stored {
            version: VERSION,
            roots: self.roots.iter().map(stored).collect(),
            record_names: *self.record_names.expose(),
            audit_signature: *self.audit_signature.expose(),
            slot,
        };
        Ok(Zeroizing::new(codec::encode(&stored)?))
    }

    fn decode(bytes: &[u8]) -> Result<(Self, Option<RecordKey>), KeyringError> {
        let stored: Stored = codec::decode(bytes)?;
        let numbers = || stored.roots.iter().map(|stored| stored.generation);
        let rising =
            numbers().zip(numbers().skip(1)).all(|(one, next)| one.checked_add(1) == Some(next));
        let counted = (1..=MAX_ROOTS).contains(&stored.roots.len());
        if stored.version != VERSION || !rising || !counted || numbers().any(|number| number == 0) {
            return Err(KeyringError::Malformed);
        }
        let root = |stored: &StoredRoot| (stored.generation, RootKey::from_bytes(&stored.root));
        let keyring = Self {
            roots: stored.roots.iter().map(root).collect(),
            record_names: Secret::from_bytes(&stored.record_names),
            audit_signature: Secret::from_bytes(&stored.audit_signature),
        };
        Ok((keyring, stored.slot))
    }
}

/// The keyring of a running worker, for all who need it as it is at the moment.
#[derive(Clone)]
pub(crate) struct HeldKeyring(Arc<RwLock<Keyring>>);

impl HeldKeyring {
    pub(crate) fn new(keyring: Keyring) -> Self {
        Self(Arc::new(RwLock::new(keyring)))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Keyring) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, keyring: Keyring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }
}

/// Why there is no keyring.
#[derive(Debug, Error)]
pub(crate) enum KeyringError {
    #[error("the keyring beside the root key is not of its form")]
    Malformed,
    #[error("the keyring beside the root key is another root key's")]
    OtherRoot,
    #[error("the keyring beside the root key does not open under it")]
    DoesNotOpen(#[from] OpenError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(byte: u8) -> RootKey {
        RootKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn a_rotation_keeps_names_and_audit_signature_and_nothing_else() {
        let first = Keyring::first(root(1));
        let rotating = first.with_next(root(2)).unwrap();
        let rotated = rotating.without_former().unwrap();
        assert_eq!((rotating.generation(), rotated.generation()), (2, 2));
        assert!(rotating.is_rotating() && !rotated.is_rotating() && !first.is_rotating());
        let (before, after) = (first.subkeys().unwrap(), rotated.subkeys().unwrap());
        assert_eq!(before.journal.record_names.expose(), after.journal.record_names.expose());
        assert_eq!(before.audit_signature.expose(), after.audit_signature.expose());
        assert_ne!(before.sessions.expose(), after.sessions.expose());
        assert_ne!(before.import_tokens.expose(), after.import_tokens.expose());
        let (before, after) = (before.journal.of(1).unwrap(), after.journal.of(2).unwrap());
        assert_ne!(before.entries.expose(), after.entries.expose());
        assert_ne!(before.records.expose(), after.records.expose());
        assert!(rotated.subkeys().unwrap().journal.of(1).is_none());
        assert!(rotating.subkeys().unwrap().journal.of(1).is_some());
    }

    #[test]
    fn opened_under_its_newest_root_key_and_no_other_and_whole() {
        let rotating = Keyring::first(root(1)).with_next(root(2)).unwrap();
        let sealed = rotating.seal().unwrap();
        assert_eq!(Keyring::open(root(2), Some(&sealed)).unwrap().generation(), 2);
        for other in [1, 3] {
            let refused = Keyring::open(root(other), Some(&sealed));
            assert!(matches!(refused, Err(KeyringError::DoesNotOpen(_))));
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(Keyring::open(root(2), Some(&changed)).is_err(), "byte {position}");
            assert!(Keyring::open(root(2), Some(&sealed[..position])).is_err(), "cut {position}");
        }
        assert_eq!(Keyring::open(root(2), None).unwrap().generation(), 1);
    }

    #[test]
    fn a_peer_gets_all_that_is_in_use() {
        let first = Keyring::first(root(1));
        let slot = Some(RecordKey([7; 16]));
        assert_eq!(first.for_peer(slot).unwrap().as_slice(), [1; 32]);
        assert_eq!(Keyring::from_peer(&[1; 32]).unwrap().0.generation(), 1);
        let rotating = first.with_next(root(2)).unwrap();
        let (given, place) = Keyring::from_peer(&rotating.for_peer(slot).unwrap()).unwrap();
        assert_eq!(place, slot);
        assert!(given.is_rotating());
        assert_eq!(given.newest().1.unwrap().expose(), root(2).expose());
        let rotated = rotating.without_former().unwrap().for_peer(slot).unwrap();
        assert_eq!(Keyring::from_peer(&rotated).unwrap().0.generation(), 2);
        assert!(Keyring::from_peer(&[1; 31]).is_err());
    }

    #[test]
    fn generations_that_cannot_be_are_refused() {
        let of = |numbers: &[u32]| {
            let root = |generation: &u32| StoredRoot { generation: *generation, root: [1; 32] };
            let stored = Stored {
                version: VERSION,
                roots: numbers.iter().map(root).collect(),
                record_names: [2; 32],
                audit_signature: [3; 32],
                slot: None,
            };
            let read = Keyring::decode(&codec::encode(&stored).unwrap());
            read.map(|(keyring, _)| keyring.generation())
        };
        assert_eq!(of(&[4, 5]).unwrap(), 5);
        for bad in [&[][..], &[0], &[2, 1], &[1, 3], &[1, 1], &[1, 2, 3]] {
            assert!(matches!(of(bad), Err(KeyringError::Malformed)), "{bad:?}");
        }
    }
}
