//! Every error that a caller can get: AWS's code, HTTP status and words, in one place.

use super::Denial;
use crate::keys::arn::NoSuchName;
use crate::keys::store::StoreFault;
use crate::log::{Event, log};
use crate::secret::{RandomUnavailable, SealError};

/// An error as AWS KMS gives it. Nothing in it is secret: it goes to the caller.
#[derive(Debug)]
pub(crate) enum ApiError {
    // Before the caller is known.
    UnknownOperation,
    MissingAuthenticationToken,
    IncompleteSignature(String),
    InvalidSignature(String),
    UnrecognizedClient,
    ExpiredToken,
    RequestTooLarge {
        limit: usize,
    },
    // About the request itself.
    Serialization(String),
    /// Each in the form `Value … at '…' failed to satisfy constraint: …`.
    Constraints(Vec<String>),
    Validation(String),
    // About what it asks for.
    AccessDenied {
        principal: String,
        action: &'static str,
        /// None of a key that the request names by a ciphertext alone.
        resource: Option<String>,
        denial: Denial,
    },
    AlreadyExists {
        arn: String,
    },
    /// Others have to agree first.
    ApprovalRequired(String),
    /// Of a multi-Region key, in the Region where it was to be replicated.
    ReplicaExists {
        arn: String,
    },
    CloudHsmClusterNotFound,
    CustomKeyStoreNotFound(String),
    DeleteConflict(String),
    /// The key's ARN.
    Disabled(String),
    DryRun,
    EntityAlreadyExists(String),
    ExpiredImportToken,
    IncorrectKey,
    IncorrectKeyMaterial(String),
    InvalidAliasName(&'static str),
    InvalidArn(String),
    InvalidCiphertext,
    InvalidGrantToken,
    InvalidImportToken,
    InvalidKeyUsage(String),
    InvalidKmsSignature,
    InvalidMac,
    InvalidMarker,
    InvalidState(String),
    LimitExceeded(String),
    MalformedPolicyDocument(String),
    /// Of an alias that is AWS's own.
    NotAuthorized,
    NotFound(String),
    Tag(String),
    Throttling,
    UnsupportedOperation(String),
    XksProxyUriUnreachable,
    // Ours.
    DependencyTimeout,
    Internal,
    Sealed,
    /// Of `GET /attestation`; seconds.
    TooManyAttestations {
        retry_after: u32,
    },
}

impl ApiError {
    /// `__type` of the answer.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownOperation => "UnknownOperationException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::RequestTooLarge { .. } => "RequestEntityTooLargeException",
            Self::Serialization(_) => "SerializationException",
            Self::Constraints(_) | Self::Validation(_) => "ValidationException",
            Self::AccessDenied { .. } => "AccessDeniedException",
            Self::ApprovalRequired(_) => "ApprovalRequiredException",
            Self::AlreadyExists { .. } | Self::ReplicaExists { .. } => "AlreadyExistsException",
            Self::CloudHsmClusterNotFound => "CloudHsmClusterNotFoundException",
            Self::CustomKeyStoreNotFound(_) => "CustomKeyStoreNotFoundException",
            Self::DeleteConflict(_) => "DeleteConflictException",
            Self::Disabled(_) => "DisabledException",
            Self::DryRun => "DryRunOperationException",
            Self::EntityAlreadyExists(_) => "EntityAlreadyExistsException",
            Self::ExpiredImportToken => "ExpiredImportTokenException",
            Self::IncorrectKey => "IncorrectKeyException",
            Self::IncorrectKeyMaterial(_) => "IncorrectKeyMaterialException",
            Self::InvalidAliasName(_) => "InvalidAliasNameException",
            Self::InvalidArn(_) => "InvalidArnException",
            Self::InvalidGrantToken => "InvalidGrantTokenException",
            Self::InvalidImportToken => "InvalidImportTokenException",
            Self::InvalidCiphertext => "InvalidCiphertextException",
            Self::InvalidKeyUsage(_) => "InvalidKeyUsageException",
            Self::InvalidKmsSignature => "KMSInvalidSignatureException",
            Self::InvalidMac => "KMSInvalidMacException",
            Self::InvalidMarker => "InvalidMarkerException",
            Self::InvalidState(_) => "KMSInvalidStateException",
            Self::LimitExceeded(_) => "LimitExceededException",
            Self::MalformedPolicyDocument(_) => "MalformedPolicyDocumentException",
            Self::NotAuthorized => "NotAuthorizedException",
            Self::NotFound(_) => "NotFoundException",
            Self::Tag(_) => "TagException",
            Self::Throttling => "ThrottlingException",
            Self::UnsupportedOperation(_) => "UnsupportedOperationException",
            Self::XksProxyUriUnreachable => "XksProxyUriUnreachableException",
            Self::DependencyTimeout => "DependencyTimeoutException",
            Self::Internal => "KMSInternalException",
            Self::Sealed => "ServiceUnavailableException",
            Self::TooManyAttestations { .. } => "TooManyRequests",
        }
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::RequestTooLarge { .. } => 413,
            Self::TooManyAttestations { .. } => 429,
            Self::Internal => 500,
            Self::DependencyTimeout | Self::Sealed => 503,
            _ => 400,
        }
    }

    /// What went wrong and, where it helps, what to do.
    pub(crate) fn message(&self) -> String {
        match self {
            // AWS sends no text with these.
            Self::UnknownOperation
            | Self::ExpiredImportToken
            | Self::InvalidCiphertext
            | Self::InvalidImportToken
            | Self::InvalidKmsSignature
            | Self::InvalidMac
            | Self::NotAuthorized => String::new(),
            Self::MissingAuthenticationToken => "Missing Authentication Token".into(),
            Self::UnrecognizedClient => {
                "The security token included in the request is invalid.".into()
            }
            Self::ExpiredToken => "The security token included in the request is expired".into(),
            Self::RequestTooLarge { limit } => {
                format!("The request body is larger than {limit} bytes.")
            }
            Self::Constraints(violations) => match violations.as_slice() {
                [one] => format!("1 validation error detected: {one}"),
                many => format!("{} validation errors detected: {}", many.len(), many.join("; ")),
            },
            Self::AccessDenied { principal, action, resource, denial } => {
                denial.sentence(principal, action, resource.as_deref())
            }
            Self::AlreadyExists { arn } => format!("An alias with the name {arn} already exists"),
            Self::ReplicaExists { arn } => format!("Key '{arn}' already exists"),
            Self::Disabled(arn) => format!("{arn} is disabled."),
            Self::CloudHsmClusterNotFound => "This service has no CloudHSM cluster.".into(),
            Self::XksProxyUriUnreachable => "This service reaches no external key store.".into(),
            Self::DryRun => {
                "The request would have succeeded, but the DryRun option is set.".into()
            }
            Self::IncorrectKey => "The key ID in the request does not identify a CMK that can \
                                   perform this operation."
                .into(),
            Self::InvalidAliasName(text) => (*text).into(),
            Self::Throttling => "You have exceeded the rate at which you may call KMS. Reduce the \
                                 frequency of your calls."
                .into(),
            Self::InvalidGrantToken => "The grant token is not valid.".into(),
            Self::InvalidMarker => "Could not deserialize marker".into(),
            Self::IncompleteSignature(text)
            | Self::InvalidSignature(text)
            | Self::Serialization(text)
            | Self::Validation(text)
            | Self::ApprovalRequired(text)
            | Self::CustomKeyStoreNotFound(text)
            | Self::DeleteConflict(text)
            | Self::EntityAlreadyExists(text)
            | Self::IncorrectKeyMaterial(text)
            | Self::InvalidArn(text)
            | Self::InvalidKeyUsage(text)
            | Self::InvalidState(text)
            | Self::LimitExceeded(text)
            | Self::MalformedPolicyDocument(text)
            | Self::NotFound(text)
            | Self::Tag(text)
            | Self::UnsupportedOperation(text) => text.clone(),
            Self::DependencyTimeout => {
                "The storage behind the service did not answer. You can retry the request.".into()
            }
            Self::Internal => "The request could not be completed. You can retry it.".into(),
            Self::Sealed => {
                "The service is sealed: it has no root key yet and answers only GET /health and \
                 GET /attestation."
                    .into()
            }
            Self::TooManyAttestations { retry_after } => format!(
                "Attestation documents with a nonce are asked for faster than the NSM is to give \
                 them. Ask again after {retry_after} s, or without a nonce for a document that \
                 may be a minute old."
            ),
        }
    }
}

impl From<NoSuchName> for ApiError {
    fn from(name: NoSuchName) -> Self {
        Self::NotFound(match name {
            NoSuchName::Alias => {
                let text = "Key Aliases are not supported for this operation.";
                return Self::InvalidArn(text.into());
            }
            NoSuchName::Invalid(text) => format!("Invalid keyId '{text}'"),
            NoSuchName::Region(region) => format!("Invalid arn {region}"),
            NoSuchName::Key(arn) => format!("Key '{arn}' does not exist"),
        })
    }
}

impl From<StoreFault> for ApiError {
    fn from(fault: StoreFault) -> Self {
        use crate::storage::journal::JournalError;
        match fault {
            StoreFault::Journal(JournalError::Store(error)) => {
                log(Event::StoreSilent(error));
                Self::DependencyTimeout
            }
            StoreFault::Journal(error) => {
                log(Event::StorageBroken(&error));
                Self::Internal
            }
            StoreFault::Malformed(_) => {
                log(Event::StorageChanged { kind: "a record is malformed" });
                Self::Internal
            }
            StoreFault::Policy(_) => {
                log(Event::StorageChanged { kind: "a key's policy is no longer accepted" });
                Self::Internal
            }
            StoreFault::Random(error) => error.into(),
            // Whoever asks again hears that there is no such key.
            StoreFault::Gone(id) => Self::NotFound(format!("Key '{id}' does not exist")),
            StoreFault::ModuleGone => Self::MalformedPolicyDocument(
                "The policy's module is being deleted, or was meanwhile.".into(),
            ),
            StoreFault::Inconsistent => {
                log(Event::StorageChanged { kind: "records contradict each other" });
                Self::Internal
            }
        }
    }
}

impl From<RandomUnavailable> for ApiError {
    fn from(_: RandomUnavailable) -> Self {
        Self::Internal
    }
}

impl From<SealError> for ApiError {
    fn from(_: SealError) -> Self {
        Self::Internal
    }
}
