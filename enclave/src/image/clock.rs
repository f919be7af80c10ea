//! The clock, by the time in the NSM's documents.
//!
//! Certificates, signatures and sessions count by the worker's clock. The kernel's begins with what
//! the hypervisor says and then runs on its own; the NSM says what time it is in each document. A
//! worker asks it at the start and every minute after.

use crate::log::{Event, log};
use rustix::time::{ClockId, Timespec, clock_settime};
use sekisho_attestation::UnverifiedDocument;
use sekisho_nsm::{AttestationRequest, Nsm, NsmError};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// A clock that is off by more is set; the documents' has milliseconds, and takes some to be made.
const TOLERANCE: u64 = 500;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);

/// Looks at the NSM's time every minute, and sets the clock where it is off.
pub async fn keep_time(nsm: Arc<dyn Nsm>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let nsm = Arc::clone(&nsm);
        // The NSM takes milliseconds, in which nothing else would be served.
        let set = tokio::task::spawn_blocking(move || set_by(nsm.as_ref())).await;
        match set {
            Ok(Ok(off)) if off.unsigned_abs() > TOLERANCE => {
                log(Event::ClockSet { milliseconds: off });
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => log(Event::ClockNotSet(&error)),
        }
    }
}

/// Sets the clock if it is off, and says by how many milliseconds it was behind.
pub(super) fn set_by(nsm: &dyn Nsm) -> Result<i64, ClockError> {
    let document = nsm.attestation(AttestationRequest::default())?;
    // From the module itself, over its device: there is nobody in between to sign against.
    let document = UnverifiedDocument::read(&document).map_err(|_| ClockError::NoTime)?;
    let told = document.timestamp.ok_or(ClockError::NoTime)?.as_millis();
    let told = i64::try_from(told).map_err(|_| ClockError::NoTime)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let behind = told.saturating_sub(now);
    if behind.unsigned_abs() > TOLERANCE {
        let time = Timespec { tv_sec: told / 1000, tv_nsec: told % 1000 * 1_000_000 };
        clock_settime(ClockId::Realtime, time)
            .map_err(|error| ClockError::Kernel(io::Error::from(error).kind()))?;
    }
    Ok(behind)
}

/// The clock could not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The NSM gave no document.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// There is no time in it.
    #[error("the NSM's document has no time in it")]
    NoTime,
    /// The kernel refuses.
    #[error("the kernel does not set the clock: {0:?}")]
    Kernel(io::ErrorKind),
}
