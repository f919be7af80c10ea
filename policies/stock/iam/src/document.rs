//! The document: from AWS's JSON to the state.

use crate::limits;
use crate::statement::{Effect, Holder, Statement};
use sekisho_policy::ConfigurationError;
use sekisho_policy::json::{self, Cursor};
use sekisho_policy::state::Writer;

/// What an identity policy is wrapped in: `{"IdentityPolicy": <document>}`.
const IDENTITY_POLICY: &str = "IdentityPolicy";

/// Reads a policy document and makes the state: one block a statement, those that
/// deny first.
pub(crate) fn compile(text: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
    let statements = json::with(text, |root| parse(&root))?;
    let mut writer = Writer::new();
    for effect in [Effect::Deny, Effect::Allow] {
        for statement in statements.iter().filter(|found| found.effect == effect) {
            writer.block(|block| statement.encode(block));
        }
    }
    let state = writer.finish();
    match state.len() <= limits::STATE {
        true => Ok(state),
        false => Err(ConfigurationError {
            place: String::new(),
            reason: "comes to more than 64 KiB when its values are read".into(),
        }),
    }
}

fn parse(root: &Cursor<'_>) -> Result<Vec<Statement>, ConfigurationError> {
    if let Ok([(IDENTITY_POLICY, document)]) = root.object().as_deref() {
        return parse_document(document, Holder::Principal);
    }
    parse_document(root, Holder::Resource)
}

fn parse_document(root: &Cursor<'_>, holder: Holder) -> Result<Vec<Statement>, ConfigurationError> {
    let (mut variables, mut statements) = (false, None);
    for (element, value) in root.object()? {
        match element {
            "Version" => variables = has_variables(&value)?,
            "Id" => drop(limits::string(&value)?),
            "Statement" => statements = Some(value),
            _ => return Err(value.error("is not an element of a policy document")),
        }
    }
    let statements = statements.ok_or_else(|| root.error("Statement is missing"))?;
    let found = statements.one_or_many();
    limits::check_count(&statements, found.len(), limits::STATEMENTS)?;
    let parsed = found
        .iter()
        .enumerate()
        .map(|(index, at)| {
            let place = ["Statement[", &index.to_string(), "]"].concat();
            Statement::parse(at, &place, variables, holder)
        })
        .collect::<Result<Vec<_>, _>>()?;
    check_names(&found, &parsed)?;
    Ok(parsed)
}

/// A Sid names one statement: it is what the audit record says.
fn check_names(found: &[Cursor<'_>], parsed: &[Statement]) -> Result<(), ConfigurationError> {
    for (index, (at, statement)) in found.iter().zip(parsed).enumerate() {
        if parsed.iter().take(index).any(|before| before.name == statement.name) {
            return Err(at.error("has the Sid of a statement before it"));
        }
    }
    Ok(())
}

/// Whether `${…}` means something in this version of the language.
fn has_variables(at: &Cursor<'_>) -> Result<bool, ConfigurationError> {
    match at.string()? {
        "2012-10-17" => Ok(true),
        "2008-10-17" => Ok(false),
        _ => Err(at.error("is neither 2012-10-17 nor 2008-10-17")),
    }
}
