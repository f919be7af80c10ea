//! The outcome of a decision.

use crate::contract::{Answer, Approvals, Decision, Obligation, Pair};
use crate::engine::ModuleDigest;
use crate::sandbox::Failure;

/// The outcome of one decision. It always has an answer, and it says allow only if the
/// component did.
#[derive(Debug, Clone)]
pub struct Evaluation {
    module: ModuleDigest,
    answer: Answer,
    fuel: u64,
    failure: Option<Failure>,
}

impl Evaluation {
    pub(crate) fn new(module: ModuleDigest, answer: Result<Answer, Failure>, fuel: u64) -> Self {
        let (answer, failure) = match answer {
            Ok(answer) => (answer, None),
            Err(failure) => (denied(&failure), Some(failure)),
        };
        Self { module, answer, fuel, failure }
    }

    /// The module that decided.
    pub fn module(&self) -> ModuleDigest {
        self.module
    }

    /// Allow, deny or no opinion.
    pub fn decision(&self) -> &Decision {
        &self.answer.decision
    }

    /// The whole answer: the decision, obligations and lines for the author.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The annotations for the audit record.
    pub fn annotations(&self) -> impl Iterator<Item = &Pair> {
        self.answer.obligations.iter().filter_map(|obligation| match obligation {
            Obligation::Annotate(pair) => Some(pair),
            Obligation::RequireApprovals(_) | Obligation::DelegateToAccount => None,
        })
    }

    /// The approvals that the operation needs, each of them.
    pub fn approvals(&self) -> impl Iterator<Item = &Approvals> {
        self.answer.obligations.iter().filter_map(|obligation| match obligation {
            Obligation::RequireApprovals(approvals) => Some(approvals),
            Obligation::Annotate(_) | Obligation::DelegateToAccount => None,
        })
    }

    /// Whether it leaves the decision to the account's identity policies: no opinion, with the
    /// obligation that says so.
    pub fn delegates_to_account(&self) -> bool {
        matches!(self.answer.decision, Decision::NoOpinion)
            && self.answer.obligations.contains(&Obligation::DelegateToAccount)
    }

    /// Fuel used.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Why there is no answer from the component; the decision is a deny then.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The proof that a policy allowed the request.
    ///
    /// # Errors
    ///
    /// The evaluation itself, if its decision is not allow.
    pub fn into_permit(self) -> Result<Permit, Box<Evaluation>> {
        match self.answer.decision {
            Decision::Allow => Ok(Permit { evaluation: self }),
            Decision::Deny(_) | Decision::NoOpinion => Err(Box::new(self)),
        }
    }
}

fn denied(failure: &Failure) -> Answer {
    Answer {
        decision: Decision::Deny(failure.to_string()),
        obligations: Vec::new(),
        log: Vec::new(),
    }
}

/// The proof that a policy allowed a request: only an [`Evaluation`] that says allow
/// becomes one. Not `Clone`, so that one decision permits one operation.
#[derive(Debug)]
pub struct Permit {
    evaluation: Evaluation,
}

impl Permit {
    /// The evaluation behind it.
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }
}
