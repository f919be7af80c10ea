//! The index: which version of each record is the current one.
//!
//! Keys are by far the most records, so they have a map of their own without the room that the
//! name of another kind needs: 56 bytes a key, and what a B-tree adds to that.

use super::record::{BlobHash, RecordId};
use crate::keys::id::KeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The current version of a record: the number of the entry that wrote it, and its blob's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexed {
    pub(crate) version: u64,
    pub(crate) hash: BlobHash,
}

#[derive(Default)]
pub(crate) struct Index {
    keys: BTreeMap<KeyId, Indexed>,
    /// Never a [`RecordId::Key`].
    others: BTreeMap<RecordId, Indexed>,
}

impl Index {
    /// Of rows in rising order this makes trees without free room.
    pub(crate) fn from_rows(
        keys: Vec<(KeyId, Indexed)>,
        others: impl IntoIterator<Item = (RecordId, Indexed)>,
    ) -> Self {
        let mut index = Self { keys: BTreeMap::from_iter(keys), others: BTreeMap::new() };
        for (id, indexed) in others {
            index.insert(id, indexed);
        }
        index
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len().saturating_add(self.others.len())
    }

    pub(crate) fn row(&self, id: &RecordId) -> Option<Indexed> {
        match id {
            RecordId::Key(id) => self.keys.get(id).copied(),
            other => self.others.get(other).copied(),
        }
    }

    pub(crate) fn insert(&mut self, id: RecordId, indexed: Indexed) {
        match id {
            RecordId::Key(id) => self.keys.insert(id, indexed),
            other => self.others.insert(other, indexed),
        };
    }

    pub(crate) fn remove(&mut self, id: &RecordId) {
        match id {
            RecordId::Key(id) => self.keys.remove(id),
            other => self.others.remove(other),
        };
    }

    /// Ids in order, from the first that is `>= from`.
    pub(crate) fn ids(&self, from: &RecordId) -> impl Iterator<Item = RecordId> {
        const FIRST_KEY: RecordId = RecordId::Key(KeyId::NIL);
        let first = match from {
            RecordId::Key(id) => Some(*id),
            other => (*other < FIRST_KEY).then_some(KeyId::NIL),
        };
        let keys = first.into_iter().flat_map(|first| self.keys.range(first..));
        let others = self.others.range(from..).map(|(id, _)| id.clone());
        let (before, after) = (
            others.clone().take_while(|id| *id < FIRST_KEY),
            others.skip_while(|id| *id < FIRST_KEY),
        );
        before.chain(keys.map(|(id, _)| RecordId::Key(*id))).chain(after)
    }

    /// Rows of keys in order, after `after`.
    pub(crate) fn keys(&self, after: Option<KeyId>) -> impl Iterator<Item = (&KeyId, &Indexed)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.keys.range((after.map_or(Unbounded, Excluded), Unbounded))
    }

    /// Rows of all that are no keys, in order, after `after`.
    pub(crate) fn others(
        &self,
        after: Option<&RecordId>,
    ) -> impl Iterator<Item = (&RecordId, &Indexed)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.others.range((after.map_or(Unbounded, Excluded), Unbounded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_key_has_56_bytes() {
        assert_eq!(size_of::<KeyId>() + size_of::<Indexed>(), 56);
    }

    #[test]
    fn ids_of_all_kinds_are_in_the_order_of_record_ids() {
        let key = |n| RecordId::Key(KeyId::from_u128(n));
        let alias = |name: &str| RecordId::Alias(name.into());
        let elsewhere = |record| RecordId::In { region: "a".into(), record: Box::new(record) };
        let all = [
            RecordId::ServiceAuthority,
            key(1),
            key(2),
            alias("a"),
            alias("b"),
            elsewhere(key(1)),
            elsewhere(alias("a")),
        ];
        let mut index = Index::default();
        for id in all.iter().rev() {
            index.insert(id.clone(), Indexed { version: 1, hash: BlobHash::GENESIS });
        }
        for (at, from) in all.iter().enumerate() {
            assert_eq!(index.ids(from).collect::<Vec<_>>(), all[at..]);
        }
        assert_eq!(index.len(), all.len());
        index.remove(&key(1));
        assert_eq!(index.ids(&key(0)).next(), Some(key(2)));
        assert_eq!(index.keys(Some(KeyId::from_u128(1))).count(), 1);
        assert_eq!(index.others(Some(&RecordId::ServiceAuthority)).count(), 4);
    }
}
