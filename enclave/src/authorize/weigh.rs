//! The order in which policies are asked about one thing, and what comes of their answers
//! (docs/policies.md has it as a table).

use crate::api::Denial;
use crate::audit::AuditedDecision;
use crate::keys::grants::Grant;
use crate::keys::policy::KeyPolicy;
use crate::principals::policies::PrincipalPolicy;
use sekisho_policy_engine::{Approvals, Decision, Evaluation, Pair, Permit as Allowed, Request};

/// Who has a say.
pub(super) struct Policies<'a> {
    /// The service's, where there is one.
    pub(super) guardrail: Option<&'a KeyPolicy>,
    /// The key's, or the account's.
    pub(super) policy: &'a KeyPolicy,
    /// The principal's own.
    pub(super) principal: &'a [PrincipalPolicy],
}

/// A yes, and who gave it.
pub(super) struct Leave {
    source: Source,
    /// What the guardrail said, which did not deny.
    guardrail: Option<Evaluation>,
    needed: Vec<Approvals>,
}

enum Source {
    Policy(Allowed),
    /// Grants, any of them, where the policy had no opinion. Never empty.
    Grants {
        grants: Vec<Grant>,
        silent: Box<Evaluation>,
    },
    /// An identity policy, where the key's or the account's left it to those.
    Principal {
        name: String,
        allowed: Allowed,
    },
}

/// A no. The caller is told which kind of policy it comes from, the audit log alone all of it.
pub(super) struct No {
    pub(super) denial: Denial,
    pub(super) decision: AuditedDecision,
    pub(super) reason: String,
}

/// Asks them in their order; the first denial ends it.
pub(super) fn weigh(
    policies: &Policies<'_>,
    grants: &[&Grant],
    request: &Request,
) -> Result<Leave, No> {
    let mut needed = Vec::new();
    let mut ask = |policy: &KeyPolicy, who: &str, denial: Denial| {
        let evaluation = policy.policy.evaluate(request);
        if let Some(reason) = why_denied(&evaluation) {
            return Err(No {
                denial,
                decision: audited(&evaluation, false),
                reason: [who, &reason].concat(),
            });
        }
        needed.extend(evaluation.approvals().cloned());
        Ok(evaluation)
    };
    let guardrail = policies
        .guardrail
        .map(|policy| ask(policy, "guardrail: ", Denial::ByGuardrail))
        .transpose()?;
    let own = ask(policies.policy, "", Denial::ByResourcePolicy)?;
    let mut by_principal = None;
    for PrincipalPolicy { name, policy } in policies.principal {
        let who = format!("policy {name} of the principal: ");
        let evaluation = ask(policy, &who, Denial::ByIdentityPolicy)?;
        if by_principal.is_none()
            && let Ok(allowed) = evaluation.into_permit()
        {
            by_principal = Some(Source::Principal { name: name.clone(), allowed });
        }
    }
    let delegated = own.delegates_to_account();
    let source = match own.into_permit() {
        Ok(allowed) => Source::Policy(allowed),
        Err(silent) if !grants.is_empty() => {
            Source::Grants { grants: grants.iter().copied().cloned().collect(), silent }
        }
        Err(silent) => by_principal.filter(|_| delegated).ok_or_else(|| No {
            denial: match delegated {
                true => Denial::NoIdentityPolicy,
                false => Denial::NoResourcePolicy,
            },
            decision: audited(&silent, false),
            reason: "no policy allows it".into(),
        })?,
    };
    Ok(Leave { source, guardrail, needed })
}

/// Why it denies, if it does: it says so, or it failed.
fn why_denied(evaluation: &Evaluation) -> Option<String> {
    match (evaluation.failure(), evaluation.decision()) {
        (Some(failure), _) => Some(failure.to_string()),
        (None, Decision::Deny(reason)) => Some(reason.clone()),
        (None, Decision::NoOpinion | Decision::Allow) => None,
    }
}

fn audited(evaluation: &Evaluation, allowed: bool) -> AuditedDecision {
    AuditedDecision {
        allowed,
        module: evaluation.module().to_string(),
        annotations: annotations(evaluation).collect(),
    }
}

fn annotations(evaluation: &Evaluation) -> impl Iterator<Item = (String, String)> {
    evaluation.annotations().map(|Pair { name, value }| (name.clone(), value.clone()))
}

impl Leave {
    /// The grants that let them, where no policy did.
    pub(super) fn granted(&self) -> Option<&[Grant]> {
        match &self.source {
            Source::Grants { grants, .. } => Some(grants),
            Source::Policy(_) | Source::Principal { .. } => None,
        }
    }

    /// The approvals that are needed beside it.
    pub(super) fn needed(&self) -> &[Approvals] {
        &self.needed
    }

    /// With the annotations of who decided and of the guardrail, and with what else decided.
    pub(super) fn audited(&self) -> AuditedDecision {
        let (evaluation, more) = match &self.source {
            Source::Policy(allowed) => (allowed.evaluation(), None),
            Source::Grants { grants, silent } => {
                let first = grants.first().map(|grant| ("grant".into(), grant.id.clone()));
                (silent.as_ref(), first)
            }
            Source::Principal { name, allowed } => {
                (allowed.evaluation(), Some(("principal-policy".into(), name.clone())))
            }
        };
        let mut decision = audited(evaluation, true);
        decision.annotations.extend(more);
        if let Some(guardrail) = &self.guardrail {
            decision.annotations.push(("guardrail".into(), guardrail.module().to_string()));
            decision.annotations.extend(annotations(guardrail));
        }
        decision
    }
}

#[cfg(test)]
mod tests;
