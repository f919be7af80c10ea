//! The attested recipient of a secret: whom an answer is encrypted to.

use crate::api::{ApiError, KeyEncryptionAlgorithm, Recipient};
use crate::audit::AuditedAttestation;
use crate::cms::OaepKey;
use crate::hpke::HpkeKey;
use crate::threads::{Cost, Threads};
use crate::throttle::{Exhausted, Rate, Throttle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{
    Expectation, Kind, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use sekisho_policy_engine::{Attestation, AttestationKind, Pcr};
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
    document: VerifiedDocument,
    key: RecipientKey,
    age: Duration,
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

    /// SHA-256 of the DER SubjectPublicKeyInfo.
    fn identifier(&self) -> &[u8; 32] {
        match self {
            Self::Oaep(key) => &key.identifier,
            Self::Hpke(key) => &key.identifier,
        }
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

    /// Any measurement passes here: which code may have the secret is the policy's to say.
    pub(crate) async fn verify(
        &self,
        recipient: &Recipient,
        principal: &str,
        now: Timestamp,
    ) -> Result<VerifiedRecipient, ApiError> {
        let (shared, algorithm) = (self.shared.clone(), recipient.algorithm);
        let (document, principal) = (recipient.document.clone(), principal.to_owned());
        let verify = move || shared.verify(&document, algorithm, &principal, now);
        self.threads.run(Cost::Long, verify).await?
    }
}

impl Shared {
    fn verify(
        &self,
        document: &[u8],
        algorithm: KeyEncryptionAlgorithm,
        principal: &str,
        now: Timestamp,
    ) -> Result<VerifiedRecipient, ApiError> {
        let checks = self.verifier.signature_checks(document, now).map_err(refused)?;
        if checks > 1 {
            let extra = u32::try_from(checks.saturating_sub(1)).unwrap_or(u32::MAX);
            let taken = self.uncached.take(principal, extra, now.as_millis());
            taken.map_err(|_: Exhausted| ApiError::Throttling)?;
        }
        let expectation = Expectation::any_measurement().max_age(MAX_AGE).max_skew(MAX_SKEW);
        let document = self.verifier.verify(document, now, &expectation).map_err(refused)?;
        let key = document.public_key().ok_or_else(|| {
            ApiError::Validation("The attestation document has no public key.".into())
        })?;
        let key = RecipientKey::from_spki(algorithm, key)?;
        let age = now.since(document.timestamp());
        Ok(VerifiedRecipient { document, key, age })
    }
}

fn refused(rejection: Rejection) -> ApiError {
    ApiError::Validation(format!(
        "The attestation document was refused ({}): {rejection}",
        rejection.rule()
    ))
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

    /// What a policy sees.
    pub(crate) fn to_policy(&self) -> Attestation {
        let document = &self.document;
        Attestation {
            kind: match document.kind() {
                Kind::Enclave => AttestationKind::Enclave,
                Kind::NitroTpm => AttestationKind::NitroTpm,
            },
            module_id: document.module_id().to_owned(),
            timestamp: document.timestamp().as_millis(),
            age: u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX),
            pcrs: self
                .pcrs()
                .map(|(index, value)| Pcr { index, value: hex::encode(value) })
                .collect(),
            user_data: document.user_data().map(<[u8]>::to_vec),
            nonce: document.nonce().map(<[u8]>::to_vec),
            nonce_fresh: false,
            public_key_sha256: Some(hex::encode(self.key.identifier())),
        }
    }

    /// What the audit log keeps.
    pub(crate) fn to_audit(&self) -> AuditedAttestation {
        let used = self.pcrs().filter(|(_, value)| value.iter().any(|byte| *byte != 0));
        AuditedAttestation {
            module_id: self.document.module_id().to_owned(),
            pcrs: used.map(|(index, value)| (index, hex::encode(value))).collect(),
        }
    }

    fn pcrs(&self) -> impl Iterator<Item = (u8, &[u8; 48])> {
        self.document.pcrs().iter().map(|(index, value)| (index.get(), value.as_bytes()))
    }
}
