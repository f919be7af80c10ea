//! Token buckets, one for each principal: how much of something costly a caller may ask for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Tokens a second.
    pub(crate) per_second: u32,
    /// Tokens that an idle principal has saved up.
    pub(crate) burst: u32,
}

/// The buckets of all principals, each full at first. A principal is here only after its
/// signature was verified, so that there are no more buckets than principals.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Rate,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a token.
    level: u64,
    /// Milliseconds since 1970.
    filled: u64,
}

/// The bucket does not hold enough: try again later.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Throttle {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes `tokens` from the bucket of `principal` at `now` (milliseconds since 1970).
    pub(crate) fn take(&self, principal: &str, tokens: u32, now: u64) -> Result<(), Exhausted> {
        let full = u64::from(self.rate.burst).saturating_mul(1000);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(principal) {
            buckets.insert(principal.to_owned(), Bucket { level: full, filled: now });
        }
        let bucket = buckets.get_mut(principal).ok_or(Exhausted)?;
        // One token a second is one thousandth in a millisecond. A clock set back fills nothing.
        let passed = now.saturating_sub(bucket.filled);
        let gained = passed.saturating_mul(u64::from(self.rate.per_second));
        bucket.level = bucket.level.saturating_add(gained).min(full);
        bucket.filled = now;
        let cost = u64::from(tokens).saturating_mul(1000);
        bucket.level = bucket.level.checked_sub(cost).ok_or(Exhausted)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_for_each_principal_by_itself() {
        let throttle = Throttle::new(Rate { per_second: 2, burst: 3 });
        for _ in 0..3 {
            assert_eq!(throttle.take("a", 1, 1_000), Ok(()));
        }
        assert_eq!(throttle.take("a", 1, 1_000), Err(Exhausted));
        assert_eq!(throttle.take("a", 1, 1_499), Err(Exhausted));
        assert_eq!(throttle.take("b", 3, 1_499), Ok(()));
        assert_eq!(throttle.take("a", 1, 1_500), Ok(()));
        assert_eq!(throttle.take("a", 4, 1_000_000), Err(Exhausted), "more than the burst");
        assert_eq!(throttle.take("a", 3, 1_000_000), Ok(()));
    }

    #[test]
    fn a_clock_set_back_gives_nothing() {
        let throttle = Throttle::new(Rate { per_second: 1, burst: 1 });
        assert_eq!(throttle.take("a", 1, 10_000), Ok(()));
        assert_eq!(throttle.take("a", 1, 0), Err(Exhausted));
        assert_eq!(throttle.take("a", 1, 999), Err(Exhausted));
        assert_eq!(throttle.take("a", 1, 1_000), Ok(()));
    }
}
