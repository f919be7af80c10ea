//! A value together with its place, so that every error says where.

use super::{Value, parse};
use crate::ConfigurationError;

/// The longest name that is repeated in a place; longer ones are cut.
const NAME_IN_PLACE: usize = 64;

/// A value in a configuration, and its place in it (`Statement[2].Action`).
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    value: &'a Value,
    place: String,
}

/// Reads `configuration` as JSON and hands the whole of it to `read`.
///
/// # Errors
///
/// Where it is not JSON, or what `read` finds wrong.
pub fn with<T>(
    configuration: &[u8],
    read: impl FnOnce(Cursor<'_>) -> Result<T, ConfigurationError>,
) -> Result<T, ConfigurationError> {
    let value = parse(configuration)?;
    read(Cursor { value: &value, place: String::new() })
}

impl<'a> Cursor<'a> {
    /// The value itself.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// An error at this place.
    pub fn error(&self, reason: impl Into<String>) -> ConfigurationError {
        ConfigurationError { place: self.place.clone(), reason: reason.into() }
    }

    fn expected(&self, what: &str) -> ConfigurationError {
        self.error([what, " is expected, not ", self.value.kind()].concat())
    }

    /// The members of an object.
    ///
    /// # Errors
    ///
    /// Something else stands here.
    pub fn object(&self) -> Result<Vec<(&'a str, Cursor<'a>)>, ConfigurationError> {
        let Value::Object(members) = self.value else {
            return Err(self.expected("an object"));
        };
        Ok(members.iter().map(|(name, value)| (name.as_str(), self.member(name, value))).collect())
    }

    /// The elements of an array.
    ///
    /// # Errors
    ///
    /// Something else stands here.
    pub fn array(&self) -> Result<Vec<Cursor<'a>>, ConfigurationError> {
        match self.value {
            Value::Array(values) => Ok(self.elements(values)),
            _ => Err(self.expected("an array")),
        }
    }

    /// The elements of an array, or the one value that stands here instead, as AWS
    /// policy documents allow.
    pub fn one_or_many(&self) -> Vec<Cursor<'a>> {
        match self.value {
            Value::Array(values) => self.elements(values),
            _ => vec![self.clone()],
        }
    }

    /// A string.
    ///
    /// # Errors
    ///
    /// Something else stands here.
    pub fn string(&self) -> Result<&'a str, ConfigurationError> {
        match self.value {
            Value::String(string) => Ok(string),
            _ => Err(self.expected("a string")),
        }
    }

    fn elements(&self, values: &'a [Value]) -> Vec<Cursor<'a>> {
        let element = |(index, value): (usize, &'a Value)| Cursor {
            value,
            place: [&self.place, "[", &index.to_string(), "]"].concat(),
        };
        values.iter().enumerate().map(element).collect()
    }

    fn member(&self, name: &str, value: &'a Value) -> Cursor<'a> {
        let mut end = name.len().min(NAME_IN_PLACE);
        while !name.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let name = name.get(..end).unwrap_or_default();
        let dot = if self.place.is_empty() { "" } else { "." };
        Cursor { value, place: [&self.place, dot, name].concat() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place() {
        let error = with(br#"{"a":[{"b":"x"},{"b":1}]}"#, |root| {
            for (_, list) in root.object()? {
                for element in list.array()? {
                    for (_, member) in element.object()? {
                        member.string()?;
                    }
                }
            }
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.place, "a[1].b");
        assert_eq!(error.reason, "a string is expected, not a number");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let text = ["{\"", &"é".repeat(63), "x\":{\"y\":1}}"].concat();
        let error = with(text.as_bytes(), |root| {
            let members = root.object()?;
            members[0].1.string().map(drop)
        })
        .unwrap_err();
        assert_eq!(error.place, "é".repeat(32));
    }
}
