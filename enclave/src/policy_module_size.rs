//! The size of policy components that a worker admits, where its owner allows more than the default.

use sekisho_policy_engine::{DEFAULT_COMPONENT, MAX_COMPONENT};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Bytes: more than the engine's default, and at most what it can let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PolicyModuleSize(usize);

/// A size that no worker admits, or that every worker does.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "a size of policy components is given as 20MiB, in KiB or in bytes: more than {} KiB, which is the \
     default, and at most {} MiB",
    DEFAULT_COMPONENT / 1024,
    MAX_COMPONENT / 1024 / 1024
)]
pub struct InvalidModuleSize;

impl PolicyModuleSize {
    /// Bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl TryFrom<u64> for PolicyModuleSize {
    type Error = InvalidModuleSize;

    fn try_from(bytes: u64) -> Result<Self, InvalidModuleSize> {
        let bytes = usize::try_from(bytes).map_err(|_| InvalidModuleSize)?;
        let allowed = bytes > DEFAULT_COMPONENT && bytes <= MAX_COMPONENT;
        allowed.then_some(Self(bytes)).ok_or(InvalidModuleSize)
    }
}

impl From<PolicyModuleSize> for u64 {
    fn from(size: PolicyModuleSize) -> Self {
        Self::try_from(size.0).unwrap_or(Self::MAX)
    }
}

impl FromStr for PolicyModuleSize {
    type Err = InvalidModuleSize;

    fn from_str(text: &str) -> Result<Self, InvalidModuleSize> {
        let (number, unit) = match (text.strip_suffix("MiB"), text.strip_suffix("KiB")) {
            (Some(number), _) => (number, 1024 * 1024),
            (None, Some(number)) => (number, 1024),
            (None, None) => (text, 1),
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| digits);
        number.and_then(|number| number.checked_mul(unit)).ok_or(InvalidModuleSize)?.try_into()
    }
}

impl fmt::Display for PolicyModuleSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1024 * 1024) == 0 => write!(f, "{}MiB", bytes / 1024 / 1024),
            bytes if bytes % 1024 == 0 => write!(f, "{}KiB", bytes / 1024),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_and_written() {
        for text in ["20MiB", "32MiB", "1921KiB", "20000001"] {
            assert_eq!(text.parse::<PolicyModuleSize>().unwrap().to_string(), text);
        }
        let size: PolicyModuleSize = "20480KiB".parse().unwrap();
        assert_eq!((size.to_string().as_str(), size.bytes()), ("20MiB", 20 * 1024 * 1024));
        for text in ["", "MiB", "0", "1920KiB", "33MiB", "20MB", "20 MiB", "+20MiB", "20mib"] {
            assert!(text.parse::<PolicyModuleSize>().is_err(), "{text}");
        }
        assert!("99999999999999999999MiB".parse::<PolicyModuleSize>().is_err());
    }
}
