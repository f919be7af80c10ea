//! Where a service's chains stood when this machine last looked, and whether they went back.
//!
//! A worker that starts on an older copy of its storage cannot tell: the copy is genuine. Whoever
//! has seen a later checkpoint can. So this program keeps the highest that it has seen of each
//! service, which is known by its certificate authority.

mod checkpoint;
mod memory;

use std::fmt;

use serde_json::json;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use memory::{Memory, MemoryError};

/// A chain of a service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    Journal,
    Audit,
}

impl Chain {
    fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Audit => "audit log",
        }
    }
}

/// What a service has just said of itself, over a connection that ends in it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) service_ca_sha256: [u8; 32],
    pub(crate) endpoint: String,
    pub(crate) journal: Option<Checkpoint>,
    pub(crate) audit: Option<Checkpoint>,
}

impl Served {
    fn of(&self, chain: Chain) -> Option<Checkpoint> {
        match chain {
            Chain::Journal => self.journal,
            Chain::Audit => self.audit,
        }
    }
}

/// A service is not where it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rollback {
    /// It serves an older state than was seen before.
    Older { chain: Chain, known: Checkpoint, served: Checkpoint },
    /// It serves another state under the same number.
    Forked { chain: Chain, known: Checkpoint, served: Checkpoint },
    /// Another service answers at an endpoint.
    Authority { endpoint: String, known: String },
}

impl Rollback {
    /// For programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Older { chain, known, served } | Self::Forked { chain, known, served } => json!({
                "kind": if matches!(self, Self::Older { .. }) { "older" } else { "forked" },
                "chain": chain.name(),
                "known": known.to_string(),
                "served": served.to_string(),
            }),
            Self::Authority { endpoint, known } => json!({
                "kind": "other-authority",
                "endpoint": endpoint,
                "known_service_ca_sha256": known,
            }),
        }
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { chain, known, served } => write!(
                formatter,
                "the service was ROLLED BACK: its {} stands at {}, and this machine has seen {} \
                 ({served} is older than {known}). Somebody put an older copy of its storage in \
                 place, or cut it: what was changed since is undone, such as keys that were \
                 disabled and policies that were tightened",
                chain.name(),
                served.sequence,
                known.sequence,
            ),
            Self::Forked { chain, known, served } => write!(
                formatter,
                "the service has ANOTHER HISTORY: entry {} of its {} is {served}, and this machine \
                 has seen {known}. Somebody put an older copy of its storage in place, and it went \
                 on from there",
                served.sequence,
                chain.name(),
            ),
            Self::Authority { endpoint, known } => write!(
                formatter,
                "ANOTHER SERVICE answers at {endpoint}: the authority of the one before has the \
                 SHA-256 {known}. It is a new service, or the storage of the old one was emptied",
            ),
        }
    }
}

/// What there is to say about a service's checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rollbacks: Vec<Rollback>,
    /// Why nothing is known, or nothing could be kept.
    pub(crate) blind: Option<MemoryError>,
}

impl Report {
    /// Compares what is served with what was known before it was asked for, and keeps it.
    pub(crate) fn of(memory: Result<Memory, MemoryError>, served: &Served) -> Self {
        let memory = match memory {
            Ok(memory) => memory,
            Err(error) => return Self { blind: Some(error), ..Self::default() },
        };
        let rollbacks = memory.compare(served);
        Self { rollbacks, blind: memory.remember(served).err() }
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_silent(&self) -> bool {
        self.rollbacks.is_empty() && self.blind.is_none()
    }

    /// Loudly, to standard error.
    pub(crate) fn warn(&self) {
        for rollback in &self.rollbacks {
            eprintln!("WARNING: {rollback}.");
        }
        if !self.rollbacks.is_empty() {
            eprintln!(
                "WARNING: if that was on purpose: sekisho attest connect ... --accept-rollback"
            );
        }
        if let Some(error) = &self.blind {
            eprintln!("warning: a rollback of the service would not be noticed: {error}");
        }
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.rollbacks.iter().map(Rollback::to_json).collect()
    }
}
