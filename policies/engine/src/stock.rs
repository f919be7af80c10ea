//! The policies that come with Sekisho, as components.
//!
//! Their sources are in `policies/stock/`; a test rebuilds them and compares the
//! digests.

/// A list of allowed measurements; see `policies/stock/attested`.
pub const ATTESTED: &[u8] = include_bytes!("../../stock/attested/attested.wasm");

/// AWS key policy documents; see `policies/stock/iam`.
pub const IAM: &[u8] = include_bytes!("../../stock/iam/iam.wasm");

/// No secret leaves unencrypted; see `policies/stock/deny-plaintext-export`.
pub const DENY_PLAINTEXT_EXPORT: &[u8] =
    include_bytes!("../../stock/deny-plaintext-export/deny-plaintext-export.wasm");

/// Operations at their hours alone; see `policies/stock/time-window`.
pub const TIME_WINDOW: &[u8] = include_bytes!("../../stock/time-window/time-window.wasm");

/// Operations that members of a group approve; see `policies/stock/two-person`.
pub const TWO_PERSON: &[u8] = include_bytes!("../../stock/two-person/two-person.wasm");

/// Every stock policy by the name under which a key policy names it.
pub const ALL: [(&str, &[u8]); 5] = [
    ("attested", ATTESTED),
    ("deny-plaintext-export", DENY_PLAINTEXT_EXPORT),
    ("iam", IAM),
    ("time-window", TIME_WINDOW),
    ("two-person", TWO_PERSON),
];
