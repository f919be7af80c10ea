//! What an attested answer cannot do without: one P-384 check and one RSA-OAEP encryption.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};

use crate::Result;

const ROUNDS: u32 = 500;
/// An attestation document's payload.
const MESSAGE: [u8; 4096] = [7; 4096];

pub(crate) struct Raw {
    /// One ECDSA check with P-384 and SHA-384 over 4 KiB.
    pub(crate) verify: Duration,
    /// RSA-2048 OAEP with SHA-256 of 32 bytes.
    pub(crate) oaep: Duration,
}

impl Raw {
    pub(crate) fn measure() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?;
        let signature = pair.sign(&SystemRandom::new(), &MESSAGE)?;
        let key = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref())?;
        let recipient = sekisho_devkit::Recipient::generate()?;
        let oaep = PublicEncryptingKey::from_der(recipient.public_key_der())?;
        let oaep = OaepPublicEncryptingKey::new(oaep)?;
        let mut room = vec![0; oaep.ciphertext_size()];
        Ok(Self {
            verify: time(|| Ok(key.verify_sig(&MESSAGE, signature.as_ref())?))?,
            oaep: time(|| {
                oaep.encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut room, None)?;
                Ok(())
            })?,
        })
    }

    /// Requests a second that one core could answer if it did nothing else.
    pub(crate) fn rate(&self, checks: u32) -> f64 {
        1.0 / (self.verify * checks + self.oaep).as_secs_f64()
    }
}

/// What a primitive takes one core.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// While nothing else runs.
    pub(crate) alone: Duration,
    /// While another core is busy too, as under load: two virtual cores may share a real one.
    pub(crate) beside: Duration,
}

impl Cost {
    pub(crate) const NONE: Self = Self { alone: Duration::ZERO, beside: Duration::ZERO };

    pub(crate) fn times(self, factor: u32) -> Self {
        Self { alone: self.alone * factor, beside: self.beside * factor }
    }
}

/// The means of some hundred rounds.
pub(crate) fn cost(mut work: impl FnMut() -> Result) -> Result<Cost> {
    let alone = time(&mut work)?;
    let done = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                std::hint::black_box(digest(&SHA256, &MESSAGE));
            }
        });
        let beside = time(work);
        done.store(true, Relaxed);
        beside
    });
    Ok(Cost { alone, beside: beside? })
}

fn time(mut work: impl FnMut() -> Result) -> Result<Duration> {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        work()?;
    }
    Ok(started.elapsed() / ROUNDS)
}
