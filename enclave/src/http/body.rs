//! A request's body, taken in within bounds.

use crate::api::ApiError;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What is read of a body that is larger, only to be thrown away: a caller who is still sending hears
/// the refusal, where a closed connection would tell it nothing. Bytes, and time.
const MAX_WASTE: u64 = 8 * 1024 * 1024;
const WASTE_TIME: Duration = Duration::from_secs(5);

/// Takes a body of at most `limit` bytes in; where `places` are, one of them first.
pub(super) async fn read_body(
    mut body: Incoming,
    time: Duration,
    limit: usize,
    places: Option<&Semaphore>,
) -> Result<Bytes, ApiError> {
    let collect = async {
        let _place = match places {
            Some(places) => Some(places.acquire().await),
            None => None,
        };
        Limited::new(&mut body, limit).collect().await
    };
    match timeout(time, collect).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            tokio::spawn(timeout(WASTE_TIME, waste(body)));
            Err(ApiError::RequestTooLarge { limit })
        }
        Ok(Err(_)) => Err(ApiError::Validation("The request body broke off.".into())),
        Err(_) => {
            let message = "The request body took too long to arrive.";
            Err(ApiError::Validation(message.into()))
        }
    }
}

/// Throws away what comes, up to a bound.
async fn waste(mut body: Incoming) {
    let mut left = MAX_WASTE;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
