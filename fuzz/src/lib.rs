//! What the fuzz targets share: an enclave whose documents they spoil, and a limit on memory.

pub mod memory;

use std::alloc::System;
use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use cap::Cap;
use sekisho_attestation::backend::{
    AwsLc, BadSignature, POINT_LENGTH, SIGNATURE_LENGTH, SignatureAlgorithms,
};
use sekisho_attestation::{
    Expectation, Kind, Rejection, Timestamp, TrustAnchors, UnverifiedDocument, VerifiedDocument,
    Verifier,
};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options};
use sekisho_nsm::AttestationRequest;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// As much as one input may allocate, all of it together.
const ALLOWANCE: usize = 1 << 20;

const NOW: Duration = Duration::from_secs(1_768_478_400);

/// Takes every signature for good, so that fuzzing reaches what is behind the signatures, changed
/// certificates too, and spends its time there.
#[derive(Debug, Clone, Copy)]
pub struct Gullible;

impl SignatureAlgorithms for Gullible {
    type PublicKey = ();

    fn public_key(&self, _: &[u8; POINT_LENGTH]) -> Option<()> {
        Some(())
    }

    fn verify(&self, (): &(), _: &[u8], _: &[u8; SIGNATURE_LENGTH]) -> Result<(), BadSignature> {
        Ok(())
    }
}

/// An enclave with a leaf that stays the same for the whole run.
pub struct Target {
    real: Verifiers<AwsLc>,
    gullible: Verifiers<Gullible>,
    pub nsm: EmulatedNsm,
    /// A good document's payload.
    pub payload: Vec<u8>,
    /// A good document.
    pub document: Vec<u8>,
}

pub static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let now = UNIX_EPOCH + NOW;
    let pki = DevelopmentPki::generate(now);
    let options = Options { clock: Box::new(move || now), ..Options::default() };
    let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"fuzz"), options);
    let (document, leaf) = nsm.document(AttestationRequest {
        user_data: Some(b"data".to_vec()),
        nonce: Some(b"nonce".to_vec()),
        public_key: Some(b"key".to_vec()),
    });
    let anchors = TrustAnchors::from_der([pki.root_der()]).expect("a root");
    Target {
        real: Verifiers::new(&anchors, AwsLc),
        gullible: Verifiers::new(&anchors, Gullible),
        nsm,
        payload: document.payload(),
        document: document.sign(&leaf.key),
    }
});

struct Verifiers<B: SignatureAlgorithms> {
    plain: Verifier<B>,
    cached: Verifier<B>,
}

impl Target {
    /// Verifies a document with its signatures.
    pub fn verify(&self, document: &[u8]) -> Result<VerifiedDocument, Rejection> {
        self.real.verify(document)
    }

    /// Verifies a document but for its signatures.
    pub fn verify_gullibly(&self, document: &[u8]) -> Result<VerifiedDocument, Rejection> {
        self.gullible.verify(document)
    }
}

impl<B: SignatureAlgorithms + Copy> Verifiers<B> {
    fn new(anchors: &TrustAnchors, backend: B) -> Self {
        let verifier = || Verifier::with_backend(anchors.clone(), backend);
        let four = NonZeroUsize::new(4).expect("four");
        Self { plain: verifier(), cached: verifier().with_cache(four) }
    }

    /// Verifies and reads a document in every way, and that the ways agree.
    fn verify(&self, document: &[u8]) -> Result<VerifiedDocument, Rejection> {
        let at = Timestamp::from_seconds(NOW.as_secs());
        let unverified = UnverifiedDocument::read(document);
        let kind = unverified.as_ref().ok().and_then(|document| document.kind);
        let expectation =
            Expectation::any_measurement().allow_debug().kind(kind.unwrap_or(Kind::Enclave));
        let answer = self.plain.verify(document, at, &expectation);
        assert_eq!(answer, self.cached.verify(document, at, &expectation));
        if let Err(rejection) = &answer {
            assert!(!rejection.rule().is_empty() && !rejection.to_string().is_empty());
        }
        if let Ok(verified) = &answer {
            let unverified = unverified.expect("what verifies can be read");
            assert_eq!(unverified.module_id.as_deref(), Some(verified.module_id()));
            assert_eq!(unverified.timestamp, Some(verified.timestamp()));
            assert_eq!(unverified.pcrs.len(), verified.pcrs().len());
            assert_eq!(unverified.nonce.as_deref(), verified.nonce());
            assert_eq!(unverified.user_data.as_deref(), verified.user_data());
            assert_eq!(unverified.public_key.as_deref(), verified.public_key());
            assert!(unverified.certificates.iter().all(|one| one.claims.is_ok()));
        }
        answer
    }
}

/// Runs `target` with at most one MiB of heap beyond what is in use already; more aborts.
pub fn within_allowance<Answer>(target: impl FnOnce() -> Answer) -> Answer {
    let _ = HEAP.set_limit(HEAP.allocated().saturating_add(ALLOWANCE));
    let answer = target();
    let _ = HEAP.set_limit(usize::MAX);
    answer
}

/// Runs `target` to its end on a runtime of this thread.
pub fn block_on<Answer>(target: impl Future<Output = Answer>) -> Answer {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O");
    }
    RUNTIME.with(|runtime| runtime.block_on(target))
}
