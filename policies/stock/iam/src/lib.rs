//! Stock policy `iam`: the configuration is an AWS key policy document, or
//! `{"IdentityPolicy": <document>}`, an AWS identity policy, whose statements have no `Principal`.
//!
//! | element | what is taken |
//! |---|---|
//! | `Version` | `2012-10-17`, or `2008-10-17` (also if there is none), which has no policy variables |
//! | `Id`, `Sid` | any string; a Sid names one statement |
//! | `Effect` | `Allow`, `Deny` |
//! | `Principal` | `"*"`, `{"AWS": …}` with `"*"`, an account, a root, user, role or session ARN; `Service`, `Federated` and `CanonicalUser`, whom nobody here is |
//! | `NotPrincipal` | the same, with `Deny` |
//! | `Action`, `NotAction` | `*`, `kms:…` and `sekisho:…`, with `*` and `?`, in any case |
//! | `Resource`, `NotResource` | `*` or an ARN, with `*`, `?` and policy variables |
//! | `Condition` | the operators of [`operators`], the keys of [`keys`], `…IfExists`, `ForAnyValue:`, `ForAllValues:`; policy variables with the operators of strings and ARNs |
//! | `${key}`, `${key, 'default'}`, `${*}`, `${?}`, `${$}` | every key of one value |
//!
//! Whatever is not in this list is an error at its place, never silently ignored. So is
//! what AWS takes and can never hold: a value of the wrong type, a misspelt operator or
//! key, an operator that does not fit its key.
//!
//! An explicit deny wins; where no statement matches, the policy has no opinion. The
//! order of statements never matters. Evaluation follows the AWS IAM user guide,
//! "Policy evaluation logic" and "IAM JSON policy elements".
//!
//! Points that differ from AWS or are finer than its documentation:
//!
//! - An account (`111122223333` or `arn:aws:iam::111122223333:root`) that is allowed is
//!   its root principal, and for everyone else in it the decision is left to the account's
//!   identity policies: no opinion, with the obligation `delegate-to-account`. An account
//!   that is denied is everyone in it.
//! - `NotPrincipal` excepts a user if its account is named beside it, and a role's session
//!   if the role and the account are: AWS says that it may deny them otherwise.
//! - A condition key of several values (`kms:EncryptionContextKeys`,
//!   `kms:ResourceAliases`) without `ForAnyValue:` or `ForAllValues:` is an error.
//! - Condition key names do not care for case, so `kms:EncryptionContext:App` may meet
//!   both `App` and `app` in one encryption context. An `Allow` then needs the
//!   condition to hold for both, for a `Deny` either is enough.
//! - A policy variable without a value and without a default matches nothing. Under a
//!   negated operator or in `NotResource` it keeps an `Allow` from allowing, and not a
//!   `Deny` from denying.
//! - What a variable brings is literal: a `*` in a tag is no wildcard.

mod condition;
mod document;
pub mod keys;
mod limits;
pub mod operators;
mod patterns;
mod principal;
mod statement;
mod template;
mod values;
mod wildcard;

use principal::Match;
use sekisho_policy::state::Reader;
use sekisho_policy::{
    Answer, ConfigurationError, Policy, Request, allow, annotate, delegate_to_account, deny,
    no_opinion,
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

/// The first statement about the principal that matches decides: the state has the denies first. `None`
/// where the state cannot be read.
fn decide(mut state: Reader<'_>, request: &Request) -> Option<Answer> {
    let mut delegated = false;
    while !state.is_empty() {
        let statement = statement::Encoded::read(state.block()?)?;
        match statement.matches(request)? {
            Match::No => continue,
            Match::Account => {
                delegated = true;
                continue;
            }
            Match::Itself => {}
        }
        let name = String::from_utf8_lossy(statement.name);
        return Some(match statement.effect {
            Effect::Deny => deny(["explicit deny: ", &name].concat()),
            Effect::Allow => annotate(allow(), "statement", name),
        });
    }
    Some(if delegated { delegate_to_account() } else { no_opinion() })
}

#[cfg(test)]
mod tests;
