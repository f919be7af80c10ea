//! The text that a host hands over: the worker's options, one `name = value` a line.
//!
//! ```text
//! # a comment
//! region = eu-central-1
//! account = 111122223333
//! ```
//!
//! Names are those of the command line without their dashes, so each option has one type, one
//! set of errors and one place, however a worker is started.

use std::iter;
use thiserror::Error;

/// The arguments that a command line with these options would have, the program's name first.
///
/// Empty lines and those that begin with `#` do not count. A value goes from the first character
/// behind `=` that is no space to the last, and is not quoted.
///
/// # Errors
/// The first line that is not of this form.
pub(crate) fn arguments(text: &str) -> Result<Vec<String>, InvalidOption> {
    let lines = text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line.trim()));
    let options = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let arguments = options.map(|(number, line)| argument(number, line));
    iter::once(Ok(env!("CARGO_PKG_NAME").to_owned())).chain(arguments).collect()
}

fn argument(number: usize, line: &str) -> Result<String, InvalidOption> {
    let (name, value) = line.split_once('=').ok_or(InvalidOption::Form { line: number })?;
    let (name, value) = (name.trim_end(), value.trim_start());
    let in_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !is_name || !name.bytes().all(in_a_name) {
        return Err(InvalidOption::Name { line: number });
    }
    if value.is_empty() {
        return Err(InvalidOption::Empty { line: number });
    }
    if value.chars().any(char::is_control) {
        return Err(InvalidOption::Control { line: number });
    }
    Ok(format!("--{name}={value}"))
}

/// A line that is no option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidOption {
    /// No `=`.
    #[error("line {line} is not of the form name = value")]
    Form {
        /// From 1.
        line: usize,
    },
    /// No option can be called so.
    #[error("line {line} does not begin with the name of an option, without dashes before it")]
    Name {
        /// From 1.
        line: usize,
    },
    /// Nothing behind `=`.
    #[error("line {line} has no value")]
    Empty {
        /// From 1.
        line: usize,
    },
    /// A character that no value has.
    #[error("line {line} has a control character in its value")]
    Control {
        /// From 1.
        line: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_arguments() {
        let text =
            "\n# a comment\nregion = eu-central-1\r\n  account=111122223333  \nquota = A=1/10";
        assert_eq!(
            arguments(text).unwrap(),
            [
                "sekisho-enclave",
                "--region=eu-central-1",
                "--account=111122223333",
                "--quota=A=1/10"
            ]
        );
        assert_eq!(arguments("").unwrap(), ["sekisho-enclave"]);
    }

    #[test]
    fn each_malformation_names_its_line() {
        for (text, error) in [
            ("a = 1\nregion", InvalidOption::Form { line: 2 }),
            ("--region = eu-central-1", InvalidOption::Name { line: 1 }),
            ("-h = 1", InvalidOption::Name { line: 1 }),
            ("= 1", InvalidOption::Name { line: 1 }),
            ("re gion = 1", InvalidOption::Name { line: 1 }),
            ("Region = 1", InvalidOption::Name { line: 1 }),
            ("\n\nregion =  ", InvalidOption::Empty { line: 3 }),
            ("region = a\u{7}b", InvalidOption::Control { line: 1 }),
            ("region = a\rb", InvalidOption::Control { line: 1 }),
        ] {
            assert_eq!(arguments(text), Err(error), "{text:?}");
        }
    }
}
