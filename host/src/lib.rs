//! The untrusted host of Sekisho: relays bytes and keeps sealed blobs.
//!
//! The host is trusted for availability and for nothing else. It has no cryptography: what it
//! carries is TLS that ends in the worker, what it keeps was sealed there.
//!
//! [`run`] is the whole of it: a relay from TCP to the worker ([`sekisho_wire::Address`]), a
//! [`RedbStore`] that the worker dials, and if it is wanted a way out for the worker to the KMS that
//! wraps its root key ([`EgressConfig`]). Host and worker start in any order. [`AuditReader`] is for
//! whoever wants to look at the audit log's sealed blocks beside it.

mod egress;
mod handover;
mod limits;
mod metrics;
mod record;
mod relay;
mod service;
mod store;

pub use egress::{CredentialsSource, EgressConfig};
pub use handover::WorkerConfiguration;
pub use limits::raise_open_files_limit;
pub use service::{Config, HostError, Listening, run};
pub use store::{AuditItem, AuditReader, OpenError, RedbStore};
