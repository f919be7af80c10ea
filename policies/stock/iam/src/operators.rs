//! Condition operators (AWS IAM user guide, "Condition operators"), one row each.

use crate::wildcard::{self, any_case, exact};

/// What kind of value an operator compares; see [`crate::keys::Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Any string.
    Text,
    /// Any string, of which the case is not looked at. Values must be ASCII, so that
    /// what is the same but for case needs no tables.
    TextAnyCase,
    /// A string with wildcards.
    Pattern,
    /// `true` or `false`, on a key that has these values.
    Boolean,
    /// `true` or `false`: whether the key is absent.
    Absence,
}

/// An operator.
pub struct Operator {
    /// Its name in a policy document.
    pub name: &'static str,
    /// Its values.
    pub operand: Operand,
    /// Whether it holds where the comparison does not.
    pub negated: bool,
    /// Compares a value of the policy, first, with one of the request.
    pub(crate) compare: fn(&[u8], &[u8]) -> bool,
}

/// Every operator that is understood.
pub const OPERATORS: [Operator; 12] = [
    row("StringEquals", Operand::Text, false, equal),
    row("StringNotEquals", Operand::Text, true, equal),
    row("StringEqualsIgnoreCase", Operand::TextAnyCase, false, equal_any_case),
    row("StringNotEqualsIgnoreCase", Operand::TextAnyCase, true, equal_any_case),
    row("StringLike", Operand::Pattern, false, like),
    row("StringNotLike", Operand::Pattern, true, like),
    row("ArnEquals", Operand::Pattern, false, arn_like),
    row("ArnNotEquals", Operand::Pattern, true, arn_like),
    row("ArnLike", Operand::Pattern, false, arn_like),
    row("ArnNotLike", Operand::Pattern, true, arn_like),
    row("Bool", Operand::Boolean, false, equal_any_case),
    row("Null", Operand::Absence, false, equal_any_case),
];

const fn row(
    name: &'static str,
    operand: Operand,
    negated: bool,
    compare: fn(&[u8], &[u8]) -> bool,
) -> Operator {
    Operator { name, operand, negated, compare }
}

fn equal(policy: &[u8], request: &[u8]) -> bool {
    policy == request
}

fn equal_any_case(policy: &[u8], request: &[u8]) -> bool {
    policy.len() == request.len() && policy.iter().zip(request).all(|(a, b)| any_case(*a, *b))
}

fn like(policy: &[u8], request: &[u8]) -> bool {
    wildcard::matches(policy, request, exact)
}

/// Each of the six parts of an ARN is compared by itself, so that a `*` does not reach
/// over a colon, other than in the last part.
fn arn_like(policy: &[u8], request: &[u8]) -> bool {
    let mut request = request.splitn(6, |byte| *byte == b':');
    policy
        .splitn(6, |byte| *byte == b':')
        .all(|part| request.next().is_some_and(|other| like(part, other)))
        && request.next().is_none()
}
