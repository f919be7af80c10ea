//! Identity policies: AWS policy documents that a principal has, beside those of keys.

use crate::keys::modules::Modules;
use crate::keys::policy::{KeyPolicy, StoredPolicy};
use crate::keys::store::StoreFault;
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use zeroize::Zeroizing;

/// Policies of one principal (AWS's quota of managed policies attached to a user).
pub(crate) const MAX_POLICIES: usize = 10;
/// Principals whose policies are kept in memory: some KiB each, 640 at the most.
const CACHED: usize = 1000;

/// One of them.
pub(crate) struct PrincipalPolicy {
    pub(crate) name: String,
    pub(crate) policy: KeyPolicy,
}

/// All policies of a principal, by rising name.
pub(crate) type Own = Arc<[PrincipalPolicy]>;

/// The policies of all principals.
pub(crate) struct PrincipalPolicies {
    journal: Arc<Journal>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    own: HashMap<String, Own>,
    /// Counts changes: what was read before a change is not kept after it.
    generation: u64,
}

/// As they stand in the principal's record.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    policy: StoredPolicy,
}

impl PrincipalPolicies {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, cache: Mutex::default() }
    }

    /// Those of the principal with this name.
    pub(crate) async fn of(&self, modules: &Modules, name: &str) -> Result<Own, StoreFault> {
        // Most principals have none, and the index says so.
        if !self.journal.contains(&record(name)) {
            return Ok(Own::default());
        }
        let generation = {
            let cache = self.cache();
            if let Some(own) = cache.own.get(name) {
                return Ok(own.clone());
            }
            cache.generation
        };
        let own: Own = self.load(modules, name).await?.into();
        let mut cache = self.cache();
        if cache.generation == generation {
            if cache.own.len() >= CACHED {
                let any = cache.own.keys().next().cloned();
                any.and_then(|any| cache.own.remove(&any));
            }
            cache.own.insert(name.to_owned(), own.clone());
        }
        Ok(own)
    }

    /// Gives a principal a policy, in place of one of the same name. `at_boot` says that the worker
    /// was started with the principal, which has no record then.
    pub(crate) async fn put(
        &self,
        modules: &Modules,
        principal: &str,
        policy: PrincipalPolicy,
        at_boot: bool,
    ) -> Result<(), PolicyChange> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        if !at_boot && !self.journal.contains(&RecordId::Principal(principal.to_owned())) {
            return Err(PolicyChange::NoSuchPrincipal);
        }
        let mut own = self.load(modules, principal).await?;
        own.retain(|known| known.name != policy.name);
        if own.len() >= MAX_POLICIES {
            return Err(PolicyChange::TooMany);
        }
        let at = own.partition_point(|known| known.name < policy.name);
        own.insert(at, policy);
        self.commit(writer, principal, &own).await
    }

    pub(crate) async fn delete(
        &self,
        modules: &Modules,
        principal: &str,
        name: &str,
    ) -> Result<(), PolicyChange> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let mut own = self.load(modules, principal).await?;
        let before = own.len();
        own.retain(|known| known.name != name);
        if own.len() == before {
            return Err(PolicyChange::NoSuchPolicy);
        }
        self.commit(writer, principal, &own).await
    }

    async fn load(
        &self,
        modules: &Modules,
        principal: &str,
    ) -> Result<Vec<PrincipalPolicy>, StoreFault> {
        let Some(bytes) = self.journal.get(&record(principal)).await? else {
            return Ok(Vec::new());
        };
        let stored: Vec<Stored> = codec::decode(&bytes)?;
        let restored = stored.into_iter().map(|Stored { name, policy }| {
            Ok(PrincipalPolicy { name, policy: modules.restore_principal(policy)? })
        });
        restored.collect()
    }

    async fn commit(
        &self,
        writer: crate::storage::journal::Writer<'_>,
        principal: &str,
        own: &[PrincipalPolicy],
    ) -> Result<(), PolicyChange> {
        let stored = |known: &PrincipalPolicy| Stored {
            name: known.name.clone(),
            policy: known.policy.to_stored(),
        };
        let plaintext = match own {
            [] => None,
            some => {
                let stored: Vec<Stored> = some.iter().map(stored).collect();
                Some(Zeroizing::new(codec::encode(&stored).map_err(StoreFault::from)?))
            }
        };
        let committed = writer.commit(vec![Write { id: record(principal), plaintext }]).await;
        // Also after a failure: the change may have been kept.
        let mut cache = self.cache();
        cache.own.clear();
        cache.generation = cache.generation.wrapping_add(1);
        drop(cache);
        committed.map_err(StoreFault::from)?;
        Ok(())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(name: &str) -> RecordId {
    RecordId::PrincipalPolicies(name.to_owned())
}

/// Why a principal's policies were not changed.
#[derive(Debug, Error)]
pub(crate) enum PolicyChange {
    #[error("there is no such principal")]
    NoSuchPrincipal,
    #[error("the principal has no such policy")]
    NoSuchPolicy,
    #[error("the principal has {MAX_POLICIES} policies")]
    TooMany,
    #[error(transparent)]
    Fault(#[from] StoreFault),
}
