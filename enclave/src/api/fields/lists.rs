//! Lists, and what is said of their items.

use super::constraints::{Text, longer_or_equal, shorter_or_equal};
use super::{ApiError, Fields, MAX_LIST, wrong_type};
use serde_json::Value;

impl Fields {
    /// A list of strings out of a closed set.
    pub(crate) fn choices(
        &mut self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<Option<Vec<String>>, ApiError> {
        self.some_choices(name, choices, 0, MAX_LIST)
    }

    /// [`Fields::choices`] of which there are at least `min` and at most `max`.
    pub(crate) fn some_choices(
        &mut self,
        name: &str,
        choices: &[&'static str],
        min: usize,
        max: usize,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(texts) = self.strings(name, min, max)? else { return Ok(None) };
        let constraint = format!("Member must satisfy enum value set: [{}]", choices.join(", "));
        let allowed = |text: &str| choices.contains(&text);
        self.check_items(name, &texts, allowed, &constraint);
        Ok(Some(texts))
    }

    /// A list of strings: at most `max` of them.
    pub(crate) fn texts(
        &mut self,
        name: &str,
        max: usize,
        shape: Text,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(texts) = self.strings(name, 0, max)? else { return Ok(None) };
        let allowed = |text: &str| shape.broken_by(text).is_empty();
        self.check_items(name, &texts, allowed, &shape.constraints());
        Ok(Some(texts))
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong_type(&other, "a list")),
        }
    }

    /// The first `max` strings of a list, of which there should be at least `min` and no more.
    fn strings(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let string = |item| match item {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(&other, "a String")),
        };
        let mut texts: Vec<String> = items.into_iter().map(string).collect::<Result<_, _>>()?;
        if texts.len() < min {
            self.violation(&shown(&texts), name, &longer_or_equal(min));
        }
        if texts.len() > max {
            self.violation(&shown(&texts), name, &shorter_or_equal(max));
            texts.truncate(max);
        }
        Ok(Some(texts))
    }

    /// One violation for the whole list, as AWS has it where the items are no structures.
    fn check_items(
        &mut self,
        name: &str,
        texts: &[String],
        allowed: impl Fn(&str) -> bool,
        constraints: &str,
    ) {
        if !texts.iter().all(|text| allowed(text)) {
            let constraint = format!("Member must satisfy constraint: [{constraints}]");
            self.violation(&shown(texts), name, &constraint);
        }
    }

    /// A list of structures: at most `max` of them.
    pub(crate) fn structures(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<Option<Vec<Fields>>, ApiError> {
        let Some(mut items) = self.list(name)? else { return Ok(None) };
        if items.len() > max {
            self.violation("Value", name, &shorter_or_equal(max));
            items.truncate(max);
        }
        let structure = |item| match item {
            Value::Object(members) => Ok(Self::of(members)),
            other => Err(wrong_type(&other, "a structure")),
        };
        items.into_iter().map(structure).collect::<Result<_, _>>().map(Some)
    }
}

/// A list as Java shows it.
fn shown(texts: &[String]) -> String {
    format!("Value '[{}]'", texts.join(", "))
}
