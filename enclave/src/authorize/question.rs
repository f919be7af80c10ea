//! Which policies have a say about a request, and what each is asked.

use super::Case;
use crate::api::{AccountResource, Facts, Operation};
use crate::credentials::Caller;
use crate::keys::context::EncryptionContext;
use crate::keys::grants::Grant;
use crate::keys::policy::KeyPolicy;
use crate::keys::store::HeldKey;
use crate::service::Service;
use std::sync::Arc;

/// One policy, and what it is asked.
pub(super) struct Question<'a> {
    pub(super) policy: &'a KeyPolicy,
    pub(super) action: &'static str,
    pub(super) resource: String,
    pub(super) key: Option<&'a HeldKey>,
    /// The key as the caller named it.
    pub(super) key_id: Option<&'a str>,
    pub(super) encryption_context: Option<&'a EncryptionContext>,
    /// Whether it is about the tags of a key that is not made yet.
    pub(super) tags_new_key: bool,
}

impl<'a> Question<'a> {
    /// The key's grants that would allow it.
    pub(super) fn grants(&self, case: &Case<'_>) -> Vec<&'a Grant> {
        let principal = case.caller.arn();
        // A grant is about a key, and not about what of the account's is asked for beside it.
        let key = self.key.filter(|held| held.arn == self.resource);
        let all = key.into_iter().flat_map(|held| &held.key.grants);
        all.filter(|grant| match case.facts.grant {
            Some(retired) => grant.id == retired && grant.may_be_retired_by(principal),
            None => grant.covers(principal, self.action, self.encryption_context),
        })
        .collect()
    }
}

/// All that is asked about a request: of the account, of its first key, of its second.
pub(super) fn questions<'a>(service: &'a Service, case: &'a Case<'_>) -> Vec<Question<'a>> {
    // What a session makes would outlive it: it asks nothing of Sekisho's own, as in AWS the
    // credentials of GetSessionToken ask nothing of IAM.
    if case.caller.session().is_some() && case.operation.is_own() {
        return Vec::new();
    }
    let (facts, action) = (case.facts, case.operation.iam_action());
    let second = facts.second.as_ref();
    let (on_first, on_second) =
        second.and_then(|second| second.actions).unwrap_or((action, action));
    let of_key = |held: &'a Arc<HeldKey>, action, key_id, encryption_context| Question {
        policy: held.policy.as_ref(),
        action,
        resource: held.arn.clone(),
        key: Some(held.as_ref()),
        key_id,
        encryption_context,
        tags_new_key: false,
    };
    let key_id = facts.subject.key_id();
    let of_account = account_resource(service, facts, case.caller).map(|resource| Question {
        policy: &service.account_policy,
        action: facts.account_action.unwrap_or(action),
        resource,
        key: case.keys.first.as_deref(),
        key_id,
        encryption_context: facts.encryption_context,
        tags_new_key: false,
    });
    let place = &service.keys.place;
    let tagging = facts.tagged_in.map(|region| Question {
        policy: &service.account_policy,
        action: Operation::TagResource.iam_action(),
        resource: match region {
            "" => place.any_key_arn(),
            region => place.in_region(region).any_key_arn(),
        },
        key: None,
        key_id: None,
        encryption_context: None,
        tags_new_key: true,
    });
    let first = case.keys.first.as_ref();
    let first = first.map(|held| of_key(held, on_first, key_id, facts.encryption_context));
    let second = case.keys.second.as_ref().zip(second).map(|(held, second)| {
        of_key(held, on_second, second.subject.key_id(), second.encryption_context)
    });
    of_account.into_iter().chain(tagging).chain(first).chain(second).collect()
}

/// What of the account's is asked for, as policies name it.
pub(crate) fn account_resource(
    service: &Service,
    facts: &Facts<'_>,
    caller: &Caller,
) -> Option<String> {
    let place = &service.keys.place;
    facts.account_resource.map(|resource| match resource {
        AccountResource::Any => "*".to_owned(),
        AccountResource::Alias(name) => place.alias_arn(name),
        AccountResource::Principal(name) => place.principal_arn(name),
        AccountResource::Caller => caller.arn().to_owned(),
    })
}
