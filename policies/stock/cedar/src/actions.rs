//! The actions of the schema, as a decision looks them up (`policies/engine/tests/stock_cedar.rs` holds
//! them to be the same). Each list is sorted.

/// On a key.
const ON_KEY: [&str; 42] = [
    "kms:CancelKeyDeletion",
    "kms:CreateGrant",
    "kms:Decapsulate",
    "kms:Decrypt",
    "kms:DeleteImportedKeyMaterial",
    "kms:DeriveSharedSecret",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:Encapsulate",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GenerateMac",
    "kms:GetKeyLastUsage",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetParametersForImport",
    "kms:GetPublicKey",
    "kms:ImportKeyMaterial",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:ReplicateKey",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:Sign",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
    "kms:UpdatePrimaryRegion",
    "kms:Verify",
    "kms:VerifyMac",
];

/// On a key, or on what is the account's.
const ON_EITHER: [&str; 5] =
    ["kms:CreateAlias", "kms:DeleteAlias", "kms:ListAliases", "kms:RetireGrant", "kms:UpdateAlias"];

/// On what is the account's.
const ON_ACCOUNT: [&str; 10] = [
    "kms:ConnectCustomKeyStore",
    "kms:CreateCustomKeyStore",
    "kms:CreateKey",
    "kms:DeleteCustomKeyStore",
    "kms:DescribeCustomKeyStores",
    "kms:DisconnectCustomKeyStore",
    "kms:GenerateRandom",
    "kms:ListKeys",
    "kms:ListRetirableGrants",
    "kms:UpdateCustomKeyStore",
];

/// Sekisho's own, on what is the account's.
const OWN: [&str; 23] = [
    "sekisho:Approve",
    "sekisho:CreateAccessKey",
    "sekisho:CreatePrincipal",
    "sekisho:CreateSession",
    "sekisho:DeleteAccessKey",
    "sekisho:DeleteGuardrail",
    "sekisho:DeletePolicyModule",
    "sekisho:DeletePrincipal",
    "sekisho:DeletePrincipalPolicy",
    "sekisho:Deny",
    "sekisho:GetGuardrail",
    "sekisho:GetPrincipalPolicy",
    "sekisho:GetRootKeyStatus",
    "sekisho:ListAccessKeys",
    "sekisho:ListApprovals",
    "sekisho:ListPolicyModules",
    "sekisho:ListPrincipalPolicies",
    "sekisho:ListPrincipals",
    "sekisho:PutGuardrail",
    "sekisho:PutPrincipalPolicy",
    "sekisho:RegisterPolicyModule",
    "sekisho:RotateRootKey",
    "sekisho:UpdateAccessKey",
];

/// The group that an action is in, if the schema has it with such a resource.
pub(crate) fn group(action: &str, on_key: bool) -> Option<&'static str> {
    let among = |actions: &[&str]| actions.binary_search(&action).is_ok();
    let of_kms = among(&ON_EITHER) || if on_key { among(&ON_KEY) } else { among(&ON_ACCOUNT) };
    if of_kms {
        return Some("kms:*");
    }
    (!on_key && among(&OWN)).then_some("sekisho:*")
}
