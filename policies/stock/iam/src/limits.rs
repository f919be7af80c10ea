//! What a document may contain. AWS bounds the whole (32 KiB for a key policy); these
//! bound the parts, so that a mistake is named at its place, and so that what a decision
//! costs is bounded.

use sekisho_policy::ConfigurationError;
use sekisho_policy::json::Cursor;

/// Statements of a document.
pub(crate) const STATEMENTS: usize = 512;
/// Principals of a statement.
pub(crate) const PRINCIPALS: usize = 1000;
/// Actions or resources of a statement; values of a condition.
pub(crate) const VALUES: usize = 1000;
/// Conditions of a statement.
pub(crate) const CONDITIONS: usize = 256;
/// Bytes of a Sid: it goes into reasons and annotations.
pub(crate) const SID: usize = 256;
/// Bytes of any other string. AWS's ARNs have at most 2048.
pub(crate) const STRING: usize = 4096;
/// Bytes of the state, as the contract bounds it. The state of a document is shorter than
/// the document, other than for lists of short IPv6 addresses and dates.
pub(crate) const STATE: usize = 64 * 1024;

/// A string of at most [`STRING`] bytes.
pub(crate) fn string<'a>(at: &Cursor<'a>) -> Result<&'a str, ConfigurationError> {
    let text = at.string()?;
    check_length(at, text)?;
    Ok(text)
}

pub(crate) fn check_length(at: &Cursor<'_>, text: &str) -> Result<(), ConfigurationError> {
    match text.len() <= STRING {
        true => Ok(()),
        false => Err(at.error("is longer than 4096 bytes")),
    }
}

/// That there is at least one, and not more than `most`.
pub(crate) fn check_count(
    at: &Cursor<'_>,
    count: usize,
    most: usize,
) -> Result<(), ConfigurationError> {
    match count {
        0 => Err(at.error("at least one value is needed")),
        count if count > most => {
            let reason =
                ["has ", &count.to_string(), "; at most ", &most.to_string(), " are taken"];
            Err(at.error(reason.concat()))
        }
        _ => Ok(()),
    }
}
