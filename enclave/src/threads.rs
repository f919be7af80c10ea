//! Long computations, on threads of their own: nobody's request waits behind somebody else's.

use crate::api::ApiError;
use tokio::sync::Semaphore;

/// How long a computation takes a processor.
///
/// To cross to another thread and back costs 40 µs and more of processor time: two wake-ups, and on
/// cores with nothing else to do two sleeps. A millisecond of somebody else's work is what a request
/// waits for its own turn on a busy worker anyway: with 16 callers one takes that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Less than about a millisecond: computed where it is asked for.
    Short,
    /// More.
    Long,
}

/// A bounded number of threads.
pub(crate) struct Threads(Semaphore);

impl Threads {
    pub(crate) fn at_most(number: usize) -> Self {
        Self(Semaphore::new(number))
    }

    /// One for each processor; with more, nothing would be done sooner.
    pub(crate) fn one_for_each_processor() -> Self {
        Self::at_most(std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get))
    }

    /// Computes here what is short; for what is long waits for a thread, and for what is computed
    /// there. A panic there is an internal error.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cost: Cost,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if cost == Cost::Short {
            return Ok(compute());
        }
        let _thread = self.0.acquire().await.map_err(|_| ApiError::Internal)?;
        tokio::task::spawn_blocking(compute).await.map_err(|_| ApiError::Internal)
    }
}
