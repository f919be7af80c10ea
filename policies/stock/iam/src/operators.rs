//! Condition operators (IAM user guide, "IAM JSON policy elements: Condition
//! operators"), one row each.

use crate::keys::Kind;
use crate::values::address;
use crate::values::date;
use crate::values::decimal::Decimal;
use crate::wildcard;
use core::cmp::Ordering;
use sekisho_policy::bytes;

/// How a value of the policy and one of the request are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// As strings.
    Text,
    /// As strings, of which the case is not looked at. The policy's must be ASCII, so that
    /// what is the same but for case needs no tables.
    TextAnyCase,
    /// As strings; the policy's has wildcards.
    Pattern,
    /// As ARNs, part by part; the policy's has wildcards.
    Arn,
    /// As decimal numbers.
    Number(Order),
    /// As points in time.
    Date(Order),
    /// As `true` or `false`.
    Boolean,
    /// As bytes, of which the policy has the base64.
    Binary,
    /// As an IP address, and a range that it may be in.
    Address,
    /// Whether the key is absent, `true` or `false`.
    Absence,
}

/// Where the request's value stands to the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At the same place.
    Equal,
    /// Before it.
    Less,
    /// Before it or at the same place.
    LessOrEqual,
    /// After it.
    Greater,
    /// After it or at the same place.
    GreaterOrEqual,
}

/// An operator.
#[derive(Debug)]
pub struct Operator {
    /// Its name in a policy document, without `IfExists` and `ForAnyValue:`.
    pub name: &'static str,
    /// What it compares.
    pub comparison: Comparison,
    /// Whether it holds where the comparison does not.
    pub negated: bool,
}

/// Every operator. The state names one by its place here.
pub const OPERATORS: &[Operator] = &[
    row("StringEquals", Comparison::Text),
    negated("StringNotEquals", Comparison::Text),
    row("StringEqualsIgnoreCase", Comparison::TextAnyCase),
    negated("StringNotEqualsIgnoreCase", Comparison::TextAnyCase),
    row("StringLike", Comparison::Pattern),
    negated("StringNotLike", Comparison::Pattern),
    row("ArnEquals", Comparison::Arn),
    negated("ArnNotEquals", Comparison::Arn),
    row("ArnLike", Comparison::Arn),
    negated("ArnNotLike", Comparison::Arn),
    row("NumericEquals", Comparison::Number(Order::Equal)),
    negated("NumericNotEquals", Comparison::Number(Order::Equal)),
    row("NumericLessThan", Comparison::Number(Order::Less)),
    row("NumericLessThanEquals", Comparison::Number(Order::LessOrEqual)),
    row("NumericGreaterThan", Comparison::Number(Order::Greater)),
    row("NumericGreaterThanEquals", Comparison::Number(Order::GreaterOrEqual)),
    row("DateEquals", Comparison::Date(Order::Equal)),
    negated("DateNotEquals", Comparison::Date(Order::Equal)),
    row("DateLessThan", Comparison::Date(Order::Less)),
    row("DateLessThanEquals", Comparison::Date(Order::LessOrEqual)),
    row("DateGreaterThan", Comparison::Date(Order::Greater)),
    row("DateGreaterThanEquals", Comparison::Date(Order::GreaterOrEqual)),
    row("Bool", Comparison::Boolean),
    row("BinaryEquals", Comparison::Binary),
    row("IpAddress", Comparison::Address),
    negated("NotIpAddress", Comparison::Address),
    row("Null", Comparison::Absence),
];

const fn row(name: &'static str, comparison: Comparison) -> Operator {
    Operator { name, comparison, negated: false }
}

const fn negated(name: &'static str, comparison: Comparison) -> Operator {
    Operator { name, comparison, negated: true }
}

impl Order {
    fn holds(self, request_to_policy: Ordering) -> bool {
        match self {
            Order::Equal => request_to_policy.is_eq(),
            Order::Less => request_to_policy.is_lt(),
            Order::LessOrEqual => request_to_policy.is_le(),
            Order::Greater => request_to_policy.is_gt(),
            Order::GreaterOrEqual => request_to_policy.is_ge(),
        }
    }
}

impl Comparison {
    /// Whether the policy's value may have variables.
    pub(crate) fn takes_variables(self) -> bool {
        matches!(self, Self::Text | Self::TextAnyCase | Self::Pattern | Self::Arn)
    }

    /// Whether values of this kind can be compared so. AWS takes any operator on any key,
    /// and the condition then never holds; here that is an error in the document.
    pub(crate) fn takes(self, kind: Kind) -> Result<(), &'static str> {
        let (takes, reason) = match self {
            Self::Text | Self::TextAnyCase | Self::Pattern | Self::Absence => return Ok(()),
            _ if kind == Kind::Free => return Ok(()),
            Self::Arn => (kind == Kind::Text, "this key is not an ARN"),
            Self::Binary => (kind == Kind::Text, "this key is not binary"),
            Self::Number(_) => {
                (matches!(kind, Kind::Number | Kind::Epoch), "this key is not a number")
            }
            Self::Date(_) => (matches!(kind, Kind::Date | Kind::Epoch), "this key is not a date"),
            Self::Boolean => (kind == Kind::Boolean, "this key is not a boolean"),
            Self::Address => (kind == Kind::Address, "this key is not an IP address"),
        };
        if takes { Ok(()) } else { Err(reason) }
    }

    /// Compares a value of the policy, as the state keeps it, with one of the request. A
    /// value of the request that is not of the type is different from every other.
    pub(crate) fn holds(self, policy: &[u8], request: &[u8]) -> bool {
        match self {
            Self::Text | Self::Binary => bytes::equal(policy, request),
            Self::TextAnyCase | Self::Boolean => bytes::equal_any_case(policy, request),
            Self::Pattern => wildcard::matches(policy, request),
            Self::Arn => arn_like(policy, request),
            Self::Number(order) => number_holds(order, policy, request),
            Self::Date(order) => date_holds(order, policy, request),
            Self::Address => address::contains(policy, request),
            // Looks at no value.
            Self::Absence => false,
        }
    }
}

fn number_holds(order: Order, policy: &[u8], request: &[u8]) -> bool {
    match (Decimal::parse(request), Decimal::parse(policy)) {
        (Some(request), Some(policy)) => order.holds(request.cmp(&policy)),
        _ => false,
    }
}

fn date_holds(order: Order, policy: &[u8], request: &[u8]) -> bool {
    match (date::parse(request), policy.try_into()) {
        (Some(request), Ok(policy)) => order.holds(request.cmp(&i64::from_le_bytes(policy))),
        _ => false,
    }
}

/// Each of the six parts of an ARN is compared by itself, so that a `*` does not reach
/// over a colon, other than in the last part.
fn arn_like(policy: &[u8], request: &[u8]) -> bool {
    let mut request = request.splitn(6, |byte| *byte == b':');
    policy
        .splitn(6, |byte| *byte == b':')
        .all(|part| request.next().is_some_and(|other| wildcard::matches(part, other)))
        && request.next().is_none()
}
