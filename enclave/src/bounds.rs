//! What host and callers can make a worker wait for, and hold.

use crate::storage::journal::Cadence;
use crate::unseal::Pauses;
use sekisho_wire::call::Limits;
use std::time::Duration;

/// How long a worker waits, and for how much at once. [`Bounds::default`] is what is shipped.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Questions to the store, and how long an answer may take.
    pub store: Limits,
    /// When snapshots of the journal are made.
    pub snapshots: Cadence,
    /// Between two looks for the entries of another worker, while nothing else shows them.
    pub watch: Duration,
    /// Between two attempts to have the root key unwrapped.
    pub unsealing: Pauses,
    /// Connections at the same time; the relay holds the others back.
    pub connections: usize,
    /// For a TLS handshake.
    pub handshake_time: Duration,
    /// For the headers of a request to arrive, from when the connection can take one.
    pub header_time: Duration,
    /// For the body of a request to arrive.
    pub body_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            store: Limits::default(),
            snapshots: Cadence::DEFAULT,
            watch: Duration::from_secs(2),
            unsealing: Pauses::DEFAULT,
            connections: 16_384,
            handshake_time: Duration::from_secs(10),
            header_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
        }
    }
}
