//! The operations: their names, for callers and for policies, and the key state each needs.

use super::ApiError;

/// Hands the table of operations to the macro `$then`, by service: the service's name in policies,
/// whether it is Sekisho's own, the prefix of `X-Amz-Target`, and each operation with the state that
/// it needs its key to be in (AWS, "Key states of AWS KMS keys").
macro_rules! for_each_operation {
    ($then:ident) => {
        $then! {
            "kms" false "TrentService." {
                CancelKeyDeletion: PendingDeletion,
                ConnectCustomKeyStore: Any,
                CreateAlias: NotPendingDeletion,
                CreateCustomKeyStore: Any,
                CreateGrant: Enabled,
                CreateKey: Any,
                Decapsulate: Enabled,
                Decrypt: Enabled,
                DeleteAlias: Any,
                DeleteCustomKeyStore: Any,
                DeleteImportedKeyMaterial: Any,
                DeriveSharedSecret: Enabled,
                DescribeCustomKeyStores: Any,
                DescribeKey: Any,
                DisableKey: NotPending,
                DisableKeyRotation: EnabledOrPendingImport,
                DisconnectCustomKeyStore: Any,
                EnableKey: NotPending,
                EnableKeyRotation: EnabledOrPendingImport,
                Encapsulate: Enabled,
                Encrypt: Enabled,
                GenerateDataKey: Enabled,
                GenerateDataKeyPair: Enabled,
                GenerateDataKeyPairWithoutPlaintext: Enabled,
                GenerateDataKeyWithoutPlaintext: Enabled,
                GenerateMac: Enabled,
                GenerateRandom: Any,
                GetKeyLastUsage: Any,
                GetKeyPolicy: Any,
                GetKeyRotationStatus: Any,
                GetParametersForImport: Any,
                GetPublicKey: Enabled,
                ImportKeyMaterial: Any,
                ListAliases: Any,
                ListGrants: Any,
                ListKeyPolicies: Any,
                ListKeyRotations: Any,
                ListKeys: Any,
                ListResourceTags: Any,
                ListRetirableGrants: Any,
                PutKeyPolicy: Any,
                ReEncrypt: Enabled,
                ReplicateKey: Enabled,
                RetireGrant: Any,
                RevokeGrant: Any,
                RotateKeyOnDemand: Enabled,
                ScheduleKeyDeletion: NotPendingDeletion,
                Sign: Enabled,
                TagResource: NotPendingDeletion,
                UntagResource: NotPendingDeletion,
                UpdateAlias: Any,
                UpdateCustomKeyStore: Any,
                UpdateKeyDescription: NotPendingDeletion,
                UpdatePrimaryRegion: Enabled,
                Verify: Enabled,
                VerifyMac: Enabled,
            }
            "sekisho" true "Sekisho." {
                Approve: Any,
                CreateAccessKey: Any,
                CreatePrincipal: Any,
                CreateSession: Any,
                DeleteAccessKey: Any,
                DeleteGuardrail: Any,
                DeletePolicyModule: Any,
                DeletePrincipal: Any,
                DeletePrincipalPolicy: Any,
                Deny: Any,
                GetGuardrail: Any,
                GetPrincipalPolicy: Any,
                GetRootKeyStatus: Any,
                ListAccessKeys: Any,
                ListApprovals: Any,
                ListPolicyModules: Any,
                ListPrincipalPolicies: Any,
                ListPrincipals: Any,
                PutGuardrail: Any,
                PutPrincipalPolicy: Any,
                RegisterPolicyModule: Any,
                RotateRootKey: Any,
                UpdateAccessKey: Any,
            }
        }
    };
}
pub(crate) use for_each_operation;

macro_rules! declare {
    ($($service:literal $is_own:literal $target:literal {
        $($name:ident: $state:ident),+ $(,)?
    })+) => {
        /// The operations of the API, named by the request's `X-Amz-Target`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation {
            $($($name,)+)+
        }

        impl Operation {
            /// AWS's name.
            pub(crate) fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)+)+ }
            }

            /// The name that policies use.
            pub(crate) fn iam_action(self) -> &'static str {
                match self { $($(Self::$name => concat!($service, ":", stringify!($name)),)+)+ }
            }

            /// Whether it is Sekisho's own, beyond the API of AWS KMS.
            pub(crate) fn is_own(self) -> bool {
                match self { $($(Self::$name => $is_own,)+)+ }
            }

            /// The state that its key has to be in.
            pub(crate) fn needed_state(self) -> NeededState {
                match self { $($(Self::$name => NeededState::$state,)+)+ }
            }

            /// Reads the value of `X-Amz-Target`.
            pub(crate) fn from_target(target: &str) -> Result<Self, ApiError> {
                match target {
                    $($(concat!($target, stringify!($name)) => Ok(Self::$name),)+)+
                    _ => Err(ApiError::UnknownOperation),
                }
            }
        }
    };
}

for_each_operation!(declare);

impl Operation {
    /// Whether it counts as a use of its keys (`KeyLastUsageTrackingOperation` of AWS's service model).
    pub(crate) fn uses_keys(self) -> bool {
        matches!(
            self,
            Self::Decapsulate
                | Self::Decrypt
                | Self::DeriveSharedSecret
                | Self::Encapsulate
                | Self::Encrypt
                | Self::GenerateDataKey
                | Self::GenerateDataKeyPair
                | Self::GenerateDataKeyPairWithoutPlaintext
                | Self::GenerateDataKeyWithoutPlaintext
                | Self::GenerateMac
                | Self::ReEncrypt
                | Self::Sign
                | Self::Verify
                | Self::VerifyMac
        )
    }
}

impl Operation {
    /// Whether it is how approvals are given: waiting for approvals itself, it could never be.
    pub(crate) fn is_about_approvals(self) -> bool {
        matches!(self, Self::Approve | Self::Deny | Self::ListApprovals)
    }

    /// Whether it takes a `Recipient`: its answer is encrypted to whoever is attested.
    pub(crate) fn takes_recipient(self) -> bool {
        matches!(
            self,
            Self::Decrypt
                | Self::DeriveSharedSecret
                | Self::GenerateDataKey
                | Self::GenerateDataKeyPair
                | Self::GenerateRandom
        )
    }
}

/// A row of AWS's table of key states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NeededState {
    /// What more an operation needs it says itself.
    Any,
    NotPendingDeletion,
    /// Neither deletion nor import.
    NotPending,
    Enabled,
    /// What is pending import is refused for its origin, and not for its state.
    EnabledOrPendingImport,
    PendingDeletion,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Cedar policy is validated against (`policies/stock/cedar`).
    #[test]
    fn the_schema_of_cedar_policies_has_them_all() {
        macro_rules! names {
            ($($service:literal $is_own:literal $target:literal {
                $($name:ident: $state:ident),+ $(,)?
            })+) => { [$($(concat!("\"", $service, ":", stringify!($name), "\""),)+)+] };
        }
        let schema = include_str!("../../../policies/stock/cedar/sekisho.cedarschema");
        // Each of its two keys is asked for one of these.
        let parts = ["\"kms:ReEncryptFrom\"", "\"kms:ReEncryptTo\""];
        let named =
            for_each_operation!(names).into_iter().filter(|name| *name != "\"kms:ReEncrypt\"");
        for name in named.chain(parts) {
            assert!(schema.contains(name), "{name}");
        }
    }

    #[test]
    fn operations_are_named_as_aws_names_them() {
        let operation = Operation::from_target("TrentService.GenerateDataKey").unwrap();
        assert_eq!(operation, Operation::GenerateDataKey);
        assert_eq!(operation.iam_action(), "kms:GenerateDataKey");
        let own = Operation::from_target("Sekisho.CreatePrincipal").unwrap();
        assert_eq!((own.iam_action(), own.is_own()), ("sekisho:CreatePrincipal", true));
        assert!(!operation.is_own());
        for target in [
            "Sekisho.Decrypt",
            "TrentService.CreatePrincipal",
            "",
            "Decrypt",
            "TrentService.decrypt",
            "TrentService.Decrypt ",
            "X.Decrypt",
        ] {
            assert!(Operation::from_target(target).is_err(), "{target}");
        }
    }
}
