//! The attested caller, and the recipient of a secret: whom an answer is encrypted to.

mod attestation;

pub(crate) use attestation::{Papers, VerifiedAttestation};

use crate::api::{ApiError, KeyEncryptionAlgorithm, Operation, Recipient, RequestDocument};
use crate::cms::OaepKey;
use crate::hpke::HpkeKey;
use crate::threads::{Cost, Threads};
use crate::throttle::{Exhausted, Rate, Throttle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{
    Expectation, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// How old a document may be. AWS KMS takes documents of the last five minutes.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// How far a document's clock may be ahead of the worker's.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// Verified chains that are kept, and as many leaves; about ten kilobytes each. An enclave's leaf
/// lives three hours and signs many documents.
const CACHED_CHAINS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Signature checks beyond the one that every document costs, for each principal. One takes about
/// 0.2 ms, an uncached document four: a principal gets 2 % of a core.
const UNCACHED_CHECKS: Rate = Rate { per_second: 100, burst: 400 };

/// Verifies callers' documents against the roots of the boot configuration.
///
/// A document takes a fifth of a millisecond of computing, or a whole one if its chain is new: it is
/// verified on a thread of its own, so that nobody else's request waits behind it.
pub(crate) struct RecipientVerifier {
    shared: Arc<Shared>,
    threads: Threads,
}

struct Shared {
    verifier: Verifier<AwsLc>,
    uncached: Throttle,
}

/// A verified document with a usable key. Only [`RecipientVerifier::verify`] makes one.
pub(crate) struct VerifiedRecipient {
    attestation: VerifiedAttestation,
    key: RecipientKey,
}

/// The document's public key, of the kind that the algorithm asked for needs.
enum RecipientKey {
    Oaep(OaepKey),
    Hpke(HpkeKey),
}

impl RecipientKey {
    fn from_spki(algorithm: KeyEncryptionAlgorithm, spki: &[u8]) -> Result<Self, ApiError> {
        let key = match algorithm {
            KeyEncryptionAlgorithm::RsaesOaepSha256 => {
                OaepKey::from_spki(spki).map(Self::Oaep).map_err(|error| error.to_string())
            }
            KeyEncryptionAlgorithm::HpkeP384 => {
                let key = HpkeKey::from_spki(spki).map(Self::Hpke);
                key.map_err(|error| format!("the document's public key is {error}"))
            }
        };
        key.map_err(|error| {
            ApiError::Validation(format!("{error}, as {} needs it.", algorithm.name()))
        })
    }
}

impl RecipientVerifier {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        let verifier = Verifier::with_backend(anchors, AwsLc).with_cache(CACHED_CHAINS);
        Self {
            shared: Arc::new(Shared { verifier, uncached: Throttle::new(UNCACHED_CHECKS) }),
            threads: Threads::one_for_each_processor(),
        }
    }

    /// Verifies what a request for `operation` brought: the member `Recipient`, the header
    /// `X-Sekisho-Attestation`, both, or nothing. Any measurement passes here: which code may do what
    /// is the policy's to say.
    pub(crate) async fn verify(
        &self,
        operation: Operation,
        recipient: Option<&Recipient>,
        request: Option<RequestDocument>,
        principal: &str,
        now: Timestamp,
    ) -> Result<Option<Papers>, ApiError> {
        let Some(way) = Way::of(operation, recipient, request)? else { return Ok(None) };
        let (shared, principal) = (self.shared.clone(), principal.to_owned());
        let verify = move || shared.verify(&way, &principal, now);
        self.threads.run(Cost::Long, verify).await?.map(Some)
    }
}

/// How documents came.
enum Way {
    Recipient { algorithm: KeyEncryptionAlgorithm, document: Vec<u8> },
    Request(RequestDocument),
    Both { algorithm: KeyEncryptionAlgorithm, document: Vec<u8>, request: RequestDocument },
}

impl Way {
    fn of(
        operation: Operation,
        recipient: Option<&Recipient>,
        request: Option<RequestDocument>,
    ) -> Result<Option<Self>, ApiError> {
        Ok(match (recipient, request) {
            (None, None) => None,
            (Some(Recipient { algorithm, document }), None) => {
                Some(Self::Recipient { algorithm: *algorithm, document: document.clone() })
            }
            (Some(Recipient { algorithm, document }), Some(request)) => {
                let (algorithm, document) = (*algorithm, document.clone());
                Some(Self::Both { algorithm, document, request })
            }
            // The policy would take the caller for attested, and the secret would leave unencrypted.
            (None, Some(_)) if operation.takes_recipient() => {
                return Err(ApiError::Validation(format!(
                    "{} takes an attestation document as Recipient, to which its answer is \
                     encrypted; the header X-Sekisho-Attestation may come beside that, and not alone.",
                    operation.name()
                )));
            }
            (None, Some(request)) => Some(Self::Request(request)),
        })
    }
}

impl Shared {
    fn verify(&self, way: &Way, principal: &str, now: Timestamp) -> Result<Papers, ApiError> {
        let by_request = |request: &RequestDocument| -> Result<VerifiedAttestation, ApiError> {
            let expectation = expectation().nonce(request.nonce);
            let document = self.document(&request.document, &expectation, principal, now);
            let document = document.map_err(Unverified::in_header)?;
            Ok(VerifiedAttestation::new(document, now, true))
        };
        match way {
            Way::Recipient { algorithm, document } => {
                self.recipient(document, *algorithm, principal, now).map(Papers::Recipient)
            }
            Way::Request(request) => by_request(request).map(Papers::Request),
            Way::Both { algorithm, document, request } => {
                let attestation = by_request(request)?;
                let recipient = self.recipient(document, *algorithm, principal, now)?;
                if !attestation.is_of_same_enclave(&recipient.attestation) {
                    return Err(ApiError::Validation(
                        "The documents in Recipient and in X-Sekisho-Attestation differ in module id, \
                         registers or public key: both must come from the caller."
                            .into(),
                    ));
                }
                Ok(Papers::Recipient(VerifiedRecipient { attestation, key: recipient.key }))
            }
        }
    }

    fn recipient(
        &self,
        document: &[u8],
        algorithm: KeyEncryptionAlgorithm,
        principal: &str,
        now: Timestamp,
    ) -> Result<VerifiedRecipient, ApiError> {
        let document = self.document(document, &expectation(), principal, now);
        let document = document.map_err(Unverified::in_recipient)?;
        let key = document.public_key().ok_or_else(|| {
            ApiError::Validation("The attestation document has no public key.".into())
        })?;
        let key = RecipientKey::from_spki(algorithm, key)?;
        Ok(VerifiedRecipient { attestation: VerifiedAttestation::new(document, now, false), key })
    }

    fn document(
        &self,
        document: &[u8],
        expectation: &Expectation,
        principal: &str,
        now: Timestamp,
    ) -> Result<VerifiedDocument, Unverified> {
        let checks = self.verifier.signature_checks(document, now).map_err(Unverified::Rejected)?;
        if checks > 1 {
            let extra = u32::try_from(checks.saturating_sub(1)).unwrap_or(u32::MAX);
            let taken = self.uncached.take(principal, extra, now.as_millis());
            taken.map_err(|_: Exhausted| Unverified::Throttled)?;
        }
        self.verifier.verify(document, now, expectation).map_err(Unverified::Rejected)
    }
}

/// Why a document does not count.
enum Unverified {
    Rejected(Rejection),
    Throttled,
}

impl Unverified {
    fn in_recipient(self) -> ApiError {
        self.told("", "")
    }

    fn in_header(self) -> ApiError {
        let hint = match self {
            Self::Rejected(Rejection::Nonce) => ": it has to be the SHA-256 of this request's body",
            _ => "",
        };
        self.told("X-Sekisho-Attestation: ", hint)
    }

    fn told(self, place: &str, hint: &str) -> ApiError {
        match self {
            Self::Throttled => ApiError::Throttling,
            Self::Rejected(rejection) => ApiError::Validation(format!(
                "{place}The attestation document was refused ({}): {rejection}{hint}",
                rejection.rule()
            )),
        }
    }
}

fn expectation() -> Expectation {
    Expectation::any_measurement().max_age(MAX_AGE).max_skew(MAX_SKEW)
}

impl VerifiedRecipient {
    /// `CiphertextForRecipient` in base64.
    pub(crate) fn envelop(&self, secret: &[u8]) -> Result<String, ApiError> {
        let sealed = match &self.key {
            RecipientKey::Oaep(key) => key.envelop(secret).map_err(|_| ApiError::Internal)?,
            RecipientKey::Hpke(key) => key.seal(secret).map_err(|_| ApiError::Internal)?,
        };
        Ok(BASE64.encode(sealed))
    }
}

#[cfg(test)]
mod tests;
