//! An unsealed service: everything that a request needs to be answered.

use crate::api::ApiError;
use crate::audit::AuditLog;
use crate::credentials::Credentials;
use crate::keys::arn::KeyName;
use crate::keys::policy::KeyPolicy;
use crate::keys::store::{HeldKey, KeyStore};
use crate::keys::wrapping::ImportTokens;
use crate::recipient::RecipientVerifier;
use crate::threads::Threads;
use std::sync::Arc;

pub(crate) struct Service {
    pub(crate) credentials: Credentials,
    pub(crate) recipients: RecipientVerifier,
    /// Decides about what belongs to no key.
    pub(crate) account_policy: KeyPolicy,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) import_tokens: ImportTokens,
    pub(crate) audit: AuditLog,
    pub(crate) computing: Computing,
}

/// Where private keys are used and made.
pub(crate) struct Computing {
    /// An RSA signature takes up to some milliseconds.
    pub(crate) using: Threads,
    /// An RSA key pair takes up to some seconds: one at a time, so that the rest goes on.
    pub(crate) making: Threads,
}

impl Default for Computing {
    fn default() -> Self {
        Self { using: Threads::one_for_each_processor(), making: Threads::at_most(1) }
    }
}

impl Service {
    /// The key of a parsed name, or AWS's error that there is none.
    pub(crate) async fn find(&self, name: &KeyName) -> Result<Arc<HeldKey>, ApiError> {
        let place = &self.keys.place;
        self.keys.find(name).await?.ok_or_else(|| {
            ApiError::NotFound(match name {
                KeyName::Id(id) => format!("Key '{}' does not exist", place.key_arn(*id)),
                KeyName::Alias(alias) => format!("Alias {} is not found.", place.alias_arn(alias)),
            })
        })
    }
}
