//! Request quotas: how many requests of each kind the account may make in a second (AWS KMS Developer
//! Guide, "Request quotas"). All principals of the account share them, and a refused request costs
//! nothing.

use crate::api::{Facts, Operation};
use crate::authorize::Keys;
use crate::keys::spec::KeySpec;
use crate::throttle::{Bucket, Exhausted, Rate};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

const SYMMETRIC: &str = "Cryptographic operations (symmetric)";
const RSA: &str = "Cryptographic operations (RSA)";
const ML_DSA: &str = "Cryptographic operations (ML-DSA)";
const ECC: &str = "Cryptographic operations (ECC and SM2)";
/// Not in AWS's table.
const ML_KEM: &str = "Cryptographic operations (ML-KEM)";

/// AWS's defaults, by the names of AWS's table without "request rate"; requests a second. The
/// symmetric ones differ by region.
const DEFAULTS: &[(&str, u32)] = &[
    (SYMMETRIC, 10_000),
    (RSA, 1000),
    (ML_DSA, 1000),
    (ECC, 1000),
    (ML_KEM, 1000),
    ("CancelKeyDeletion", 5),
    ("ConnectCustomKeyStore", 5),
    ("CreateAlias", 5),
    ("CreateCustomKeyStore", 5),
    ("CreateGrant", 50),
    ("CreateKey", 5),
    ("DeleteAlias", 15),
    ("DeleteCustomKeyStore", 5),
    ("DeleteImportedKeyMaterial", 15),
    ("DescribeCustomKeyStores", 5),
    ("DescribeKey", 2000),
    ("DisableKey", 5),
    ("DisableKeyRotation", 5),
    ("DisconnectCustomKeyStore", 5),
    ("EnableKey", 5),
    ("EnableKeyRotation", 15),
    ("GenerateDataKeyPair (ECC_NIST_EDWARDS25519)", 100),
    ("GenerateDataKeyPair (ECC_NIST_P256)", 100),
    ("GenerateDataKeyPair (ECC_NIST_P384)", 100),
    ("GenerateDataKeyPair (ECC_NIST_P521)", 100),
    ("GenerateDataKeyPair (ECC_SECG_P256K1)", 100),
    ("GenerateDataKeyPair (RSA_2048)", 20),
    ("GenerateDataKeyPair (RSA_3072)", 4),
    ("GenerateDataKeyPair (RSA_4096)", 1),
    ("GenerateDataKeyPair (SM2)", 25),
    ("GetKeyLastUsage", 5),
    ("GetKeyPolicy", 1000),
    ("GetKeyRotationStatus", 1000),
    ("GetParametersForImport", 1),
    ("GetPublicKey", 2000),
    ("ImportKeyMaterial", 15),
    ("ListAliases", 500),
    ("ListGrants", 100),
    ("ListKeyPolicies", 100),
    ("ListKeyRotations", 100),
    ("ListKeys", 500),
    ("ListResourceTags", 2000),
    ("ListRetirableGrants", 100),
    ("PutKeyPolicy", 15),
    ("ReplicateKey", 5),
    ("RetireGrant", 50),
    ("RevokeGrant", 50),
    ("RotateKeyOnDemand", 5),
    ("ScheduleKeyDeletion", 15),
    ("TagResource", 10),
    ("UntagResource", 5),
    ("UpdateAlias", 5),
    ("UpdateCustomKeyStore", 5),
    ("UpdateKeyDescription", 5),
    ("UpdatePrimaryRegion", 5),
];
/// The regions in which the symmetric quota is 20 000 and 100 000.
const LARGE: &[&str] = &[
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-2",
    "us-east-2",
];
const LARGEST: &[&str] = &["eu-west-1", "us-east-1", "us-west-2"];

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// At least one.
    pub requests: u32,
    /// At least one.
    pub seconds: u32,
}

/// The quotas of the boot configuration, by AWS's names. What is not here has no quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas(BTreeMap<String, Quota>);

/// Another quota than the default: `CreateKey=50`, `CreateKey=1/10` (one in ten seconds) or
/// `CreateKey=none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaChange {
    name: String,
    quota: Option<Quota>,
}

/// A quota that there is not, or that lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidQuota {
    /// No quota is called so.
    #[error("there is no request quota {0:?}; names are AWS's, such as CreateKey or {RSA:?}")]
    Name(String),
    /// Not a number of requests.
    #[error("{0:?} is not like CreateKey=50, CreateKey=1/10 or CreateKey=none")]
    Form(String),
}

impl Quota {
    fn of(requests: u32, seconds: u32) -> Self {
        Self { requests, seconds }
    }

    /// A bucket that holds what may come at once.
    fn rate(self) -> Rate {
        let burst = self.requests.saturating_mul(self.seconds);
        Rate { per_second: self.requests, burst }
    }
}

impl Quotas {
    /// No quota at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// AWS's defaults in a region.
    pub fn aws(region: &str) -> Self {
        let mut quotas: BTreeMap<String, Quota> = DEFAULTS
            .iter()
            .map(|(name, requests)| ((*name).to_owned(), Quota::of(*requests, 1)))
            .collect();
        let mut put = |name: &str, quota| quotas.insert(name.to_owned(), quota);
        if LARGE.contains(&region) {
            put(SYMMETRIC, Quota::of(20_000, 1));
        } else if LARGEST.contains(&region) {
            put(SYMMETRIC, Quota::of(100_000, 1));
        } else if region.starts_with("cn-") {
            put("GenerateDataKeyPair (RSA_2048)", Quota::of(1, 1));
            put("GenerateDataKeyPair (RSA_3072)", Quota::of(1, 2));
            put("GenerateDataKeyPair (RSA_4096)", Quota::of(1, 10));
        }
        Self(quotas)
    }

    /// These, with some changed.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = QuotaChange>) -> Self {
        for QuotaChange { name, quota } in changes {
            match quota {
                Some(quota) => self.0.insert(name, quota),
                None => self.0.remove(&name),
            };
        }
        self
    }

    /// Checks that all of them exist and let something through.
    pub(crate) fn check(&self) -> Result<(), InvalidQuota> {
        for (name, quota) in &self.0 {
            known(name)?;
            if quota.requests == 0 || quota.seconds == 0 {
                return Err(InvalidQuota::Form(name.clone()));
            }
        }
        Ok(())
    }
}

impl FromStr for QuotaChange {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let form = || InvalidQuota::Form(text.to_owned());
        let (name, value) = text.rsplit_once('=').ok_or_else(form)?;
        known(name)?;
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
        let (requests, seconds) = value.split_once('/').unwrap_or((value, "1"));
        let quota = match value {
            "none" => None,
            _ => {
                let requests = number(requests).ok_or_else(form)?;
                Some(Quota::of(requests, number(seconds).ok_or_else(form)?))
            }
        };
        Ok(Self { name: name.to_owned(), quota })
    }
}

fn known(name: &str) -> Result<(), InvalidQuota> {
    let is_known = DEFAULTS.iter().any(|(known, _)| *known == name);
    if is_known { Ok(()) } else { Err(InvalidQuota::Name(name.to_owned())) }
}

/// What is left of the quotas.
pub(crate) struct Meter(HashMap<String, (Quota, Mutex<Bucket>)>);

impl Meter {
    /// Full at `now`, milliseconds since 1970.
    pub(crate) fn new(quotas: &Quotas, now: u64) -> Self {
        let full = |quota: Quota| (quota, Mutex::new(Bucket::full(quota.rate(), now)));
        Self(quotas.0.iter().map(|(name, quota)| (name.clone(), full(*quota))).collect())
    }

    /// Counts one request; the name of the quota that it is beyond, where it is beyond one.
    pub(crate) fn count(
        &self,
        operation: Operation,
        facts: &Facts<'_>,
        keys: &Keys,
        now: u64,
    ) -> Result<(), Cow<'static, str>> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (first, second) = names(operation, facts, keys);
        for name in [Some(first), second].into_iter().flatten() {
            if self.take(&name, now).is_err() {
                return Err(name);
            }
        }
        Ok(())
    }

    fn take(&self, name: &str, now: u64) -> Result<(), Exhausted> {
        let Some((quota, bucket)) = self.0.get(name) else { return Ok(()) };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(quota.rate(), quota.seconds, now)
    }
}

/// The quota that a request counts for; a ReEncrypt between keys of two kinds counts for two.
fn names(
    operation: Operation,
    facts: &Facts<'_>,
    keys: &Keys,
) -> (Cow<'static, str>, Option<Cow<'static, str>>) {
    let name = operation.name();
    if name.starts_with("GenerateDataKeyPair") {
        let spec = facts.parameters.iter().find(|(parameter, _)| parameter == "KeyPairSpec");
        let spec = spec.map_or("", |(_, spec)| spec);
        return (format!("GenerateDataKeyPair ({spec})").into(), None);
    }
    // What uses keys shares a quota with what else uses keys of the kind.
    if operation.uses_keys() || operation == Operation::GenerateRandom {
        let kind = |held: &std::sync::Arc<crate::keys::store::HeldKey>| shared(held.key.spec);
        let first = keys.first.as_ref().map_or(SYMMETRIC, kind);
        let second = keys.second.as_ref().map(kind).filter(|second| *second != first);
        return (first.into(), second.map(Cow::from));
    }
    (name.into(), None)
}

fn shared(spec: KeySpec) -> &'static str {
    match spec.name() {
        name if name.starts_with("RSA_") => RSA,
        name if name.starts_with("ML_DSA_") => ML_DSA,
        name if name.starts_with("ML_KEM_") => ML_KEM,
        name if name.starts_with("ECC_") || name == "SM2" => ECC,
        _ => SYMMETRIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> QuotaChange {
        text.parse().unwrap()
    }

    #[test]
    fn a_quota_is_used_up_and_fills_again() {
        let quotas = Quotas::none().with([change("CreateKey=2"), change("ListKeys=1/10")]);
        let meter = Meter::new(&quotas, 0);
        let (facts, keys) = (Facts::default(), Keys::default());
        let count = |operation, now| meter.count(operation, &facts, &keys, now);
        for _ in 0..2 {
            assert_eq!(count(Operation::CreateKey, 0), Ok(()));
        }
        assert_eq!(count(Operation::CreateKey, 499), Err("CreateKey".into()));
        assert_eq!(count(Operation::CreateKey, 500), Ok(()));
        assert_eq!(count(Operation::CreateKey, 500), Err("CreateKey".into()));
        assert_eq!(count(Operation::ListKeys, 500), Ok(()));
        assert_eq!(count(Operation::ListKeys, 10_499), Err("ListKeys".into()));
        assert_eq!(count(Operation::ListKeys, 10_500), Ok(()));
        for _ in 0..1000 {
            assert_eq!(count(Operation::DescribeKey, 500), Ok(()), "it has no quota");
        }
    }

    #[test]
    fn what_operations_share_is_shared() {
        let meter = Meter::new(&Quotas::none().with([change(&format!("{SYMMETRIC}=2"))]), 0);
        let (facts, keys) = (Facts::default(), Keys::default());
        for operation in [Operation::Encrypt, Operation::GenerateRandom] {
            assert_eq!(meter.count(operation, &facts, &keys, 0), Ok(()));
        }
        assert_eq!(meter.count(Operation::Decrypt, &facts, &keys, 0), Err(SYMMETRIC.into()));
        let pair = Facts::default().parameter("KeyPairSpec", "RSA_2048");
        let (name, _) = names(Operation::GenerateDataKeyPairWithoutPlaintext, &pair, &keys);
        assert_eq!(name, "GenerateDataKeyPair (RSA_2048)");
        known(&name).unwrap();
    }

    #[test]
    fn every_spec_has_its_kind() {
        for spec in KeySpec::ALL {
            let name = spec.name();
            let expected = name.starts_with("HMAC_") || name == "SYMMETRIC_DEFAULT";
            assert_eq!(shared(spec) == SYMMETRIC, expected, "{name}");
        }
    }

    #[test]
    fn defaults_are_awss() {
        for (region, symmetric) in
            [("eu-north-1", 10_000), ("eu-central-1", 20_000), ("us-east-1", 100_000)]
        {
            let quotas = Quotas::aws(region);
            quotas.check().unwrap();
            assert_eq!(quotas.0.get(SYMMETRIC), Some(&Quota::of(symmetric, 1)));
            assert_eq!(quotas.0.get("CreateKey"), Some(&Quota::of(5, 1)));
        }
        let china = Quotas::aws("cn-north-1");
        assert_eq!(china.0.get("GenerateDataKeyPair (RSA_4096)"), Some(&Quota::of(1, 10)));
        let opened = Quotas::aws("eu-north-1").with([change("CreateKey=none")]);
        assert_eq!(opened.0.get("CreateKey"), None);
    }

    #[test]
    fn what_is_no_quota_is_refused() {
        for text in ["CreateKey", "CreateKey=", "CreateKey=0", "CreateKey=1/0", "CreateKey=-1"] {
            let refused = text.parse::<QuotaChange>();
            assert_eq!(refused, Err(InvalidQuota::Form(text.into())), "{text}");
        }
        assert_eq!("Make=1".parse::<QuotaChange>(), Err(InvalidQuota::Name("Make".into())));
        let nothing = Quotas([("CreateKey".into(), Quota::of(0, 1))].into());
        assert!(nothing.check().is_err());
    }
}
