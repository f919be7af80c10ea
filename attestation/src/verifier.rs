use core::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::backend::{PureRust, SignatureAlgorithms};
use crate::cache::ChainCache;
use crate::cose::Envelope;
use crate::document::VerifiedDocument;
use crate::expectation::{Expectation, is_debug};
use crate::path::{Issuer, Leaf};
use crate::payload::Payload;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;
use crate::{Kind, TrustAnchors};

/// Verifies attestation documents against trust anchors.
///
/// The backend `B` verifies signatures: [`PureRust`], or `AwsLc` for servers.
///
/// Without a [cache](Self::with_cache) every document costs as many signature checks as it has
/// certificates: five for AWS's, about a millisecond. A server that anyone can send documents to
/// should limit how many of these a caller gets; [`Self::signature_checks`] tells beforehand.
pub struct Verifier<B: SignatureAlgorithms = PureRust> {
    backend: B,
    anchors: TrustAnchors,
    cache: Option<ChainCache<B::PublicKey>>,
}

impl Verifier<PureRust> {
    /// A verifier whose signatures are verified in pure Rust.
    pub fn new(anchors: TrustAnchors) -> Self {
        Self::with_backend(anchors, PureRust)
    }
}

impl<B: SignatureAlgorithms> Verifier<B> {
    /// A verifier whose signatures are verified by `backend`.
    pub fn with_backend(anchors: TrustAnchors, backend: B) -> Self {
        Self { backend, anchors, cache: None }
    }

    /// With a cache of verified chains: of at most `capacity` CA bundles and as many leaves, about
    /// ten kilobytes each at most. Answers are the same as without.
    #[must_use]
    pub fn with_cache(mut self, capacity: NonZeroUsize) -> Self {
        self.cache = Some(ChainCache::new(capacity));
        self
    }

    /// Verifies `document` as of the instant `at`, and that it meets `expectation`.
    ///
    /// In this order: the form of the envelope and of the payload, with every size bounded; the
    /// certification path from a trust anchor to the leaf; the document's signature; that the leaf
    /// names the module; and the expectation. No field is acted on before the signature is
    /// verified, save the certificates that it takes.
    ///
    /// What is not checked: revocation (AWS's process does not use it), whether a nonce was seen
    /// before, and what is in the public key.
    ///
    /// # Errors
    /// The [`Rejection`] names the first rule that failed.
    pub fn verify(
        &self,
        document: &[u8],
        at: Timestamp,
        expectation: &Expectation,
    ) -> Result<VerifiedDocument, Rejection> {
        let envelope = Envelope::decode(document)?;
        let payload = Payload::decode(envelope.payload)?;
        let leaf = self.leaf(&payload, at)?;
        self.backend
            .verify(&leaf.key, &envelope.to_be_signed(), envelope.signature)
            .map_err(|_| Rejection::DocumentSignature)?;
        let document = verified(&envelope, payload, &leaf)?;
        expectation.check(&document, at)?;
        Ok(document)
    }

    /// How many signatures [`Self::verify`] would check if it came to the last of them: one if the
    /// leaf's chain is cached, two if its issuers' is, and otherwise as many as the document has
    /// certificates below the root, and one.
    ///
    /// # Errors
    /// The [`Rejection`] of a document whose form alone is wrong, which costs no signature check.
    pub fn signature_checks(&self, document: &[u8], at: Timestamp) -> Result<usize, Rejection> {
        let envelope = Envelope::decode(document)?;
        let payload = Payload::decode(envelope.payload)?;
        let cache = self.cache.as_ref();
        Ok(if cache.is_some_and(|cache| cache.leaf(&payload, at).is_some()) {
            1
        } else if cache.is_some_and(|cache| cache.issuer(&payload, at).is_some()) {
            2
        } else {
            payload.cabundle.intermediates.len().saturating_add(2)
        })
    }

    /// The document's leaf certificate, verified now or before.
    fn leaf(
        &self,
        payload: &Payload<'_>,
        at: Timestamp,
    ) -> Result<Arc<Leaf<B::PublicKey>>, Rejection> {
        let cache = self.cache.as_ref();
        if let Some(leaf) = cache.and_then(|cache| cache.leaf(payload, at)) {
            return Ok(leaf);
        }
        let issuer = match cache.and_then(|cache| cache.issuer(payload, at)) {
            Some(issuer) => issuer,
            None => Arc::new(Issuer::verify(&self.backend, &self.anchors, &payload.cabundle, at)?),
        };
        let leaf = Arc::new(issuer.verify_leaf(&self.backend, payload.certificate, at)?);
        if let Some(cache) = cache {
            cache.insert(payload, &issuer, &leaf);
        }
        Ok(leaf)
    }
}

impl<B: SignatureAlgorithms> fmt::Debug for Verifier<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("anchors", &self.anchors)
            .field("cached", &self.cache.is_some())
            .finish_non_exhaustive()
    }
}

/// What the payload says, now that its signature is known to be the leaf's.
fn verified<Key>(
    envelope: &Envelope<'_>,
    payload: Payload<'_>,
    leaf: &Leaf<Key>,
) -> Result<VerifiedDocument, Rejection> {
    check_module(payload.kind, payload.module_id, &leaf.common_name)?;
    // Earlier than the leaf's notBefore is no lie: AWS's leaf begins three seconds before its
    // first use. Later than its notAfter is one.
    if payload.timestamp > leaf.validity.not_after {
        return Err(Rejection::TimestampAfterCertificate);
    }
    Ok(VerifiedDocument {
        kind: payload.kind,
        module_id: payload.module_id.into(),
        timestamp: payload.timestamp,
        debug: is_debug(payload.kind, &payload.pcrs)?,
        pcrs: payload.pcrs,
        public_key: payload.public_key.map(Into::into),
        user_data: payload.user_data.map(Into::into),
        nonce: payload.nonce.map(Into::into),
        payload: envelope.payload.into(),
        not_after: leaf.validity.not_after,
    })
}

/// That the leaf certificate names the module (`<module id>.<region>.aws`), and that the module is
/// of the document's kind: `<instance>-enc<16 digits>` or `<instance>-tpm<16 digits>`.
fn check_module(kind: Kind, module_id: &str, common_name: &str) -> Result<(), Rejection> {
    let named = common_name.strip_prefix(module_id);
    if !named.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        return Err(Rejection::ModuleIdCertificate);
    }
    let prefix = match kind {
        Kind::Enclave => "enc",
        Kind::NitroTpm => "tpm",
    };
    match module_id.rsplit_once('-') {
        Some((_, module)) if module.starts_with(prefix) => Ok(()),
        _ => Err(Rejection::ModuleIdKind),
    }
}
