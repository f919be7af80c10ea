//! The document that whoever asks without a nonce gets: one for each leaf and minute, however many
//! ask.

use crate::api::ApiError;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How old the document may be.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How long a failure stands for everyone who asks: a device that fails is left alone as well.
const FAILURE_AGE: Duration = Duration::from_secs(5);

/// The latest document of one leaf.
#[derive(Default)]
pub(crate) struct CachedDocument(Mutex<Option<Made>>);

struct Made {
    at: Instant,
    /// None: the NSM gave none.
    document: Option<Vec<u8>>,
}

impl CachedDocument {
    /// The latest document, or a new one by `make` where that is too old. Whoever asks meanwhile
    /// waits for the same one.
    pub(crate) async fn latest<F>(
        &self,
        now: Instant,
        make: impl FnOnce() -> F,
    ) -> Result<Vec<u8>, ApiError>
    where
        F: Future<Output = Result<Vec<u8>, ApiError>>,
    {
        let mut latest = self.0.lock().await;
        if let Some(Made { at, document }) = &*latest {
            let limit = if document.is_some() { MAX_AGE } else { FAILURE_AGE };
            if now.saturating_duration_since(*at) < limit {
                return document.clone().ok_or(ApiError::Internal);
            }
        }
        match make().await {
            Ok(document) => {
                *latest = Some(Made { at: now, document: Some(document.clone()) });
                Ok(document)
            }
            // Nobody was asked: the next may try at once.
            Err(crowded @ ApiError::TooManyAttestations { .. }) => Err(crowded),
            Err(error) => {
                *latest = Some(Made { at: now, document: None });
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn one_call_a_minute_and_fewer_of_a_device_that_fails() {
        let cached = CachedDocument::default();
        let (calls, fails) = (Cell::new(0_u8), Cell::new(false));
        let start = Instant::now();
        let latest = async |seconds| {
            let make = || async {
                calls.set(calls.get() + 1);
                if fails.get() { Err(ApiError::Internal) } else { Ok(vec![calls.get()]) }
            };
            let latest = cached.latest(start + Duration::from_secs(seconds), make).await;
            latest.ok()
        };
        for (seconds, document) in [(0, 1), (0, 1), (59, 1), (60, 2), (119, 2)] {
            assert_eq!(latest(seconds).await, Some(vec![document]), "{seconds}");
        }
        fails.set(true);
        for (seconds, made) in [(120, 3), (121, 3), (124, 3), (125, 4)] {
            assert_eq!(latest(seconds).await, None);
            assert_eq!(calls.get(), made, "{seconds}");
        }
        fails.set(false);
        assert_eq!(latest(130).await, Some(vec![5]));
    }
}
