//! What a giving worker has told a joining one, on one connection, and expects back once.

use crate::secret::{RandomUnavailable, fill_random};
use std::time::{Duration, Instant};

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 32;
/// How long a nonce counts: an NSM answers in milliseconds, and may be busy for some seconds.
const LIFETIME: Duration = Duration::from_secs(60);

/// Single use: whoever takes it up consumes it.
pub(crate) struct Challenge {
    nonce: [u8; NONCE],
    /// The giving worker's document, which holds the joining one's nonce.
    document: Vec<u8>,
    made: Instant,
}

impl Challenge {
    pub(crate) fn new(document: Vec<u8>, now: Instant) -> Result<Self, RandomUnavailable> {
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        Ok(Self { nonce, document, made: now })
    }

    pub(crate) fn nonce(&self) -> &[u8; NONCE] {
        &self.nonce
    }

    pub(crate) fn document(&self) -> &[u8] {
        &self.document
    }

    /// Nonce and document, while they count.
    pub(crate) fn take_up(self, now: Instant) -> Option<([u8; NONCE], Vec<u8>)> {
        let fresh = now.saturating_duration_since(self.made) <= LIFETIME;
        fresh.then_some((self.nonce, self.document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_ends() {
        let made = Instant::now();
        let of = || Challenge::new(vec![1], made).unwrap();
        assert_ne!(of().nonce(), of().nonce());
        assert!(of().take_up(made + LIFETIME).is_some());
        assert!(of().take_up(made + LIFETIME + Duration::from_millis(1)).is_none());
    }
}
