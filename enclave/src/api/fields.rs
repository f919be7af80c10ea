//! Reads the members of a JSON 1.1 request against the constraints of AWS's service model.
//!
//! A member of the wrong JSON type is a `SerializationException`; members that break a constraint
//! are collected, and [`Fields::finish`] answers with all of them, as AWS does.

mod constraints;
mod forms;
mod lists;

pub(crate) use constraints::{Pattern, Text};
pub(crate) use forms::Form;

use super::error::ApiError;
use super::facts::Options;
use crate::keys::context::EncryptionContext;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use constraints::{longer_or_equal, satisfying, shorter_or_equal};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Total size of an encryption context, AWS's limit for a symmetric key's context.
const MAX_CONTEXT: usize = 8192;

/// `GrantTokenList` and `GrantTokenType` of AWS's service model.
const GRANT_TOKENS: usize = 10;
pub(crate) const GRANT_TOKEN: Text = Text::length(1, 8192);

/// Items of a list whose length AWS's service model leaves open; far more than there are choices.
const MAX_LIST: usize = 100;

/// The members of a request that have not been read yet, and what was wrong with the others.
pub(crate) struct Fields {
    members: Map<String, Value>,
    violations: Vec<String>,
    /// Said if no constraint is broken.
    refusal: Option<ApiError>,
}

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self::of(members)),
            Ok(_) => Err(ApiError::Serialization("Start of structure or map expected".into())),
            // The parser's own text may repeat the caller's bytes; its position is enough.
            Err(error) => Err(ApiError::Serialization(format!(
                "The body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            ))),
        }
    }

    fn of(members: Map<String, Value>) -> Self {
        Self { members, violations: Vec::new(), refusal: None }
    }

    /// Call after the last member: all violations at once.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match (self.violations, self.refusal) {
            (violations, None) if violations.is_empty() => Ok(()),
            (violations, Some(refusal)) if violations.is_empty() => Err(refusal),
            (violations, _) => Err(ApiError::Constraints(violations)),
        }
    }

    /// Reads on what the service model does not know of; a refusal waits for what the model says of
    /// the other members.
    pub(crate) fn understood<T: Default>(&mut self, read: Result<T, ApiError>) -> T {
        read.unwrap_or_else(|refusal| {
            self.refusal.get_or_insert(refusal);
            T::default()
        })
    }

    pub(crate) fn text(&mut self, name: &str, shape: Text) -> Result<Option<String>, ApiError> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong_type(&other, "a String")),
        };
        self.check_text(name, &format!("Value '{text}'"), &text, shape);
        Ok(Some(text))
    }

    /// A string whose pattern is about all of it.
    pub(crate) fn formed_text(
        &mut self,
        name: &str,
        shape: Text,
        form: Form,
    ) -> Result<Option<String>, ApiError> {
        let text = self.text(name, shape)?;
        if let Some(text) = text.as_ref().filter(|text| !(form.matches)(text)) {
            self.violation(&format!("Value '{text}'"), name, &satisfying(form.text));
        }
        Ok(text)
    }

    /// A string that the service model calls sensitive: it is wiped, and in no message.
    pub(crate) fn sensitive_text(
        &mut self,
        name: &str,
        shape: Text,
    ) -> Result<Option<Zeroizing<String>>, ApiError> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => Zeroizing::new(text),
            Some(other) => return Err(wrong_type(&other, "a String")),
        };
        self.check_text(name, "Value", &text, shape);
        Ok(Some(text))
    }

    fn check_text(&mut self, name: &str, value: &str, text: &str, shape: Text) {
        for constraint in shape.broken_by(text) {
            self.violation(value, name, &constraint);
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
        // After a violation any will do: that it is there is not to be missed as well.
        Ok(chosen.or_else(|| choices.first().copied()))
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
            Some(other) => return Err(wrong_type(&other, "an Integer")),
        };
        let integer =
            number.as_i64().ok_or_else(|| wrong_type(&Value::Number(number), "an Integer"))?;
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
            Some(other) => Err(wrong_type(&other, "a Boolean")),
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
            Some(other) => Err(wrong_type(&other, "a Blob")),
        }
    }

    fn decode(
        &mut self,
        name: &str,
        text: &str,
        min: usize,
        max: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let bytes = BASE64.decode(text).map_err(|_| {
            ApiError::Serialization(format!("{name} can not be converted to a Blob"))
        })?;
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

    /// A blob that the service model calls sensitive.
    pub(crate) fn required_sensitive_blob(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let blob = self.blob(name, min, max)?;
        Ok(self.required_sensitive(name, blob))
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
                return Err(wrong_type(&value, "a String"));
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
            Some(Value::Object(members)) => Ok(Some(Self::of(members))),
            Some(other) => Err(wrong_type(&other, "a structure")),
        }
    }

    /// `DryRun`, and `GrantTokens` as AWS bounds them. A grant is in force as soon as it is made, so
    /// that its token changes no decision, and nobody looks into it.
    pub(crate) fn options(&mut self) -> Result<Options, ApiError> {
        self.grant_tokens()?;
        Ok(Options { dry_run: self.boolean("DryRun")?, ..Options::default() })
    }

    /// [`Fields::options`] and `DryRunModifiers`, of an operation that opens a ciphertext.
    pub(crate) fn decrypting_options(&mut self) -> Result<Options, ApiError> {
        let options = self.options()?;
        let modifiers = self.choices("DryRunModifiers", &["IGNORE_CIPHERTEXT"])?;
        // A modifier says something of a dry run alone.
        let ignores_ciphertext = options.dry_run && modifiers.is_some_and(|list| !list.is_empty());
        Ok(Options { ignores_ciphertext, ..options })
    }

    /// [`Fields::options`] of an operation that has no dry run.
    pub(crate) fn grant_tokens(&mut self) -> Result<Options, ApiError> {
        self.texts("GrantTokens", GRANT_TOKENS, GRANT_TOKEN)?;
        Ok(Options::default())
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

    /// [`Fields::required`] of a member that the service model calls sensitive.
    pub(crate) fn required_sensitive<T: Default>(&mut self, name: &str, value: Option<T>) -> T {
        if value.is_none() {
            self.violation("Value", name, "Member must not be null");
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

/// AWS names members in messages with a small first letter.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What AWS's services say of a member of another JSON type.
fn wrong_type(found: &Value, expected: &str) -> ApiError {
    let token = match found {
        Value::Array(_) => {
            return ApiError::Serialization("Start of list found where not expected".into());
        }
        Value::Object(_) => {
            let text = "Start of structure or map found where not expected.";
            return ApiError::Serialization(text.into());
        }
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
    };
    ApiError::Serialization(match expected {
        "a list" => "Expected list or null".into(),
        "a map" => "Expected map or null".into(),
        "a structure" => "Expected null".into(),
        scalar => format!("{token} can not be converted to {scalar}"),
    })
}

#[cfg(test)]
mod tests;
