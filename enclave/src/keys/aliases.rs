//! Aliases: other names of keys, changed in one entry of the journal with the keys they point to.

use super::id::KeyId;
use super::store::{HeldKey, KeyStore, StoreFault, key_write, put};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
use sekisho_wire::codec::CodecError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// AWS's quota of aliases for one key.
const MAX_ALIASES: usize = 50;

/// What an alias points to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Alias {
    /// The key id.
    pub(crate) target: String,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// Milliseconds since 1970.
    pub(crate) updated: u64,
}

impl KeyStore {
    pub(crate) async fn create_alias(
        &self,
        name: &str,
        target: KeyId,
        now: u64,
    ) -> Result<(), AliasError> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let id = RecordId::Alias(name.to_owned());
        if self.contains(id.clone()) {
            return Err(AliasError::Exists);
        }
        let held = self.by_id(target).await?.ok_or(StoreFault::Gone(target))?;
        let alias = Alias { target: target.to_string(), created: now, updated: now };
        let writes = vec![put(id, &alias)?, with_alias(&held, name)?];
        Ok(self.commit(writer, writes).await?)
    }

    /// Lets an alias of the key `before` point to the key `after`.
    pub(crate) async fn move_alias(
        &self,
        name: &str,
        before: KeyId,
        after: KeyId,
        now: u64,
    ) -> Result<(), AliasError> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let alias = self.alias(name).await?.ok_or(AliasError::Moved)?;
        if alias.target != before.to_string() {
            return Err(AliasError::Moved);
        }
        let alias = Alias { target: after.to_string(), updated: now, ..alias };
        let mut writes = vec![put(RecordId::Alias(name.to_owned()), &alias)?];
        if before != after {
            let left = self.by_id(before).await?.ok_or(StoreFault::Gone(before))?;
            let reached = self.by_id(after).await?.ok_or(StoreFault::Gone(after))?;
            writes.extend([without_alias(&left, name)?, with_alias(&reached, name)?]);
        }
        Ok(self.commit(writer, writes).await?)
    }

    /// Deletes an alias of the key `target`.
    pub(crate) async fn delete_alias(&self, name: &str, target: KeyId) -> Result<(), AliasError> {
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let held = self.by_id(target).await?.ok_or(StoreFault::Gone(target))?;
        if !held.aliases.iter().any(|known| known == name) {
            return Err(AliasError::Moved);
        }
        let alias = Write { id: RecordId::Alias(name.to_owned()), plaintext: None };
        let writes = vec![alias, without_alias(&held, name)?];
        Ok(self.commit(writer, writes).await?)
    }

    pub(crate) async fn alias(&self, name: &str) -> Result<Option<Alias>, StoreFault> {
        self.load(RecordId::Alias(name.to_owned())).await
    }

    /// Up to `limit` alias names that are greater than `after`, in order.
    pub(crate) fn alias_names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        // The smallest string above `after` is `after` with a NUL behind it.
        let from = after.map_or_else(String::new, |after| format!("{after}\0"));
        let is_alias = |id: &RecordId| matches!(id, RecordId::Alias(_));
        let ids = self.ids(RecordId::Alias(from), limit, is_alias);
        ids.into_iter()
            .filter_map(|id| if let RecordId::Alias(name) = id { Some(name) } else { None })
            .collect()
    }
}

fn with_alias(held: &HeldKey, name: &str) -> Result<Write, AliasError> {
    if held.aliases.len() >= MAX_ALIASES {
        return Err(AliasError::TooMany);
    }
    let mut names = held.aliases.clone();
    names.push(name.to_owned());
    names.sort();
    Ok(key_write(&held.key, &held.policy, &names)?)
}

fn without_alias(held: &HeldKey, name: &str) -> Result<Write, CodecError> {
    let names: Vec<String> = held.aliases.iter().filter(|known| *known != name).cloned().collect();
    key_write(&held.key, &held.policy, &names)
}

/// Why an alias was not changed.
#[derive(Debug, Error)]
pub(crate) enum AliasError {
    #[error("the alias exists")]
    Exists,
    #[error("the alias no longer points to the key")]
    Moved,
    #[error("the key has {MAX_ALIASES} aliases")]
    TooMany,
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

impl From<CodecError> for AliasError {
    fn from(error: CodecError) -> Self {
        Self::Fault(error.into())
    }
}
