//! The `Condition` element: every operator and every key in it must hold.

use crate::keys::{KEYS, Key, Kind, Suffix};
use crate::operators::{OPERATORS, Operand, Operator};
use crate::statement::Effect;
use sekisho_policy::ConfigurationError;
use sekisho_policy::Request;
use sekisho_policy::json::{Cursor, Value};
use sekisho_policy::state::{Reader, Writer};

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

/// One operator on one key.
#[derive(Debug)]
pub(crate) struct Condition {
    /// Index into [`OPERATORS`].
    operator: u8,
    quantifier: Quantifier,
    if_exists: bool,
    /// Index into [`KEYS`].
    key: u8,
    suffix: Vec<u8>,
    values: Vec<String>,
}

/// Reads `Condition`.
pub(crate) fn parse(at: &Cursor<'_>) -> Result<Vec<Condition>, ConfigurationError> {
    let mut conditions = Vec::new();
    for (operator, keys) in at.object()? {
        let members = keys.object()?;
        if members.is_empty() {
            return Err(keys.error("at least one condition key is needed"));
        }
        for (key, values) in members {
            conditions.push(parse_one(operator, &keys, key, &values)?);
        }
    }
    Ok(conditions)
}

fn parse_one(
    operator: &str,
    at_operator: &Cursor<'_>,
    key: &str,
    at: &Cursor<'_>,
) -> Result<Condition, ConfigurationError> {
    let (quantifier, name) = match operator.split_once(':') {
        Some(("ForAnyValue", name)) => (Quantifier::Any, name),
        Some(("ForAllValues", name)) => (Quantifier::All, name),
        _ => (Quantifier::One, operator),
    };
    let (name, if_exists) = match name.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (name, false),
    };
    // `Null` stands alone: no quantifier, no `IfExists`.
    let alone = name == operator;
    let (operator, row) = position(&OPERATORS, |row| row.name == name)
        .filter(|(_, row)| row.operand != Operand::Absence || alone)
        .ok_or_else(|| at_operator.error("is not a condition operator that is known here"))?;
    let (key, key_row, suffix) = parse_key(key, at)?;
    if key_row.many && quantifier == Quantifier::One && row.operand != Operand::Absence {
        return Err(at.error("this key has several values: say ForAnyValue: or ForAllValues:"));
    }
    if row.operand == Operand::Boolean && key_row.kind != Kind::Boolean {
        return Err(at.error("this key is not a boolean"));
    }
    let values = at
        .one_or_many()
        .iter()
        .map(|value| parse_value(row, key_row, value))
        .collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() {
        return Err(at.error("at least one value is needed"));
    }
    Ok(Condition { operator, quantifier, if_exists, key, suffix, values })
}

fn position<T>(table: &[T], found: impl FnMut(&T) -> bool) -> Option<(u8, &T)> {
    let index = table.iter().position(found)?;
    Some((u8::try_from(index).ok()?, table.get(index)?))
}

/// The key of this name and what its suffix says, as the state keeps it.
fn parse_key(
    name: &str,
    at: &Cursor<'_>,
) -> Result<(u8, &'static Key, Vec<u8>), ConfigurationError> {
    let unknown = || at.error("is not a condition key that is known here");
    let folded = name.to_ascii_lowercase();
    let (index, row) = position(&KEYS, |row| match row.suffix {
        Suffix::None => folded == row.name,
        Suffix::Name => folded.len() > row.name.len() && folded.starts_with(row.name),
        Suffix::Register => {
            folded.strip_prefix(row.name).is_some_and(|number| register(number).is_some())
        }
    })
    .ok_or_else(unknown)?;
    let suffix = folded.get(row.name.len()..).ok_or_else(unknown)?;
    if !suffix.is_ascii() {
        return Err(at.error("a name that is not ASCII cannot be compared in any case"));
    }
    let suffix = match row.suffix {
        Suffix::None => Vec::new(),
        Suffix::Name => suffix.as_bytes().to_vec(),
        Suffix::Register => register(suffix).into_iter().collect(),
    };
    Ok((index, KEYS.get(usize::from(index)).ok_or_else(unknown)?, suffix))
}

/// A register's number in its one spelling.
fn register(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number < 32 && number.to_string() == text).then_some(number)
}

fn parse_value(
    operator: &Operator,
    key: &Key,
    at: &Cursor<'_>,
) -> Result<String, ConfigurationError> {
    let text = match at.value() {
        Value::String(text) | Value::Number(text) => text.as_str(),
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        _ => return Err(at.error("is not a value of a condition")),
    };
    let wrong = match operator.operand {
        Operand::Boolean | Operand::Absence if !is_boolean(text) => {
            Some("is neither true nor false")
        }
        Operand::TextAnyCase if !text.is_ascii() => {
            Some("a value that is not ASCII cannot be compared in any case")
        }
        Operand::Text | Operand::Pattern | Operand::TextAnyCase => match key.kind {
            Kind::Digest => wrong_digest(operator.operand, text),
            Kind::Boolean if !is_boolean(text) => Some("is neither true nor false"),
            _ => None,
        },
        _ => None,
    };
    match wrong {
        Some(reason) => Err(at.error(reason)),
        None => Ok(text.into()),
    }
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// A digest in a request is in lower case, so a value that is not would never match,
/// and a `Deny` with it would never deny.
fn wrong_digest(operand: Operand, text: &str) -> Option<&'static str> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'f' => true,
        b'A'..=b'F' => operand == Operand::TextAnyCase,
        b'*' | b'?' => operand == Operand::Pattern,
        _ => false,
    };
    match text.bytes().all(digit) {
        true => None,
        false => Some(
            "a register is compared in lower-case hexadecimal digits; StringEqualsIgnoreCase takes both",
        ),
    }
}

impl Condition {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.byte(self.operator);
        writer.byte(self.quantifier as u8);
        writer.byte(u8::from(self.if_exists));
        writer.byte(self.key);
        writer.block(|block| self.suffix.iter().for_each(|byte| block.byte(*byte)));
        writer.block(|block| self.values.iter().for_each(|value| block.string(value)));
    }
}

/// Whether every encoded condition holds; `None` where they cannot be read.
pub(crate) fn hold(mut conditions: Reader<'_>, effect: Effect, request: &Request) -> Option<bool> {
    while !conditions.is_empty() {
        let operator = OPERATORS.get(usize::from(conditions.byte()?))?;
        let quantifier = conditions.byte()?;
        let if_exists = conditions.byte()? != 0;
        let key = KEYS.get(usize::from(conditions.byte()?))?;
        let suffix = conditions.bytes()?;
        let values = conditions.block()?;
        let found = Found::look(operator, key, suffix, values, request)?;
        let holds = match quantifier {
            _ if operator.operand == Operand::Absence => found.absence(values)?,
            _ if found.values == 0 && if_exists => true,
            // One value in general; where there are several by their case, an Allow
            // needs all of them to hold, and a Deny any.
            0 if found.values == 0 => operator.negated,
            0 if effect == Effect::Allow => found.holding == found.values,
            0 => found.holding > 0,
            1 => found.holding > 0,
            2 => found.holding == found.values,
            _ => return None,
        };
        if !holds {
            return Some(false);
        }
    }
    Some(true)
}

/// How many values a request has for a key, and for how many the operator holds.
struct Found {
    values: usize,
    holding: usize,
}

impl Found {
    fn look(
        operator: &Operator,
        key: &Key,
        suffix: &[u8],
        values: Reader<'_>,
        request: &Request,
    ) -> Option<Self> {
        let mut found = Self { values: 0, holding: 0 };
        let mut readable = true;
        (key.values)(request, suffix, &mut |value| {
            found.values = found.values.saturating_add(1);
            match matches_any(operator, values, value) {
                Some(matches) if matches != operator.negated => {
                    found.holding = found.holding.saturating_add(1);
                }
                Some(_) => {}
                None => readable = false,
            }
        });
        readable.then_some(found)
    }

    /// `Null`: whether one of the policy's values says what is the case.
    fn absence(&self, mut values: Reader<'_>) -> Option<bool> {
        let absent: &[u8] = match self.values {
            0 => b"true",
            _ => b"false",
        };
        while !values.is_empty() {
            if values.bytes()?.eq_ignore_ascii_case(absent) {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn matches_any(operator: &Operator, mut values: Reader<'_>, value: &[u8]) -> Option<bool> {
    while !values.is_empty() {
        if (operator.compare)(values.bytes()?, value) {
            return Some(true);
        }
    }
    Some(false)
}
