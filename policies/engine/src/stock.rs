//! The policies that come with Sekisho, as components.
//!
//! Their sources are in `policies/stock/`; a test rebuilds them and compares the
//! digests.

/// A list of allowed measurements; see `policies/stock/attested`.
pub const ATTESTED: &[u8] = include_bytes!("../../stock/attested/attested.wasm");

/// AWS key policy documents; see `policies/stock/iam`.
pub const IAM: &[u8] = include_bytes!("../../stock/iam/iam.wasm");

/// Every stock policy by the name under which a key policy names it.
pub const ALL: [(&str, &[u8]); 2] = [("attested", ATTESTED), ("iam", IAM)];
