//! Whether conditions hold (IAM user guide, "Conditions with multiple context keys or
//! values", "Condition operators", "Set operators for multivalued context keys").
//!
//! | the request has | an operator | its negation | `ForAnyValue:` | `ForAllValues:` | `…IfExists` |
//! |---|---|---|---|---|---|
//! | the key | some policy value matches | none matches | for some value of the request | for each | as without |
//! | no such key | no | yes | no | yes | yes |

use super::{IF_EXISTS, Quantifier, VARIABLES};
use crate::keys::{self, KEYS, Key};
use crate::operators::{Comparison, OPERATORS, Operator};
use crate::statement::Effect;
use crate::template::{Expanded, expand};
use sekisho_policy::Request;
use sekisho_policy::state::Reader;

/// Whether every encoded condition holds; `None` where they cannot be read.
pub(crate) fn hold(mut conditions: Reader<'_>, effect: Effect, request: &Request) -> Option<bool> {
    while !conditions.is_empty() {
        if !Encoded::read(&mut conditions)?.holds(effect, request)? {
            return Some(false);
        }
    }
    Some(true)
}

/// A condition in the state.
struct Encoded<'a> {
    operator: &'static Operator,
    quantifier: Quantifier,
    if_exists: bool,
    variables: bool,
    key: &'static Key,
    suffix: &'a [u8],
    values: Reader<'a>,
}

/// What comparing a value of the request with all of the policy's came to.
enum Compared {
    Matches,
    Differs,
    /// It matches none, and of one the variables have no value.
    Unresolved,
}

/// How many values a request has for a key, and for how many the operator holds.
struct Found {
    values: usize,
    holding: usize,
}

impl<'a> Encoded<'a> {
    fn read(bytes: &mut Reader<'a>) -> Option<Self> {
        let operator = OPERATORS.get(usize::from(bytes.byte()?))?;
        let flags = bytes.byte()?;
        Some(Self {
            operator,
            quantifier: match flags & 0x0f {
                0 => Quantifier::One,
                1 => Quantifier::Any,
                2 => Quantifier::All,
                _ => return None,
            },
            if_exists: flags & IF_EXISTS != 0,
            variables: flags & VARIABLES != 0,
            key: KEYS.get(usize::from(bytes.byte()?))?,
            suffix: bytes.bytes()?,
            values: bytes.block()?,
        })
    }

    fn holds(&self, effect: Effect, request: &Request) -> Option<bool> {
        let found = self.find(effect, request)?;
        if self.operator.comparison == Comparison::Absence {
            return self.says(found.values == 0);
        }
        if found.values == 0 {
            return match self.quantifier {
                _ if self.if_exists => Some(true),
                Quantifier::One => self.holds_without_key(effect, request),
                Quantifier::Any => Some(false),
                Quantifier::All => Some(true),
            };
        }
        Some(match self.quantifier {
            // There is one value in general; where there are several by their case, an
            // Allow needs all of them to hold, and a Deny any.
            Quantifier::One if effect == Effect::Allow => found.holding == found.values,
            Quantifier::One | Quantifier::Any => found.holding > 0,
            Quantifier::All => found.holding == found.values,
        })
    }

    fn find(&self, effect: Effect, request: &Request) -> Option<Found> {
        let mut found = Found { values: 0, holding: 0 };
        let mut readable = true;
        keys::visit(self.key, self.suffix, request, &mut |value| {
            found.values = found.values.saturating_add(1);
            let holds = match self.compare(request, value) {
                Some(Compared::Matches) => !self.operator.negated,
                Some(Compared::Differs) => self.operator.negated,
                // Against the caller: it may deny, and not allow.
                Some(Compared::Unresolved) => self.operator.negated && effect == Effect::Deny,
                None => {
                    readable = false;
                    false
                }
            };
            found.holding = found.holding.saturating_add(usize::from(holds));
        });
        readable.then_some(found)
    }

    /// Compares one value of the request with each of the policy's until one matches.
    fn compare(&self, request: &Request, value: &[u8]) -> Option<Compared> {
        let mut values = self.values;
        let mut unresolved = false;
        while !values.is_empty() {
            let policy = values.bytes()?;
            let matches = if self.variables {
                match expand(policy, request)? {
                    Expanded::Text(policy) => self.operator.comparison.holds(&policy, value),
                    Expanded::Unresolved => {
                        unresolved = true;
                        false
                    }
                }
            } else {
                self.operator.comparison.holds(policy, value)
            };
            if matches {
                return Some(Compared::Matches);
            }
        }
        Some(if unresolved { Compared::Unresolved } else { Compared::Differs })
    }

    /// Without the key a negated operator holds. A variable without a value still spoils
    /// an Allow.
    fn holds_without_key(&self, effect: Effect, request: &Request) -> Option<bool> {
        if !self.operator.negated || !self.variables || effect == Effect::Deny {
            return Some(self.operator.negated);
        }
        let mut values = self.values;
        while !values.is_empty() {
            if let Expanded::Unresolved = expand(values.bytes()?, request)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// `Null`: whether one of the policy's values says what is the case.
    fn says(&self, is_absent: bool) -> Option<bool> {
        let said: &[u8] = if is_absent { b"true" } else { b"false" };
        let mut values = self.values;
        while !values.is_empty() {
            if values.bytes()? == said {
                return Some(true);
            }
        }
        Some(false)
    }
}
