//! The keys of a service in one of its Regions: looked up by any of their names, changed through the
//! journal, which all Regions share.

use super::Key;
use super::arn::{KeyName, Place};
use super::id::KeyId;
use super::modules::{KnownModule, Modules, RegisterError};
use super::multi_region::Family;
use super::pair::KeyPair;
use super::policy::{KeyPolicy, PolicyRefused, StoredPolicy};
use super::spec::KeyType;
use super::usage::Usages;
use crate::secret::RandomUnavailable;
use crate::storage::journal::{Journal, JournalError, Write, Writer};
use crate::storage::record::RecordId;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Opened keys kept in memory: a few hundred bytes each, and as much for the policy's state; an
/// asymmetric one up to ten kilobytes (ML-DSA-87).
const CACHED_KEYS: usize = 10_000;
/// Of a key that is kept in memory; a grant has up to about a KiB.
const CACHED_GRANTS: usize = 20;

/// A key with what a decision about it needs.
pub(crate) struct HeldKey {
    pub(crate) key: Key,
    pub(crate) arn: String,
    pub(crate) policy: Arc<KeyPolicy>,
    /// With their prefix `alias/`, in order.
    pub(crate) aliases: Vec<String>,
    /// Of an asymmetric key, read from its private material.
    pub(crate) pair: Option<KeyPair>,
}

impl HeldKey {
    pub(super) fn new(
        key: Key,
        place: &Place,
        policy: Arc<KeyPolicy>,
        aliases: Vec<String>,
    ) -> Result<Self, StoreFault> {
        let pair = match (key.spec.key_type(), key.private()) {
            (KeyType::Asymmetric, Some(private)) => {
                let pair = KeyPair::from_pkcs8(key.spec, key.usage, private.expose());
                Some(pair.map_err(|_| StoreFault::Inconsistent)?)
            }
            _ => None,
        };
        Ok(Self { arn: place.key_arn(key.id), key, policy, aliases, pair })
    }
}

/// How a key stands in its sealed record: in one with all that a decision about it needs, so that
/// a key that is not in memory costs one question to the host.
#[derive(Serialize)]
struct KeyRecord<'a> {
    key: &'a Key,
    policy: StoredPolicy,
    aliases: &'a [String],
}

#[derive(Deserialize)]
struct OwnedKeyRecord {
    key: Key,
    policy: StoredPolicy,
    aliases: Vec<String>,
}

/// All keys and aliases of the service in one Region. A clone shares everything.
#[derive(Clone)]
pub(crate) struct KeyStore {
    pub(super) journal: Arc<Journal>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) place: Place,
    /// The Region whose records have no Region in their names.
    home: Arc<str>,
    /// What AWS gives a key without a policy: most keys have it, and share this one.
    pub(crate) default_policy: Arc<KeyPolicy>,
    cache: Arc<Mutex<Cache>>,
    /// Wakes who does what is due.
    pub(super) rescheduled: Arc<Notify>,
    pub(super) usages: Arc<Usages>,
}

/// Keys of all Regions, each with its version: only the journal's current one counts.
type Cache = HashMap<RecordId, (u64, Arc<HeldKey>)>;

impl KeyStore {
    pub(crate) fn new(
        journal: Arc<Journal>,
        modules: Modules,
        place: Place,
        default_policy: Arc<KeyPolicy>,
    ) -> Self {
        Self {
            journal,
            modules: Arc::new(modules),
            home: place.region.as_str().into(),
            place,
            default_policy,
            cache: Arc::default(),
            rescheduled: Arc::default(),
            usages: Arc::default(),
        }
    }

    /// The same service's keys in another Region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { place: self.place.in_region(region), ..self.clone() }
    }

    /// The home Region's keys, among whose records those of the account are.
    pub(super) fn at_home(&self) -> Self {
        self.in_region(&self.home)
    }

    /// The home Region, and each other that has records.
    pub(super) fn regions(&self) -> Vec<String> {
        let mut regions = vec![self.home.to_string()];
        let mut after = String::new();
        loop {
            let first = Box::new(RecordId::ServiceAuthority);
            let from = RecordId::In { region: after, record: first };
            let found = self.journal.ids(&from, 1, |id| matches!(id, RecordId::In { .. }));
            let Some(RecordId::In { region, .. }) = found.into_iter().next() else {
                return regions;
            };
            // The smallest string above a name is the name with a NUL behind it.
            after = format!("{region}\0");
            regions.push(region);
        }
    }

    /// Whether the journal may have been written by a service with the same home Region. Where it was
    /// another, keys would be in another Region than they were made in.
    pub(crate) fn is_at_home(&self) -> bool {
        !self.regions().iter().skip(1).any(|region| **region == *self.home)
    }

    /// The name of a record of this Region. Journals from before there were others have the home
    /// Region's names.
    pub(super) fn local(&self, id: RecordId) -> RecordId {
        if *self.home == *self.place.region {
            return id;
        }
        RecordId::In { region: self.place.region.clone(), record: Box::new(id) }
    }

    /// Writes to records of this Region.
    pub(crate) fn localized(&self, writes: Vec<Write>) -> Vec<Write> {
        let local = |write: Write| Write { id: self.local(write.id), ..write };
        writes.into_iter().map(local).collect()
    }

    pub(super) fn contains(&self, id: RecordId) -> bool {
        self.journal.contains(&self.local(id))
    }

    /// Up to `limit` ids of this Region's records in order, from the first that is `>= from` while
    /// `belongs` holds.
    pub(super) fn ids(
        &self,
        from: RecordId,
        limit: usize,
        belongs: impl Fn(&RecordId) -> bool,
    ) -> Vec<RecordId> {
        let from = self.local(from);
        let RecordId::In { region, .. } = &from else {
            return self.journal.ids(&from, limit, belongs);
        };
        let found = self.journal.ids(&from, limit, |id| {
            matches!(id, RecordId::In { region: other, record } if other == region && belongs(record))
        });
        let plain = |id| if let RecordId::In { record, .. } = id { *record } else { id };
        found.into_iter().map(plain).collect()
    }

    /// Commits changes of this Region's records.
    pub(super) async fn commit(
        &self,
        writer: Writer<'_>,
        writes: Vec<Write>,
    ) -> Result<(), StoreFault> {
        writer.commit(self.localized(writes)).await?;
        Ok(())
    }

    /// Registers a policy component ([`Modules::register`]).
    pub(crate) async fn register_module(
        &self,
        name: &str,
        component: Vec<u8>,
        now: u64,
    ) -> Result<KnownModule, RegisterError> {
        self.modules.register(&self.journal, name, component, now).await
    }

    /// The key that a parsed name stands for; none where there is none.
    pub(crate) async fn find(&self, name: &KeyName) -> Result<Option<Arc<HeldKey>>, StoreFault> {
        match name {
            KeyName::Id(id) => self.by_id(*id).await,
            KeyName::Alias(alias) => match self.alias(alias).await? {
                Some(alias) => {
                    let id = KeyId::parse(&alias.target).map_err(|_| StoreFault::Inconsistent)?;
                    self.by_id(id).await
                }
                None => Ok(None),
            },
        }
    }

    pub(crate) async fn by_id(&self, id: KeyId) -> Result<Option<Arc<HeldKey>>, StoreFault> {
        let record = self.local(RecordId::Key(id));
        let Some(current) = self.journal.version(&record) else { return Ok(None) };
        if let Some((version, held)) = self.cache().get(&record)
            && *version == current
        {
            return Ok(Some(held.clone()));
        }
        let Some((version, plaintext)) = self.journal.get_versioned(&record).await? else {
            return Ok(None);
        };
        let OwnedKeyRecord { key, policy, aliases } = codec::decode(&plaintext)?;
        let policy = if policy.is(&self.default_policy) {
            self.default_policy.clone()
        } else {
            self.modules.ready(&policy.digest).await?;
            Arc::new(self.modules.restore(policy).await?)
        };
        let held = Arc::new(HeldKey::new(key, &self.place, policy, aliases)?);
        self.remember(held.clone(), version);
        Ok(Some(held))
    }

    /// The digest of the component that decides for a key; none where there is no such key.
    pub(super) async fn policy_digest(&self, id: KeyId) -> Result<Option<String>, StoreFault> {
        let record = self.local(RecordId::Key(id));
        if let Some(current) = self.journal.version(&record)
            && let Some((version, held)) = self.cache().get(&record)
            && *version == current
        {
            return Ok(Some(held.policy.digest.clone()));
        }
        let Some(plaintext) = self.journal.get(&record).await? else { return Ok(None) };
        let OwnedKeyRecord { policy, .. } = codec::decode(&plaintext)?;
        Ok(Some(policy.digest))
    }

    pub(crate) async fn create(
        &self,
        key: Key,
        policy: KeyPolicy,
    ) -> Result<Arc<HeldKey>, StoreFault> {
        let held = HeldKey::new(key, &self.place, Arc::new(policy), Vec::new())?;
        let write = key_write(&held.key, &held.policy, &held.aliases)?;
        let writer = self.journal.writer().await?;
        self.modules.check_kept(&held.policy.digest)?;
        self.commit(writer, vec![write]).await?;
        Ok(Arc::new(held))
    }

    pub(crate) async fn put_policy(&self, id: KeyId, policy: &KeyPolicy) -> Result<(), StoreFault> {
        let writer = self.journal.writer().await?;
        self.modules.check_kept(&policy.digest)?;
        let held = self.by_id(id).await?.ok_or(StoreFault::Gone(id))?;
        let write = key_write(&held.key, policy, &held.aliases)?;
        self.commit(writer, vec![write]).await
    }

    /// Changes what a key is, after everything that was changed before, and when it is next due.
    /// What related multi-Region keys share changes of all of them.
    pub(crate) async fn change<E: From<StoreFault>>(
        &self,
        id: KeyId,
        edit: impl FnOnce(&mut Key) -> Result<(), E>,
    ) -> Result<(), E> {
        let edit = |family: &mut Family| {
            edit(family.change())?;
            family.share();
            Ok(Vec::new())
        };
        self.change_family(id, edit).await
    }

    /// Up to `limit` key ids that are greater than `after`, in order.
    pub(crate) fn key_ids(&self, after: Option<KeyId>, limit: usize) -> Vec<KeyId> {
        let from =
            after.map_or(KeyId::NIL, |after| KeyId::from_u128(after.as_u128().saturating_add(1)));
        let is_key = |id: &RecordId| matches!(id, RecordId::Key(_));
        let ids = self.ids(RecordId::Key(from), limit, is_key);
        ids.into_iter()
            .filter_map(|id| if let RecordId::Key(id) = id { Some(id) } else { None })
            .collect()
    }

    /// Up to `limit` grants that `principal` may retire, after `after`, by key and id.
    pub(crate) fn retirable(
        &self,
        principal: &str,
        after: Option<&(KeyId, String)>,
        limit: usize,
    ) -> Vec<(KeyId, String)> {
        // The smallest string above an id is the id with a NUL behind it.
        let (key, grant) = after
            .map_or_else(|| (KeyId::NIL, String::new()), |(key, id)| (*key, format!("{id}\0")));
        let from = RecordId::Retirable { principal: principal.to_owned(), key, grant };
        let belongs = |id: &RecordId| matches!(id, RecordId::Retirable { principal: other, .. } if other == principal);
        let ids = self.ids(from, limit, belongs);
        ids.into_iter()
            .filter_map(|id| match id {
                RecordId::Retirable { key, grant, .. } => Some((key, grant)),
                _ => None,
            })
            .collect()
    }

    /// Keeps a key of this Region in memory.
    pub(super) fn remember(&self, held: Arc<HeldKey>, version: u64) {
        if held.key.grants.len() > CACHED_GRANTS {
            return;
        }
        let record = self.local(RecordId::Key(held.key.id));
        let mut cache = self.cache();
        if cache.len() >= CACHED_KEYS {
            let any = cache.keys().next().cloned();
            any.and_then(|any| cache.remove(&any));
        }
        cache.insert(record, (version, held));
    }

    /// Wipes the secrets of a key that has lost them as soon as nobody uses them any more.
    pub(crate) fn forget(&self, id: KeyId) {
        self.cache().remove(&self.local(RecordId::Key(id)));
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn load<T: DeserializeOwned>(
        &self,
        id: RecordId,
    ) -> Result<Option<T>, StoreFault> {
        let plaintext = self.journal.get(&self.local(id)).await?;
        Ok(plaintext.map(|bytes| codec::decode(&bytes)).transpose()?)
    }
}

pub(super) fn put<T: Serialize>(id: RecordId, value: &T) -> Result<Write, CodecError> {
    Ok(Write { id, plaintext: Some(Zeroizing::new(codec::encode(value)?)) })
}

/// A key in one record with its policy and its aliases' names.
pub(crate) fn key_write(
    key: &Key,
    policy: &KeyPolicy,
    aliases: &[String],
) -> Result<Write, CodecError> {
    put(RecordId::Key(key.id), &KeyRecord { key, policy: policy.to_stored(), aliases })
}

/// The keys could not be read or written.
#[derive(Debug, Error)]
pub(crate) enum StoreFault {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a sealed record is malformed: {0}")]
    Malformed(#[from] CodecError),
    #[error("a key's policy is no longer accepted: {0}")]
    Policy(#[from] PolicyRefused),
    #[error("records contradict each other")]
    Inconsistent,
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error("the key was deleted meanwhile")]
    Gone(KeyId),
    #[error("the policy module was deleted meanwhile")]
    ModuleGone,
}
