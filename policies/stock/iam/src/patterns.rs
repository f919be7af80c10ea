//! Lists of patterns: `Action` and `NotAction`, `Resource` and `NotResource`.

use crate::limits;
use crate::statement::Effect;
use crate::template::{Expanded, Reading, Template, expand};
use crate::wildcard;
use sekisho_policy::json::Cursor;
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Request};

/// The services whose actions there are: AWS KMS's, and Sekisho's own for principals.
const SERVICES: [&str; 2] = ["kms", "sekisho"];

const NEGATED: u8 = 1;
const VARIABLES: u8 = 2;

/// A list, and whether it names what is meant or what is not.
#[derive(Debug)]
pub(crate) struct Patterns {
    negated: bool,
    variables: bool,
    patterns: Vec<Vec<u8>>,
}

impl Patterns {
    /// Reads `Action` or `NotAction`.
    pub(crate) fn actions(at: &Cursor<'_>, negated: bool) -> Result<Self, ConfigurationError> {
        let reading = Reading { wildcards: true, variables: false };
        Self::parse(at, negated, |at, text| {
            check_action(at, text)?;
            Template::parse(at, &text.to_ascii_lowercase(), reading)
        })
    }

    /// Reads `Resource` or `NotResource`.
    pub(crate) fn resources(
        at: &Cursor<'_>,
        negated: bool,
        variables: bool,
    ) -> Result<Self, ConfigurationError> {
        let reading = Reading { wildcards: true, variables };
        Self::parse(at, negated, |at, text| {
            let template = Template::parse(at, text, reading)?;
            match template.variables || is_resource(text) {
                true => Ok(template),
                false => Err(at.error("is not \"*\" or an ARN")),
            }
        })
    }

    fn parse(
        at: &Cursor<'_>,
        negated: bool,
        one: impl Fn(&Cursor<'_>, &str) -> Result<Template, ConfigurationError>,
    ) -> Result<Self, ConfigurationError> {
        let values = at.one_or_many();
        limits::check_count(at, values.len(), limits::VALUES)?;
        let templates = values
            .iter()
            .map(|value| one(value, value.string()?))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            negated,
            variables: templates.iter().any(|template| template.variables),
            patterns: templates.into_iter().map(|template| template.bytes).collect(),
        })
    }

    /// In the order in which [`Encoded::read`] reads it.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        let negated = if self.negated { NEGATED } else { 0 };
        let variables = if self.variables { VARIABLES } else { 0 };
        writer.byte(negated | variables);
        writer.block(|block| self.patterns.iter().for_each(|pattern| block.bytes(pattern)));
    }
}

fn check_action(at: &Cursor<'_>, text: &str) -> Result<(), ConfigurationError> {
    let (service, name) = text.split_once(':').unwrap_or(("", ""));
    let letters =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?'));
    let known = SERVICES.iter().any(|known| service.eq_ignore_ascii_case(known));
    match matches!(text, "*" | "*:*") || (known && !name.is_empty() && letters) {
        true => Ok(()),
        false => Err(at.error("is not \"*\" or an action of kms or sekisho")),
    }
}

/// `*`, or an ARN. A `*` at the end of a part may stand for all parts after it.
fn is_resource(text: &str) -> bool {
    let parts = text.splitn(6, ':').count();
    text == "*" || text.starts_with("arn:") && (parts == 6 || text.ends_with('*'))
}

/// A list in the state.
pub(crate) struct Encoded<'a> {
    flags: u8,
    patterns: Reader<'a>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn read(bytes: &mut Reader<'a>) -> Option<Self> {
        Some(Self { flags: bytes.byte()?, patterns: bytes.block()? })
    }

    pub(crate) fn match_action(&self, action: &str) -> Option<bool> {
        let mut patterns = self.patterns;
        while !patterns.is_empty() {
            if wildcard::matches_any_case(patterns.bytes()?, action.as_bytes()) {
                return Some(self.flags & NEGATED == 0);
            }
        }
        Some(self.flags & NEGATED != 0)
    }

    /// A pattern of which a variable has no value matches nothing; in `NotResource` that
    /// is taken against the caller.
    pub(crate) fn match_resource(&self, effect: Effect, request: &Request) -> Option<bool> {
        let resource = request.resource.as_bytes();
        let mut patterns = self.patterns;
        let mut unresolved = false;
        while !patterns.is_empty() {
            let pattern = patterns.bytes()?;
            let matches = if self.flags & VARIABLES == 0 {
                wildcard::matches(pattern, resource)
            } else {
                match expand(pattern, request)? {
                    Expanded::Text(pattern) => wildcard::matches(&pattern, resource),
                    Expanded::Unresolved => {
                        unresolved = true;
                        false
                    }
                }
            };
            if matches {
                return Some(self.flags & NEGATED == 0);
            }
        }
        Some(self.flags & NEGATED != 0 && !(unresolved && effect == Effect::Allow))
    }
}
