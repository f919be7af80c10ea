//! Attested TLS: a document of the NSM that says who ends this connection.
//!
//! `GET /attestation?nonce=…` answers with a fresh document whose public key is the one of the TLS
//! leaf that the connection was made with, whose nonce is the caller's, and whose user data is an
//! [`AttestationBinding`]. Without a nonce it answers with a document that may be a minute old, and
//! proves nothing about the moment; its timestamp says when it was made.

mod budget;
mod cached;

pub(crate) use budget::{Allowance, Budget};
pub(crate) use cached::CachedDocument;

use crate::api::ApiError;
use crate::audit::AuditLog;
use crate::clock::milliseconds;
use crate::log::{Event, log};
use crate::storage::journal::Journal;
use crate::tls::Leaf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::HeaderValue;
use sekisho_nsm::{AttestationRequest, Nsm};
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

/// A caller's nonce, bytes: enough that it never repeats, and no more than fits many verifiers.
const NONCE_LENGTH: std::ops::RangeInclusive<usize> = 16..=64;

/// What the worker says about itself in the document's user data, as CBOR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationBinding {
    /// SHA-256 of the service CA's certificate (DER).
    #[serde(with = "serde_bytes")]
    pub service_ca_sha256: [u8; 32],
    /// SHA-384 of the boot configuration, which PCR16 was extended with.
    #[serde(with = "serde_bytes")]
    pub boot_configuration_sha384: [u8; 48],
    /// Where the root key came from; `development-file` proves nothing.
    pub unseal: String,
    /// Number of the newest journal entry; 0 while sealed.
    pub journal_sequence: u64,
    /// SHA-256 of the newest journal entry.
    #[serde(with = "serde_bytes")]
    pub journal_hash: [u8; 32],
    /// The public key (Ed25519) under which audit blocks are signed; zeros while sealed.
    #[serde(with = "serde_bytes")]
    pub audit_signature_key: [u8; 32],
    /// Number of the newest audit block; 0 while sealed or before the first.
    pub audit_sequence: u64,
    /// SHA-256 of the newest audit block.
    #[serde(with = "serde_bytes")]
    pub audit_hash: [u8; 32],
}

impl AttestationBinding {
    /// Reads the user data of a verified document.
    ///
    /// # Errors
    /// [`CodecError`] where the bytes are no binding.
    pub fn from_user_data(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes)
    }
}

/// Answers `/attestation`.
pub(crate) struct Attester {
    pub(crate) nsm: Arc<dyn Nsm>,
    /// The name of the unseal provider.
    pub(crate) unseal: &'static str,
    pub(crate) boot_configuration_sha384: [u8; 48],
    /// None while sealed.
    pub(crate) journal: Option<Arc<Journal>>,
    /// None while sealed.
    pub(crate) audit: Option<AuditLog>,
    pub(crate) budget: Budget,
}

impl Attester {
    /// Where the journal stands, as a header of each answer: `<sequence>-<hash in hex>`. Whoever
    /// keeps the newest notices a journal that was cut at its end. None while sealed.
    pub(crate) fn receipt(&self) -> Option<HeaderValue> {
        let checkpoint = self.journal.as_ref()?.checkpoint();
        let hash = hex::encode(checkpoint.hash.as_bytes());
        HeaderValue::try_from(format!("{}-{hash}", checkpoint.sequence)).ok()
    }

    /// A fresh document for the nonce in `query`, or without a query the leaf's latest.
    pub(crate) async fn attest(
        &self,
        leaf: &Leaf,
        allowance: &Allowance,
        query: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Value, ApiError> {
        let document = match query.filter(|query| !query.is_empty()) {
            Some(query) => self.document_for(leaf, allowance, query, now).await?,
            None => {
                let made = || async { self.document(leaf, None, self.budget.turn().await?).await };
                leaf.document.latest(Instant::now(), made).await?
            }
        };
        Ok(json!({ "document": BASE64.encode(document), "service_ca": leaf.service_ca_pem }))
    }

    /// A fresh document for the nonce in `query`, within what connection and everyone are left.
    pub(crate) async fn document_for(
        &self,
        leaf: &Leaf,
        allowance: &Allowance,
        query: &str,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, ApiError> {
        let nonce = read_nonce(query)?;
        let turn = self.budget.admit(allowance, milliseconds(now)).await?;
        self.document(leaf, Some(nonce), turn).await
    }

    async fn document(
        &self,
        leaf: &Leaf,
        nonce: Option<Vec<u8>>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, ApiError> {
        let checkpoint = self.journal.as_ref().map(|journal| journal.checkpoint());
        let audited = self.audit.as_ref().and_then(|audit| audit.newest().current());
        let signature_key = self.audit.as_ref().map(AuditLog::signature_key);
        let binding = AttestationBinding {
            service_ca_sha256: leaf.service_ca_sha256,
            boot_configuration_sha384: self.boot_configuration_sha384,
            unseal: self.unseal.into(),
            journal_sequence: checkpoint.map_or(0, |checkpoint| checkpoint.sequence),
            journal_hash: checkpoint.map_or([0; 32], |checkpoint| *checkpoint.hash.as_bytes()),
            audit_signature_key: signature_key.map_or([0; 32], |key| *key.as_bytes()),
            audit_sequence: audited.map_or(0, |checkpoint| checkpoint.sequence),
            audit_hash: audited.map_or([0; 32], |checkpoint| *checkpoint.hash.as_bytes()),
        };
        let request = AttestationRequest {
            user_data: Some(codec::encode(&binding).map_err(|_| ApiError::Internal)?),
            nonce,
            public_key: Some(leaf.public_key.clone()),
        };
        // The device answers in a system call that may take milliseconds.
        let nsm = self.nsm.clone();
        let attesting = move || {
            // Given back when the device has answered, even if nobody waits for it any more.
            let _turn = turn;
            nsm.attestation(request)
        };
        tokio::task::spawn_blocking(attesting).await.map_err(|_| ApiError::Internal)?.map_err(
            |error| {
                log(Event::NoDocument(error));
                ApiError::Internal
            },
        )
    }
}

fn read_nonce(query: &str) -> Result<Vec<u8>, ApiError> {
    let nonce = query
        .strip_prefix("nonce=")
        .filter(|text| text.len() <= NONCE_LENGTH.end().saturating_mul(2))
        .and_then(|text| hex::decode(text).ok())
        .filter(|nonce| NONCE_LENGTH.contains(&nonce.len()));
    nonce.ok_or_else(|| {
        ApiError::Validation(
            "Ask with ?nonce= and 16 to 64 random bytes in hex: the document will hold them."
                .into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::UnsealProvider;

    /// `user_data` of a document: 512 bytes in AWS's specification of the attestation document.
    #[test]
    fn the_longest_binding_fits_into_a_document() {
        let longest = AttestationBinding {
            service_ca_sha256: [255; 32],
            boot_configuration_sha384: [255; 48],
            unseal: UnsealProvider::DevelopmentFile.name().into(),
            journal_sequence: u64::MAX,
            journal_hash: [255; 32],
            audit_signature_key: [255; 32],
            audit_sequence: u64::MAX,
            audit_hash: [255; 32],
        };
        let bytes = codec::encode(&longest).unwrap();
        assert!(bytes.len() <= 512, "{} bytes", bytes.len());
        assert_eq!(AttestationBinding::from_user_data(&bytes).unwrap(), longest);
    }

    #[test]
    fn a_nonce_is_hex_of_16_to_64_bytes() {
        let of = |bytes: usize| format!("nonce={}", "ab".repeat(bytes));
        assert_eq!(read_nonce(&of(16)).unwrap(), vec![0xab; 16]);
        assert_eq!(read_nonce(&of(64)).unwrap().len(), 64);
        for bad in
            [of(15), of(65), "nonce=".into(), "nonce=zz".into(), "other=00".into(), of(16) + "0"]
        {
            assert!(read_nonce(&bad).is_err(), "{bad}");
        }
    }
}
