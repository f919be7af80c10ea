//! What an action does with key material decides who may ask for it.

use sekisho_policy::state::{Reader, Writer};

/// The operations that take a `Recipient` (AWS KMS, "How to make attested calls").
const RELEASE: [&str; 5] = [
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateRandom",
];

/// Operations with the key that answer without a `Recipient`: whoever is attested for them brings the
/// document in the header `X-Sekisho-Attestation`.
const USE: [&str; 5] =
    ["kms:Decapsulate", "kms:Encapsulate", "kms:GenerateMac", "kms:ReEncryptFrom", "kms:Sign"];

/// Operations that put data under the key and give no plaintext back.
const PROTECT: [&str; 7] = [
    "kms:Encrypt",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GetPublicKey",
    "kms:ReEncryptTo",
    "kms:Verify",
    "kms:VerifyMac",
];

/// Operations on the key itself. `ReplicateKey` and `UpdatePrimaryRegion` are left
/// out: a replica has a policy of its own.
const ADMINISTER: [&str; 27] = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:DeleteAlias",
    "kms:DeleteImportedKeyMaterial",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetParametersForImport",
    "kms:ImportKeyMaterial",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
];

/// All of them; an action's place among them is its bit in a set.
const KNOWN: [(Kind, &[&str]); 4] = [
    (Kind::Release, &RELEASE),
    (Kind::Use, &USE),
    (Kind::Protect, &PROTECT),
    (Kind::Administer, &ADMINISTER),
];

/// What an action does, as far as this policy cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gives key material or plaintext out; takes a `Recipient`.
    Release,
    /// `Sign`, `GenerateMac`, `ReEncryptFrom`, `Encapsulate`, `Decapsulate`.
    Use,
    /// Puts data under the key, or needs only its public half: `Encrypt`,
    /// `GenerateDataKeyWithoutPlaintext`, `GenerateDataKeyPairWithoutPlaintext`,
    /// `ReEncryptTo`, `GetPublicKey`, `Verify`, `VerifyMac`.
    Protect,
    /// Reads or changes the key's settings: `DescribeKey`, `PutKeyPolicy`, aliases,
    /// tags, grants, states, rotation, import.
    Administer,
}

/// An action that this policy knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action {
    pub(crate) kind: Kind,
    bit: u32,
}

impl Action {
    /// The action with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut bit: u32 = 0;
        for (kind, names) in KNOWN {
            for known in names {
                if *known == name {
                    return Some(Self { kind, bit });
                }
                bit += 1;
            }
        }
        None
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actions(u64);

impl Actions {
    pub(crate) const NONE: Self = Self(0);

    /// Every operation that takes a `Recipient`.
    pub(crate) const RELEASE: Self = Self(u64::MAX >> (64 - RELEASE.len()));

    pub(crate) fn insert(&mut self, action: Action) {
        self.0 |= 1 << action.bit;
    }

    pub(crate) fn contains(self, action: Action) -> bool {
        self.0 >> action.bit & 1 == 1
    }

    pub(crate) fn encode(self, writer: &mut Writer) {
        self.0.to_be_bytes().iter().for_each(|byte| writer.byte(*byte));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut bits = 0;
        for _ in 0..8 {
            bits = bits << 8 | u64::from(reader.byte()?);
        }
        Some(Self(bits))
    }
}
