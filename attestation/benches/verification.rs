//! What a verification costs beside the signature checks in it.
//!
//! Cases are measured in turn, round after round, so that a machine that slows down slows all of
//! them; the ratios are of medians of one run. Times are the thread's CPU time: what others do on
//! the machine is not measured. Raw is one ES384 verification of a certificate's
//! length by the backend's own crate, key parsing included, as each of a chain's checks needs it.
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, UNIX_EPOCH};

use p384::ecdsa::Signature;
use p384::ecdsa::signature::Signer as _;
use rustix::time::{ClockId, clock_gettime};
use sekisho_attestation::backend::{AwsLc, PureRust, SignatureAlgorithms};
use sekisho_attestation::{Expectation, Timestamp, TrustAnchors, Verifier};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options, random_key};
use sekisho_nsm::AttestationRequest;

const NOW: Duration = Duration::from_secs(1_768_478_400);

/// As much as is signed of a certificate of AWS's.
const CERTIFICATE: usize = 600;

fn main() {
    // Cargo passes `--bench`; a test run of benches passes `--test`, and once is enough then.
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 400 };
    let (root, documents) = documents();
    println!(
        "document {} bytes, {rounds} rounds in turn, medians of CPU time\n",
        documents.first().unwrap().len()
    );
    measure("pure-rust (p384)", PureRust, &root, &documents, rounds);
    measure("aws-lc-rs", AwsLc, &root, &documents, rounds);
}

/// A root, and three documents: the first two of one leaf, the third of another leaf of the same
/// instance.
fn documents() -> (Vec<u8>, [Vec<u8>; 3]) {
    let now = UNIX_EPOCH + NOW;
    let pki = DevelopmentPki::generate(now);
    let options = Options { clock: Box::new(move || now), ..Options::default() };
    let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"bench"), options);
    let chain = pki.chain(now);
    let sign = |leaf: &sekisho_devkit::Leaf, nonce: u8| {
        let (mut document, _) = nsm.document(AttestationRequest {
            user_data: Some(vec![1; 64]),
            nonce: Some(vec![nonce; 32]),
            public_key: Some(vec![2; 294]),
        });
        document.cabundle = chain.cabundle();
        document.certificate = leaf.certificate.clone();
        document.sign(&leaf.key)
    };
    let module = Options::default().module_id;
    let (one, other) = (chain.leaf(&module, now), chain.leaf(&module, now));
    (pki.root_der().to_vec(), [sign(&one, 1), sign(&one, 2), sign(&other, 3)])
}

fn measure<B: SignatureAlgorithms + Copy>(
    name: &str,
    backend: B,
    root: &[u8],
    [first, same_leaf, other_leaf]: &[Vec<u8>; 3],
    rounds: usize,
) {
    let anchors = TrustAnchors::from_der([root]).unwrap();
    let verifier = || Verifier::with_backend(anchors.clone(), backend);
    let at = Timestamp::from_seconds(NOW.as_secs());
    let expectation = Expectation::any_measurement();
    let verify = |verifier: &Verifier<B>, document: &[u8]| {
        let verified = verifier.verify(black_box(document), at, &expectation);
        black_box(verified).unwrap();
    };
    let plain = verifier();
    let leaf_cached = verifier().with_cache(NonZeroUsize::MIN);
    verify(&leaf_cached, first);

    let key = random_key();
    let message = [7; CERTIFICATE];
    let signature: Signature = key.sign(&message);
    let signature: [u8; 96] = signature.to_bytes().as_slice().try_into().unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let point: [u8; 97] = point.as_bytes().try_into().unwrap();

    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds {
        let [raw, full, intermediates, leaf] = &mut times;
        raw.push(time(|| {
            let key = backend.public_key(black_box(&point)).unwrap();
            backend.verify(&key, black_box(&message), &signature).unwrap();
        }));
        full.push(time(|| verify(&plain, first)));
        // Of a chain whose issuers are known and whose leaf is not: a fresh cache, warmed by
        // another leaf of the same instance.
        let issuers_cached = verifier().with_cache(NonZeroUsize::MIN);
        verify(&issuers_cached, other_leaf);
        assert_eq!(issuers_cached.signature_checks(first, at), Ok(2));
        intermediates.push(time(|| verify(&issuers_cached, first)));
        leaf.push(time(|| verify(&leaf_cached, same_leaf)));
    }
    let [raw, full, intermediates, leaf] = times.map(median);
    let ratio = |time: Duration, raws: f64, bar: f64| {
        let ratio = time.as_secs_f64() / (raw.as_secs_f64() * raws);
        format!("{ratio:5.3} of {raws} raw (bar {bar:.2})")
    };
    println!("{name}");
    println!("  raw P-384 verification   {:9.1} µs", micros(raw));
    println!("  full                     {:9.1} µs  {}", micros(full), ratio(full, 5.0, 1.10));
    println!(
        "  intermediates cached     {:9.1} µs  {}",
        micros(intermediates),
        ratio(intermediates, 2.0, 1.15)
    );
    println!("  leaf cached              {:9.1} µs  {}\n", micros(leaf), ratio(leaf, 1.0, 1.20));
}

fn time(run: impl FnOnce()) -> Duration {
    let start = cpu_time();
    run();
    cpu_time().saturating_sub(start)
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
