//! An unsealed service, as one of its Regions sees it: everything that a request needs to be answered.

use crate::api::ApiError;
use crate::approvals::Approvals;
use crate::audit::AuditLog;
use crate::credentials::{Caller, Credentials};
use crate::guardrail::Guardrail;
use crate::keys::arn::KeyName;
use crate::keys::policy::KeyPolicy;
use crate::keys::store::{HeldKey, KeyStore};
use crate::keys::wrapping::ImportTokens;
use crate::peers::Giver;
use crate::principals::first::FirstKey;
use crate::principals::policies::{Own, PrincipalPolicies};
use crate::quotas::Meter;
use crate::recipient::RecipientVerifier;
use crate::root_rotation::RootRotation;
use crate::storage::tenure::Tenure;
use crate::threads::Threads;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A clone shares everything.
#[derive(Clone)]
pub(crate) struct Service {
    /// When this worker was started, milliseconds since 1970.
    pub(crate) started: u64,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) first_key: Arc<FirstKey>,
    /// By Region.
    pub(crate) quotas: Arc<HashMap<String, Meter>>,
    pub(crate) recipients: Arc<RecipientVerifier>,
    /// Decides about what belongs to no key.
    pub(crate) account_policy: Arc<KeyPolicy>,
    /// Above all other policies.
    pub(crate) guardrail: Arc<Guardrail>,
    pub(crate) principal_policies: Arc<PrincipalPolicies>,
    pub(crate) approvals: Arc<Approvals>,
    /// Of the one Region; all else is of the account.
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) import_tokens: Arc<ImportTokens>,
    pub(crate) audit: AuditLog,
    /// None where no peer may have the root key.
    pub(crate) giver: Option<Arc<Giver>>,
    pub(crate) root_rotation: Arc<RootRotation>,
    pub(crate) tenure: Tenure,
    pub(crate) computing: Arc<Computing>,
    /// The Regions that are served.
    pub(crate) regions: Arc<[String]>,
}

/// Where private keys are used and made.
pub(crate) struct Computing {
    /// A signature with a large RSA key takes some milliseconds.
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
    /// What is left of this Region's quotas.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.quotas.get(&self.keys.place.region)
    }

    /// The same service in another of its Regions; none where it does not serve that.
    pub(crate) fn in_region(&self, region: &str) -> Option<Cow<'_, Self>> {
        if region == self.keys.place.region {
            return Some(Cow::Borrowed(self));
        }
        let served = self.regions.iter().any(|served| served == region);
        served.then(|| {
            let keys = Arc::new(self.keys.in_region(region));
            Cow::Owned(Self { keys, ..self.clone() })
        })
    }

    /// The policies of the principal that asks; its root has none.
    pub(crate) async fn policies_of(&self, caller: &Caller) -> Result<Own, ApiError> {
        let Some(name) = caller.arn().strip_prefix(&self.keys.place.principal_arn("")) else {
            return Ok(Own::default());
        };
        Ok(self.principal_policies.of(&self.keys.modules, name).await?)
    }

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
