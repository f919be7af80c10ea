use core::fmt;
use core::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// This is the unit of the `timestamp` field of an attestation document (AWS Nitro Enclaves
/// attestation process, §3.2.2.2: "UTC time when document was created, in milliseconds").
/// The library has no clock: the caller says which instant it verifies at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `millis` milliseconds after 1970 began.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after 1970 began; saturates in the far future.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970 began.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Fails for instants before 1970.
impl TryFrom<std::time::SystemTime> for Timestamp {
    type Error = std::time::SystemTimeError;

    fn try_from(time: std::time::SystemTime) -> Result<Self, Self::Error> {
        let elapsed = time.duration_since(std::time::UNIX_EPOCH)?;
        Ok(Self(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
