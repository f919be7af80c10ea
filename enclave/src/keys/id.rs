//! Key ids: the one name that a key keeps, whatever else about it changes.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::{Builder, Uuid};

/// Before the 32 hex digits of a multi-Region key's id.
const MULTI_REGION: &str = "mrk-";
/// The version of the UUIDs (RFC 9562 §5.8) that are ids of multi-Region keys. Ids of all other
/// keys have another version: the same 16 bytes are never both.
const MULTI_REGION_VERSION: usize = 8;

/// AWS KMS `KeyId`: `1234abcd-12ab-34cd-56ef-1234567890ab`, or of a multi-Region key
/// `mrk-1234abcd12ab84cd96ef1234567890ab`. Related multi-Region keys share theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeyId(Uuid);

impl KeyId {
    /// The smallest of all.
    pub(crate) const NIL: Self = Self(Uuid::nil());

    /// A new key's.
    pub(crate) fn generate(multi_region: bool) -> Self {
        let random = Uuid::new_v4();
        Self(if multi_region {
            Builder::from_custom_bytes(random.into_bytes()).into_uuid()
        } else {
            random
        })
    }

    /// Reads the one text that is a key's id.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAKeyId> {
        let digits = text.strip_prefix(MULTI_REGION);
        let uuid = Uuid::try_parse(digits.unwrap_or(text)).map_err(|_| NotAKeyId::Malformed)?;
        let written = match digits {
            Some(digits) => uuid.as_simple().to_string() == digits,
            None => uuid.as_hyphenated().to_string() == text,
        };
        if !written {
            return Err(NotAKeyId::Malformed);
        }
        let id = Self(uuid);
        if id.is_multi_region() != digits.is_some() {
            return Err(NotAKeyId::Unused);
        }
        Ok(id)
    }

    /// Whether related keys in other Regions may have it too.
    pub(crate) fn is_multi_region(self) -> bool {
        self.0.get_version_num() == MULTI_REGION_VERSION
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub(crate) const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    pub(crate) fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_multi_region() {
            write!(f, "{MULTI_REGION}{}", self.0.as_simple())
        } else {
            write!(f, "{}", self.0.as_hyphenated())
        }
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A text that is no key's id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAKeyId {
    /// It has neither form.
    Malformed,
    /// It has the form of one that is never given out.
    Unused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text_and_says_whether_its_key_is_multi_region() {
        for multi_region in [false, true] {
            let id = KeyId::generate(multi_region);
            let text = id.to_string();
            assert_eq!(id.is_multi_region(), multi_region);
            assert_eq!((text.starts_with("mrk-"), text.len()), (multi_region, 36));
            assert_eq!(KeyId::parse(&text), Ok(id));
            assert_eq!(KeyId::from_bytes(*id.as_bytes()), id);
            assert!(KeyId::parse(&text.to_uppercase()).is_err());
            assert_ne!(id, KeyId::generate(multi_region));
        }
    }

    #[test]
    fn every_other_text_is_refused() {
        for (text, why) in [
            ("", NotAKeyId::Malformed),
            ("mrk-", NotAKeyId::Malformed),
            ("mrk-fake-key-id", NotAKeyId::Malformed),
            ("1234abcd12ab44cd96ef1234567890ab", NotAKeyId::Malformed),
            ("mrk-1234abcd-12ab-84cd-96ef-1234567890ab", NotAKeyId::Malformed),
            ("MRK-1234abcd12ab84cd96ef1234567890ab", NotAKeyId::Malformed),
            ("mrk-1234ABCD12ab84cd96ef1234567890ab", NotAKeyId::Malformed),
            ("1234abcd-12ab-84cd-96ef-1234567890ab", NotAKeyId::Unused),
            ("mrk-1234abcd12ab44cd96ef1234567890ab", NotAKeyId::Unused),
        ] {
            assert_eq!(KeyId::parse(text), Err(why), "{text}");
        }
    }
}
