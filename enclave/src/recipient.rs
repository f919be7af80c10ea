//! The attested recipient of a secret: whom an answer is encrypted to.

use crate::api::{ApiError, Recipient};
use crate::audit::AuditedAttestation;
use crate::cms::RecipientKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{Expectation, Kind, Timestamp, TrustAnchors, VerifiedDocument, Verifier};
use sekisho_policy_engine::{Attestation, AttestationKind, Pcr};
use std::time::Duration;

/// How old a document may be. AWS KMS takes documents of the last five minutes.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// How far a document's clock may be ahead of the worker's.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// Verifies callers' documents against the roots of the boot configuration.
pub(crate) struct RecipientVerifier(Verifier<AwsLc>);

/// A verified document with a usable key. Only [`RecipientVerifier::verify`] makes one.
pub(crate) struct VerifiedRecipient {
    document: VerifiedDocument,
    key: RecipientKey,
    age: Duration,
}

impl RecipientVerifier {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        Self(Verifier::with_backend(anchors, AwsLc))
    }

    /// Any measurement passes here: which code may have the secret is the policy's to say.
    pub(crate) fn verify(
        &self,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<VerifiedRecipient, ApiError> {
        let expectation = Expectation::any_measurement().max_age(MAX_AGE).max_skew(MAX_SKEW);
        let document =
            self.0.verify(&recipient.document, now, &expectation).map_err(|rejection| {
                ApiError::Validation(format!(
                    "The attestation document was refused ({}): {rejection}",
                    rejection.rule()
                ))
            })?;
        let key = document.public_key().ok_or_else(|| {
            ApiError::Validation("The attestation document has no public key.".into())
        })?;
        let key = RecipientKey::from_spki(key)
            .map_err(|error| ApiError::Validation(format!("{error}.")))?;
        let age = now.since(document.timestamp());
        Ok(VerifiedRecipient { document, key, age })
    }
}

impl VerifiedRecipient {
    /// `CiphertextForRecipient` in base64.
    pub(crate) fn envelop(&self, secret: &[u8]) -> Result<String, ApiError> {
        let envelope = self.key.envelop(secret).map_err(|_| ApiError::Internal)?;
        Ok(BASE64.encode(envelope))
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
            public_key_sha256: Some(hex::encode(self.key.identifier)),
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
