//! Version 0.1.0 of the contract: an answer with one kind of obligation. The rest is as it is now,
//! and types of components are compared by their structure.

use super::{Answer, Decision, Obligation, Pair};
use wasmtime::component::{ComponentType, Lift};

/// What `evaluate` returns.
pub(crate) type EvaluateResult = (OlderAnswer,);

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OlderAnswer {
    decision: Decision,
    obligations: Vec<OlderObligation>,
    log: Vec<String>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum OlderObligation {
    #[component(name = "annotate")]
    Annotate(Pair),
}

impl From<OlderAnswer> for Answer {
    fn from(older: OlderAnswer) -> Self {
        let obligations = older.obligations.into_iter();
        Self {
            decision: older.decision,
            obligations: obligations
                .map(|OlderObligation::Annotate(pair)| Obligation::Annotate(pair))
                .collect(),
            log: older.log,
        }
    }
}
