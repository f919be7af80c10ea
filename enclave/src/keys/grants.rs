//! Grants: leave for one principal to use one key for some operations, given and taken back without
//! a change of the key's policy.
//!
//! A grant is in force when CreateGrant has answered, and no more when RevokeGrant or RetireGrant
//! has: what AWS calls eventual consistency does not happen here, and a grant token adds nothing.

use super::Key;
use super::context::EncryptionContext;
use super::id::KeyId;
use super::spec::{KeyType, KeyUsage};
use crate::secret::{RandomUnavailable, fill_random};
use crate::storage::journal::Write;
use crate::storage::record::RecordId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Grants of one key. AWS allows 50,000; here they stand in the key's record, which is read whole.
pub(crate) const MAX_GRANTS: usize = 500;

/// What a grant's constraint on the encryption context is about: the operations that have one. They
/// are those of symmetric encryption keys.
const WITH_CONTEXT: &[&str] = &[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// A grant, as it stands in its key's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// 64 hex digits.
    pub(crate) id: String,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) terms: GrantTerms,
}

/// What its maker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrantTerms {
    pub(crate) name: Option<String>,
    /// ARNs.
    pub(crate) grantee: String,
    pub(crate) retiring: Option<String>,
    /// `GrantOperation`, sorted.
    pub(crate) operations: Vec<String>,
    pub(crate) constraint: Option<Constraint>,
}

/// `GrantConstraints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Constraint {
    /// `EncryptionContextSubset`: the request's context has at least these pairs.
    Subset(Vec<(String, String)>),
    /// `EncryptionContextEquals`: it has these and no others.
    Equals(Vec<(String, String)>),
}

impl Constraint {
    fn allows(&self, context: Option<&EncryptionContext>) -> bool {
        let has = |(name, value): &(String, String)| {
            let mut pairs = context.into_iter().flat_map(EncryptionContext::iter);
            pairs.any(|pair| pair == (name, value))
        };
        let (pairs, exactly) = match self {
            Self::Subset(pairs) => (pairs, false),
            Self::Equals(pairs) => (pairs, true),
        };
        let number = context.map_or(0, |context| context.iter().count());
        pairs.iter().all(has) && (!exactly || number == pairs.len())
    }

    /// Whether it allows nothing that `parent` does not.
    fn is_at_least(&self, parent: &Self) -> bool {
        match (parent, self) {
            (Self::Equals(wanted), Self::Equals(own)) => wanted == own,
            (Self::Equals(_), Self::Subset(_)) => false,
            (Self::Subset(wanted), Self::Subset(own) | Self::Equals(own)) => {
                wanted.iter().all(|pair| own.contains(pair))
            }
        }
    }
}

impl Grant {
    /// Whether it lets `principal` do `action` (`kms:Decrypt`, …).
    pub(crate) fn covers(
        &self,
        principal: &str,
        action: &str,
        context: Option<&EncryptionContext>,
    ) -> bool {
        let terms = &self.terms;
        let Some(operation) = action.strip_prefix("kms:") else { return false };
        let named = terms.operations.iter().any(|known| known == operation);
        let constrained = WITH_CONTEXT.contains(&operation);
        let constraint = terms.constraint.as_ref().filter(|_| constrained);
        terms.grantee == principal
            && named
            && constraint.is_none_or(|constraint| constraint.allows(context))
    }

    /// Whether `principal` may retire it without being asked for anything else.
    pub(crate) fn may_be_retired_by(&self, principal: &str) -> bool {
        let terms = &self.terms;
        terms.retiring.as_deref() == Some(principal)
            || terms.grantee == principal && terms.operations.iter().any(|one| one == "RetireGrant")
    }

    /// Whether its holder may give `terms` to somebody: not more than the holder has.
    pub(crate) fn may_give(&self, terms: &GrantTerms) -> bool {
        let held = &self.terms;
        let constraint = match (&held.constraint, &terms.constraint) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(parent), Some(given)) => given.is_at_least(parent),
        };
        constraint && terms.operations.iter().all(|one| held.operations.contains(one))
    }

    fn retirable(&self, key: KeyId) -> Option<RecordId> {
        let principal = self.terms.retiring.clone()?;
        Some(RecordId::Retirable { principal, key, grant: self.id.clone() })
    }
}

/// What a change of a key changes of the records that name its grants by who may retire them.
pub(super) fn retirable_writes(key: KeyId, before: &[Grant], after: &[Grant]) -> Vec<Write> {
    let missing = |these: &[Grant], those: &[Grant]| -> Vec<RecordId> {
        let gone = these.iter().filter(|one| !those.iter().any(|other| other.id == one.id));
        gone.filter_map(|grant| grant.retirable(key)).collect()
    };
    let ended = missing(before, after).into_iter().map(|id| Write { id, plaintext: None });
    let begun = missing(after, before)
        .into_iter()
        .map(|id| Write { id, plaintext: Some(Zeroizing::default()) });
    ended.chain(begun).collect()
}

/// `GrantToken`: names a grant. It proves nothing, as nothing waits for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GrantToken {
    pub(crate) key: KeyId,
    /// The grant's id.
    pub(crate) grant: String,
}

impl GrantToken {
    /// Bytes that make each text another one, as in AWS where CreateGrant is repeated.
    const SALT: usize = 16;

    pub(crate) fn to_text(&self) -> Result<String, RandomUnavailable> {
        let mut salt = [0; Self::SALT];
        fill_random(&mut salt)?;
        Ok(self.with_salt(&salt))
    }

    /// One text, always the same, where a listing goes on.
    pub(crate) fn to_marker(&self) -> String {
        self.with_salt(&[])
    }

    fn with_salt(&self, salt: &[u8]) -> String {
        let grant = hex::decode(&self.grant).unwrap_or_default();
        BASE64URL.encode([self.key.as_bytes().as_slice(), &grant, salt].concat())
    }

    /// Reads either text.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = BASE64URL.decode(text).ok()?;
        let (key, rest) = bytes.split_first_chunk::<16>()?;
        let (grant, salt) = rest.split_first_chunk::<32>()?;
        let fits = salt.is_empty() || salt.len() == Self::SALT;
        fits.then(|| Self { key: KeyId::from_bytes(*key), grant: hex::encode(grant) })
    }
}

impl Key {
    /// Whether a grant for this key can name an operation (AWS KMS Developer Guide, "Grant
    /// operations").
    pub(crate) fn supports_grant_of(&self, operation: &str) -> bool {
        let own = match (self.spec.key_type(), self.usage) {
            (KeyType::Symmetric, _) => WITH_CONTEXT,
            (_, KeyUsage::EncryptDecrypt) => {
                &["Decrypt", "Encrypt", "GetPublicKey", "ReEncryptFrom", "ReEncryptTo"]
            }
            (_, KeyUsage::SignVerify) => &["GetPublicKey", "Sign", "Verify"],
            (_, KeyUsage::GenerateVerifyMac) => &["GenerateMac", "VerifyMac"],
            (_, KeyUsage::KeyAgreement) => &["DeriveSharedSecret", "GetPublicKey"],
            (_, KeyUsage::EncapsulateDecapsulate) => {
                &["Decapsulate", "Encapsulate", "GetPublicKey"]
            }
        };
        own.contains(&operation)
            || ["CreateGrant", "DescribeKey", "RetireGrant"].contains(&operation)
    }

    pub(crate) fn grant(&self, id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(names: &str) -> Vec<(String, String)> {
        names.chars().map(|name| (name.to_string(), "1".to_string())).collect()
    }

    fn grant(operations: &[&str], constraint: Option<Constraint>) -> Grant {
        let operations = operations.iter().map(|one| (*one).to_owned()).collect();
        let (grantee, retiring) = ("alice".to_owned(), Some("bob".to_owned()));
        let terms = GrantTerms { name: None, grantee, retiring, operations, constraint };
        Grant { id: "1".into(), created: 0, terms }
    }

    #[test]
    fn a_grant_covers_its_grantee_its_operations_and_its_contexts() {
        for (constraint, context, covered) in [
            (None, "", true),
            (None, "abc", true),
            (Some(Constraint::Subset(pairs("ab"))), "abc", true),
            (Some(Constraint::Subset(pairs("ab"))), "ab", true),
            (Some(Constraint::Subset(pairs("ab"))), "ac", false),
            (Some(Constraint::Subset(pairs("ab"))), "", false),
            (Some(Constraint::Equals(pairs("ab"))), "ab", true),
            (Some(Constraint::Equals(pairs("ab"))), "abc", false),
            (Some(Constraint::Equals(pairs("ab"))), "a", false),
        ] {
            let grant = grant(&["Decrypt", "DescribeKey"], constraint);
            let context: EncryptionContext = pairs(context).into_iter().collect();
            assert_eq!(grant.covers("alice", "kms:Decrypt", Some(&context)), covered, "{grant:?}");
            assert!(grant.covers("alice", "kms:DescribeKey", None));
            for (principal, action) in
                [("bob", "kms:Decrypt"), ("alice", "kms:Encrypt"), ("alice", "Decrypt")]
            {
                assert!(!grant.covers(principal, action, Some(&context)), "{principal} {action}");
            }
        }
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let held = grant(&["CreateGrant", "Decrypt"], Some(Constraint::Subset(pairs("ab"))));
        for (operations, constraint, may) in [
            (&["Decrypt"][..], Some(Constraint::Subset(pairs("ab"))), true),
            (&["Decrypt"], Some(Constraint::Subset(pairs("abc"))), true),
            (&["Decrypt"], Some(Constraint::Equals(pairs("abc"))), true),
            (&["Decrypt"], Some(Constraint::Subset(pairs("a"))), false),
            (&["Decrypt"], None, false),
            (&["Encrypt"], Some(Constraint::Subset(pairs("ab"))), false),
        ] {
            let given = grant(operations, constraint);
            assert_eq!(held.may_give(&given.terms), may, "{given:?}");
        }
        let exact = grant(&["Decrypt"], Some(Constraint::Equals(pairs("a"))));
        assert!(exact.may_give(&exact.terms));
        assert!(!exact.may_give(&grant(&["Decrypt"], Some(Constraint::Subset(pairs("a")))).terms));
    }

    #[test]
    fn each_token_is_another_and_all_name_the_grant() {
        let token = || GrantToken { key: KeyId::from_u128(7), grant: "0a".repeat(32) };
        let [one, next] = [token().to_text().unwrap(), token().to_text().unwrap()];
        assert_ne!(one, next);
        for text in [&one, &next, &token().to_marker()] {
            assert_eq!(GrantToken::read(text), Some(token()));
        }
        for text in ["", "t", &one[..one.len() - 4], &[&one, "AAAA"].concat(), "no*base64"] {
            assert_eq!(GrantToken::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_grant_is_retired_by_whom_it_names() {
        let plain = grant(&["Decrypt"], None);
        assert!(plain.may_be_retired_by("bob") && !plain.may_be_retired_by("alice"));
        assert!(grant(&["RetireGrant"], None).may_be_retired_by("alice"));
        assert!(!grant(&["RetireGrant"], None).may_be_retired_by("carol"));
    }
}
