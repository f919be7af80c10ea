//! What the NSM may be asked for: a call to it takes milliseconds of the one device that the worker
//! has, and anyone who can connect can ask.

use crate::api::ApiError;
use crate::throttle::{Bucket, Exhausted, Rate};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Documents with a nonce, for all connections together. A client asks once for each connection
/// that it makes from a new process, so this is a burst of forty new clients.
const EVERYONE: Rate = Rate { per_second: 20, burst: 40 };
/// For one connection, which needs one document and perhaps some more.
const ONE_CONNECTION: Rate = Rate { per_second: 1, burst: 5 };
/// Calls of the device at the same time: it takes them one by one, and a second may wait in line.
const TURNS: usize = 2;
/// Requests that may wait for their turn, should the device be slower than the rate.
const WAITING: usize = 64;

/// What is left for everyone.
pub(crate) struct Budget {
    everyone: Mutex<Bucket>,
    turns: Arc<Semaphore>,
    waiting: Semaphore,
}

/// What is left for one connection.
pub(crate) struct Allowance(Mutex<Bucket>);

impl Allowance {
    /// `now`: milliseconds since 1970.
    pub(crate) fn new(now: u64) -> Self {
        Self(Mutex::new(Bucket::full(ONE_CONNECTION, now)))
    }
}

impl Budget {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            everyone: Mutex::new(Bucket::full(EVERYONE, now)),
            turns: Arc::new(Semaphore::new(TURNS)),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Waits for a turn at the device, if connection and everyone together have not had too many.
    pub(crate) async fn admit(
        &self,
        connection: &Allowance,
        now: u64,
    ) -> Result<OwnedSemaphorePermit, ApiError> {
        // The connection's own first: what it asks for in vain costs the others nothing.
        lock(&connection.0).take(ONE_CONNECTION, 1, now).map_err(refused)?;
        lock(&self.everyone).take(EVERYONE, 1, now).map_err(refused)?;
        self.turn().await
    }

    /// A turn that no rate stands before: the caller sees to it that there are few.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let crowded = ApiError::TooManyAttestations { retry_after: 1 };
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(crowded) };
        self.turns.clone().acquire_owned().await.map_err(|_| ApiError::Internal)
    }
}

fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whole seconds, as `Retry-After` has them (RFC 9110 §10.2.3).
fn refused(Exhausted { wait }: Exhausted) -> ApiError {
    let retry_after = u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    ApiError::TooManyAttestations { retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after<T>(refused: Result<T, ApiError>) -> Option<u32> {
        match refused {
            Err(ApiError::TooManyAttestations { retry_after }) => Some(retry_after),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_connection_has_its_own_bound_within_everyones() {
        let budget = Budget::new(0);
        let greedy = Allowance::new(0);
        for _ in 0..ONE_CONNECTION.burst {
            drop(budget.admit(&greedy, 0).await.unwrap());
        }
        for _ in 0..1000 {
            assert_eq!(retry_after(budget.admit(&greedy, 0).await), Some(1));
        }
        // What was refused to the greedy one was taken from nobody.
        for _ in 0..EVERYONE.burst - ONE_CONNECTION.burst {
            drop(budget.admit(&Allowance::new(0), 0).await.unwrap());
        }
        assert_eq!(retry_after(budget.admit(&Allowance::new(0), 0).await), Some(1));
        drop(budget.admit(&Allowance::new(1000), 1000).await.unwrap());
        drop(budget.admit(&greedy, 1000).await.unwrap());
        assert_eq!(retry_after(budget.admit(&greedy, 1000).await), Some(1));
    }

    #[tokio::test]
    async fn the_line_before_the_device_is_bounded() {
        let budget = Budget::new(0);
        let held: Vec<_> = [budget.turn().await.unwrap(), budget.turn().await.unwrap()].into();
        let mut line: Vec<_> = (0..WAITING).map(|_| Box::pin(budget.turn())).collect();
        for waiting in &mut line {
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
            });
            assert!(polled.await);
        }
        assert_eq!(retry_after(budget.turn().await), Some(1));
        drop(held);
        for waiting in line {
            drop(waiting.await.unwrap());
        }
        drop(budget.turn().await.unwrap());
    }
}
