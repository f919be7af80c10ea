//! What a development service stands for: its Regions and its account.

use sekisho_enclave::{OperatorShares, PolicyModuleSize};
use serde::{Deserialize, Serialize};

use super::identity::{Account, Region};
use super::unseal::KmsSettings;

/// What a folder was made for. A key's ARN holds Region and account, so they cannot change later;
/// further Regions can come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) region: Region,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_regions: Vec<Region>,
    pub(crate) account: Account,
    /// Roots (DER) beside the development root that callers' documents may chain to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) caller_roots: Vec<Vec<u8>>,
    /// The administrator's public key, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) administrator_key: Option<Vec<u8>>,
    /// Without one the root key is in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unseal: Option<KmsSettings>,
    /// Those who unseal it together, in place of a KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operators: Option<OperatorShares>,
    /// What policy components may have, where more than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy_module_size: Option<PolicyModuleSize>,
}

impl Settings {
    /// What is asked of a new folder.
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self {
            region: wanted.regions.first().cloned().unwrap_or_default(),
            more_regions: Vec::new(),
            account: wanted.account.clone().unwrap_or_default(),
            caller_roots: Vec::new(),
            administrator_key: None,
            unseal: None,
            operators: None,
            policy_module_size: None,
        }
    }

    /// The Regions beside the home Region, as the boot configuration has them.
    pub(crate) fn other_regions(&self) -> Vec<String> {
        self.more_regions.iter().map(Region::to_string).collect()
    }

    /// The Regions that are served, the home Region first.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &Region> {
        [&self.region].into_iter().chain(&self.more_regions)
    }

    /// Takes what is wanted and was not before; whether there is anything.
    pub(super) fn add(&mut self, wanted: &Wanted) -> bool {
        let before = self.clone();
        for region in &wanted.regions {
            if *region != self.region && !self.more_regions.contains(region) {
                self.more_regions.push(region.clone());
            }
        }
        for root in &wanted.caller_roots {
            if !self.caller_roots.contains(root) {
                self.caller_roots.push(root.clone());
            }
        }
        if wanted.administrator_key.is_some() {
            self.administrator_key.clone_from(&wanted.administrator_key);
        }
        if wanted.policy_module_size.is_some() {
            self.policy_module_size = wanted.policy_module_size;
        }
        if wanted.unseal.is_some() {
            self.unseal.clone_from(&wanted.unseal);
            self.operators = None;
        }
        if wanted.operators.is_some() {
            self.operators.clone_from(&wanted.operators);
            self.unseal = None;
        }
        *self != before
    }
}

/// What the command line asks of a folder; nothing means: what it was made for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The home Region first.
    pub(crate) regions: Vec<Region>,
    pub(crate) account: Option<Account>,
    pub(crate) caller_roots: Vec<Vec<u8>>,
    pub(crate) administrator_key: Option<Vec<u8>>,
    pub(crate) unseal: Option<KmsSettings>,
    pub(crate) operators: Option<OperatorShares>,
    pub(crate) policy_module_size: Option<PolicyModuleSize>,
}

impl Wanted {
    pub(super) fn agrees_with(&self, settings: &Settings) -> bool {
        self.regions.first().is_none_or(|region| *region == settings.region)
            && self.account.as_ref().is_none_or(|account| *account == settings.account)
    }
}
