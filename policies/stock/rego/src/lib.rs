//! Stock policy `rego`: a Rego module.
//!
//! ```json
//! {
//!   "policy": [
//!     "package sekisho",
//!     "allow if {",
//!     "  input.action == \"kms:Decrypt\"",
//!     "  input.attestation.pcrs[\"0\"] in data.images",
//!     "}",
//!     "deny contains \"no purpose\" if not input.encryption_context.purpose"
//!   ],
//!   "data": { "images": ["<96 hex digits>"] }
//! }
//! ```
//!
//! `policy` is one module, of the package `sekisho`, in Rego's version 1, or its lines; `data` is what it
//! sees as `data`. `input` is the request with the contract's names, as it stands in a table of tests
//! (`policies/wit/policy.wit`): what is not there is undefined.
//!
//! | rules | answer |
//! |---|---|
//! | `deny` is true, or a set with a text in it | deny; the first text is the reason |
//! | `deny` or `allow` is of another type | deny; the reason says why |
//! | `allow` is true | allow |
//! | none of these | no opinion: a grant may allow, as where an AWS policy does not speak of a request |
//!
//! As everywhere in Rego, what cannot be evaluated, or has two values at once, is undefined: as a `deny`
//! it does not deny, and `not` makes it true. There are Rego's functions of strings, numbers, sets, objects, arrays,
//! types, bits and units, `json`, `base64` and `hex`; there are no regular expressions, addresses, clock,
//! randomness or network, and no `with`.

mod configuration;
mod input;
mod rules;

use crate::rules::Rules;
use sekisho_policy::snapshot::Snapshot;
use sekisho_policy::{Answer, ConfigurationError, Policy, Request, deny};

/// The policy.
#[derive(Debug)]
pub struct Rego;

sekisho_policy::export!(Rego);

impl Policy for Rego {
    type State = Snapshot<Option<Rules>>;

    fn configure(configuration: &[u8]) -> Result<Self::State, ConfigurationError> {
        let compiled = configuration::parse(configuration)?;
        let refused =
            |reason: &str| ConfigurationError { place: String::new(), reason: reason.into() };
        let taken = Snapshot::take(|| Rules::of(&compiled)).map_err(|_| {
            refused("policy and data are too long: what is kept of them is more than 64 KiB")
        })?;
        match taken.value() {
            Some(_) => Ok(taken),
            None => Err(refused("the policy uses what this component does not know")),
        }
    }

    fn evaluate(rules: &Self::State, request: &Request) -> Answer {
        match rules.value() {
            Some(rules) => rules.decide(request),
            None => deny("the policy cannot read its own state"),
        }
    }
}
