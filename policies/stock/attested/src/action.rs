//! What an action does with key material decides who may ask for it.

/// The operations that take a `Recipient`, and so can be attested (AWS KMS, "How to
/// make attested calls"). An index is a bit in the state.
pub(crate) const RELEASE: [&str; 5] = [
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateRandom",
];

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

/// What an action does, as far as this policy cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Gives key material or plaintext out; takes a `Recipient`. The index in the
    /// list of such operations.
    Release(usize),
    /// Puts data under the key, or needs only its public half: `Encrypt`,
    /// `GenerateDataKeyWithoutPlaintext`, `GenerateDataKeyPairWithoutPlaintext`,
    /// `ReEncryptTo`, `GetPublicKey`, `Verify`, `VerifyMac`.
    Protect,
    /// Reads or changes the key's settings: `DescribeKey`, `PutKeyPolicy`, aliases,
    /// tags, grants, states, rotation, import.
    Administer,
    /// Everything else.
    Other,
}

impl Action {
    /// The action with this name.
    pub fn named(name: &str) -> Self {
        if let Some(index) = RELEASE.iter().position(|release| *release == name) {
            Action::Release(index)
        } else if PROTECT.contains(&name) {
            Action::Protect
        } else if ADMINISTER.contains(&name) {
            Action::Administer
        } else {
            Action::Other
        }
    }
}
