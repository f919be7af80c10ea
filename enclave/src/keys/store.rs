//! The keys of a service: looked up by any of their names, changed through the journal.

use super::Key;
use super::arn::{KeyName, Place};
use super::grants::retirable_writes;
use super::modules::{KnownModule, Modules, RegisterError};
use super::pair::KeyPair;
use super::policy::{KeyPolicy, PolicyRefused, StoredPolicy};
use super::schedule::due_writes;
use super::spec::KeyType;
use crate::secret::RandomUnavailable;
use crate::storage::journal::{Journal, JournalError, Write};
use crate::storage::record::RecordId;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Opened keys kept in memory: a few hundred bytes each, and as much for the policy's state.
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
    fn new(
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

/// All keys and aliases of the service.
pub(crate) struct KeyStore {
    pub(super) journal: Arc<Journal>,
    pub(crate) modules: Modules,
    pub(crate) place: Place,
    /// What AWS gives a key without a policy: most keys have it, and share this one.
    pub(crate) default_policy: Arc<KeyPolicy>,
    /// With the version that each is of: only the journal's current one counts.
    cache: Mutex<HashMap<Uuid, (u64, Arc<HeldKey>)>>,
    /// Wakes who does what is due.
    pub(super) rescheduled: Notify,
}

impl KeyStore {
    pub(crate) fn new(
        journal: Arc<Journal>,
        modules: Modules,
        place: Place,
        default_policy: Arc<KeyPolicy>,
    ) -> Self {
        Self {
            journal,
            modules,
            place,
            default_policy,
            cache: Mutex::default(),
            rescheduled: Notify::new(),
        }
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
                    let id =
                        Uuid::try_parse(&alias.target).map_err(|_| StoreFault::Inconsistent)?;
                    self.by_id(id).await
                }
                None => Ok(None),
            },
        }
    }

    pub(crate) async fn by_id(&self, id: Uuid) -> Result<Option<Arc<HeldKey>>, StoreFault> {
        let record = RecordId::Key(id);
        let Some(current) = self.journal.version(&record) else { return Ok(None) };
        if let Some((version, held)) = self.cache().get(&id)
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
            Arc::new(self.modules.restore(policy)?)
        };
        let held = Arc::new(HeldKey::new(key, &self.place, policy, aliases)?);
        self.remember(held.clone(), version);
        Ok(Some(held))
    }

    pub(crate) async fn create(
        &self,
        key: Key,
        policy: KeyPolicy,
    ) -> Result<Arc<HeldKey>, StoreFault> {
        let held = HeldKey::new(key, &self.place, Arc::new(policy), Vec::new())?;
        let write = key_write(&held.key, &held.policy, &held.aliases)?;
        self.journal.writer().await?.commit(vec![write]).await?;
        Ok(Arc::new(held))
    }

    pub(crate) async fn put_policy(&self, id: Uuid, policy: &KeyPolicy) -> Result<(), StoreFault> {
        let writer = self.journal.writer().await?;
        let held = self.by_id(id).await?.ok_or(StoreFault::Gone(id))?;
        let write = key_write(&held.key, policy, &held.aliases)?;
        writer.commit(vec![write]).await?;
        Ok(())
    }

    /// Changes what a key is, after everything that was changed before, and when it is next due.
    pub(crate) async fn change<E: From<StoreFault>>(
        &self,
        id: Uuid,
        edit: impl FnOnce(&mut Key) -> Result<(), E>,
    ) -> Result<(), E> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let held = self.by_id(id).await?.ok_or(StoreFault::Gone(id))?;
        let mut key = held.key.clone();
        edit(&mut key)?;
        let mut writes = due_writes(&held.key, &key);
        writes.extend(retirable_writes(id, &held.key.grants, &key.grants));
        writes.push(key_write(&key, &held.policy, &held.aliases).map_err(StoreFault::from)?);
        writer.commit(writes).await.map_err(StoreFault::from)?;
        self.rescheduled.notify_one();
        Ok(())
    }

    /// Up to `limit` key ids that are greater than `after`, in order.
    pub(crate) fn key_ids(&self, after: Option<Uuid>, limit: usize) -> Vec<Uuid> {
        let from =
            after.map_or(Uuid::nil(), |after| Uuid::from_u128(after.as_u128().saturating_add(1)));
        let is_key = |id: &RecordId| matches!(id, RecordId::Key(_));
        let ids = self.journal.ids(&RecordId::Key(from), limit, is_key);
        ids.into_iter()
            .filter_map(|id| if let RecordId::Key(id) = id { Some(id) } else { None })
            .collect()
    }

    /// Up to `limit` grants that `principal` may retire, after `after`, by key and id.
    pub(crate) fn retirable(
        &self,
        principal: &str,
        after: Option<&(Uuid, String)>,
        limit: usize,
    ) -> Vec<(Uuid, String)> {
        // The smallest string above an id is the id with a NUL behind it.
        let (key, grant) = after
            .map_or_else(|| (Uuid::nil(), String::new()), |(key, id)| (*key, format!("{id}\0")));
        let from = RecordId::Retirable { principal: principal.to_owned(), key, grant };
        let belongs = |id: &RecordId| matches!(id, RecordId::Retirable { principal: other, .. } if other == principal);
        let ids = self.journal.ids(&from, limit, belongs);
        ids.into_iter()
            .filter_map(|id| match id {
                RecordId::Retirable { key, grant, .. } => Some((key, grant)),
                _ => None,
            })
            .collect()
    }

    fn remember(&self, held: Arc<HeldKey>, version: u64) {
        if held.key.grants.len() > CACHED_GRANTS {
            return;
        }
        let mut cache = self.cache();
        if cache.len() >= CACHED_KEYS {
            let any = cache.keys().next().copied();
            any.and_then(|any| cache.remove(&any));
        }
        cache.insert(held.key.id, (version, held));
    }

    /// Wipes the secrets of a key that has lost them as soon as nobody uses them any more.
    pub(crate) fn forget(&self, id: Uuid) {
        self.cache().remove(&id);
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Uuid, (u64, Arc<HeldKey>)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn load<T: DeserializeOwned>(
        &self,
        id: &RecordId,
    ) -> Result<Option<T>, StoreFault> {
        let plaintext = self.journal.get(id).await?;
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
    Gone(Uuid),
}
