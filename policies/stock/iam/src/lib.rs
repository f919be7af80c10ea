//! Stock policy `iam`: the configuration is an AWS key policy document.
//!
//! | element | what is taken |
//! |---|---|
//! | `Version` | `2012-10-17` or `2008-10-17` |
//! | `Id`, `Sid` | any string |
//! | `Effect` | `Allow`, `Deny` |
//! | `Principal` | `"*"`, `{"AWS": …}` with `"*"`, an account, a root, user, role or session ARN |
//! | `Action`, `NotAction` | `*`, `kms:…` and `sekisho:…`, with `*` and `?`, in any case |
//! | `Resource`, `NotResource` | with `*` and `?` |
//! | `Condition` | the operators of [`operators`], the keys of [`keys`], `…IfExists`, `ForAnyValue:`, `ForAllValues:` |
//!
//! Whatever is not in this list (`NotPrincipal`, other principals, operators, keys,
//! policy variables) is an error at its place, never silently ignored.
//!
//! An explicit deny wins; where no statement matches, the policy has no opinion. The
//! order of statements never matters. Evaluation follows the AWS IAM user guide,
//! "Policy evaluation logic" and "IAM JSON policy elements".
//!
//! Three points that differ from AWS or are finer than its documentation:
//!
//! - An account (`111122223333` or `arn:aws:iam::111122223333:root`) means its root
//!   principal alone. In AWS it also hands the decision to the account's identity
//!   policies; there are none here yet.
//! - A condition key of several values (`kms:EncryptionContextKeys`,
//!   `kms:ResourceAliases`) without `ForAnyValue:` or `ForAllValues:` is an error.
//! - Condition key names do not care for case, so `kms:EncryptionContext:App` may meet
//!   both `App` and `app` in one encryption context. An `Allow` then needs the
//!   condition to hold for both, for a `Deny` either is enough.

mod condition;
mod document;
pub mod keys;
pub mod operators;
mod principal;
mod statement;
mod wildcard;

use sekisho_policy::state::Reader;
use sekisho_policy::{
    Answer, ConfigurationError, Policy, Request, allow, annotate, deny, no_opinion,
};
use statement::Effect;

/// The policy.
#[derive(Debug)]
pub struct Iam;

sekisho_policy::export!(Iam);

impl Policy for Iam {
    type State = Vec<u8>;

    fn configure(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        document::compile(configuration)
    }

    fn evaluate(state: &Vec<u8>, request: &Request) -> Answer {
        decide(Reader::new(state), request)
            .unwrap_or_else(|| deny("the policy cannot read its own state"))
    }
}

/// The first statement that matches decides: the state has the denies first. `None`
/// where the state cannot be read.
fn decide(mut state: Reader<'_>, request: &Request) -> Option<Answer> {
    while !state.is_empty() {
        let statement = statement::Encoded::read(state.block()?)?;
        if !statement.matches(request)? {
            continue;
        }
        let name = String::from_utf8_lossy(statement.name);
        return Some(match statement.effect {
            Effect::Deny => deny(["explicit deny: ", &name].concat()),
            Effect::Allow => annotate(allow(), "statement", name),
        });
    }
    Some(no_opinion())
}

#[cfg(test)]
mod tests;
