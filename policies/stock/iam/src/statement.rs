//! A statement: whom, what and under which conditions it allows or denies.

use crate::condition::{self, Condition};
use crate::principal::{self, Named};
use crate::wildcard::{self, SameByte, any_case, exact};
use sekisho_policy::json::Cursor;
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Request};

/// The services whose actions there are: AWS KMS's, and Sekisho's own for principals.
const SERVICES: [&str; 2] = ["kms", "sekisho"];
/// The longest Sid: it goes into reasons and annotations.
const SID: usize = 256;

/// What a statement does with a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Deny = 0,
    Allow = 1,
}

/// A statement as its author wrote it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// The Sid, or the statement's place in the document.
    name: String,
    principals: Vec<Named>,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug)]
struct Patterns {
    negated: bool,
    patterns: Vec<String>,
}

impl Statement {
    /// Reads a statement; `place` is its name if it has no Sid.
    pub(crate) fn parse(
        at: &Cursor<'_>,
        place: &str,
        variables: bool,
    ) -> Result<Self, ConfigurationError> {
        let mut name = place.to_owned();
        let (mut effect, mut principals, mut conditions) = (None, None, Vec::new());
        let (mut actions, mut resources) = (None, None);
        for (element, value) in at.object()? {
            match element {
                "Sid" => name = parse_sid(&value, place)?,
                "Effect" => effect = Some(parse_effect(&value)?),
                "Principal" => principals = Some(principal::parse(&value)?),
                "Action" | "NotAction" => {
                    let negated = element == "NotAction";
                    set_once(&mut actions, &value, parse_patterns(&value, negated, check_action)?)?;
                }
                "Resource" | "NotResource" => {
                    let negated = element == "NotResource";
                    let check = |at: &Cursor<'_>, text: &str| no_variables(at, text, variables);
                    set_once(&mut resources, &value, parse_patterns(&value, negated, check)?)?;
                }
                "Condition" => {
                    refuse_variables(&value, variables)?;
                    conditions = condition::parse(&value)?;
                }
                "NotPrincipal" => {
                    return Err(value.error(
                        "is not understood here; use Principal and a condition on aws:PrincipalArn",
                    ));
                }
                _ => return Err(value.error("is not an element of a statement")),
            }
        }
        let missing = |element: &str| at.error([element, " is missing"].concat());
        Ok(Self {
            effect: effect.ok_or_else(|| missing("Effect"))?,
            name,
            principals: principals.ok_or_else(|| missing("Principal"))?,
            actions: actions.ok_or_else(|| missing("Action"))?,
            resources: resources.ok_or_else(|| missing("Resource"))?,
            conditions,
        })
    }

    /// In the order in which [`Encoded::read`] reads it.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.byte(self.effect as u8);
        writer.string(&self.name);
        for patterns in [&self.actions, &self.resources] {
            writer.byte(u8::from(patterns.negated));
            writer.block(|block| patterns.patterns.iter().for_each(|text| block.string(text)));
        }
        writer.block(|block| principal::encode(&self.principals, block));
        writer.block(|block| self.conditions.iter().for_each(|condition| condition.encode(block)));
    }
}

fn parse_sid(at: &Cursor<'_>, place: &str) -> Result<String, ConfigurationError> {
    let sid = at.string()?;
    if sid.len() > SID {
        return Err(at.error("is longer than 256 bytes"));
    }
    Ok(if sid.is_empty() { place } else { sid }.to_owned())
}

fn parse_effect(at: &Cursor<'_>) -> Result<Effect, ConfigurationError> {
    match at.string()? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        _ => Err(at.error("is neither Allow nor Deny")),
    }
}

fn set_once(
    slot: &mut Option<Patterns>,
    at: &Cursor<'_>,
    patterns: Patterns,
) -> Result<(), ConfigurationError> {
    match slot.replace(patterns) {
        None => Ok(()),
        Some(_) => Err(at.error("stands beside its opposite; only one of them may be there")),
    }
}

fn parse_patterns(
    at: &Cursor<'_>,
    negated: bool,
    check: impl Fn(&Cursor<'_>, &str) -> Result<(), ConfigurationError>,
) -> Result<Patterns, ConfigurationError> {
    let mut patterns = Vec::new();
    for element in at.one_or_many() {
        let text = element.string()?;
        check(&element, text)?;
        patterns.push(text.to_owned());
    }
    if patterns.is_empty() {
        return Err(at.error("at least one value is needed"));
    }
    Ok(Patterns { negated, patterns })
}

fn check_action(at: &Cursor<'_>, text: &str) -> Result<(), ConfigurationError> {
    let (service, name) = text.split_once(':').unwrap_or(("", ""));
    let letters =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?'));
    let known = SERVICES.iter().any(|known| service.eq_ignore_ascii_case(known));
    match text == "*" || (known && !name.is_empty() && letters) {
        true => Ok(()),
        false => Err(at.error("is not \"*\" or an action of kms or sekisho")),
    }
}

fn no_variables(at: &Cursor<'_>, text: &str, variables: bool) -> Result<(), ConfigurationError> {
    match variables && text.contains("${") {
        true => Err(at.error("policy variables are not understood here")),
        false => Ok(()),
    }
}

fn refuse_variables(condition: &Cursor<'_>, variables: bool) -> Result<(), ConfigurationError> {
    for (_, keys) in condition.object()? {
        for (_, values) in keys.object()? {
            for value in values.one_or_many() {
                if let Ok(text) = value.string() {
                    no_variables(&value, text, variables)?;
                }
            }
        }
    }
    Ok(())
}

/// A statement in the state.
pub(crate) struct Encoded<'a> {
    pub(crate) effect: Effect,
    pub(crate) name: &'a [u8],
    actions: EncodedPatterns<'a>,
    resources: EncodedPatterns<'a>,
    principals: Reader<'a>,
    conditions: Reader<'a>,
}

struct EncodedPatterns<'a> {
    negated: bool,
    patterns: Reader<'a>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn read(mut bytes: Reader<'a>) -> Option<Self> {
        Some(Self {
            effect: match bytes.byte()? {
                0 => Effect::Deny,
                1 => Effect::Allow,
                _ => return None,
            },
            name: bytes.bytes()?,
            actions: EncodedPatterns::read(&mut bytes)?,
            resources: EncodedPatterns::read(&mut bytes)?,
            principals: bytes.block()?,
            conditions: bytes.block()?,
        })
    }

    pub(crate) fn matches(&self, request: &Request) -> Option<bool> {
        Some(
            self.actions.matches(&request.action, any_case)?
                && principal::matches(self.principals, &request.principal)?
                && self.resources.matches(&request.resource, exact)?
                && condition::hold(self.conditions, self.effect, request)?,
        )
    }
}

impl<'a> EncodedPatterns<'a> {
    fn read(bytes: &mut Reader<'a>) -> Option<Self> {
        Some(Self { negated: bytes.byte()? != 0, patterns: bytes.block()? })
    }

    fn matches(&self, text: &str, same: SameByte) -> Option<bool> {
        let mut patterns = self.patterns;
        while !patterns.is_empty() {
            if wildcard::matches(patterns.bytes()?, text.as_bytes(), same) {
                return Some(!self.negated);
            }
        }
        Some(self.negated)
    }
}
