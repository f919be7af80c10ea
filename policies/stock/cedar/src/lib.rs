//! Stock policy `cedar`: a Cedar policy set.
//!
//! ```json
//! {
//!   "policies": [
//!     "@id(\"pipeline\")",
//!     "permit (principal in Sekisho::Group::\"ingest\", action == Sekisho::Action::\"kms:Decrypt\", resource)",
//!     "when { context has attestation.pcr0 && context.attestation.pcr0 == \"<96 hex digits>\" };"
//!   ],
//!   "groups": { "ingest": ["arn:aws:iam::111122223333:user/ada"] }
//! }
//! ```
//!
//! `policies` is text in Cedar's syntax, or the lines of such a text. It is validated, strictly, against
//! `sekisho.cedarschema`, which says what a policy sees; a place in it is its line and column.
//!
//! | what the policies say | answer |
//! |---|---|
//! | a `forbid` holds | deny; the reason names it |
//! | one of them cannot be evaluated (a number overflows) | deny; the reason names it |
//! | a `permit` holds | allow; the annotation `policy` names it |
//! | none of these | no opinion: a grant may allow, as where an AWS policy does not speak of a request |
//!
//! Every policy is evaluated, so that the order in which they are written never matters. Cedar itself
//! passes over a policy that cannot be evaluated; a `forbid` that is passed over would forbid nothing.
//!
//! Templates are refused, and so are the functions of Cedar's extensions (`ip`, `decimal`, `datetime`,
//! `duration`): to set them up takes more than a decision may cost. `context.time` has its parts as
//! numbers.

mod actions;
mod configuration;
mod mentions;
mod names;
mod question;
mod rebuild;
mod rules;

use crate::rules::Rules;
use sekisho_policy::snapshot::Snapshot;
use sekisho_policy::{Answer, ConfigurationError, Policy, Request, deny};

/// The policy.
#[derive(Debug)]
pub struct Cedar;

sekisho_policy::export!(Cedar);

impl Policy for Cedar {
    type State = Snapshot<Option<Rules>>;

    fn configure(configuration: &[u8]) -> Result<Self::State, ConfigurationError> {
        let parsed = configuration::parse(configuration)?;
        let refused =
            |reason: &str| ConfigurationError { place: "policies".into(), reason: reason.into() };
        let taken = Snapshot::take(|| Rules::of(&parsed))
            .map_err(|_| refused("they are too long: what is kept of them is more than 64 KiB"))?;
        match taken.value() {
            Some(_) => Ok(taken),
            None => Err(refused("they use what this component does not know")),
        }
    }

    fn evaluate(rules: &Self::State, request: &Request) -> Answer {
        match rules.value() {
            Some(rules) => rules.decide(request),
            None => deny("the policy cannot read its own state"),
        }
    }
}
