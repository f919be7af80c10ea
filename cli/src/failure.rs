//! How a command ends when it does not succeed.

use std::fmt;
use std::process::ExitCode;

/// Why a command failed, for a person, and its exit status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and did not work, or the answer is no: 1.
    Failed(String),
    /// A document was refused: the failed rule, and in words; 1.
    Refused(&'static str, String),
    /// It cannot be tried like this: 2, as clap's own errors.
    Usage(String),
}

impl Failure {
    pub(crate) fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    pub(crate) fn usage(reason: impl fmt::Display) -> Self {
        Self::Usage(reason.to_string())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) | Self::Refused(..) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) | Self::Usage(reason) => write!(formatter, "sekisho: {reason}"),
            // The rule first: scripts read it.
            Self::Refused(rule, reason) => write!(formatter, "{rule}: {reason}"),
        }
    }
}
