//! JSON for configurations, without floating-point numbers.
//!
//! The engine runs policies with floats switched off, so a general JSON library,
//! which parses numbers to `f64`, does not even compile to an admissible module.
//! Numbers stay text here. RFC 8259, stricter in two points: a name may occur once
//! in an object, because a second one is either a mistake or an attempt to have two
//! readers see two policies; and values nest at most [`DEPTH`] deep, because each
//! level is a call on a small stack.

mod cursor;

pub use cursor::{Cursor, with};

use crate::ConfigurationError;

/// How deep arrays and objects may nest. An AWS policy document nests five deep.
pub const DEPTH: usize = 32;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A string, its escapes resolved.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object's members in the order in which they were written, each name once.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What kind of value this is, for an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads one JSON text.
///
/// # Errors
///
/// The byte at which it stops being JSON, as the place (`byte 17`), and why.
pub fn parse(text: &[u8]) -> Result<Value, ConfigurationError> {
    let text =
        core::str::from_utf8(text).map_err(|error| wrong(error.valid_up_to(), "is not UTF-8"))?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.wrong("something follows the JSON value")),
    }
}

fn wrong(at: usize, reason: &str) -> ConfigurationError {
    ConfigurationError { place: ["byte ", &at.to_string()].concat(), reason: reason.into() }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, ConfigurationError>;

impl Parser<'_> {
    fn wrong(&self, reason: &str) -> ConfigurationError {
        wrong(self.at, reason)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at = self.at.saturating_add(1);
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth > DEPTH {
            return Err(self.wrong("nests too deep"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.wrong("is not a JSON value")),
            None => Err(self.wrong("ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        match self.text.get(self.at..) {
            Some(rest) if rest.starts_with(word) => {
                self.at = self.at.saturating_add(word.len());
                Ok(value)
            }
            _ => Err(self.wrong("is not a JSON value")),
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        self.next();
        let mut members: Vec<(String, Value)> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a name in double quotes is expected"));
            }
            let name = self.string()?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err(wrong(start, "this name is in the object already"));
            }
            self.space();
            if !self.eat(b':') {
                return Err(self.wrong("a colon is expected"));
            }
            let value = self.value(depth.saturating_add(1))?;
            members.push((name, value));
            self.space();
            if self.eat(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.wrong("a comma or the end of the object is expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Value> {
        self.next();
        let mut values = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value(depth.saturating_add(1))?);
            self.space();
            if self.eat(b']') {
                return Ok(Value::Array(values));
            }
            if !self.eat(b',') {
                return Err(self.wrong("a comma or the end of the array is expected"));
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        self.next();
        let mut string = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at = self.at.saturating_add(1);
            }
            // The loop stops at ASCII alone, so the slice ends between characters.
            string.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.next();
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return Err(self.wrong("a control character must be escaped")),
                None => return Err(self.wrong("the string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        self.next();
        Ok(match self.next() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(wrong(start, "is no escape of JSON")),
        })
    }

    /// `\uXXXX`, or two of them for a character above U+FFFF.
    fn unicode(&mut self, start: usize) -> Parsed<char> {
        let lone = || wrong(start, "half a surrogate pair");
        let first = self.four_digits(start)?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(lone);
        }
        if first >= 0xdc00 || !self.eat(b'\\') || !self.eat(b'u') {
            return Err(lone());
        }
        let second = self.four_digits(start)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone());
        }
        let character = 0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff);
        char::from_u32(character).ok_or_else(lone)
    }

    fn four_digits(&mut self, start: usize) -> Parsed<u32> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            match digit {
                Some(digit) => value = value << 4 | digit,
                None => return Err(wrong(start, "four hexadecimal digits are expected")),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Value::Number(text.into()))
    }

    fn digits(&mut self) -> Parsed<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.wrong("a digit is expected"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at = self.at.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().place
    }

    #[test]
    fn reads_every_kind_of_value() {
        let text = br#" {"a":[1,-0.5e+7,true,false,null],"b":"x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u00fc","c":{}} "#;
        let Value::Object(members) = parse(text).unwrap() else {
            panic!("an object");
        };
        assert_eq!(
            members[0].1,
            Value::Array(vec![
                Value::Number("1".into()),
                Value::Number("-0.5e+7".into()),
                Value::Bool(true),
                Value::Bool(false),
                Value::Null
            ])
        );
        let escaped = "x\"\\/\u{8}\u{c}\n\r\té😀ü";
        assert_eq!(members[1].1, Value::String(escaped.into()));
        assert_eq!(members[2].1, Value::Object(vec![]));
    }

    #[test]
    fn names_the_byte_at_which_it_stops_being_json() {
        for (text, place) in [
            ("", "byte 0"),
            ("[1,]", "byte 3"),
            ("{\"a\":1,}", "byte 7"),
            ("{\"a\":1 \"b\":2}", "byte 7"),
            ("{\"a\" 1}", "byte 5"),
            ("\"abc", "byte 4"),
            ("\"a\nb\"", "byte 2"),
            ("\"\\x\"", "byte 1"),
            ("\"\\ud800\"", "byte 1"),
            ("\"\\udc00\"", "byte 1"),
            ("\"\\u12g4\"", "byte 1"),
            ("01", "byte 1"),
            ("-", "byte 1"),
            ("1.", "byte 2"),
            ("tru", "byte 0"),
            ("1 2", "byte 2"),
        ] {
            assert_eq!(place_of(text), place, "{text}");
        }
        assert_eq!(parse(b"\"\xff\"").unwrap_err().place, "byte 1");
    }

    #[test]
    fn a_repeated_name_is_refused() {
        assert_eq!(place_of(r#"{"a":1,"\u0061":2}"#), "byte 7");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEPTH + 1).as_bytes()).is_ok());
        assert!(parse(nested(DEPTH + 2).as_bytes()).is_err());
        assert!(parse("[".repeat(60_000).as_bytes()).is_err());
    }
}
