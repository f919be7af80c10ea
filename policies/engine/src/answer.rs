//! The bounds of an answer.

use crate::contract::{Answer, Approvals, ConfigurationError, Decision, Obligation};
use crate::limits::AnswerLimits;
use crate::sandbox::{Failure, Part};

/// In how many seconds approvals may have to come (`policies/wit/policy.wit`).
const APPROVAL_SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;

/// Passes an answer on if every part of it is within its bound.
pub(crate) fn bounded(answer: Answer, limits: &AnswerLimits) -> Result<Answer, Failure> {
    if let Decision::Deny(reason) = &answer.decision {
        within(reason.len(), limits.reason, Part::Reason)?;
    }
    within(answer.obligations.len(), limits.obligations, Part::Obligations)?;
    for obligation in &answer.obligations {
        match obligation {
            Obligation::Annotate(pair) => {
                within(pair.name.len(), limits.annotation, Part::Annotation)?;
                within(pair.value.len(), limits.annotation, Part::Annotation)?;
            }
            Obligation::RequireApprovals(approvals) => check(approvals, limits)?,
            Obligation::DelegateToAccount => {}
        }
    }
    within(answer.log.len(), limits.log_lines, Part::Log)?;
    for line in &answer.log {
        within(line.len(), limits.log_line, Part::Log)?;
    }
    Ok(answer)
}

/// Approvals that nobody could ever give are a mistake of the policy, and no operation goes on by
/// mistake.
fn check(approvals: &Approvals, limits: &AnswerLimits) -> Result<(), Failure> {
    let Approvals { group, members, needed, within: seconds } = approvals;
    within(group.len(), limits.group, Part::Approvals)?;
    within(members.len(), limits.members, Part::Approvals)?;
    for member in members {
        within(member.len(), limits.annotation, Part::Approvals)?;
    }
    let malformed = |rule: &str| Err(Failure::Malformed(["approvals: ", rule].concat()));
    let mut names: Vec<&str> = members.iter().map(String::as_str).collect();
    names.sort_unstable();
    if group.is_empty() {
        return malformed("the group has no name");
    }
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return malformed("a member is named twice");
    }
    if *needed == 0 || usize::from(*needed) > members.len() {
        return malformed("needed is 0, or more than the group has members");
    }
    if !APPROVAL_SECONDS.contains(seconds) {
        return malformed("within is not 60 to 604800 seconds");
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn approvals() -> Approvals {
        let members = vec!["arn:aws:iam::1:user/a".into(), "arn:aws:iam::1:user/b".into()];
        Approvals { group: "custodians".into(), members, needed: 2, within: 3600 }
    }

    fn asked(approvals: Approvals) -> Result<Answer, Failure> {
        let obligations = vec![Obligation::RequireApprovals(approvals)];
        let answer = Answer { decision: Decision::Allow, obligations, log: Vec::new() };
        bounded(answer, &AnswerLimits::default())
    }

    #[test]
    fn approvals_that_can_be_given_are_passed_on() {
        let answer = asked(approvals()).unwrap();
        assert_eq!(answer.obligations, [Obligation::RequireApprovals(approvals())]);
        for within in [60, 604_800] {
            assert!(asked(Approvals { within, ..approvals() }).is_ok());
        }
    }

    #[test]
    fn approvals_that_nobody_can_give_are_malformed() {
        let twice = vec!["arn:aws:iam::1:user/a".to_owned(); 2];
        for (approvals, rule) in [
            (Approvals { group: String::new(), ..approvals() }, "no name"),
            (Approvals { members: twice, ..approvals() }, "named twice"),
            (Approvals { members: Vec::new(), ..approvals() }, "more than the group has"),
            (Approvals { needed: 0, ..approvals() }, "needed is 0"),
            (Approvals { needed: 3, ..approvals() }, "more than the group has"),
            (Approvals { within: 59, ..approvals() }, "within"),
            (Approvals { within: 604_801, ..approvals() }, "within"),
        ] {
            let Err(Failure::Malformed(reason)) = asked(approvals) else { panic!("{rule}") };
            assert!(reason.contains(rule), "{reason}");
        }
    }

    #[test]
    fn large_groups_are_refused() {
        let many = (0..65).map(|number| number.to_string()).collect();
        for approvals in [
            Approvals { group: "g".repeat(129), ..approvals() },
            Approvals { members: many, ..approvals() },
            Approvals { members: vec!["a".repeat(1025), "b".into()], ..approvals() },
        ] {
            assert_eq!(asked(approvals), Err(Failure::Oversized(Part::Approvals)));
        }
    }
}
