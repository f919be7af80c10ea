//! The principals of a service: looked up by access key id, changed through the journal.
//!
//! A principal and its access keys are one record; another for each access key names its
//! principal. An id that was never given out is known to be unknown from the journal's index, so
//! strangers cost neither memory nor a question to the host.

use super::{AccessKey, KeyStatus, MAX_ACCESS_KEYS, Principal, ROOT};
use crate::keys::store::StoreFault;
use crate::secret::RandomUnavailable;
use crate::storage::journal::{Journal, Write, Writer};
use crate::storage::record::RecordId;
use sekisho_wire::codec::{self, CodecError};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use zeroize::Zeroizing;

/// Opened principals kept in memory, by access key: about half a KiB each, more with many tags.
const CACHED: usize = 10_000;
/// AWS's quota of users in one account.
const MAX_PRINCIPALS: usize = 5000;

/// All principals that are kept in the journal.
pub(crate) struct PrincipalStore {
    journal: Arc<Journal>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// By the access key id that was asked for.
    holders: HashMap<String, Arc<Principal>>,
    /// Counts changes: what was read before a change is not kept after it.
    generation: u64,
}

impl PrincipalStore {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, cache: Mutex::default() }
    }

    /// The principal that an access key belongs to, whatever the key's state.
    pub(crate) async fn by_access_key(
        &self,
        id: &str,
    ) -> Result<Option<Arc<Principal>>, StoreFault> {
        let generation = {
            let cache = self.cache();
            if let Some(holder) = cache.holders.get(id) {
                return Ok(Some(holder.clone()));
            }
            cache.generation
        };
        let Some(name) = self.load::<String>(&key_record(id)).await? else {
            return Ok(None);
        };
        let Some(principal) = self.by_name(&name).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.remember(id, principal.clone(), generation);
        Ok(Some(principal))
    }

    pub(crate) async fn by_name(&self, name: &str) -> Result<Option<Principal>, StoreFault> {
        self.load(&record(name)).await
    }

    /// Up to `limit` names that are greater than `after`, in order.
    pub(crate) fn names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        // The smallest string above `after` is `after` with a NUL behind it.
        let from = after.map_or_else(String::new, |after| format!("{after}\0"));
        let is_principal = |id: &RecordId| matches!(id, RecordId::Principal(_));
        let ids = self.journal.ids(&record(&from), limit, is_principal);
        ids.into_iter()
            .filter_map(|id| if let RecordId::Principal(name) = id { Some(name) } else { None })
            .collect()
    }

    pub(crate) async fn create(&self, principal: Principal) -> Result<(), ChangeError> {
        let writer = self.writer().await?;
        if self.journal.contains(&record(&principal.name)) {
            return Err(ChangeError::Exists);
        }
        if self.names(None, MAX_PRINCIPALS).len() >= MAX_PRINCIPALS {
            return Err(ChangeError::TooManyPrincipals);
        }
        self.commit(writer, vec![put(record(&principal.name), &principal)?]).await
    }

    /// Only a principal without access keys goes, so that nobody is cut off by accident, and without
    /// policies, so that nobody gets them with the name.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), ChangeError> {
        let writer = self.writer().await?;
        let principal = self.by_name(name).await?.ok_or(ChangeError::NoSuchPrincipal)?;
        if !principal.keys.is_empty() {
            return Err(ChangeError::HasAccessKeys);
        }
        if self.journal.contains(&RecordId::PrincipalPolicies(name.to_owned())) {
            return Err(ChangeError::HasPolicies);
        }
        self.commit(writer, vec![delete(record(name))]).await
    }

    pub(crate) async fn create_access_key(
        &self,
        name: &str,
        now: u64,
        expires: Option<u64>,
    ) -> Result<AccessKey, ChangeError> {
        let writer = self.writer().await?;
        let mut principal = self.by_name(name).await?.ok_or(ChangeError::NoSuchPrincipal)?;
        if principal.keys.len() >= MAX_ACCESS_KEYS {
            return Err(ChangeError::TooManyAccessKeys);
        }
        let key = AccessKey::generate(now, expires)?;
        principal.keys.push(key.clone());
        let writes =
            vec![put(record(name), &principal)?, put(key_record(&key.id), &principal.name)?];
        self.commit(writer, writes).await?;
        Ok(key)
    }

    pub(crate) async fn update_access_key(
        &self,
        name: &str,
        id: &str,
        status: KeyStatus,
    ) -> Result<(), ChangeError> {
        let writer = self.writer().await?;
        let mut principal = self.by_name(name).await?.ok_or(ChangeError::NoSuchPrincipal)?;
        let key = principal.keys.iter_mut().find(|key| key.id == id);
        key.ok_or(ChangeError::NoSuchAccessKey)?.status = status;
        keep_root(&principal)?;
        self.commit(writer, vec![put(record(name), &principal)?]).await
    }

    pub(crate) async fn delete_access_key(&self, name: &str, id: &str) -> Result<(), ChangeError> {
        let writer = self.writer().await?;
        let mut principal = self.by_name(name).await?.ok_or(ChangeError::NoSuchPrincipal)?;
        let at = principal.keys.iter().position(|key| key.id == id);
        principal.keys.remove(at.ok_or(ChangeError::NoSuchAccessKey)?);
        keep_root(&principal)?;
        let writes = vec![put(record(name), &principal)?, delete(key_record(id))];
        self.commit(writer, writes).await
    }

    async fn writer(&self) -> Result<Writer<'_>, StoreFault> {
        Ok(self.journal.writer().await?)
    }

    async fn commit(&self, writer: Writer<'_>, writes: Vec<Write>) -> Result<(), ChangeError> {
        let committed = writer.commit(writes).await;
        // Also after a failure: the change may have been kept. Changes are rare, so all go.
        let mut cache = self.cache();
        cache.holders.clear();
        cache.generation = cache.generation.wrapping_add(1);
        drop(cache);
        committed.map_err(StoreFault::from)?;
        Ok(())
    }

    fn remember(&self, id: &str, principal: Arc<Principal>, generation: u64) {
        let mut cache = self.cache();
        if cache.generation != generation {
            return;
        }
        if cache.holders.len() >= CACHED {
            let any = cache.holders.keys().next().cloned();
            any.and_then(|any| cache.holders.remove(&any));
        }
        cache.holders.insert(id.to_owned(), principal);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load<T: DeserializeOwned>(&self, id: &RecordId) -> Result<Option<T>, StoreFault> {
        let plaintext = self.journal.get(id).await?;
        Ok(plaintext.map(|bytes| codec::decode(&bytes)).transpose()?)
    }
}

/// The account's root keeps an access key that signs without an end: nobody could give it another.
fn keep_root(principal: &Principal) -> Result<(), ChangeError> {
    let stays = |key: &AccessKey| key.status == KeyStatus::Active && key.expires.is_none();
    if principal.name == ROOT && !principal.keys.iter().any(stays) {
        return Err(ChangeError::LastRootKey);
    }
    Ok(())
}

fn record(name: &str) -> RecordId {
    RecordId::Principal(name.to_owned())
}

fn key_record(id: &str) -> RecordId {
    RecordId::AccessKey(id.to_owned())
}

fn put<T: Serialize>(id: RecordId, value: &T) -> Result<Write, CodecError> {
    Ok(Write { id, plaintext: Some(Zeroizing::new(codec::encode(value)?)) })
}

fn delete(id: RecordId) -> Write {
    Write { id, plaintext: None }
}

/// Why a principal or an access key was not changed.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    #[error("the principal exists")]
    Exists,
    #[error("there is no such principal")]
    NoSuchPrincipal,
    #[error("the principal has no such access key")]
    NoSuchAccessKey,
    #[error("the principal still has access keys; delete them first")]
    HasAccessKeys,
    #[error("the principal still has policies; delete them first")]
    HasPolicies,
    #[error("the account has {MAX_PRINCIPALS} principals")]
    TooManyPrincipals,
    #[error("the principal has {MAX_ACCESS_KEYS} access keys")]
    TooManyAccessKeys,
    #[error(
        "the account's root would have no access key left that is active and does not expire; make \
         another first"
    )]
    LastRootKey,
    #[error(transparent)]
    Fault(#[from] StoreFault),
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

impl From<CodecError> for ChangeError {
    fn from(error: CodecError) -> Self {
        Self::Fault(error.into())
    }
}

#[cfg(test)]
mod tests;
