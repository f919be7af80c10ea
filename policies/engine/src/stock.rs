//! The policies that come with Sekisho, as components.
//!
//! Their sources are in `policies/stock/`; a test rebuilds them and compares the
//! digests.

use crate::limits::AdmissionLimits;

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

/// A Cedar policy set; see `policies/stock/cedar`.
pub const CEDAR: &[u8] = include_bytes!("../../stock/cedar/cedar.wasm");

/// A Rego module; see `policies/stock/rego`.
pub const REGO: &[u8] = include_bytes!("../../stock/rego/rego.wasm");

/// Every stock policy by the name under which a key policy names it.
pub const ALL: [(&str, &[u8]); 7] = [
    ("attested", ATTESTED),
    ("cedar", CEDAR),
    ("deny-plaintext-export", DENY_PLAINTEXT_EXPORT),
    ("iam", IAM),
    ("rego", REGO),
    ("time-window", TIME_WINDOW),
    ("two-person", TWO_PERSON),
];

/// The bounds of a component's shape: the engine's own, but for what comes with the engine itself,
/// which is part of what is measured and nobody's hostile input. Cedar, with its parser and its
/// validator, is larger than what anybody may register.
pub(crate) fn admission(component: &[u8], limits: &AdmissionLimits) -> AdmissionLimits {
    if component != CEDAR {
        return limits.clone();
    }
    AdmissionLimits {
        size: 6 * 1024 * 1024,
        types: 8_000,
        functions: 32_000,
        body: 1024 * 1024,
        locals: 20_000,
        block_values: 400_000,
        branch_targets: 400_000,
        loop_variables: 400_000,
        block_variables: 3_000_000,
        ..limits.clone()
    }
}
