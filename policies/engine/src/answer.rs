//! The bounds of an answer.

use crate::contract::{Answer, ConfigurationError, Decision, Obligation};
use crate::limits::AnswerLimits;
use crate::sandbox::{Failure, Part};

/// Passes an answer on if every part of it is within its bound.
pub(crate) fn bounded(answer: Answer, limits: &AnswerLimits) -> Result<Answer, Failure> {
    if let Decision::Deny(reason) = &answer.decision {
        within(reason.len(), limits.reason, Part::Reason)?;
    }
    within(answer.obligations.len(), limits.obligations, Part::Obligations)?;
    for obligation in &answer.obligations {
        let Obligation::Annotate(pair) = obligation;
        within(pair.name.len(), limits.annotation, Part::Annotation)?;
        within(pair.value.len(), limits.annotation, Part::Annotation)?;
    }
    within(answer.log.len(), limits.log_lines, Part::Log)?;
    for line in &answer.log {
        within(line.len(), limits.log_line, Part::Log)?;
    }
    Ok(answer)
}

/// Passes a refusal on if it is short enough to be shown.
pub(crate) fn bounded_refusal(
    refusal: ConfigurationError,
    limits: &AnswerLimits,
) -> Result<ConfigurationError, Failure> {
    within(refusal.place.len(), limits.reason, Part::Place)?;
    within(refusal.reason.len(), limits.reason, Part::Reason)?;
    Ok(refusal)
}

pub(crate) fn within(size: usize, limit: usize, part: Part) -> Result<(), Failure> {
    if size > limit {
        return Err(Failure::Oversized(part));
    }
    Ok(())
}

/// `text`, cut to at most `limit` bytes between characters.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text.get(..end).unwrap_or_default().to_owned()
}
