//! The actions of the schema, as a decision looks them up.

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
const ON_EITHER: [&str; 5] = [
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:ListAliases",
    "kms:RetireGrant",
    "kms:UpdateAlias",
];

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
const OWN: [&str; 21] = [
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
    "sekisho:ListAccessKeys",
    "sekisho:ListApprovals",
    "sekisho:ListPolicyModules",
    "sekisho:ListPrincipalPolicies",
    "sekisho:ListPrincipals",
    "sekisho:PutGuardrail",
    "sekisho:PutPrincipalPolicy",
    "sekisho:RegisterPolicyModule",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::SCHEMA;
    use cedar_policy_core::extensions::Extensions;
    use cedar_policy_core::validator::ValidatorSchema;

    #[test]
    fn the_lists_are_what_the_schema_says() {
        let schema = ValidatorSchema::from_cedarschema_str(SCHEMA, Extensions::all_available());
        let (schema, _) = schema.unwrap();
        let mut found = 0;
        for action in schema.action_ids() {
            let id: &str = action.name().eid().as_ref();
            for (kind, on_key) in [("Sekisho::Key", true), ("Sekisho::Account", false)] {
                let applies = action.resources().any(|of| of.to_string() == kind);
                assert_eq!(group(id, on_key).is_some(), applies, "{id} {kind}");
                found += usize::from(applies);
            }
        }
        let each = ON_KEY.len() + ON_ACCOUNT.len() + OWN.len();
        assert_eq!(found, each + 2 * ON_EITHER.len());
        for list in [&ON_KEY[..], &ON_EITHER, &ON_ACCOUNT, &OWN] {
            assert!(list.is_sorted());
        }
    }
}
