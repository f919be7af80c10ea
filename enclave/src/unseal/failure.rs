//! Why there is no root key yet, and what to do about it, as lines for the log.
//!
//! A closed set: what the KMS or the host says goes into none of them.

use crate::cms::open::NotOpened;
use crate::peers::PeerRefused;
use crate::secret::RandomUnavailable;
use sekisho_nsm::NsmError;
use sekisho_wire::egress::EgressError;
use sekisho_wire::store::StoreError;
use serde::Deserialize;
use thiserror::Error;

/// Why an attempt failed. The worker tries again after each.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    // The host.
    #[error("{0}: start sekisho-host with --egress-listen, --egress and --kms-credentials")]
    Egress(#[from] EgressError),
    #[error("the host's store: {0}")]
    Store(#[from] StoreError),
    #[error(
        "the store has a journal or an audit log but no wrapped root key: no new root key is begun \
         over them. Put the whole store back as it was, or start with an empty one"
    )]
    WrappedKeyMissing,
    #[error("the wrapped root key in the store is damaged: put the store back as it was")]
    WrappedKeyMalformed,
    #[error(
        "the root key in the store is wrapped under another key than --unseal-kms-key: name that \
         key, or put the store of this service back"
    )]
    WrappedUnderAnotherKey,

    #[error(
        "the keyring in the store is not of the root key that was unwrapped: one of the two is older \
         than the other. Put the store back as it was"
    )]
    OtherKeyring,
    #[error("another worker has changed the root key in the store meanwhile")]
    SlotChanged,

    // The way to the KMS.
    #[error(
        "the server at the KMS's endpoint is not the KMS: its certificate is not of the pinned roots \
         and this name. Check --unseal-kms-root, and whom the host connects to"
    )]
    NotTheKms,
    #[error("the connection to the KMS broke off")]
    Broken,
    #[error("the KMS did not answer in time")]
    Late,
    #[error("the KMS's answer is larger than any that makes sense")]
    TooLarge,

    // What the KMS says.
    #[error(
        "the key's policy does not give the root key to this worker: allow kms:GenerateDataKey and \
         kms:Decrypt to these credentials under the condition of this worker's registers, which \
         follow"
    )]
    NotAllowed,
    #[error("the KMS's key is disabled: enable it")]
    KeyDisabled,
    #[error("the KMS's key cannot be used in its state, such as pending deletion: cancel that")]
    KeyState,
    #[error(
        "the KMS does not know the key: check --unseal-kms-key, and that --unseal-kms-endpoint is \
         in the key's Region"
    )]
    KeyNotFound,
    #[error("the KMS serves another Region than the key's: check --unseal-kms-endpoint")]
    OtherRegion,
    #[error("the worker's clock and the KMS's differ by more than the KMS allows: set the clock")]
    ClockSkew,
    #[error("the KMS does not take the AWS credentials: check the host's --kms-credentials")]
    CredentialsRefused,
    #[error("the AWS credentials have expired: renew those of the host's --kms-credentials")]
    CredentialsExpired,
    #[error("the KMS does not take the attestation document: check that it accepts its root")]
    DocumentRefused,
    #[error(
        "the wrapped root key is not of this key, or not of this account's service: put the store \
         back as it was"
    )]
    CiphertextRefused,
    #[error("the KMS asks for fewer requests")]
    Throttled,
    #[error("the KMS is unavailable")]
    Unavailable,
    #[error("the KMS refuses with HTTP status {0}")]
    Other(u16),

    // An answer that does not fit.
    #[error("the answer names another key than the one that was asked for: it is not believed")]
    OtherKey,
    #[error("the answer has a plaintext beside the encrypted key: it is not believed")]
    InTheClear,
    #[error("{0}: it is not believed")]
    NotForUs(#[from] NotOpened),
    #[error("the KMS decrypts the new root key to something else: it is not used")]
    OtherPlaintext,
    #[error("the KMS's answer is malformed")]
    Malformed,

    // A peer.
    #[error(
        "the store has no journal: a peer gives the root key of the service whose store this is. \
         Give this worker that store"
    )]
    NoJournal,
    #[error("the peer is not believed: {0}")]
    NotThePeer(#[from] PeerRefused),
    #[error(
        "the peer refuses this worker ({0}): its audit log has the reason. Compare the registers, \
         which follow, with its --peer-measurement, or have the operators sign an upgrade statement"
    )]
    RefusedByPeer(&'static str),
    #[error("the peer gives its root key to nobody: start it with --peer-measurement")]
    NoPeer,
    #[error("the peer is sealed itself, or unavailable")]
    PeerUnavailable,
    #[error("the peer refuses with HTTP status {0}")]
    OtherOfPeer(u16),
    #[error("the peer's answer is not of this exchange: it is not believed")]
    NotOfThisExchange,

    // A new root key.
    #[error(
        "this worker cannot keep another root key: it had its own from a peer, or is given one. Start \
         it with the service's unseal provider, and rotate there"
    )]
    NoKeeper,
    #[error("the file with the root key cannot be replaced")]
    FileNotReplaced,

    // This worker.
    #[error("the NSM gave no document: {0}")]
    Nsm(#[from] NsmError),
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error("the worker could not compute a key for the answer")]
    Internal,
}

/// An error of AWS's JSON protocol.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Failure {
    /// What a KMS's error means: "Common errors" and the operations' errors in the AWS KMS API
    /// reference.
    pub(super) fn of_answer(status: u16, body: &[u8]) -> Self {
        let refusal = serde_json::from_slice(body);
        let Refusal { code, message } =
            refusal.unwrap_or(Refusal { code: String::new(), message: String::new() });
        // `com.amazonaws.kms#DisabledException` in older services.
        let code = code.rsplit('#').next().unwrap_or_default();
        match code.strip_suffix("Exception").unwrap_or(code) {
            "AccessDenied" => Self::NotAllowed,
            "Disabled" => Self::KeyDisabled,
            "KMSInvalidState" => Self::KeyState,
            "NotFound" => Self::KeyNotFound,
            "InvalidSignature" | "SignatureDoesNotMatch" => of_signature(&message),
            "RequestExpired" | "RequestTimeTooSkewed" => Self::ClockSkew,
            "ExpiredToken" => Self::CredentialsExpired,
            "UnrecognizedClient"
            | "InvalidClientTokenId"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Self::CredentialsRefused,
            "Validation" => Self::DocumentRefused,
            "InvalidCiphertext" | "IncorrectKey" => Self::CiphertextRefused,
            "Throttling" | "LimitExceeded" | "TooManyRequests" => Self::Throttled,
            "KMSInternal" | "DependencyTimeout" | "KeyUnavailable" | "ServiceUnavailable" => {
                Self::Unavailable
            }
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Unavailable,
            _ => Self::Other(status),
        }
    }
}

/// One error has three causes, and its words tell which.
fn of_signature(message: &str) -> Failure {
    let says = |words| message.contains(words);
    if says("Signature expired") || says("not yet current") {
        Failure::ClockSkew
    } else if says("scoped to a valid region") {
        Failure::OtherRegion
    } else {
        Failure::CredentialsRefused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_meaning() {
        let scope = "Credential should be scoped to a valid region. ";
        for (status, code, message, wanted) in [
            (400, "AccessDeniedException", "", Failure::NotAllowed),
            (400, "com.amazonaws.kms#DisabledException", "", Failure::KeyDisabled),
            (400, "KMSInvalidStateException", "", Failure::KeyState),
            (400, "NotFoundException", "", Failure::KeyNotFound),
            (400, "InvalidSignatureException", "Signature expired: …", Failure::ClockSkew),
            (400, "InvalidSignatureException", "Signature not yet current", Failure::ClockSkew),
            (400, "InvalidSignatureException", scope, Failure::OtherRegion),
            (400, "InvalidSignatureException", "…", Failure::CredentialsRefused),
            (400, "UnrecognizedClientException", "", Failure::CredentialsRefused),
            (400, "ExpiredTokenException", "", Failure::CredentialsExpired),
            (400, "ValidationException", "", Failure::DocumentRefused),
            (400, "InvalidCiphertextException", "", Failure::CiphertextRefused),
            (400, "IncorrectKeyException", "", Failure::CiphertextRefused),
            (400, "ThrottlingException", "", Failure::Throttled),
            (500, "KMSInternalException", "", Failure::Unavailable),
            (503, "", "", Failure::Unavailable),
            (429, "", "", Failure::Throttled),
            (418, "TeapotException", "", Failure::Other(418)),
        ] {
            let body = serde_json::json!({ "__type": code, "message": message }).to_string();
            assert_eq!(Failure::of_answer(status, body.as_bytes()), wanted, "{code} {message}");
        }
        for body in ["", "[]", "<html>", "{\"__type\": 7}"] {
            assert_eq!(Failure::of_answer(502, body.as_bytes()), Failure::Unavailable);
        }
    }

    #[test]
    fn the_kmss_words_are_not_in_the_log() {
        let body = br#"{"__type": "MARKERException", "message": "MARKER"}"#;
        assert!(!Failure::of_answer(400, body).to_string().contains("MARKER"));
    }
}
