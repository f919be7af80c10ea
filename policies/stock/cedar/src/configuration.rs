//! The configuration as its author writes it: read, and validated against the schema.

use crate::names::Types;
use cedar_policy_core::ast::{Effect, Expr, ExprKind, PolicySet, Template};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::parser::{Loc, err::ParseErrors, parse_policyset};
use cedar_policy_core::validator::{ValidationMode, Validator, ValidatorSchema};
use miette::Diagnostic;
use sekisho_policy::ConfigurationError;
use sekisho_policy::json::{self, Cursor};
use std::collections::BTreeMap;

/// What a policy sees.
pub(crate) const SCHEMA: &str = include_str!("../sekisho.cedarschema");

/// Brackets within brackets: each level is some calls on a small stack.
const NESTING: usize = 40;
/// Bytes of an `@id`: it becomes a reason or an annotation.
const ID: usize = 256;
/// Policies of one configuration: more do not fit into a state, nor reading them into its fuel.
const POLICIES: usize = 64;

/// A configuration that was read and found right.
pub(crate) struct Configuration {
    /// In the order of the text.
    pub(crate) policies: Vec<NamedPolicy>,
    /// The groups of each principal that is in one, by its ARN.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
    pub(crate) types: Types,
}

/// A policy of the set.
pub(crate) struct NamedPolicy {
    /// Its `@id`, or `policy` and its number, counted from 0, as Cedar names it.
    pub(crate) name: String,
    pub(crate) effect: Effect,
    /// Its scope and its clauses.
    pub(crate) condition: Expr,
}

pub(crate) fn parse(text: &[u8]) -> Result<Configuration, ConfigurationError> {
    json::with(text, |root| {
        let (mut policies, mut groups) = (None, BTreeMap::new());
        for (member, value) in root.object()? {
            match member {
                "policies" => policies = Some(parse_policies(&value)?),
                "groups" => groups = parse_groups(&value)?,
                _ => return Err(value.error("is not a member of the configuration")),
            }
        }
        let policies = policies.ok_or_else(|| root.error("`policies` is missing"))?;
        let types = Types::new().ok_or_else(|| root.error("the schema's names cannot be read"))?;
        Ok(Configuration { policies, groups, types })
    })
}

/// The groups' members, by member.
fn parse_groups(at: &Cursor<'_>) -> Result<BTreeMap<String, Vec<String>>, ConfigurationError> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (group, members) in at.object()? {
        for member in members.array()? {
            let arn = member.string()?;
            if !arn.starts_with("arn:") || arn.contains(['*', '?']) || arn.len() > 2048 {
                return Err(member.error("is not a principal's ARN, whole and without wildcards"));
            }
            groups.entry(arn.into()).or_default().push(group.into());
        }
    }
    Ok(groups)
}

fn parse_policies(at: &Cursor<'_>) -> Result<Vec<NamedPolicy>, ConfigurationError> {
    let lines = match at.array() {
        Ok(lines) => lines.iter().map(|line| line.string()).collect::<Result<Vec<_>, _>>()?,
        Err(_) => vec![at.string().map_err(|_| at.error("is neither text nor the lines of one"))?],
    };
    let text = lines.join("\n");
    check_nesting(&text)?;
    let set = parse_policyset(&text).map_err(|errors| not_cedar(&text, &errors))?;
    let templates: Vec<&Template> = in_order(&set);
    if templates.is_empty() {
        return Err(at.error("there is no policy in it"));
    }
    if templates.len() > POLICIES {
        return Err(at.error(&format!("there are more than {POLICIES} policies in it")));
    }
    for template in &templates {
        if !template.is_static() {
            let reason = "this is a template; write the policies that it would be linked to";
            return Err(wrong(&text, offset(template.loc()), reason));
        }
    }
    validate(&text, &set)?;
    for template in &templates {
        no_extensions(&text, template)?;
    }
    name(&text, &templates)
}

fn in_order(set: &PolicySet) -> Vec<&Template> {
    let mut templates: Vec<_> = set.all_templates().collect();
    templates.sort_by_key(|template| offset(template.loc()));
    templates
}

fn validate(text: &str, set: &PolicySet) -> Result<(), ConfigurationError> {
    let whole = |reason: String| ConfigurationError { place: String::new(), reason };
    let (schema, _) = ValidatorSchema::from_cedarschema_str(SCHEMA, Extensions::all_available())
        .map_err(|error| whole(error.to_string()))?;
    let result = Validator::new(schema).validate(set, ValidationMode::Strict);
    // The first in the text: it is what its author meets first.
    let first = result.validation_errors().min_by_key(|error| place_of(*error));
    match first {
        Some(error) => Err(wrong(text, place_of(error), &reason_of(error, error))),
        None => Ok(()),
    }
}

/// To set up the extension types takes more than a decision may cost, and each decision would.
fn no_extensions(text: &str, template: &Template) -> Result<(), ConfigurationError> {
    let is_call = |part: &&Expr| matches!(part.expr_kind(), ExprKind::ExtensionFunctionApp { .. });
    let condition = template.condition();
    let found = condition.subexpressions().find(is_call);
    found.map_or(Ok(()), |call| {
        let reason = "ip, decimal, datetime and duration are not there: context.time has its parts as \
                      numbers, and an address is text, for `like`";
        Err(wrong(text, offset(call.source_loc()), reason))
    })
}

fn name(text: &str, templates: &[&Template]) -> Result<Vec<NamedPolicy>, ConfigurationError> {
    let mut policies: Vec<NamedPolicy> = Vec::new();
    for (number, template) in templates.iter().enumerate() {
        let id = template.annotations().find(|(key, _)| key.as_ref() == "id");
        let name = match id {
            Some((_, id)) => id.val.to_string(),
            None => format!("policy{number}"),
        };
        if name.is_empty() || name.len() > ID {
            let reason = format!("its @id has none, or more than {ID} bytes");
            return Err(wrong(text, offset(template.loc()), &reason));
        }
        if policies.iter().any(|other| other.name == name) {
            let reason = format!("another policy is named {name}");
            return Err(wrong(text, offset(template.loc()), &reason));
        }
        let condition = template.condition();
        policies.push(NamedPolicy { name, effect: template.effect(), condition });
    }
    Ok(policies)
}

/// Strings and comments count too: who writes forty brackets there can write them otherwise.
fn check_nesting(text: &str) -> Result<(), ConfigurationError> {
    let mut depth: usize = 0;
    let mut run: usize = 0;
    for (at, byte) in text.bytes().enumerate() {
        depth = match byte {
            b'(' | b'[' | b'{' => depth.saturating_add(1),
            b')' | b']' | b'}' => depth.saturating_sub(1),
            _ => depth,
        };
        run = if matches!(byte, b'!' | b'-') { run.saturating_add(1) } else { 0 };
        if depth.saturating_add(run) > NESTING {
            return Err(wrong(text, at, &format!("it nests more than {NESTING} deep")));
        }
    }
    Ok(())
}

fn not_cedar(text: &str, errors: &ParseErrors) -> ConfigurationError {
    let first = errors.as_ref().first();
    wrong(text, place_of(first), &reason_of(first, first))
}

/// What an error says, with the help that it gives.
fn reason_of(error: &dyn std::fmt::Display, diagnostic: &dyn Diagnostic) -> String {
    let mut reason = error.to_string();
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let label = label.and_then(|label| label.label().map(str::to_owned));
    let help = diagnostic.help().map(|help| help.to_string());
    for more in [label, help].into_iter().flatten() {
        if reason.len().saturating_add(more.len()) < 900 {
            reason.push_str(": ");
            reason.push_str(&more);
        }
    }
    reason.truncate(reason.floor_char_boundary(1000));
    reason
}

/// The byte of the text at which an error is.
fn place_of(error: &dyn Diagnostic) -> usize {
    let label = error.labels().and_then(|mut labels| labels.next());
    label.map_or(0, |label| label.offset())
}

fn offset(loc: Option<&Loc>) -> usize {
    loc.map_or(0, Loc::start)
}

/// An error at a byte of the text, as `policies 3:14`: line and column, both counted from 1.
fn wrong(text: &str, at: usize, reason: &str) -> ConfigurationError {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    ConfigurationError { place: format!("policies {line}:{column}"), reason: reason.into() }
}
