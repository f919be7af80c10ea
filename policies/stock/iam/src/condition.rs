//! The `Condition` element: every operator and every key in it must hold.

mod evaluation;

pub(crate) use evaluation::hold;

use crate::keys::{self, Key, Kind};
use crate::limits;
use crate::operators::{Comparison, OPERATORS, Operator};
use crate::template::{Reading, Template};
use crate::values::{address, binary, date, decimal::Decimal};
use sekisho_policy::ConfigurationError;
use sekisho_policy::json::{Cursor, Value};
use sekisho_policy::state::Writer;

/// How the values of one request count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// A key of one value.
    One = 0,
    /// `ForAnyValue:`
    Any = 1,
    /// `ForAllValues:`
    All = 2,
}

/// The bits beside a quantifier in the state.
const IF_EXISTS: u8 = 0x10;
const VARIABLES: u8 = 0x20;

/// One operator on one key.
#[derive(Debug)]
pub(crate) struct Condition {
    /// Index into [`OPERATORS`].
    operator: u8,
    quantifier: Quantifier,
    if_exists: bool,
    /// Index into [`keys::KEYS`].
    key: u8,
    suffix: Vec<u8>,
    /// Whether a value has variables; then all are templates.
    variables: bool,
    values: Vec<Vec<u8>>,
}

/// Reads `Condition`; `variables` says whether `${…}` means something.
pub(crate) fn parse(
    at: &Cursor<'_>,
    variables: bool,
) -> Result<Vec<Condition>, ConfigurationError> {
    let mut conditions = Vec::new();
    for (operator, keys) in at.object()? {
        let members = keys.object()?;
        if members.is_empty() {
            return Err(keys.error("at least one condition key is needed"));
        }
        let operator = Named::parse(operator).map_err(|reason| keys.error(reason))?;
        for (key, values) in members {
            conditions.push(Condition::parse(&operator, key, &values, variables)?);
        }
    }
    if conditions.len() > limits::CONDITIONS {
        limits::check_count(at, conditions.len(), limits::CONDITIONS)?;
    }
    Ok(conditions)
}

/// An operator as a document names it.
struct Named {
    index: u8,
    operator: &'static Operator,
    quantifier: Quantifier,
    if_exists: bool,
}

impl Named {
    /// Reads `ForAnyValue:StringLikeIfExists` and the like, in any case.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "is not a condition operator";
        let folded = text.to_ascii_lowercase();
        let (quantifier, name) = match folded.split_once(':') {
            Some(("foranyvalue", name)) => (Quantifier::Any, name),
            Some(("forallvalues", name)) => (Quantifier::All, name),
            Some(_) => return Err(UNKNOWN),
            None => (Quantifier::One, &*folded),
        };
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (index, operator) = OPERATORS
            .iter()
            .enumerate()
            .find(|(_, operator)| operator.name.eq_ignore_ascii_case(name))
            .ok_or(UNKNOWN)?;
        if operator.comparison == Comparison::Absence && name != folded {
            return Err("Null stands alone: it takes no set operator and no IfExists");
        }
        let index = u8::try_from(index).map_err(|_| UNKNOWN)?;
        Ok(Self { index, operator, quantifier, if_exists })
    }
}

impl Condition {
    fn parse(
        named: &Named,
        key: &str,
        at: &Cursor<'_>,
        variables: bool,
    ) -> Result<Self, ConfigurationError> {
        let comparison = named.operator.comparison;
        let found = keys::find(key).map_err(|reason| at.error(reason))?;
        let counts = named.quantifier != Quantifier::One || comparison == Comparison::Absence;
        if found.key.many && !counts {
            return Err(at.error("this key has several values: say ForAnyValue: or ForAllValues:"));
        }
        comparison.takes(found.key.kind).map_err(|reason| at.error(reason))?;
        let values = at.one_or_many();
        limits::check_count(at, values.len(), limits::VALUES)?;
        let values = values
            .iter()
            .map(|value| parse_value(comparison, found.key, value, variables))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            operator: named.index,
            quantifier: named.quantifier,
            if_exists: named.if_exists,
            key: found.index,
            suffix: found.suffix,
            variables: values.iter().any(|value| value.variables),
            values: values.into_iter().map(|value| value.bytes).collect(),
        })
    }

    /// In the order in which [`hold`] reads it.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        let if_exists = if self.if_exists { IF_EXISTS } else { 0 };
        let variables = if self.variables { VARIABLES } else { 0 };
        writer.byte(self.operator);
        writer.byte(self.quantifier as u8 | if_exists | variables);
        writer.byte(self.key);
        writer.bytes(&self.suffix);
        writer.block(|block| self.values.iter().for_each(|value| block.bytes(value)));
    }
}

/// A value of the policy as the state keeps it.
fn parse_value(
    comparison: Comparison,
    key: &Key,
    at: &Cursor<'_>,
    variables: bool,
) -> Result<Template, ConfigurationError> {
    let text = match at.value() {
        Value::String(text) | Value::Number(text) => text.as_str(),
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        _ => return Err(at.error("is not a value of a condition")),
    };
    limits::check_length(at, text)?;
    if !comparison.takes_variables() {
        let bytes = parse_typed(comparison, text, variables).map_err(|reason| at.error(reason))?;
        return Ok(Template { bytes, variables: false });
    }
    if comparison == Comparison::TextAnyCase && !text.is_ascii() {
        return Err(at.error("a value that is not ASCII cannot be compared in any case"));
    }
    let wildcards = matches!(comparison, Comparison::Pattern | Comparison::Arn);
    let template = Template::parse(at, text, Reading { wildcards, variables })?;
    // What a variable will bring is not known here.
    if !template.variables {
        check_text(comparison, key.kind, text).map_err(|reason| at.error(reason))?;
    }
    Ok(template)
}

/// A value of a type that has no variables.
fn parse_typed(
    comparison: Comparison,
    text: &str,
    variables: bool,
) -> Result<Vec<u8>, &'static str> {
    if variables && text.contains("${") {
        return Err("policy variables are for the operators of strings and ARNs");
    }
    let (bytes, reason) = match comparison {
        Comparison::Number(_) => (
            Decimal::parse(text.as_bytes()).map(|_| text.as_bytes().to_vec()),
            "is not a decimal number",
        ),
        Comparison::Date(_) => (
            date::parse(text.as_bytes()).map(|millis| millis.to_le_bytes().to_vec()),
            "is not a date: ISO 8601 such as 2026-01-31T12:00:00Z, or seconds since 1970",
        ),
        Comparison::Boolean | Comparison::Absence => (
            is_boolean(text).then(|| text.to_ascii_lowercase().into_bytes()),
            "is neither true nor false",
        ),
        Comparison::Binary => (binary::decode(text), "is not base64"),
        _ => (address::parse_range(text), "is not an IP address or a range such as 192.0.2.0/24"),
    };
    bytes.ok_or(reason)
}

/// Refuses what the request could never have, so that the condition would never hold,
/// and a `Deny` with it never deny.
fn check_text(comparison: Comparison, kind: Kind, text: &str) -> Result<(), &'static str> {
    match (comparison, kind) {
        (Comparison::Arn, _) if !is_arn(text) => {
            Err("is not an ARN: six parts with colons between them, of which the first is arn")
        }
        (_, Kind::Digest) if !is_digest(comparison, text) => Err(
            "a register is compared in lower-case hexadecimal digits; StringEqualsIgnoreCase takes both",
        ),
        (Comparison::Text | Comparison::TextAnyCase, Kind::Boolean) if !is_boolean(text) => {
            Err("is neither true nor false")
        }
        _ => Ok(()),
    }
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.splitn(6, ':').count() == 6
}

fn is_digest(comparison: Comparison, text: &str) -> bool {
    text.bytes().all(|byte| match byte {
        b'0'..=b'9' | b'a'..=b'f' => true,
        b'A'..=b'F' => comparison == Comparison::TextAnyCase,
        b'*' | b'?' => comparison == Comparison::Pattern,
        _ => false,
    })
}
