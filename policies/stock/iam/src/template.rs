//! Strings of a document as the state keeps them: wildcards and policy variables set
//! apart from literal text (IAM user guide, "IAM policy elements: Variables and tags").
//!
//! The marks are bytes that no UTF-8 has. What a variable brings is literal: a `*` in a
//! tag's value matches a `*` alone.

use crate::keys::{self, KEYS};
use crate::limits;
use crate::wildcard;
use sekisho_policy::json::Cursor;
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{ConfigurationError, Request};

/// Starts a variable: the place of its key, the key's suffix, and the default.
const VARIABLE: u8 = 0xfd;

/// How a string is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whether `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// Whether `${…}` means something: not in version 2008-10-17.
    pub(crate) variables: bool,
}

/// A string as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// Whether it must be [`expand`]ed before it is compared.
    pub(crate) variables: bool,
}

/// What a template with variables is in a request.
pub(crate) enum Expanded {
    Text(Vec<u8>),
    /// The request lacks a variable's value, and there is no default.
    Unresolved,
}

impl Template {
    /// Reads `text`, which stands at `at`.
    pub(crate) fn parse(
        at: &Cursor<'_>,
        text: &str,
        reading: Reading,
    ) -> Result<Self, ConfigurationError> {
        limits::check_length(at, text)?;
        let mut writer = Writer::new();
        let mut variables = false;
        let mut rest = text;
        while let Some((literal, after)) = split_variable(rest, reading) {
            write_literal(&mut writer, literal, reading);
            let wrong = |reason: &str| at.error(reason);
            rest = match after.strip_prefix(['*', '?', '$']).and_then(|rest| rest.strip_prefix('}'))
            {
                Some(rest) => {
                    after.bytes().take(1).for_each(|special| writer.byte(special));
                    rest
                }
                None => {
                    variables = true;
                    write_variable(&mut writer, after).map_err(wrong)?
                }
            };
        }
        write_literal(&mut writer, rest, reading);
        Ok(Self { bytes: writer.finish(), variables })
    }
}

fn split_variable(text: &str, reading: Reading) -> Option<(&str, &str)> {
    if reading.variables { text.split_once("${") } else { None }
}

fn write_literal(writer: &mut Writer, text: &str, reading: Reading) {
    for byte in text.bytes() {
        writer.byte(if reading.wildcards { wildcard::encode(byte) } else { byte });
    }
}

/// Writes the variable at the start of `text`, after its `${`, and returns what follows it.
fn write_variable<'a>(writer: &mut Writer, text: &'a str) -> Result<&'a str, &'static str> {
    const NO_END: &str = "has a policy variable without an end";
    let end = text.find([',', '}']).ok_or(NO_END)?;
    let (name, rest) = text.split_at_checked(end).ok_or(NO_END)?;
    let (default, rest) = match rest.strip_prefix(',') {
        None => (None, rest),
        Some(rest) => {
            let quoted = rest.trim_start().strip_prefix('\'');
            let (default, rest) = quoted
                .and_then(|rest| rest.split_once('\''))
                .ok_or("has a default that does not stand in single quotes")?;
            (Some(default), rest.trim_start())
        }
    };
    let rest = rest.strip_prefix('}').ok_or(NO_END)?;
    let named = keys::find(name.trim()).map_err(|_| "has a policy variable that is no key")?;
    if named.key.many {
        return Err("has a policy variable of several values");
    }
    writer.byte(VARIABLE);
    writer.byte(named.index);
    writer.bytes(&named.suffix);
    writer.byte(u8::from(default.is_some()));
    writer.string(default.unwrap_or_default());
    Ok(rest)
}

/// Puts a request's values in the place of the variables; `None` where the template
/// cannot be read.
pub(crate) fn expand(template: &[u8], request: &Request) -> Option<Expanded> {
    let mut template = Reader::new(template);
    let mut text = Vec::new();
    while !template.is_empty() {
        match template.byte()? {
            VARIABLE => {
                let key = KEYS.get(usize::from(template.byte()?))?;
                let suffix = template.bytes()?;
                let has_default = template.byte()? != 0;
                let default = template.bytes()?;
                match keys::single(key, suffix, request) {
                    Some(value) => text.extend_from_slice(&value),
                    None if has_default => text.extend_from_slice(default),
                    None => return Some(Expanded::Unresolved),
                }
            }
            literal => text.push(literal),
        }
    }
    Some(Expanded::Text(text))
}
