//! Time as records and policies have it.

use time::OffsetDateTime;

/// Milliseconds since 1970; a clock before that reads as 1970.
pub(crate) fn milliseconds(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}
