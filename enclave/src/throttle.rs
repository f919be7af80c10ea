//! Token buckets: how much of something costly a caller may ask for.

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

/// One bucket, full at first.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Thousandths of a token.
    level: u64,
    /// Milliseconds since 1970.
    filled: u64,
}

/// The bucket does not hold enough: try again later.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// Milliseconds until it will, if nobody else takes from it.
    pub(crate) wait: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: u64) -> Self {
        Self { level: rate.thousandths(), filled: now }
    }

    /// Takes `tokens` at `now` (milliseconds since 1970).
    pub(crate) fn take(&mut self, rate: Rate, tokens: u32, now: u64) -> Result<(), Exhausted> {
        // One token a second is one thousandth in a millisecond. A clock set back fills nothing.
        let passed = now.saturating_sub(self.filled);
        let gained = passed.saturating_mul(u64::from(rate.per_second));
        self.level = self.level.saturating_add(gained).min(rate.thousandths());
        self.filled = now;
        let cost = u64::from(tokens).saturating_mul(1000);
        match self.level.checked_sub(cost) {
            Some(level) => self.level = level,
            None => {
                let missing = cost.saturating_sub(self.level);
                return Err(Exhausted {
                    wait: missing.div_ceil(u64::from(rate.per_second.max(1))),
                });
            }
        }
        Ok(())
    }
}

impl Rate {
    fn thousandths(self) -> u64 {
        u64::from(self.burst).saturating_mul(1000)
    }
}

impl Throttle {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes `tokens` from the bucket of `principal` at `now` (milliseconds since 1970).
    pub(crate) fn take(&self, principal: &str, tokens: u32, now: u64) -> Result<(), Exhausted> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        match buckets.get_mut(principal) {
            Some(bucket) => bucket.take(self.rate, tokens, now),
            None => {
                let mut bucket = Bucket::full(self.rate, now);
                let taken = bucket.take(self.rate, tokens, now);
                buckets.insert(principal.to_owned(), bucket);
                taken
            }
        }
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
        assert_eq!(throttle.take("a", 1, 1_000), Err(Exhausted { wait: 500 }));
        assert_eq!(throttle.take("a", 1, 1_499), Err(Exhausted { wait: 1 }));
        assert_eq!(throttle.take("b", 3, 1_499), Ok(()));
        assert_eq!(throttle.take("a", 1, 1_500), Ok(()));
        assert_eq!(
            throttle.take("a", 4, 1_000_000),
            Err(Exhausted { wait: 500 }),
            "more than the burst"
        );
        assert_eq!(throttle.take("a", 3, 1_000_000), Ok(()));
    }

    #[test]
    fn a_clock_set_back_gives_nothing() {
        let throttle = Throttle::new(Rate { per_second: 1, burst: 1 });
        assert_eq!(throttle.take("a", 1, 10_000), Ok(()));
        assert_eq!(throttle.take("a", 1, 0), Err(Exhausted { wait: 1000 }));
        assert_eq!(throttle.take("a", 1, 999), Err(Exhausted { wait: 1 }));
        assert_eq!(throttle.take("a", 1, 1_000), Ok(()));
    }
}
