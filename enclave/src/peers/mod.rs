//! Peers: workers of one service, of which one that is unsealed gives the root key to one that is
//! not yet.
//!
//! ```text
//! joining worker                                    giving worker
//!   its nonce ─────────────────────────────────────►
//!   ◄──────── document (that nonce, the key of this TLS connection, service CA), its own nonce
//!   verified: root, registers, not debug, fresh, service CA
//!   document (the other's nonce, an ephemeral key,
//!   digest of the other's document), configuration,
//!   statements of the operators ───────────────────►
//!                            verified: the same, and the configuration; recorded in the audit log
//!   ◄──────────── root key, encrypted to the ephemeral key, bound to all that was said (HPKE)
//! ```
//!
//! Who may: what stands in the giving worker's boot configuration ([`Peers`]), and what enough of its
//! operators have signed ([`statement`]). docs/unsealing.md and docs/upgrading.md have the rest.

mod admission;
mod challenge;
mod giving;
mod measurement;
mod statement;
mod transcript;

pub(crate) use admission::{Admission, PeerRefused};
pub use admission::{InvalidPeers, Peers};
pub(crate) use challenge::Challenge;
pub(crate) use giving::Giver;
pub use measurement::{InvalidMeasurement, Measurement};
pub use statement::{InvalidStatement, OperatorSignature, SignedStatement, UpgradeStatement};
pub(crate) use transcript::{CHALLENGE_PATH, JOIN_PATH, Transcript, joining_user_data};
