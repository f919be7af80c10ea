//! Instants on the command line: RFC 3339, or milliseconds since 1970.

use std::time::SystemTime;

use sekisho_attestation::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;

/// The instant given with `--at`, or else this machine's clock.
pub(super) fn or_now(at: Option<Timestamp>) -> Result<Timestamp, Failure> {
    match at {
        Some(at) => Ok(at),
        None => Timestamp::try_from(SystemTime::now())
            .map_err(|_| Failure::failed("this machine's clock is before 1970")),
    }
}

/// `2025-12-25T16:04:19Z`, or `1766678659346`.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(millis) = text.parse() {
        return Ok(Timestamp::from_millis(millis));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "neither a time in RFC 3339 nor milliseconds since 1970")?;
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).map(Timestamp::from_millis).map_err(|_| "before 1970".to_owned())
}

/// The instant for people, in RFC 3339 as far as years go, or else in milliseconds.
pub(super) fn format(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_millis()) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let at = Timestamp::from_millis(1_766_678_659_346);
        for text in ["1766678659346", "2025-12-25T16:04:19.346Z", "2025-12-25T17:04:19.346+01:00"] {
            assert_eq!(parse(text), Ok(at), "{text}");
        }
        assert_eq!(format(at), "2025-12-25T16:04:19.346Z");
        for wrong in ["", "now", "2025-12-25", "1969-12-31T23:59:59Z", "-1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format(Timestamp::from_millis(u64::MAX)), "18446744073709551615 ms");
    }
}
