//! The guardrail: one policy above all others, which can deny and never allows.

use crate::keys::modules::Modules;
use crate::keys::policy::{KeyPolicy, StoredPolicy};
use crate::keys::store::StoreFault;
use crate::log::{Event, log};
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use sekisho_wire::codec;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// The service's guardrail, kept in the journal.
pub(crate) struct Guardrail {
    journal: Arc<Journal>,
    /// What was read last, and in which version of the record.
    read: RwLock<Option<(u64, Standing)>>,
}

/// What stands there.
#[derive(Clone)]
pub(crate) enum Standing {
    Nothing,
    Policy(Arc<KeyPolicy>),
    /// A policy whose component is no longer there, or no longer reads it. Whoever put it wanted
    /// something denied: until it is replaced, everything is.
    Unreadable,
}

impl Standing {
    pub(crate) fn policy(&self) -> Option<&KeyPolicy> {
        match self {
            Self::Policy(policy) => Some(policy),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

impl Guardrail {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, read: RwLock::default() }
    }

    /// The guardrail as the journal has it at this moment. Its index says whether what was read is
    /// still that.
    pub(crate) async fn standing(&self, modules: &Modules) -> Result<Standing, StoreFault> {
        let Some(version) = self.journal.version(&RecordId::Guardrail) else {
            return Ok(Standing::Nothing);
        };
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, standing)) = read.filter(|(known, _)| *known == version) {
            return Ok(standing);
        }
        let found = self.journal.get_versioned(&RecordId::Guardrail).await?;
        let Some((version, record)) = found else { return Ok(Standing::Nothing) };
        let stored: StoredPolicy = codec::decode(&record)?;
        modules.ready(&stored.digest).await?;
        let standing = match modules.restore(stored).await {
            Ok(policy) => Standing::Policy(Arc::new(policy)),
            Err(_) => {
                log(Event::PolicyModuleRefused);
                Standing::Unreadable
            }
        };
        let read = Some((version, standing.clone()));
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(standing)
    }

    /// The digest of the component that decides, whether it is there or not.
    pub(crate) async fn digest(journal: &Journal) -> Result<Option<String>, StoreFault> {
        let record = journal.get(&RecordId::Guardrail).await?;
        let stored = record.map(|record| codec::decode::<StoredPolicy>(&record)).transpose()?;
        Ok(stored.map(|stored| stored.digest))
    }

    pub(crate) async fn put(
        &self,
        modules: &Modules,
        policy: &KeyPolicy,
    ) -> Result<(), StoreFault> {
        let record = Zeroizing::new(codec::encode(&policy.to_stored())?);
        let writer = self.journal.writer().await?;
        modules.check_kept(&policy.digest)?;
        let write = Write { id: RecordId::Guardrail, plaintext: Some(record) };
        writer.commit(vec![write]).await?;
        Ok(())
    }

    pub(crate) async fn delete(&self) -> Result<(), StoreFault> {
        let writer = self.journal.writer().await?;
        writer.commit(vec![Write { id: RecordId::Guardrail, plaintext: None }]).await?;
        Ok(())
    }
}
