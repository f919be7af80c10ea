//! Long computations, on threads of their own: nobody's request waits behind somebody else's.

use crate::api::ApiError;
use tokio::sync::Semaphore;

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

    /// Waits for a thread, and for what is computed there. A panic there is an internal error.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _thread = self.0.acquire().await.map_err(|_| ApiError::Internal)?;
        tokio::task::spawn_blocking(compute).await.map_err(|_| ApiError::Internal)
    }
}
