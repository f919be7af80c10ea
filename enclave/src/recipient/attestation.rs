//! What a caller's verified document says, whichever way it came.

use super::VerifiedRecipient;
use crate::audit::AuditedAttestation;
use sekisho_attestation::{Kind, Timestamp, VerifiedDocument};
use sekisho_policy_engine::{Attestation, AttestationKind, Pcr};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A verified document. Only [`RecipientVerifier::verify`](super::RecipientVerifier::verify) makes one.
pub(crate) struct VerifiedAttestation {
    document: VerifiedDocument,
    age: Duration,
    /// Whether its nonce is the SHA-256 of the request's body.
    for_request: bool,
}

/// What a request brought to attest who asks.
pub(crate) enum Papers {
    /// A `Recipient`, beside which the header may have been.
    Recipient(VerifiedRecipient),
    /// The header `X-Sekisho-Attestation` alone.
    Request(VerifiedAttestation),
}

impl Papers {
    pub(crate) fn attestation(&self) -> &VerifiedAttestation {
        match self {
            Self::Recipient(recipient) => &recipient.attestation,
            Self::Request(attestation) => attestation,
        }
    }

    /// Whom secrets are encrypted to.
    pub(crate) fn recipient(&self) -> Option<&VerifiedRecipient> {
        match self {
            Self::Recipient(recipient) => Some(recipient),
            Self::Request(_) => None,
        }
    }
}

impl VerifiedAttestation {
    pub(super) fn new(document: VerifiedDocument, now: Timestamp, for_request: bool) -> Self {
        let age = now.since(document.timestamp());
        Self { document, age, for_request }
    }

    /// Whether both were made by one enclave, with one key.
    pub(super) fn is_of_same_enclave(&self, other: &Self) -> bool {
        self.document.module_id() == other.document.module_id()
            && self.pcrs().eq(other.pcrs())
            && self.document.public_key() == other.document.public_key()
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
            nonce_fresh: self.for_request,
            public_key_sha256: document.public_key().map(|key| hex::encode(Sha256::digest(key))),
        }
    }

    /// What the audit log keeps.
    pub(crate) fn to_audit(&self) -> AuditedAttestation {
        let used = self.pcrs().filter(|(_, value)| value.iter().any(|byte| *byte != 0));
        AuditedAttestation {
            module_id: self.document.module_id().to_owned(),
            pcrs: used.map(|(index, value)| (index, hex::encode(value))).collect(),
            for_request: self.for_request,
        }
    }

    fn pcrs(&self) -> impl Iterator<Item = (u8, &[u8; 48])> {
        self.document.pcrs().iter().map(|(index, value)| (index.get(), value.as_bytes()))
    }
}
