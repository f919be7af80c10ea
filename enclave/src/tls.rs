//! TLS 1.3, ended inside the worker: a certificate authority of the service, sealed in its
//! journal, and leaves whose keys never leave memory.

mod authority;
mod identity;

pub(crate) use authority::ServiceAuthority;
pub(crate) use identity::{Identity, Leaf, Terms};

use crate::secret::RandomUnavailable;
use crate::storage::journal::JournalError;
use sekisho_wire::codec::CodecError;
use thiserror::Error;
use time::Duration;

/// A clock may be behind the worker's.
const BACKDATED: Duration = Duration::hours(1);

/// The service's TLS identity could not be made or read.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The journal did not give or take the authority's record.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The record is malformed.
    #[error("the record of the service CA is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// A certificate could not be made; a name in the boot configuration is the usual reason.
    #[error("the TLS certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS refused it.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No randomness for a certificate's number.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

impl TlsError {
    /// For the log; certificates have names in them, which are not for it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Malformed(_) => "malformed-record",
            Self::Certificate(_) => "certificate",
            Self::Tls(_) => "tls",
            Self::Random(_) => "no-randomness",
        }
    }
}

#[cfg(test)]
mod tests;
