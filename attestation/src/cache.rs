//! Chains that were verified before. AWS's leaf certificate signs every document of an enclave for
//! three hours, and its issuers live a day or more, so that most documents cost one or two
//! signature checks instead of five.
//!
//! A hit is never weaker than a verification: entries are found by the exact bytes of the
//! certificates, which is all that the rules look at besides the instant, and they are used only
//! at instants at which every certificate of the chain is valid. At any other instant, and for any
//! other byte, the chain is verified from its root.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::certificate::Validity;
use crate::path::{Issuer, Leaf};
use crate::payload::Payload;
use crate::timestamp::Timestamp;

/// Verified chains, at most so many of each kind.
pub(crate) struct ChainCache<Key> {
    entries: Mutex<Entries<Key>>,
}

struct Entries<Key> {
    /// By the encoded CA bundle.
    issuers: Recent<Arc<Issuer<Key>>>,
    /// By the leaf certificate.
    leaves: Recent<CachedLeaf<Key>>,
}

struct CachedLeaf<Key> {
    /// The encoded CA bundle under which the leaf was verified.
    cabundle: Box<[u8]>,
    leaf: Arc<Leaf<Key>>,
}

impl<Key> ChainCache<Key> {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        let entries = Entries { issuers: Recent::new(capacity), leaves: Recent::new(capacity) };
        Self { entries: Mutex::new(entries) }
    }

    /// The leaf of `payload`, if it was verified and holds at the instant `at`.
    pub(crate) fn leaf(&self, payload: &Payload<'_>, at: Timestamp) -> Option<Arc<Leaf<Key>>> {
        let mut entries = self.entries();
        let cached = entries.leaves.get(payload.certificate)?;
        let same = *cached.cabundle == *payload.cabundle.encoded;
        (same && holds(cached.leaf.validity, at)).then(|| Arc::clone(&cached.leaf))
    }

    /// The issuer of `payload`'s leaf, if it was verified and holds at the instant `at`.
    pub(crate) fn issuer(&self, payload: &Payload<'_>, at: Timestamp) -> Option<Arc<Issuer<Key>>> {
        let mut entries = self.entries();
        let issuer = entries.issuers.get(payload.cabundle.encoded)?;
        holds(issuer.validity, at).then(|| Arc::clone(issuer))
    }

    /// Keeps what was just verified.
    pub(crate) fn insert(
        &self,
        payload: &Payload<'_>,
        issuer: &Arc<Issuer<Key>>,
        leaf: &Arc<Leaf<Key>>,
    ) {
        let mut entries = self.entries();
        entries.issuers.insert(payload.cabundle.encoded, Arc::clone(issuer));
        let cabundle = payload.cabundle.encoded.into();
        let cached = CachedLeaf { cabundle, leaf: Arc::clone(leaf) };
        entries.leaves.insert(payload.certificate, cached);
    }

    fn entries(&self) -> MutexGuard<'_, Entries<Key>> {
        // Entries are whole between any two statements: a panic elsewhere spoils nothing.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(validity: Validity, at: Timestamp) -> bool {
    validity.check(at).is_ok()
}

/// A map that forgets what was not asked for the longest when it is full.
struct Recent<Value> {
    capacity: NonZeroUsize,
    map: HashMap<Box<[u8]>, Entry<Value>>,
    /// Counts uses; more than 2⁶⁴ there are not.
    uses: u64,
}

struct Entry<Value> {
    value: Value,
    last_use: u64,
}

impl<Value> Recent<Value> {
    fn new(capacity: NonZeroUsize) -> Self {
        Self { capacity, map: HashMap::new(), uses: 0 }
    }

    fn get(&mut self, key: &[u8]) -> Option<&Value> {
        let entry = self.map.get_mut(key)?;
        self.uses = self.uses.wrapping_add(1);
        entry.last_use = self.uses;
        Some(&entry.value)
    }

    fn insert(&mut self, key: &[u8], value: Value) {
        if !self.map.contains_key(key) && self.map.len() >= self.capacity.get() {
            self.forget_oldest();
        }
        self.uses = self.uses.wrapping_add(1);
        self.map.insert(key.into(), Entry { value, last_use: self.uses });
    }

    /// Looks at every entry: it comes after a verification of five signatures, beside which even
    /// thousands of entries are nothing.
    fn forget_oldest(&mut self) {
        let oldest = self.map.iter().min_by_key(|(_, entry)| entry.last_use);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let mut recent = Recent::new(NonZeroUsize::MIN.saturating_add(1));
        recent.insert(b"a", 1);
        recent.insert(b"b", 2);
        assert_eq!(recent.get(b"a"), Some(&1));
        recent.insert(b"c", 3);
        assert_eq!(recent.get(b"b"), None);
        assert_eq!((recent.get(b"a").copied(), recent.map.len()), (Some(1), 2));
        recent.insert(b"c", 4);
        assert_eq!((recent.get(b"c").copied(), recent.map.len()), (Some(4), 2));
    }
}
