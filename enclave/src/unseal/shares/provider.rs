//! What a worker is told about the operators who unseal it together; all of it is measured.

use crate::hpke::HpkeKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// Holders at the most: what lies in the store for so many fits into a slot twice.
pub const MAX_HOLDERS: usize = 32;
/// Shares that unseal at the least: with one, each holder alone would have the root key.
const MIN_THRESHOLD: u8 = 2;

/// The holders of shares, any `threshold` of whom unseal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorShares {
    /// The holders' public keys, P-384, DER SubjectPublicKeyInfo: share 1 is the first one's. At most
    /// 32.
    #[serde(with = "crate::configuration::certificates")]
    pub holders: Vec<Vec<u8>>,
    /// How many of them it takes: 2 to all.
    pub threshold: u8,
    /// Those who held shares before, and now give them for these ones (`sekisho rekey`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerHolders>,
}

/// Whose shares the root key is still wrapped for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerHolders {
    /// As [`OperatorShares::holders`].
    #[serde(with = "crate::configuration::certificates")]
    pub holders: Vec<Vec<u8>>,
    /// As [`OperatorShares::threshold`].
    pub threshold: u8,
}

impl OperatorShares {
    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), InvalidShares> {
        self.former_keys()?;
        self.keys().map(|_| ())
    }

    /// The former holders' keys and threshold.
    pub(crate) fn former_keys(&self) -> Result<Option<(Vec<HpkeKey>, u8)>, InvalidShares> {
        let Some(FormerHolders { holders, threshold }) = &self.former else { return Ok(None) };
        Ok(Some((keys(holders, *threshold)?, *threshold)))
    }

    /// The holders' keys, in their order.
    pub(crate) fn keys(&self) -> Result<Vec<HpkeKey>, InvalidShares> {
        keys(&self.holders, self.threshold)
    }
}

fn keys(holders: &[Vec<u8>], threshold: u8) -> Result<Vec<HpkeKey>, InvalidShares> {
    if holders.len() > MAX_HOLDERS {
        return Err(InvalidShares::TooMany);
    }
    if threshold < MIN_THRESHOLD || usize::from(threshold) > holders.len() {
        return Err(InvalidShares::Threshold { threshold, shares: holders.len() });
    }
    let of = |(at, spki): (usize, &Vec<u8>)| {
        HpkeKey::from_spki(spki).map_err(|_| InvalidShares::Holder { index: at.saturating_add(1) })
    };
    let keys: Vec<HpkeKey> = holders.iter().enumerate().map(of).collect::<Result<_, _>>()?;
    let different: BTreeSet<_> = keys.iter().map(|key| key.identifier).collect();
    if different.len() != keys.len() {
        return Err(InvalidShares::SameHolder);
    }
    Ok(keys)
}

/// Holders who cannot unseal a worker together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidShares {
    /// The threshold.
    #[error(
        "the threshold is 2 at the least, since with 1 each holder alone would have the root key, and \
         the number of holders at the most; it is {threshold} of {shares}"
    )]
    Threshold {
        /// As it was given.
        threshold: u8,
        /// Holders.
        shares: usize,
    },
    /// Too many holders.
    #[error("more than {MAX_HOLDERS} holders of shares")]
    TooMany,
    /// A holder's public key.
    #[error(
        "holder {index} of shares: not a P-384 key in DER SubjectPublicKeyInfo form with a named curve \
         and an uncompressed point"
    )]
    Holder {
        /// From 1 on.
        index: usize,
    },
    /// The worker's own key of this start.
    #[error("the worker cannot make a key for shares to be encrypted to")]
    Key,
    /// Two holders with one key.
    #[error("two holders of shares have the same public key")]
    SameHolder,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpke::HpkePair;

    #[test]
    fn holders_who_cannot_unseal_are_refused() {
        let pairs: Vec<_> = (0..3).map(|_| HpkePair::generate().unwrap()).collect();
        let holders: Vec<_> = pairs.iter().map(|pair| pair.public_key().to_vec()).collect();
        let of = |holders: &[Vec<u8>], threshold| {
            OperatorShares { holders: holders.to_vec(), threshold, former: None }.check()
        };
        assert_eq!(of(&holders, 2), Ok(()));
        assert_eq!(of(&holders, 3), Ok(()));
        for threshold in [0, 1, 4] {
            let refused = InvalidShares::Threshold { threshold, shares: 3 };
            assert_eq!(of(&holders, threshold), Err(refused));
        }
        assert_eq!(of(&vec![holders[0].clone(); 33], 2), Err(InvalidShares::TooMany));
        assert_eq!(of(&vec![holders[0].clone(); 2], 2), Err(InvalidShares::SameHolder));
        let former = Some(FormerHolders { holders: holders.clone(), threshold: 1 });
        let refused = OperatorShares { holders: holders.clone(), threshold: 2, former }.check();
        assert_eq!(refused, Err(InvalidShares::Threshold { threshold: 1, shares: 3 }));
        let bad = [holders[0].clone(), vec![1, 2, 3]];
        assert_eq!(of(&bad, 2), Err(InvalidShares::Holder { index: 2 }));
    }
}
