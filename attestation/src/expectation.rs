use core::time::Duration;

use crate::Kind;
use crate::document::VerifiedDocument;
use crate::pcr::Pcrs;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;

/// What a document must say to be accepted.
///
/// There is no empty expectation: one is made either from [measurements](Self::measurements),
/// which are one PCR or more, or in so many words from [any measurement](Self::any_measurement).
///
/// Unless it says otherwise an expectation is for an enclave, not in debug mode, of any age that
/// its certificate allows (AWS's leaf certificates live three hours), with any user data and any
/// nonce. A nonce that is not expected is not looked at: whether it is fresh is for the caller to
/// know, who must accept a nonce once only.
///
/// ```
/// use std::time::Duration;
/// use sekisho_attestation::{Expectation, PcrValue, Pcrs};
///
/// let pcr0: PcrValue = "2d151586641b790f3b1b92b8f89678c3aa86e73dd97969c892124be9d2b7fdc6\
///                       2b58a55cd9ee8216f6f5689cebf590ad".parse()?;
/// let expectation = Expectation::measurements(Pcrs::new([(0, pcr0)])?)
///     .nonce([1, 2, 3, 4])
///     .max_age(Duration::from_secs(300));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expectation {
    measurements: Measurements,
    nonce: Option<Box<[u8]>>,
    user_data: Option<Box<[u8]>>,
    kind: Kind,
    max_age: Option<Duration>,
    max_skew: Option<Duration>,
    debug_allowed: bool,
}

#[derive(Debug, Clone)]
enum Measurements {
    Exactly(Pcrs),
    Any,
}

impl Expectation {
    /// The document must have each of these PCRs with exactly this value. One that it lacks fails
    /// (CVE-2025-64186).
    ///
    /// PCR0 alone is weaker than it looks: it hashes the image's sections without their lengths,
    /// so pin PCR1 and PCR2 too, and PCR8 for signed images.
    pub fn measurements(expected: Pcrs) -> Self {
        Self::new(Measurements::Exactly(expected))
    }

    /// Any code will do: only that *some* enclave made the document is of interest, or the
    /// measurements are looked at elsewhere, such as by a key policy.
    pub fn any_measurement() -> Self {
        Self::new(Measurements::Any)
    }

    fn new(measurements: Measurements) -> Self {
        Self {
            measurements,
            nonce: None,
            user_data: None,
            kind: Kind::Enclave,
            max_age: None,
            max_skew: None,
            debug_allowed: false,
        }
    }

    /// The document must have this nonce, whole and exact. An empty one is never found.
    #[must_use]
    pub fn nonce(mut self, expected: impl Into<Box<[u8]>>) -> Self {
        self.nonce = Some(expected.into());
        self
    }

    /// The document must have these user data, whole and exact.
    #[must_use]
    pub fn user_data(mut self, expected: impl Into<Box<[u8]>>) -> Self {
        self.user_data = Some(expected.into());
        self
    }

    /// The document must be of this kind; [`Kind::Enclave`] unless set.
    #[must_use]
    pub fn kind(mut self, expected: Kind) -> Self {
        self.kind = expected;
        self
    }

    /// The document's timestamp must not be further back than this; and, unless
    /// [`Self::max_skew`] says otherwise, not further ahead than this either.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The document's timestamp must not be further ahead than this. The verifier's and the
    /// hypervisor's clocks differ, so zero refuses good documents.
    #[must_use]
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.max_skew = Some(skew);
        self
    }

    /// Accepts enclaves in debug mode, whose PCR0 to 2 are zero and prove nothing.
    #[must_use]
    pub fn allow_debug(mut self) -> Self {
        self.debug_allowed = true;
        self
    }

    /// That a document meets this expectation at the instant `at`.
    pub(crate) fn check(
        &self,
        document: &VerifiedDocument,
        at: Timestamp,
    ) -> Result<(), Rejection> {
        if document.kind() != self.kind {
            return Err(Rejection::Kind { expected: self.kind, found: document.kind() });
        }
        if document.is_debug() && !self.debug_allowed {
            return Err(Rejection::Debug);
        }
        self.check_freshness(document.timestamp(), at)?;
        if let Measurements::Exactly(expected) = &self.measurements {
            check_pcrs(expected, document.pcrs())?;
        }
        if let Some(expected) = &self.nonce
            && (expected.is_empty() || document.nonce() != Some(expected))
        {
            return Err(Rejection::Nonce);
        }
        if let Some(expected) = &self.user_data
            && document.user_data() != Some(expected)
        {
            return Err(Rejection::UserData);
        }
        Ok(())
    }

    fn check_freshness(&self, timestamp: Timestamp, at: Timestamp) -> Result<(), Rejection> {
        if self.max_age.is_some_and(|allowed| at.since(timestamp) > allowed) {
            return Err(Rejection::TooOld);
        }
        let max_skew = self.max_skew.or(self.max_age);
        if max_skew.is_some_and(|allowed| timestamp.since(at) > allowed) {
            return Err(Rejection::InTheFuture);
        }
        Ok(())
    }
}

fn check_pcrs(expected: &Pcrs, found: &Pcrs) -> Result<(), Rejection> {
    for (index, expected) in expected.iter() {
        let found = found.get(index.get()).ok_or(Rejection::PcrMissing(index))?;
        if found != expected {
            return Err(Rejection::PcrMismatch(index));
        }
    }
    Ok(())
}

/// Whether PCR0 to 2, as far as there are any, are all zero: the mark of a debug enclave.
///
/// PCR3, 4 and 8 are not zero in debug mode. NitroTPM has no debug mode.
///
/// # Errors
/// [`Rejection::ZeroMeasurement`] if some are zero and some are not.
pub(crate) fn is_debug(kind: Kind, pcrs: &Pcrs) -> Result<bool, Rejection> {
    if kind == Kind::NitroTpm {
        return Ok(false);
    }
    let code = || pcrs.iter().filter(|(index, _)| index.get() <= 2);
    match code().find(|(_, value)| value.is_zero()) {
        None => Ok(false),
        Some((index, _)) if code().any(|(_, value)| !value.is_zero()) => {
            Err(Rejection::ZeroMeasurement(index))
        }
        Some(_) => Ok(true),
    }
}
