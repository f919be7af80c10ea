//! What a development service stands for: its Regions and its account.

use serde::{Deserialize, Serialize};

use super::identity::{Account, Region};

/// What a folder was made for. A key's ARN holds Region and account, so they cannot change later;
/// further Regions can come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) region: Region,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_regions: Vec<Region>,
    pub(crate) account: Account,
}

impl Settings {
    /// What is asked of a new folder.
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self {
            region: wanted.regions.first().cloned().unwrap_or_default(),
            more_regions: Vec::new(),
            account: wanted.account.clone().unwrap_or_default(),
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

    /// Takes the Regions that are wanted and were not before; whether there are any.
    pub(super) fn add(&mut self, wanted: &[Region]) -> bool {
        let known = self.more_regions.len();
        for region in wanted {
            if *region != self.region && !self.more_regions.contains(region) {
                self.more_regions.push(region.clone());
            }
        }
        self.more_regions.len() > known
    }
}

/// What the command line asks of a folder; nothing means: what it was made for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The home Region first.
    pub(crate) regions: Vec<Region>,
    pub(crate) account: Option<Account>,
}

impl Wanted {
    pub(super) fn agrees_with(&self, settings: &Settings) -> bool {
        self.regions.first().is_none_or(|region| *region == settings.region)
            && self.account.as_ref().is_none_or(|account| *account == settings.account)
    }
}
