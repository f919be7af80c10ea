//! Principals beside the ones of the start: who they are, the access keys they sign with, and
//! the sessions made from those.

pub(crate) mod first;
pub(crate) mod policies;
pub(crate) mod session;
pub(crate) mod store;

use crate::secret::{RandomUnavailable, fill_random};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The account's root among the principals: no IAM user can have a colon in its name.
pub(crate) const ROOT: &str = ":root";
/// What access key ids start with: of keys that stay, and of sessions.
const LONG_TERM: &str = "AKIA";
const TEMPORARY: &str = "ASIA";
/// Letters of an access key id after its prefix: 16, each for five random bits (RFC 4648 §6).
const ID_LETTERS: usize = 16;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Random bytes of a secret access key: 40 letters of base64, as AWS's have.
const SECRET_BYTES: usize = 30;
/// Access keys of one principal: the one in use and the one that replaces it (AWS's quota).
pub(crate) const MAX_ACCESS_KEYS: usize = 2;

/// A principal, as it stands in its sealed record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Principal {
    pub(crate) name: String,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// By rising name.
    pub(crate) tags: Vec<(String, String)>,
    /// At most [`MAX_ACCESS_KEYS`], oldest first.
    pub(crate) keys: Vec<AccessKey>,
}

/// A key that signs requests until it is disabled, deleted or expired.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: SecretAccessKey,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// Milliseconds since 1970; from then on it does not sign.
    pub(crate) expires: Option<u64>,
    pub(crate) status: KeyStatus,
}

/// IAM `StatusType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyStatus {
    #[default]
    Active,
    Inactive,
}

impl KeyStatus {
    pub(crate) const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

/// The secret half of an access key. SigV4 derives a new signing key from it every day, so it is
/// this that must be kept. Shown to its owner once.
#[derive(Clone)]
pub(crate) struct SecretAccessKey(Zeroizing<String>);

impl AccessKey {
    /// A fresh key.
    pub(crate) fn generate(created: u64, expires: Option<u64>) -> Result<Self, RandomUnavailable> {
        let (id, secret) = (access_key_id(LONG_TERM)?, SecretAccessKey::generate()?);
        Ok(Self { id, secret, created, expires, status: KeyStatus::Active })
    }

    /// Whether it signs at `now`, milliseconds since 1970.
    pub(crate) fn is_usable(&self, now: u64) -> bool {
        self.status == KeyStatus::Active && self.expires.is_none_or(|expires| now < expires)
    }
}

impl SecretAccessKey {
    fn generate() -> Result<Self, RandomUnavailable> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(BASE64.encode(bytes.as_slice()))))
    }

    /// For SigV4, and for the one answer that shows it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for SecretAccessKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretAccessKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|secret| Self(Zeroizing::new(secret)))
    }
}

impl std::fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretAccessKey(redacted)")
    }
}

fn access_key_id(prefix: &str) -> Result<String, RandomUnavailable> {
    let mut random = [0; ID_LETTERS];
    fill_random(&mut random)?;
    let letter = |byte: u8| BASE32.get(usize::from(byte & 31)).copied().unwrap_or(b'A');
    Ok(prefix.chars().chain(random.into_iter().map(letter).map(char::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_has_the_form_of_awss() {
        let key = AccessKey::generate(7, None).unwrap();
        assert_eq!(key.id.len(), 20);
        assert!(key.id.strip_prefix("AKIA").unwrap().bytes().all(|byte| BASE32.contains(&byte)));
        assert_eq!(key.secret.expose().len(), 40);
        let other = AccessKey::generate(7, None).unwrap();
        assert!(key.id != other.id && key.secret.expose() != other.secret.expose());
        assert!(!format!("{key:?}").contains(key.secret.expose()));
    }

    #[test]
    fn a_key_signs_while_it_is_active_and_not_expired() {
        let key = |status, expires| {
            let key = AccessKey::generate(0, expires).unwrap();
            AccessKey { status, ..key }
        };
        for (status, expires, now, usable) in [
            (KeyStatus::Active, None, u64::MAX, true),
            (KeyStatus::Active, Some(10), 9, true),
            (KeyStatus::Active, Some(10), 10, false),
            (KeyStatus::Inactive, None, 9, false),
            (KeyStatus::Inactive, Some(10), 9, false),
        ] {
            assert_eq!(key(status, expires).is_usable(now), usable, "{status:?} {expires:?} {now}");
        }
    }
}
