//! Reads the members of a JSON 1.1 request against the constraints of AWS's service model.
//!
//! A member of the wrong JSON type is a `SerializationException`; members that break a constraint
//! are collected, and [`Fields::finish`] answers with all of them, as AWS does.

use super::error::ApiError;
use super::facts::Options;
use crate::keys::context::EncryptionContext;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Total size of an encryption context, AWS's limit for a symmetric key's context.
const MAX_CONTEXT: usize = 8192;

/// `GrantTokenList` and `GrantTokenType` of AWS's service model.
const GRANT_TOKENS: usize = 10;
pub(crate) const GRANT_TOKEN: Text = Text::length(1, 8192);

/// Items of a list whose length AWS's service model leaves open; far more than there are choices.
const MAX_LIST: usize = 100;

/// Constraints on a string member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) pattern: Option<Pattern>,
}

/// A pattern of the service model that every character meets for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    /// As it stands in the model, and so in messages.
    pub(crate) text: &'static str,
    pub(crate) allows: fn(char) -> bool,
}

impl Text {
    pub(crate) const fn length(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }
}

/// The members of a request that have not been read yet, and what was wrong with the others.
pub(crate) struct Fields {
    members: Map<String, Value>,
    violations: Vec<String>,
}

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self { members, violations: Vec::new() }),
            Ok(_) => Err(ApiError::Serialization("Start of structure or map expected".into())),
            // The parser's own text may repeat the caller's bytes; its position is enough.
            Err(error) => Err(ApiError::Serialization(format!(
                "The body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            ))),
        }
    }

    /// Call after the last member: all violations at once.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Constraints(self.violations))
        }
    }

    pub(crate) fn text(&mut self, name: &str, shape: Text) -> Result<Option<String>, ApiError> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong_type(&other, "a string")),
        };
        self.check_text(name, &text, shape);
        Ok(Some(text))
    }

    fn check_text(&mut self, name: &str, text: &str, shape: Text) {
        let length = text.chars().count();
        let value = format!("Value '{text}'");
        if length < shape.min {
            self.violation(&value, name, &longer_or_equal(shape.min));
        }
        if length > shape.max {
            self.violation(&value, name, &shorter_or_equal(shape.max));
        }
        if let Some(pattern) = shape.pattern
            && !text.chars().all(pattern.allows)
        {
            let constraint =
                format!("Member must satisfy regular expression pattern: {}", pattern.text);
            self.violation(&value, name, &constraint);
        }
    }

    pub(crate) fn required_text(&mut self, name: &str, shape: Text) -> Result<String, ApiError> {
        let text = self.text(name, shape)?;
        Ok(self.required(name, text))
    }

    /// A string out of a closed set; answers with the set's own copy.
    pub(crate) fn choice(
        &mut self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(name, Text::length(0, usize::MAX))? else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|choice| **choice == text).copied();
        if chosen.is_none() {
            let set = choices.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{set}]");
            self.violation(&format!("Value '{text}'"), name, &constraint);
        }
        Ok(chosen)
    }

    /// A list of strings out of a closed set.
    pub(crate) fn choices(
        &mut self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<Option<Vec<String>>, ApiError> {
        let texts = self.texts(name, MAX_LIST, Text::length(0, usize::MAX))?;
        if texts.iter().flatten().any(|text| !choices.contains(&text.as_str())) {
            let shown = texts.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
            let set = choices.join(", ");
            let constraint = format!(
                "Member must satisfy constraint: [Member must satisfy enum value set: [{set}]]"
            );
            self.violation(&format!("Value '[{shown}]'"), name, &constraint);
        }
        Ok(texts)
    }

    pub(crate) fn integer(
        &mut self,
        name: &str,
        min: i64,
        max: i64,
    ) -> Result<Option<i64>, ApiError> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(other) => return Err(wrong_type(&other, "an integer")),
        };
        let integer = number
            .as_i64()
            .ok_or_else(|| ApiError::Serialization("Expected an integer, found a number".into()))?;
        let value = format!("Value '{integer}'");
        if integer < min {
            let constraint = format!("Member must have value greater than or equal to {min}");
            self.violation(&value, name, &constraint);
        }
        if integer > max {
            let constraint = format!("Member must have value less than or equal to {max}");
            self.violation(&value, name, &constraint);
        }
        Ok(Some(integer))
    }

    /// A time as seconds since 1970, with or without a fraction; answers with milliseconds.
    pub(crate) fn timestamp(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let seconds = number.as_f64().unwrap_or_default();
                // A cast of a float saturates, so that any number is some time.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "saturates"
                )]
                let milliseconds = (seconds * 1000.0) as u64;
                Ok(Some(milliseconds))
            }
            Some(other) => Err(wrong_type(&other, "a timestamp")),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(wrong_type(&other, "a boolean")),
        }
    }

    /// Bytes in base64. They may be secret: they are wiped when dropped and in no message.
    pub(crate) fn blob(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
        let Some(text) = self.base64(name)?.map(Zeroizing::new) else { return Ok(None) };
        self.decode(name, &text, min, max).map(|bytes| Some(Zeroizing::new(bytes)))
    }

    fn base64(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&other, "a base64 string")),
        }
    }

    fn decode(
        &mut self,
        name: &str,
        text: &str,
        min: usize,
        max: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let bytes = BASE64
            .decode(text)
            .map_err(|_| ApiError::Serialization(format!("{name} is not base64")))?;
        if bytes.len() < min {
            self.violation("Value", name, &longer_or_equal(min));
        }
        if bytes.len() > max {
            self.violation("Value", name, &shorter_or_equal(max));
        }
        Ok(bytes)
    }

    /// A blob that is no secret: a large one is spared the wiping.
    pub(crate) fn required_public_blob(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let blob = match self.base64(name)? {
            Some(text) => Some(self.decode(name, &text, min, max)?),
            None => None,
        };
        Ok(self.required(name, blob))
    }

    pub(crate) fn required_blob(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let blob = self.blob(name, min, max)?;
        Ok(self.required(name, blob))
    }

    /// An `EncryptionContextType`: names and values are strings, 8 KiB together.
    pub(crate) fn encryption_context(&mut self, name: &str) -> Result<EncryptionContext, ApiError> {
        let members = match self.take(name) {
            None => return Ok(EncryptionContext::default()),
            Some(Value::Object(members)) => members,
            Some(other) => return Err(wrong_type(&other, "a map")),
        };
        let mut size = 0usize;
        let mut pairs = Vec::with_capacity(members.len());
        for (key, value) in members {
            let Value::String(value) = value else {
                return Err(wrong_type(&value, "a string"));
            };
            size = size.saturating_add(key.len()).saturating_add(value.len());
            pairs.push((key, value));
        }
        if size > MAX_CONTEXT {
            self.violation("Value", name, &shorter_or_equal(MAX_CONTEXT));
        }
        Ok(pairs.into_iter().collect())
    }

    /// A nested structure; its members are read with the same rules and messages.
    pub(crate) fn structure(&mut self, name: &str) -> Result<Option<Fields>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self { members, violations: Vec::new() })),
            Some(other) => Err(wrong_type(&other, "a structure")),
        }
    }

    /// The first `max` items of a list.
    fn list(&mut self, name: &str, max: usize) -> Result<Option<Vec<Value>>, ApiError> {
        let mut items = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(wrong_type(&other, "a list")),
        };
        if items.len() > max {
            self.violation("Value", name, &shorter_or_equal(max));
            items.truncate(max);
        }
        Ok(Some(items))
    }

    /// A list of structures: at most `max` of them.
    pub(crate) fn structures(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<Option<Vec<Fields>>, ApiError> {
        let Some(items) = self.list(name, max)? else { return Ok(None) };
        let structure = |item| match item {
            Value::Object(members) => Ok(Self { members, violations: Vec::new() }),
            other => Err(wrong_type(&other, "a structure")),
        };
        items.into_iter().map(structure).collect::<Result<_, _>>().map(Some)
    }

    /// `DryRun`, and `GrantTokens` as AWS bounds them. A grant is in force as soon as it is made, so
    /// that its token changes no decision.
    pub(crate) fn options(&mut self) -> Result<Options, ApiError> {
        self.grant_tokens()?;
        Ok(Options { dry_run: self.boolean("DryRun")? })
    }

    /// [`Fields::options`] of an operation that has no dry run.
    pub(crate) fn grant_tokens(&mut self) -> Result<Options, ApiError> {
        self.texts("GrantTokens", GRANT_TOKENS, GRANT_TOKEN)?;
        Ok(Options::default())
    }

    /// A list of strings: at most `max` of them.
    pub(crate) fn texts(
        &mut self,
        name: &str,
        max: usize,
        shape: Text,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(items) = self.list(name, max)? else { return Ok(None) };
        let mut texts = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let Value::String(text) = item else { return Err(wrong_type(&item, "a string")) };
            let member = format!("{name}.{}.member", at.saturating_add(1));
            self.check_text(&member, &text, shape);
            texts.push(text);
        }
        Ok(Some(texts))
    }

    /// Takes over what was wrong in a nested structure named `name`.
    pub(crate) fn absorb(&mut self, name: &str, nested: Fields) {
        let place = format!("at '{}.", camel(name));
        let moved = nested.violations.into_iter().map(|text| text.replacen("at '", &place, 1));
        self.violations.extend(moved);
    }

    pub(crate) fn required<T: Default>(&mut self, name: &str, value: Option<T>) -> T {
        if value.is_none() {
            self.violation("Value null", name, "Member must not be null");
        }
        value.unwrap_or_default()
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    fn violation(&mut self, value: &str, name: &str, constraint: &str) {
        let place = camel(name);
        self.violations
            .push(format!("{value} at '{place}' failed to satisfy constraint: {constraint}"));
    }
}

fn longer_or_equal(min: usize) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn shorter_or_equal(max: usize) -> String {
    format!("Member must have length less than or equal to {max}")
}

/// AWS names members in messages with a small first letter.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn wrong_type(found: &Value, expected: &str) -> ApiError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure",
    };
    ApiError::Serialization(format!("Expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests;
