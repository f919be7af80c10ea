//! The messages of the store, and their limits as they are decoded.
//!
//! A hostile peer could put a million empty blobs into one frame, and each would become a
//! vector: so lists end with an error at their limit, not after they were built.

use serde::{Deserialize, Serialize};

use super::{Commit, Page, RecordKey, StoreError};

/// What the worker asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Request {
    Head,
    Commit(Commit),
    Get(RecordKey),
    Entries {
        from: u64,
        limit: u32,
    },
    Compact {
        before: u64,
        head: u64,
    },
    AppendAudit {
        sequence: u64,
        #[serde(with = "serde_bytes")]
        record: Vec<u8>,
    },
    Audit {
        from: u64,
        limit: u32,
    },
    AuditTail,
    Slot(RecordKey),
    FillSlot {
        slot: RecordKey,
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
    },
    ReplaceSlot {
        slot: RecordKey,
        #[serde(with = "serde_bytes")]
        held: Vec<u8>,
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
    },
}

/// What the host answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Response {
    Head(u64),
    Oldest(u64),
    Done,
    Record(#[serde(with = "serde_bytes")] Option<Vec<u8>>),
    Page(#[serde(with = "page")] Page),
    Refused(StoreError),
}

pub(super) mod records {
    use super::super::{MAX_COMMIT_RECORDS, RecordKey};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        records: &[(RecordKey, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::list::serialize_pairs(records, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, D::Error> {
        super::list::deserialize_pairs(deserializer, MAX_COMMIT_RECORDS)
    }
}

pub(super) mod page {
    use super::super::{MAX_PAGE_ITEMS, Page};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        page: &[(u64, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::list::serialize_pairs(page, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Page, D::Error> {
        super::list::deserialize_pairs(deserializer, MAX_PAGE_ITEMS as usize)
    }
}

pub(super) mod keys {
    use super::super::{MAX_COMMIT_RECORDS, RecordKey};
    use serde::{Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        keys: &[RecordKey],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        keys.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<RecordKey>, D::Error> {
        super::list::deserialize_list(deserializer, MAX_COMMIT_RECORDS, |key| key)
    }
}

mod list {
    use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::{Serialize, Serializer};
    use serde_bytes::{ByteBuf, Bytes};
    use std::fmt;
    use std::marker::PhantomData;

    pub(super) fn serialize_pairs<K: Serialize, S: Serializer>(
        pairs: &[(K, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(key, blob)| (key, Bytes::new(blob))))
    }

    pub(super) fn deserialize_pairs<'de, K: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
        limit: usize,
    ) -> Result<Vec<(K, Vec<u8>)>, D::Error> {
        deserialize_list(deserializer, limit, |(key, blob): (K, ByteBuf)| (key, blob.into_vec()))
    }

    pub(super) fn deserialize_list<'de, T, U, D>(
        deserializer: D,
        limit: usize,
        convert: fn(T) -> U,
    ) -> Result<Vec<U>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_seq(Bounded { limit, convert, of: PhantomData })
    }

    struct Bounded<T, U> {
        limit: usize,
        convert: fn(T) -> U,
        of: PhantomData<T>,
    }

    impl<'de, T: Deserialize<'de>, U> Visitor<'de> for Bounded<T, U> {
        type Value = Vec<U>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {} items", self.limit)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<U>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == self.limit {
                    return Err(A::Error::invalid_length(self.limit + 1, &self));
                }
                list.push((self.convert)(item));
            }
            Ok(list)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_BLOB, MAX_COMMIT_BYTES, MAX_COMMIT_RECORDS, MAX_PAGE_ITEMS};
    use super::*;
    use crate::codec::{CodecError, decode, encode};

    #[test]
    fn the_largest_commit_fits_into_a_frame() {
        let each = MAX_COMMIT_BYTES / MAX_COMMIT_RECORDS;
        let keys = (0..MAX_COMMIT_RECORDS).map(|n| RecordKey((n as u128).to_be_bytes()));
        let commit = Commit {
            sequence: u64::MAX,
            entry: vec![],
            puts: keys.clone().map(|key| (key, vec![0; each])).collect(),
            deletes: keys.collect(),
        };
        assert_eq!(commit.check_limits(), Ok(()));
        let bytes = encode(&Request::Commit(commit.clone())).unwrap();
        match decode(&bytes).unwrap() {
            Request::Commit(read) => assert_eq!(read, commit),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_blob_costs_its_length() {
        let record = vec![0xff; 1000];
        let bytes = encode(&Response::Page(vec![(1, record.clone())])).unwrap();
        assert!(bytes.len() < 1020);
        let bytes = encode(&Response::Record(Some(record))).unwrap();
        assert!(bytes.len() < 1020);
    }

    #[test]
    fn a_list_over_its_limit_is_not_built() {
        let page = vec![(0, vec![]); MAX_PAGE_ITEMS as usize + 1];
        let bytes = encode(&Response::Page(page)).unwrap();
        assert!(matches!(decode::<Response>(&bytes), Err(CodecError::Mismatch { .. })));
        let deletes = vec![RecordKey([0; 16]); MAX_COMMIT_RECORDS + 1];
        let commit = Commit { deletes, ..Commit::default() };
        let bytes = encode(&Request::Commit(commit)).unwrap();
        assert!(matches!(decode::<Request>(&bytes), Err(CodecError::Mismatch { .. })));
    }

    #[test]
    fn a_record_key_has_sixteen_bytes() {
        for length in [0, 15, 17] {
            let bytes = encode(&serde_bytes::ByteBuf::from(vec![0; length])).unwrap();
            assert!(matches!(decode::<RecordKey>(&bytes), Err(CodecError::Mismatch { .. })));
        }
    }

    #[test]
    fn an_unknown_request_or_field_is_refused() {
        #[derive(Serialize)]
        enum Newer {
            Truncate,
            Entries { from: u64, limit: u32, backwards: bool },
        }
        for newer in [Newer::Truncate, Newer::Entries { from: 1, limit: 1, backwards: true }] {
            let bytes = encode(&newer).unwrap();
            assert!(matches!(decode::<Request>(&bytes), Err(CodecError::Mismatch { .. })));
        }
    }

    #[test]
    fn commit_limits() {
        let within = |commit: Commit| commit.check_limits().is_ok();
        let key = RecordKey([0; 16]);
        assert!(within(Commit { entry: vec![0; MAX_BLOB], ..Commit::default() }));
        assert!(!within(Commit { entry: vec![0; MAX_BLOB + 1], ..Commit::default() }));
        assert!(!within(Commit {
            entry: vec![0; MAX_BLOB],
            puts: vec![(key, vec![0; MAX_BLOB])],
            ..Commit::default()
        }));
    }
}
