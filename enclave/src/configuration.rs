//! The boot configuration: what the host may choose, measured into PCR16 before anyone is served.

use crate::hpke::{HpkeKey, UnusableKey};
use crate::peers::{InvalidPeers, Peers};
use crate::policy_module_size::PolicyModuleSize;
use crate::quotas::{InvalidQuota, Quotas};
use crate::unseal::{AwsKms, InvalidKms, InvalidShares, OperatorShares, Peer};
use sekisho_nsm::{Nsm, NsmError};
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha384};
use thiserror::Error;

/// The register that holds the boot configuration: the first that an enclave may extend.
pub const BOOT_CONFIGURATION_PCR: u16 = 16;

/// Characters of a Region's name, as in AWS's service model.
const MAX_REGION: usize = 32;
/// Regions of one service at the most: more than AWS has.
const MAX_REGIONS: usize = 64;
/// Names in one certificate at the most.
const MAX_NAMES: usize = 64;

/// Where the root key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnsealProvider {
    /// A file on the host, as `sekisho dev` uses it: the host can read every key.
    #[serde(rename = "development-file")]
    DevelopmentFile,
    /// AWS KMS, or another Sekisho, which unwraps it for this worker's measurement alone.
    #[serde(rename = "aws-kms")]
    AwsKms(AwsKms),
    /// A worker of the same service that has it.
    #[serde(rename = "peer")]
    Peer(Peer),
    /// Operators, some of whom give their shares at each start.
    #[serde(rename = "operator-shares")]
    OperatorShares(OperatorShares),
    /// None: the worker stays sealed.
    #[serde(rename = "none")]
    Nothing,
}

impl UnsealProvider {
    /// The name that stands in attestations.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DevelopmentFile => "development-file",
            Self::AwsKms(_) => "aws-kms",
            Self::Peer(_) => "peer",
            Self::OperatorShares(_) => "operator-shares",
            Self::Nothing => "none",
        }
    }
}

/// What a worker is told at its start. Every field counts for the measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootConfiguration {
    /// AWS region of the ARNs and signatures, such as `eu-central-1`: the home Region.
    pub region: String,
    /// Other Regions that are served. A key is of the Region that it was asked for in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_regions: Vec<String>,
    /// Twelve digits.
    pub account: String,
    /// Where the root key comes from.
    pub unseal: UnsealProvider,
    /// Root certificates (DER) that callers' attestation documents may chain to. Never empty.
    #[serde(with = "crate::configuration::certificates")]
    pub caller_roots: Vec<Vec<u8>>,
    /// The auditor's public key, to which the audit log is encrypted: P-384, DER
    /// SubjectPublicKeyInfo.
    #[serde(with = "serde_bytes")]
    pub auditor_key: Vec<u8>,
    /// The administrator's public key, in the same form: a service that begins encrypts its first
    /// access key to it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub administrator_key: Option<Vec<u8>>,
    /// Names and addresses beside `localhost`, `127.0.0.1` and `::1` in the TLS certificate.
    pub names: Vec<String>,
    /// How many requests of each kind the account may make.
    pub quotas: Quotas,
    /// Which workers may have the root key from one another; without it none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
    /// Bytes of the largest policy component, where more than the default is admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_module_size: Option<PolicyModuleSize>,
}

/// A configuration that no worker starts with.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidConfiguration {
    /// Region.
    #[error("region {0:?} is not like eu-central-1")]
    Region(String),
    /// A Region is given twice.
    #[error("region {0:?} is given twice")]
    SameRegion(String),
    /// Too many Regions.
    #[error("more than {MAX_REGIONS} regions")]
    TooManyRegions,
    /// Account.
    #[error("account {0:?} is not twelve digits")]
    Account(String),
    /// No root for callers' documents.
    #[error("no root certificate for callers' attestation documents is given")]
    NoCallerRoots,
    /// No key to encrypt the audit log to.
    #[error("the auditor's key: {0}")]
    AuditorKey(UnusableKey),
    /// No key to encrypt the first access key to.
    #[error("the administrator's key: {0}")]
    AdministratorKey(UnusableKey),
    /// A quota that there is not, or that lets nothing through.
    #[error(transparent)]
    Quota(#[from] InvalidQuota),
    /// The KMS that wraps the root key.
    #[error(transparent)]
    Kms(#[from] InvalidKms),
    /// The peers.
    #[error(transparent)]
    Peers(#[from] InvalidPeers),
    /// The operators who unseal.
    #[error(transparent)]
    Shares(#[from] InvalidShares),
    /// Too many names.
    #[error("more than {MAX_NAMES} names for the TLS certificate")]
    TooManyNames,
}

/// Whether a text has the pattern of AWS's `RegionType`: `^([a-z]+-){2,3}\d+$`.
pub fn is_region(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').collect();
    parts.split_last().is_some_and(|(number, words)| {
        (2..=3).contains(&words.len())
            && words.iter().all(|part| word(part))
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

impl BootConfiguration {
    /// The Regions that are served, the home Region first.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &str> {
        [&self.region].into_iter().chain(&self.other_regions).map(String::as_str)
    }

    /// Checks the form of every field.
    ///
    /// # Errors
    /// The first field that is not of its form.
    pub fn check(&self) -> Result<(), InvalidConfiguration> {
        if self.regions().count() > MAX_REGIONS {
            return Err(InvalidConfiguration::TooManyRegions);
        }
        for (at, region) in self.regions().enumerate() {
            if !is_region(region) || region.len() > MAX_REGION {
                return Err(InvalidConfiguration::Region(region.to_owned()));
            }
            if self.regions().take(at).any(|before| before == region) {
                return Err(InvalidConfiguration::SameRegion(region.to_owned()));
            }
        }
        if self.account.len() != 12 || !self.account.chars().all(|c| c.is_ascii_digit()) {
            return Err(InvalidConfiguration::Account(self.account.clone()));
        }
        if self.caller_roots.is_empty() {
            return Err(InvalidConfiguration::NoCallerRoots);
        }
        HpkeKey::from_spki(&self.auditor_key).map_err(InvalidConfiguration::AuditorKey)?;
        if let Some(key) = &self.administrator_key {
            HpkeKey::from_spki(key).map_err(InvalidConfiguration::AdministratorKey)?;
        }
        match &self.unseal {
            UnsealProvider::AwsKms(kms) => kms.check()?,
            UnsealProvider::OperatorShares(shares) => shares.check()?,
            _ => {}
        }
        match (&self.peers, &self.unseal) {
            (Some(peers), _) => peers.check()?,
            (None, UnsealProvider::Peer(_)) => return Err(InvalidPeers::NotConfigured.into()),
            (None, _) => {}
        }
        if self.names.len() > MAX_NAMES {
            return Err(InvalidConfiguration::TooManyNames);
        }
        self.quotas.check()?;
        Ok(())
    }

    /// SHA-384 of the configuration's CBOR: what PCR16 is extended with.
    ///
    /// # Errors
    /// A configuration larger than a message on the wire.
    pub fn sha384(&self) -> Result<[u8; 48], CodecError> {
        Ok(Sha384::digest(codec::encode(self)?).into())
    }

    /// What PCR16 is in a worker with this configuration.
    ///
    /// # Errors
    /// As [`Self::sha384`].
    pub fn register(&self) -> Result<[u8; 48], CodecError> {
        let (_, value) = register_of(&codec::encode(self)?);
        Ok(value)
    }

    /// Extends PCR16 with the digest and locks it, or finds it locked with just this value.
    pub(crate) fn measure(&self, nsm: &dyn Nsm) -> Result<(), MeasureError> {
        let digest = self.sha384()?;
        let expected = self.register()?;
        let register = nsm.describe_pcr(BOOT_CONFIGURATION_PCR)?;
        if !register.locked {
            nsm.extend_pcr(BOOT_CONFIGURATION_PCR, &digest)?;
            nsm.lock_pcr(BOOT_CONFIGURATION_PCR)?;
        }
        // Read back: the register may have been extended or locked before this start.
        let register = nsm.describe_pcr(BOOT_CONFIGURATION_PCR)?;
        if !register.locked || register.value.as_slice() != expected.as_slice() {
            return Err(MeasureError::OtherConfiguration);
        }
        Ok(())
    }
}

/// The register that is extended with the digest of an encoded configuration, and its value then.
pub(crate) fn register_of(encoded: &[u8]) -> (u8, [u8; 48]) {
    let extended = Sha384::new().chain_update([0; 48]).chain_update(Sha384::digest(encoded));
    (u8::try_from(BOOT_CONFIGURATION_PCR).unwrap_or(u8::MAX), extended.finalize().into())
}

/// The boot configuration could not be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The NSM refused.
    #[error("the NSM refused to measure the boot configuration: {0}")]
    Nsm(#[from] NsmError),
    /// The configuration is too large.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// PCR16 was extended before.
    #[error("PCR16 already holds another boot configuration; restart the enclave to change it")]
    OtherConfiguration,
}

/// A list of byte strings, as byte strings in CBOR.
pub(crate) mod certificates {
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    pub(crate) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| Bytes::new(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let list = Vec::<ByteBuf>::deserialize(deserializer)?;
        Ok(list.into_iter().map(ByteBuf::into_vec).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> BootConfiguration {
        BootConfiguration {
            region: "eu-central-1".into(),
            other_regions: vec!["eu-west-1".into()],
            account: "111122223333".into(),
            unseal: UnsealProvider::DevelopmentFile,
            caller_roots: vec![vec![1]],
            auditor_key: crate::probe::auditor().unwrap().public_key().to_vec(),
            administrator_key: None,
            names: vec!["kms.example".into()],
            quotas: Quotas::none(),
            peers: None,
            policy_module_size: None,
        }
    }

    #[test]
    fn every_field_counts_for_the_measurement() {
        let base = configuration().sha384().unwrap();
        let change = |edit: fn(&mut BootConfiguration)| {
            let mut changed = configuration();
            edit(&mut changed);
            changed.sha384().unwrap()
        };
        assert_ne!(base, change(|c| c.region = "us-east-1".into()));
        assert_ne!(base, change(|c| c.other_regions.clear()));
        assert_ne!(base, change(|c| c.account = "0".into()));
        assert_ne!(base, change(|c| c.unseal = UnsealProvider::Nothing));
        let kms = |number: u8| {
            UnsealProvider::AwsKms(AwsKms {
                key: format!("arn:aws:kms:eu-central-1:111122223333:key/{}", number / 4)
                    .parse()
                    .unwrap(),
                endpoint: format!("kms{}.example:443", number / 2 % 2).parse().unwrap(),
                roots: vec![vec![number % 2]],
            })
        };
        let of = |unseal| BootConfiguration { unseal, ..configuration() }.sha384().unwrap();
        let digests: std::collections::BTreeSet<_> = (0..8).map(|number| of(kms(number))).collect();
        assert_eq!(digests.len(), 8, "key, endpoint and roots are measured");
        let shares = |holders: &[u8], threshold| {
            let holders = holders.iter().map(|holder| vec![*holder]).collect();
            of(UnsealProvider::OperatorShares(OperatorShares { holders, threshold, former: None }))
        };
        let digests =
            [shares(&[1, 2], 2), shares(&[2, 1], 2), shares(&[1, 3], 2), shares(&[1, 2], 3)];
        let digests: std::collections::BTreeSet<_> = digests.into_iter().collect();
        assert_eq!(digests.len(), 4, "the holders, their order and the threshold are measured");
        assert_ne!(base, change(|c| c.caller_roots = vec![vec![2]]));
        assert_ne!(base, change(|c| c.auditor_key.clear()));
        assert_ne!(base, change(|c| c.administrator_key = Some(c.auditor_key.clone())));
        assert_ne!(base, change(|c| c.names.clear()));
        assert_ne!(base, change(|c| c.quotas = Quotas::aws("eu-central-1")));
        let ab = "ab".repeat(48);
        let peers = |number: u8| Peers {
            roots: vec![vec![number & 1]],
            measurements: vec![
                format!("0={ab},1={ab},2={ab},{}={ab}", 8 + (number >> 1 & 1)).parse().unwrap(),
            ],
            operators: vec![vec![number >> 2 & 1]],
            operators_needed: number >> 3,
        };
        let of = |peers| BootConfiguration { peers, ..configuration() }.sha384().unwrap();
        let mut digests: std::collections::BTreeSet<_> =
            (0..16).map(|number| of(Some(peers(number)))).collect();
        digests.insert(of(None));
        assert_eq!(
            digests.len(),
            17,
            "roots, measurements, operators and their number are measured"
        );
        let peer = |number: u8| {
            UnsealProvider::Peer(Peer {
                endpoint: format!("peer{}.example:443", number & 1).parse().unwrap(),
                service_ca_sha256: [number >> 1; 32],
            })
        };
        let of = |unseal| BootConfiguration { unseal, ..configuration() }.sha384().unwrap();
        let digests: std::collections::BTreeSet<_> =
            (0..4).map(|number| of(peer(number))).collect();
        assert_eq!(digests.len(), 4, "the peer's endpoint and service are measured");
    }

    #[test]
    fn malformed_fields_are_refused() {
        configuration().check().unwrap();
        for region in ["", "eu", "eu-1", "eu-central", "EU-central-1", "eu-central-1x", "eu--1"] {
            let changed = BootConfiguration { region: region.into(), ..configuration() };
            assert!(matches!(changed.check(), Err(InvalidConfiguration::Region(_))), "{region}");
            let other_regions = vec![region.into()];
            let changed = BootConfiguration { other_regions, ..configuration() };
            assert!(matches!(changed.check(), Err(InvalidConfiguration::Region(_))), "{region}");
        }
        for twice in ["eu-central-1", "eu-west-1"] {
            let mut changed = configuration();
            changed.other_regions.push(twice.into());
            assert_eq!(changed.check(), Err(InvalidConfiguration::SameRegion(twice.into())));
        }
        let letters = || (b'a'..=b'z').map(char::from);
        let many = letters().flat_map(|one| letters().map(move |two| format!("{one}-{two}-1")));
        let changed = BootConfiguration { other_regions: many.collect(), ..configuration() };
        assert_eq!(changed.check(), Err(InvalidConfiguration::TooManyRegions));
        for account in ["", "1", "11112222333a", "1111222233334"] {
            let changed = BootConfiguration { account: account.into(), ..configuration() };
            assert!(matches!(changed.check(), Err(InvalidConfiguration::Account(_))), "{account}");
        }
        let changed = BootConfiguration { caller_roots: vec![], ..configuration() };
        assert_eq!(changed.check(), Err(InvalidConfiguration::NoCallerRoots));
        let changed = BootConfiguration { auditor_key: vec![1], ..configuration() };
        assert_eq!(changed.check(), Err(InvalidConfiguration::AuditorKey(UnusableKey)));
        let unseal = UnsealProvider::Peer(Peer {
            endpoint: "peer.example:443".parse().unwrap(),
            service_ca_sha256: [0; 32],
        });
        let changed = BootConfiguration { unseal, ..configuration() };
        let error = Err(InvalidConfiguration::Peers(InvalidPeers::NotConfigured));
        assert_eq!(changed.check(), error);
        let changed = BootConfiguration { administrator_key: Some(vec![1]), ..configuration() };
        assert_eq!(changed.check(), Err(InvalidConfiguration::AdministratorKey(UnusableKey)));
    }
}
