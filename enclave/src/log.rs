//! What the worker logs: a closed set of events, none of which has a field that could hold a
//! caller's words, a name, an address or a key.
//!
//! A field is a number, a member of an enum, a text of this program's own, or an error that consists
//! of nothing else. What peers can put words into (TLS, HTTP, the system's errors) is mapped to a
//! kind first. No other module writes to the log (`tests/log.rs`), and if one did, [`start_log`] lets
//! nothing through that does not come from here.

mod kind;
mod subscriber;

pub(crate) use kind::{connection_kind, handshake_kind};
pub(crate) use subscriber::start_log_into;
pub use subscriber::{LogFormat, start_log};

use crate::audit::AuditError;
use crate::cage::Gap;
use crate::image::{ClockError, Memory};
use crate::storage::journal::JournalError;
use crate::unseal::Failure;
use sekisho_nsm::NsmError;
use sekisho_wire::store::StoreError;
use std::io;
use std::panic::Location;
use tracing::{debug, error, info, warn};

/// Something worth a line.
pub(crate) enum Event<'a> {
    // The start and the end.
    CageGap(Gap),
    Caged {
        gaps: usize,
    },
    ConfigurationMeasured {
        sha384: &'a [u8; 48],
    },
    Sealed,
    /// Until the KMS gives the root key.
    Waiting,
    /// What a key's policy can ask for.
    Register {
        register: u16,
        value: &'a [u8; 48],
    },
    /// Until enough operators have given their shares.
    WaitingForShares,
    SharesMade {
        shares: usize,
        threshold: usize,
    },
    ShareGiven {
        given: usize,
        threshold: usize,
    },
    Rekeyed,
    UnsealFailed(&'a Failure),
    RootKeyWrapped,
    Unsealed,
    JournalWhole {
        entries: u64,
    },
    /// For the administrator of the boot configuration.
    FirstKeyMade,
    FirstKeyUsed,
    FirstKeyStays(&'a JournalError),
    AdministratorTooLate,
    Serving,
    /// A peer that joined has taken over.
    Superseded,
    DrainEnded,
    Stopped,

    // The machine, of a worker in an image.
    ClockSet {
        milliseconds: i64,
    },
    ClockNotSet(&'a ClockError),
    Memory(Memory),

    // Connections.
    AcceptFailed(io::ErrorKind),
    HandshakeFailed {
        kind: &'static str,
    },
    HandshakeLate,
    ConnectionBroken {
        kind: &'static str,
    },
    NothingAsked,

    // The TLS identity.
    LeafRenewed,
    AuthorityRenewed,
    RenewalFailed {
        kind: &'static str,
    },

    // What requests need.
    NoDocument(NsmError),
    StoreSilent(StoreError),
    StorageChanged {
        kind: &'static str,
    },
    StorageBroken(&'a JournalError),

    // Journal and audit log.
    JournalReadAgain(&'a JournalError),
    SnapshotMade {
        entries: u64,
        chunks: usize,
    },
    SnapshotFailed(&'a JournalError),
    UpkeepFailed,
    // A new root key.
    RootKeyRotates {
        generation: u32,
    },
    RootKeyRotated {
        generation: u32,
    },
    RootKeyNotRotated(&'a Failure),
    RootRotationWaits(&'a JournalError),
    PolicyModuleRefused,
    PolicyModuleWaits,
    NoCompiler(io::ErrorKind),
    DecisionTooLarge {
        bytes: usize,
    },
    AuditFailed(&'a AuditError),
    AuditResumed,

    /// Where the program is wrong; the message may quote anything, and is left out.
    Panicked(&'a Location<'a>),
}

/// Writes a line.
pub(crate) fn log(event: Event<'_>) {
    match event {
        Event::CageGap(gap) => warn!(%gap, "the cage has a gap"),
        Event::Caged { gaps } => info!(gaps, "the worker is in its cage"),
        Event::ConfigurationMeasured { sha384 } => {
            info!(sha384 = hex::encode(sha384), "configuration measured");
        }
        Event::Sealed => {
            warn!("no root key: the worker is sealed and answers only /health and /attestation");
        }
        Event::Waiting => warn!(
            "the worker is sealed and answers only /health and /attestation, until the KMS or a peer \
             gives its root key to these registers"
        ),
        Event::WaitingForShares => warn!(
            "the worker is sealed and answers only /health, /attestation and /unseal, until enough \
             operators have given their shares (sekisho init, sekisho unseal)"
        ),
        Event::SharesMade { shares, threshold } => {
            info!(shares, threshold, "shares are made for their holders");
        }
        Event::Rekeyed => {
            warn!("the root key is wrapped for other holders: former shares are void")
        }
        Event::ShareGiven { given, threshold } => info!(given, threshold, "a share was given"),
        Event::Register { register, value } => {
            warn!(register, value = hex::encode(value), "measured");
        }
        Event::UnsealFailed(failure) => {
            warn!(%failure, "the root key is not unwrapped; trying again");
        }
        Event::RootKeyWrapped => {
            info!("this is the first start: a new root key is wrapped, and in the store");
        }
        Event::Unsealed => info!("the root key has come"),
        Event::JournalWhole { entries } => info!(entries, "the journal is whole"),
        Event::FirstKeyMade => warn!(
            "this service is new: its first access key waits for the administrator (sekisho \
             principal claim)"
        ),
        Event::FirstKeyUsed => {
            info!("the first access key has signed a request, and is not handed out any more");
        }
        Event::FirstKeyStays(error) => {
            warn!(%error, "the first access key is used, and still handed out; trying again");
        }
        Event::AdministratorTooLate => warn!(
            "this service had begun before it had an administrator's key: no first access key is \
             made"
        ),
        Event::Serving => info!("serving"),
        Event::Superseded => warn!(
            "another worker of this service has taken over the store: this one answers nothing more, \
             and stops"
        ),
        Event::DrainEnded => {
            warn!("connections were still open when the time to drain was over");
        }
        Event::Stopped => info!("stopped"),

        Event::ClockSet { milliseconds } => {
            warn!(milliseconds, "the clock was behind the NSM's time, and is set");
        }
        Event::ClockNotSet(error) => error!(%error, "the clock cannot be set by the NSM's time"),
        Event::Memory(Memory { peak, available, total }) => {
            info!(peak, available, total, "memory in KiB: the worker's peak, and the machine's");
        }

        Event::AcceptFailed(error) => warn!(?error, "a connection could not be accepted"),
        Event::HandshakeFailed { kind } => debug!(kind, "a TLS handshake failed"),
        Event::HandshakeLate => debug!("a TLS handshake took too long"),
        Event::ConnectionBroken { kind } => debug!(kind, "a connection ended early"),
        Event::NothingAsked => debug!("a connection asked for nothing in time"),

        Event::LeafRenewed => info!("new connections have a new TLS leaf"),
        Event::AuthorityRenewed => warn!(
            "the service CA had less than a year left and was signed again with its key: let \
             clients fetch it with sekisho attest connect before the old certificate ends"
        ),
        Event::RenewalFailed { kind } => error!(kind, "the TLS certificates cannot be renewed"),

        Event::NoDocument(error) => error!(%error, "the NSM gave no document"),
        Event::StoreSilent(error) => warn!(%error, "the store did not answer"),
        Event::StorageChanged { kind } => {
            error!(kind, "the host's storage is not as it was left");
        }
        Event::StorageBroken(error) => error!(%error, "the host's storage is not as it was left"),

        Event::JournalReadAgain(error) => warn!(%error, "reading the journal once more"),
        Event::SnapshotMade { entries, chunks } => {
            info!(entries, chunks, "snapshot of the journal");
        }
        Event::SnapshotFailed(error) => {
            warn!(%error, "no snapshot of the journal; another attempt follows");
        }
        Event::UpkeepFailed => {
            warn!("a key is due, and nothing could be done; another attempt follows");
        }
        Event::RootKeyRotates { generation } => {
            warn!(generation, "a new root key: everything is sealed under it again, bit by bit");
        }
        Event::RootKeyRotated { generation } => {
            warn!(generation, "nothing is left under the former root key, which is forgotten");
        }
        Event::RootKeyNotRotated(failure) => warn!(%failure, "the root key's rotation waits"),
        Event::RootRotationWaits(error) => warn!(%error, "the root key's rotation waits"),
        Event::PolicyModuleRefused => {
            error!("a registered policy module is no longer admitted: its keys cannot be used");
        }
        Event::PolicyModuleWaits => {
            warn!("a registered policy module could not be read; it is read when it is needed");
        }
        Event::NoCompiler(error) => {
            warn!(
                ?error,
                "no policy module can be registered: no process can be started to try one"
            );
        }
        Event::DecisionTooLarge { bytes } => {
            error!(bytes, "a decision is too large to be recorded")
        }
        Event::AuditFailed(error) => {
            error!(%error, "the audit log cannot be written; nothing is released");
        }
        Event::AuditResumed => info!("the audit log is written again; releases resume"),

        Event::Panicked(place) => {
            error!(file = place.file(), line = place.line(), "a part of the worker panicked");
        }
    }
}
