//! The policies as a decision needs them.

use crate::configuration::{Configuration, NamedPolicy};
use crate::mentions::Mentions;
use crate::names::Types;
use crate::{question, rebuild};
use cedar_policy_core::ast::{Effect, Expr, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use sekisho_policy::{Answer, Request, allow, annotate, deny, no_opinion};

/// What the policies come to. Built anew from what was parsed, and sharing nothing with it, so that it
/// is its own memory's image.
#[derive(Debug)]
pub struct Rules {
    pub(crate) types: Types,
    pub(crate) mentions: Mentions,
    /// The groups of each principal that is in one, by its ARN.
    pub(crate) groups: Vec<(String, Vec<String>)>,
    forbids: Vec<Rule>,
    permits: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    condition: Expr,
}

/// What some policies of one effect say.
#[derive(Default)]
struct Verdict<'a> {
    /// The first that holds.
    holds: Option<&'a str>,
    /// The first that cannot be evaluated, and why.
    failed: Option<(&'a str, String)>,
}

impl Rules {
    pub(crate) fn of(configuration: &Configuration) -> Option<Self> {
        let rules = |effect: Effect| -> Option<Vec<Rule>> {
            let policies = configuration.policies.iter().filter(|policy| policy.effect == effect);
            policies.map(Rule::of).collect()
        };
        let (forbids, permits) = (rules(Effect::Forbid)?, rules(Effect::Permit)?);
        let mut mentions = Mentions::default();
        for rule in forbids.iter().chain(&permits) {
            mentions.add(&rule.condition);
        }
        let groups = configuration.groups.iter();
        let groups = groups.map(|(arn, groups)| (arn.clone(), groups.clone())).collect();
        Some(Self { types: configuration.types.anew()?, mentions, groups, forbids, permits })
    }

    pub(crate) fn decide(&self, request: &Request) -> Answer {
        let question = match question::pose(self, request) {
            Ok(question) => question,
            Err(reason) => return deny(reason),
        };
        let evaluator = question.evaluator();
        let forbids = verdict(&self.forbids, &evaluator);
        if let Some(name) = forbids.holds {
            return deny(["forbidden by ", name].concat());
        }
        let permits = verdict(&self.permits, &evaluator);
        if let Some((name, error)) = forbids.failed.or(permits.failed) {
            let reason = [name, " cannot be evaluated: ", &error].concat();
            return deny(reason.get(..reason.floor_char_boundary(1000)).unwrap_or_default());
        }
        match permits.holds {
            Some(name) => annotate(allow(), "policy", name),
            None => no_opinion(),
        }
    }

    /// The groups that a principal is in.
    pub(crate) fn groups_of(&self, arn: &str) -> &[String] {
        let found = self.groups.binary_search_by(|(member, _)| member.as_str().cmp(arn));
        let found = found.ok().and_then(|at| self.groups.get(at));
        found.map_or(&[], |(_, groups)| groups)
    }
}

impl Rule {
    fn of(policy: &NamedPolicy) -> Option<Self> {
        let condition = rebuild::expression(&policy.condition)?;
        Some(Self { name: policy.name.clone(), condition })
    }
}

fn verdict<'a>(rules: &'a [Rule], evaluator: &Evaluator<'_>) -> Verdict<'a> {
    let mut verdict = Verdict::default();
    let no_slots = SlotEnv::new();
    for Rule { name, condition } in rules {
        let failure = match evaluator.interpret(condition, &no_slots).map(|value| value.value) {
            Ok(ValueKind::Lit(Literal::Bool(false))) => continue,
            Ok(ValueKind::Lit(Literal::Bool(true))) => {
                verdict.holds.get_or_insert(name);
                continue;
            }
            Ok(_) => "it is neither true nor false".into(),
            Err(error) => error.to_string(),
        };
        verdict.failed.get_or_insert((name, failure));
    }
    verdict
}
