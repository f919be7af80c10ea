//! A statement: whom, what and under which conditions it allows or denies.

use crate::condition::{self, Condition};
use crate::limits;
use crate::patterns::{self, Patterns};
use crate::principal::{self, Match, Named};
use sekisho_policy::json::Cursor;
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Request};

/// What a statement does with a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Deny = 0,
    Allow = 1,
}

/// What a document is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A key, or the account: statements say whom they are about.
    Resource,
    /// A principal, whom every statement is about.
    Principal,
}

/// The bit beside an effect in the state: `NotPrincipal`.
const NOT_PRINCIPAL: u8 = 0x10;

/// A statement as its author wrote it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// The Sid, or the statement's place in the document.
    pub(crate) name: String,
    principals: Vec<Named>,
    /// Whether `principals` are the exceptions.
    not_principal: bool,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// The elements of a statement as far as they were read.
#[derive(Default)]
struct Elements {
    name: Option<String>,
    effect: Option<Effect>,
    principals: Option<(bool, Vec<Named>)>,
    actions: Option<Patterns>,
    resources: Option<Patterns>,
    conditions: Vec<Condition>,
}

impl Statement {
    /// Reads a statement; `place` is its name if it has no Sid, `variables` says whether
    /// `${…}` means something.
    pub(crate) fn parse(
        at: &Cursor<'_>,
        place: &str,
        variables: bool,
        holder: Holder,
    ) -> Result<Self, ConfigurationError> {
        let mut elements = Elements::default();
        if holder == Holder::Principal {
            elements.principals = Some((false, vec![Named::Anyone]));
        }
        for (element, value) in at.object()? {
            if holder == Holder::Principal && matches!(element, "Principal" | "NotPrincipal") {
                return Err(value.error(
                    "an identity policy is about the principal that has it, and names none",
                ));
            }
            elements.read(element, &value, variables)?;
        }
        let missing = |element: &str| at.error([element, " is missing"].concat());
        let effect = elements.effect.ok_or_else(|| missing("Effect"))?;
        let (not_principal, principals) =
            elements.principals.ok_or_else(|| missing("Principal"))?;
        if not_principal && effect == Effect::Allow {
            return Err(at.error(
                "has NotPrincipal, which is for Deny alone; use a condition on aws:PrincipalArn",
            ));
        }
        Ok(Self {
            effect,
            name: elements.name.unwrap_or_else(|| place.to_owned()),
            principals,
            not_principal,
            actions: elements.actions.ok_or_else(|| missing("Action"))?,
            resources: elements.resources.ok_or_else(|| missing("Resource"))?,
            conditions: elements.conditions,
        })
    }

    /// In the order in which [`Encoded::read`] reads it.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        let not_principal = if self.not_principal { NOT_PRINCIPAL } else { 0 };
        writer.byte(self.effect as u8 | not_principal);
        self.actions.encode(writer);
        writer.block(|block| principal::encode(&self.principals, block));
        self.resources.encode(writer);
        writer.block(|block| self.conditions.iter().for_each(|condition| condition.encode(block)));
        writer.string(&self.name);
    }
}

impl Elements {
    fn read(
        &mut self,
        element: &str,
        at: &Cursor<'_>,
        variables: bool,
    ) -> Result<(), ConfigurationError> {
        match element {
            "Sid" => self.name = parse_sid(at)?,
            "Effect" => self.effect = Some(parse_effect(at)?),
            "Principal" | "NotPrincipal" => {
                let named = (element == "NotPrincipal", principal::parse(at)?);
                set_once(&mut self.principals, at, named)?;
            }
            "Action" | "NotAction" => {
                let actions = Patterns::actions(at, element == "NotAction")?;
                set_once(&mut self.actions, at, actions)?;
            }
            "Resource" | "NotResource" => {
                let resources = Patterns::resources(at, element == "NotResource", variables)?;
                set_once(&mut self.resources, at, resources)?;
            }
            "Condition" => self.conditions = condition::parse(at, variables)?,
            _ => return Err(at.error("is not an element of a statement")),
        }
        Ok(())
    }
}

/// `None` where the Sid is empty.
fn parse_sid(at: &Cursor<'_>) -> Result<Option<String>, ConfigurationError> {
    let sid = at.string()?;
    if sid.len() > limits::SID {
        return Err(at.error("is longer than 256 bytes"));
    }
    Ok(Some(sid).filter(|sid| !sid.is_empty()).map(str::to_owned))
}

fn parse_effect(at: &Cursor<'_>) -> Result<Effect, ConfigurationError> {
    match at.string()? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        _ => Err(at.error("is neither Allow nor Deny")),
    }
}

fn set_once<T>(slot: &mut Option<T>, at: &Cursor<'_>, value: T) -> Result<(), ConfigurationError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(at.error("stands beside its opposite; only one of them may be there")),
    }
}

/// A statement in the state.
pub(crate) struct Encoded<'a> {
    pub(crate) effect: Effect,
    pub(crate) name: &'a [u8],
    not_principal: bool,
    actions: patterns::Encoded<'a>,
    principals: Reader<'a>,
    resources: patterns::Encoded<'a>,
    conditions: Reader<'a>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn read(mut bytes: Reader<'a>) -> Option<Self> {
        let flags = bytes.byte()?;
        Some(Self {
            effect: match flags & 0x0f {
                0 => Effect::Deny,
                1 => Effect::Allow,
                _ => return None,
            },
            not_principal: flags & NOT_PRINCIPAL != 0,
            actions: patterns::Encoded::read(&mut bytes)?,
            principals: bytes.block()?,
            resources: patterns::Encoded::read(&mut bytes)?,
            conditions: bytes.block()?,
            name: bytes.bytes()?,
        })
    }

    pub(crate) fn matches(&self, request: &Request) -> Option<Match> {
        if !self.actions.match_action(&request.action)? {
            return Some(Match::No);
        }
        let principal = self.match_principal(request)?;
        let matches = principal != Match::No
            && self.resources.match_resource(self.effect, request)?
            && condition::hold(self.conditions, self.effect, request)?;
        Some(if matches { principal } else { Match::No })
    }

    fn match_principal(&self, request: &Request) -> Option<Match> {
        match self.not_principal {
            true => match principal::is_excepted(self.principals, &request.principal)? {
                true => Some(Match::No),
                false => Some(Match::Itself),
            },
            false => principal::matches(self.principals, self.effect, &request.principal),
        }
    }
}
