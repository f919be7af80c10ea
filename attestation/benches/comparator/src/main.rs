//! Our verifier and the published `attestation-doc-validation` over the same real document, in
//! turn, in one run. See `run`.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{Expectation, Timestamp, TrustAnchors, Verifier};

const ROUNDS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: sekisho-attestation-comparator DOCUMENT")?;
    let document = std::fs::read(file)?;
    let at = Timestamp::try_from(SystemTime::now())?;
    let expectation = Expectation::any_measurement();
    let verifier = || Verifier::with_backend(TrustAnchors::aws_nitro(), AwsLc);
    let (full, cached) = (verifier(), verifier().with_cache(NonZeroUsize::MIN));
    // That all of them accept the document, before anything is measured.
    full.verify(&document, at, &expectation)?;
    cached.verify(&document, at, &expectation)?;
    attestation_doc_validation::validate_attestation_doc(&document)
        .map_err(|error| format!("the comparator: {error}"))?;

    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let [theirs, ours, ours_cached] = &mut times;
        theirs.push(time(|| {
            let answer =
                attestation_doc_validation::validate_attestation_doc(black_box(&document));
            let _ = black_box(answer.is_ok());
        }));
        ours.push(time(|| {
            let _ = black_box(full.verify(black_box(&document), at, &expectation).is_ok());
        }));
        ours_cached.push(time(|| {
            let _ = black_box(cached.verify(black_box(&document), at, &expectation).is_ok());
        }));
    }
    let [theirs, ours, ours_cached] = times.map(median);
    println!("attestation-doc-validation 0.10.1 {:9.1} µs", theirs * 1e6);
    for (name, time) in [("full", ours), ("leaf cached", ours_cached)] {
        println!("ours, aws-lc-rs, {name:<16} {:9.1} µs  {:5.2} times faster", time * 1e6, theirs / time);
    }
    Ok(())
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64()
}
