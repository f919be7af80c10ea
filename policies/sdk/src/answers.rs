//! Answers, made in one expression.

use crate::{Answer, Approvals, Decision, Obligation, Pair};

/// The operation may go on, as far as this policy is concerned.
pub fn allow() -> Answer {
    answer(Decision::Allow)
}

/// The operation may not go on. The reason goes into the audit record; the caller
/// does not see it.
pub fn deny(reason: impl Into<String>) -> Answer {
    answer(Decision::Deny(reason.into()))
}

/// This policy does not speak of the request. Where nothing else allows it, it is
/// refused.
pub fn no_opinion() -> Answer {
    answer(Decision::NoOpinion)
}

/// Adds an annotation for the audit record.
pub fn annotate(mut answer: Answer, name: impl Into<String>, value: impl Into<String>) -> Answer {
    answer.obligations.push(Obligation::Annotate(Pair { name: name.into(), value: value.into() }));
    answer
}

/// Lets the operation go on only when members of a group have approved it.
pub fn require_approvals(mut answer: Answer, approvals: Approvals) -> Answer {
    answer.obligations.push(Obligation::RequireApprovals(approvals));
    answer
}

/// No opinion, except that what the account's identity policies allow may happen.
pub fn delegate_to_account() -> Answer {
    let mut answer = no_opinion();
    answer.obligations.push(Obligation::DelegateToAccount);
    answer
}

/// Adds a line for the policy's author, shown by the simulator alone.
pub fn log(mut answer: Answer, line: impl Into<String>) -> Answer {
    answer.log.push(line.into());
    answer
}

fn answer(decision: Decision) -> Answer {
    Answer { decision, obligations: Vec::new(), log: Vec::new() }
}
