//! What a worker is told about the KMS that wraps its root key; all of it is measured.

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use sekisho_wire::egress::Destination;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

use crate::configuration::is_region;

/// The longest ARN of a key: the constraint of `KeyIdType` in AWS's service model.
const MAX_ARN: usize = 2048;
/// Certificates that are pinned at the most.
const MAX_ROOTS: usize = 16;

/// The ARN of a key of AWS KMS, or of another Sekisho's: not an id, and not an alias, which could
/// name another key tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyArn {
    text: String,
    region: String,
}

impl KeyArn {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The Region in it.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<KeyArn> for String {
    fn from(arn: KeyArn) -> Self {
        arn.text
    }
}

impl TryFrom<String> for KeyArn {
    type Error = InvalidKms;

    fn try_from(text: String) -> Result<Self, InvalidKms> {
        text.parse()
    }
}

impl FromStr for KeyArn {
    type Err = InvalidKms;

    fn from_str(text: &str) -> Result<Self, InvalidKms> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "kms", region, account, resource] = parts.as_slice() else {
            return Err(InvalidKms::KeyArn);
        };
        let is_word = |text: &str| {
            let in_a_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !text.is_empty() && text.bytes().all(in_a_word)
        };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_key = resource.strip_prefix("key/").is_some_and(is_word);
        if text.len() > MAX_ARN
            || !is_word(partition)
            || !is_region(region)
            || !is_account
            || !is_key
        {
            return Err(InvalidKms::KeyArn);
        }
        Ok(Self { text: text.to_owned(), region: (*region).to_owned() })
    }
}

/// The KMS that wraps the root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKms {
    /// The key that wraps it.
    pub key: KeyArn,
    /// Where the KMS is reached; its certificate has this name.
    pub endpoint: Destination,
    /// The root certificates (DER) that its certificate may chain to. Never empty: the host chooses
    /// whom the egress connects to.
    #[serde(with = "crate::configuration::certificates")]
    pub roots: Vec<Vec<u8>>,
}

impl AwsKms {
    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), InvalidKms> {
        self.pinned()?;
        self.server_name().map(|_| ())
    }

    pub(super) fn pinned(&self) -> Result<RootCertStore, InvalidKms> {
        if self.roots.is_empty() {
            return Err(InvalidKms::NoRoots);
        }
        if self.roots.len() > MAX_ROOTS {
            return Err(InvalidKms::TooManyRoots);
        }
        let mut pinned = RootCertStore::empty();
        for root in &self.roots {
            let root = CertificateDer::from_slice(root).into_owned();
            pinned.add(root).map_err(|_| InvalidKms::Root)?;
        }
        Ok(pinned)
    }

    pub(super) fn server_name(&self) -> Result<ServerName<'static>, InvalidKms> {
        ServerName::try_from(self.endpoint.name().to_owned()).map_err(|_| InvalidKms::Endpoint)
    }
}

/// A KMS that no worker asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKms {
    /// The key.
    #[error(
        "the key that wraps the root key is named by its ARN, like \
         arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    )]
    KeyArn,
    /// The endpoint.
    #[error("the KMS's endpoint has no name that a certificate could have")]
    Endpoint,
    /// No root certificate.
    #[error("no root certificate is given for the KMS")]
    NoRoots,
    /// Too many root certificates.
    #[error("more than {MAX_ROOTS} root certificates for the KMS")]
    TooManyRoots,
    /// A root certificate.
    #[error("a root certificate for the KMS is no certificate")]
    Root,
    /// TLS could not be set up.
    #[error("TLS to the KMS cannot be set up")]
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_arns_and_nothing_else() {
        let good = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let arn: KeyArn = good.parse().unwrap();
        assert_eq!((arn.as_str(), arn.region()), (good, "eu-central-1"));
        for other in ["arn:aws-us-gov:kms:us-gov-west-1:1111", "arn:aws-cn:kms:cn-north-1:1111"] {
            assert!(format!("{other}22223333:key/mrk-1234").parse::<KeyArn>().is_ok());
        }
        for bad in [
            "",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/root",
            "arn:aws:kms:eu-central-1:111122223333:alias/root",
            "arn:aws:kms:eu-central-1:11112222333:key/1",
            "arn:aws:kms::111122223333:key/1",
            "arn:aws:s3:eu-central-1:111122223333:key/1",
            "arn:aws:kms:eu-central-1:111122223333:key/",
            "arn:aws:kms:eu-central-1:111122223333:key/1\n",
            "arn:aws:kms:eu-central-1:111122223333:key/1:2",
        ] {
            assert_eq!(bad.parse::<KeyArn>(), Err(InvalidKms::KeyArn), "{bad}");
        }
    }

    #[test]
    fn a_kms_without_roots_or_with_something_else_is_refused() {
        let of = |roots| AwsKms {
            key: "arn:aws:kms:eu-central-1:111122223333:key/1".parse().unwrap(),
            endpoint: "kms.eu-central-1.amazonaws.com:443".parse().unwrap(),
            roots,
        };
        assert_eq!(of(vec![]).check(), Err(InvalidKms::NoRoots));
        assert_eq!(of(vec![vec![1, 2, 3]]).check(), Err(InvalidKms::Root));
        assert_eq!(of(vec![vec![]; 17]).check(), Err(InvalidKms::TooManyRoots));
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        assert_eq!(of(vec![root.der().to_vec()]).check(), Ok(()));
    }
}
