//! The AWS KMS API as this worker speaks it: operations, their inputs, answers and errors.

mod error;
mod fields;

pub(crate) use error::ApiError;
pub(crate) use fields::{Fields, Pattern, Text};

use crate::keys::context::EncryptionContext;
use crate::operations::access_keys::{
    CreateAccessKey, CreateSession, DeleteAccessKey, ListAccessKeys, UpdateAccessKey,
};
use crate::operations::aliases::{CreateAlias, ListAliases};
use crate::operations::cryptography::{Decrypt, Encrypt, GenerateDataKey};
use crate::operations::keys::{CreateKey, DescribeKey, ListKeys};
use crate::operations::policies::{GetKeyPolicy, PutKeyPolicy};
use crate::operations::principals::{CreatePrincipal, DeletePrincipal, ListPrincipals};
use crate::secret::fill_random;
use serde_json::{Value, json};
use uuid::Uuid;

/// Declares the operations once, by service: the service's name in policies, whether it is
/// Sekisho's own, the prefix of `X-Amz-Target`, and the operations' names.
macro_rules! operations {
    ($($service:literal $is_own:literal $target:literal { $($name:ident),+ $(,)? })+) => {
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

            /// Reads the value of `X-Amz-Target`.
            pub(crate) fn from_target(target: &str) -> Result<Self, ApiError> {
                match target {
                    $($(concat!($target, stringify!($name)) => Ok(Self::$name),)+)+
                    _ => Err(ApiError::UnknownOperation),
                }
            }
        }

        /// What an authenticated request asks for, its input validated.
        pub(crate) enum Action {
            $($($name($name),)+)+
        }

        impl Action {
            /// Reads the body of a request for `operation`.
            pub(crate) fn parse(operation: Operation, body: &[u8]) -> Result<Self, ApiError> {
                let mut fields = Fields::parse(body)?;
                let action = match operation {
                    $($(Operation::$name => Self::$name($name::read(&mut fields)?),)+)+
                };
                fields.finish()?;
                action.input().check()?;
                Ok(action)
            }

            fn input(&self) -> &(dyn Input + 'static) {
                match self { $($(Self::$name(input) => input,)+)+ }
            }
        }
    };
}

operations! {
    "kms" false "TrentService." {
        CreateAlias,
        CreateKey,
        Decrypt,
        DescribeKey,
        Encrypt,
        GenerateDataKey,
        GetKeyPolicy,
        ListAliases,
        ListKeys,
        PutKeyPolicy,
    }
    "sekisho" true "Sekisho." {
        CreateAccessKey,
        CreatePrincipal,
        CreateSession,
        DeleteAccessKey,
        DeletePrincipal,
        ListAccessKeys,
        ListPrincipals,
        UpdateAccessKey,
    }
}

/// Which key a request is about.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    /// None: the account.
    Account,
    /// The key of a `KeyId` parameter.
    Named(&'a str),
    /// The key that a ciphertext names, and the `KeyId` that it must agree with.
    Ciphertext { blob: &'a [u8], key_id: Option<&'a str> },
}

/// What every operation's input can tell about itself before it is allowed.
pub(crate) trait Input {
    /// Rules between members, after each member was read.
    fn check(&self) -> Result<(), ApiError> {
        Ok(())
    }

    fn subject(&self) -> Subject<'_>;

    /// The account's resource that is asked for beside the key, for the account's policy.
    fn account_resource(&self) -> Option<AccountResource<'_>> {
        None
    }

    fn encryption_context(&self) -> Option<&EncryptionContext> {
        None
    }

    fn recipient(&self) -> Option<&Recipient> {
        None
    }

    fn dry_run(&self) -> bool {
        false
    }

    /// The other parameters, for policies: AWS's names, sorted.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A resource that belongs to the account and not to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountResource<'a> {
    /// `*`
    Any,
    /// An alias by its name, `alias/…`.
    Alias(&'a str),
    /// A principal by its name.
    Principal(&'a str),
    /// The principal that asks.
    Caller,
}

impl std::ops::Deref for Action {
    type Target = dyn Input + 'static;

    fn deref(&self) -> &Self::Target {
        self.input()
    }
}

/// `Recipient`: an attestation document that has not been verified.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) algorithm: KeyEncryptionAlgorithm,
    pub(crate) document: Vec<u8>,
}

/// `KeyEncryptionMechanism` of AWS's service model, and what Sekisho has beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeyEncryptionAlgorithm {
    #[default]
    RsaesOaepSha256,
    /// Not in AWS: docs/hpke-recipient.md.
    HpkeP384,
}

impl KeyEncryptionAlgorithm {
    const ALL: [Self; 2] = [Self::RsaesOaepSha256, Self::HpkeP384];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::HpkeP384 => "HPKE_P384_HKDF_SHA384_AES_256_GCM",
        }
    }
}

impl Recipient {
    /// The member that names the algorithm; policies see it under the same name.
    pub(crate) const ALGORITHM: &str = "KeyEncryptionAlgorithm";
    /// AWS's limit for `AttestationDocument`.
    const MAX_DOCUMENT: usize = 262_144;

    /// Reads the member `Recipient`. Both its members are needed for a document to count.
    pub(crate) fn read(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        const NAME: &str = "Recipient";
        let Some(mut recipient) = fields.structure(NAME)? else {
            return Ok(None);
        };
        let names = KeyEncryptionAlgorithm::ALL.map(KeyEncryptionAlgorithm::name);
        let name = recipient.choice(Self::ALGORITHM, &names)?;
        let algorithm =
            KeyEncryptionAlgorithm::ALL.into_iter().find(|one| Some(one.name()) == name);
        let algorithm = recipient.required(Self::ALGORITHM, algorithm);
        let document =
            recipient.required_public_blob("AttestationDocument", 1, Self::MAX_DOCUMENT)?;
        fields.absorb(NAME, recipient);
        Ok(Some(Self { algorithm, document }))
    }
}

/// An answer on its way out: HTTP status and JSON body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) request_id: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn of(request_id: String, result: Result<Value, ApiError>) -> Self {
        match result {
            Ok(body) => Self { request_id, status: 200, body },
            Err(error) => Self::refusal(request_id, &error),
        }
    }

    /// An error. It holds no result, so it may also leave unrecorded.
    pub(crate) fn refusal(request_id: String, error: &ApiError) -> Self {
        let body = json!({ "__type": error.code(), "message": error.message() });
        Self { request_id, status: error.status(), body }
    }
}

/// `x-amzn-RequestId` of an answer. From AWS-LC's generator, which does not ask the kernel for each.
pub(crate) fn new_request_id() -> String {
    let mut bytes = [0; 16];
    let id = match fill_random(&mut bytes) {
        Ok(()) => uuid::Builder::from_random_bytes(bytes).into_uuid(),
        Err(_) => Uuid::new_v4(),
    };
    id.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_recipient_needs_both_its_members() {
        let error = Action::parse(
            Operation::Decrypt,
            br#"{"CiphertextBlob":"AA==","Recipient":{"KeyEncryptionAlgorithm":"X"}}"#,
        );
        let message = error.err().unwrap().message();
        assert!(message.starts_with("3 validation errors detected"), "{message}");
        assert!(message.contains("'recipient.keyEncryptionAlgorithm'"), "{message}");
        assert!(message.contains("Value null at 'recipient.attestationDocument'"), "{message}");
    }
}
