//! What a policy is asked, in the contract's words.

use super::Case;
use super::question::Question;
use crate::api::{Facts, Recipient};
use crate::credentials::Caller;
use crate::keys::Key;
use crate::keys::grants::Grant;
use crate::keys::multi_region::MultiRegion;
use crate::service::Service;
use sekisho_policy_engine::{Pair, Principal, Request};

/// The condition key `kms:MultiRegionKeyType`: `PRIMARY` or `REPLICA`.
pub(crate) const MULTI_REGION_KEY_TYPE: &str = "MultiRegionKeyType";
/// The condition key `aws:RequestedRegion`, of what has no ARN with a Region in it.
const REQUESTED_REGION: &str = "RequestedRegion";

pub(super) fn request(
    service: &Service,
    case: &Case<'_>,
    question: &Question<'_>,
    grants: &[&Grant],
) -> Request {
    let covering = |grant: &&Grant| sekisho_policy_engine::Grant {
        id: grant.id.clone(),
        name: grant.terms.name.clone(),
    };
    let key = question.key;
    Request {
        action: question.action.into(),
        resource: question.resource.clone(),
        principal: principal(service, case.caller),
        key: key.map(|held| policy_key(held.arn.clone(), &held.key, &held.aliases)),
        encryption_context: question
            .encryption_context
            .map(|context| context.iter().map(pair).collect())
            .unwrap_or_default(),
        parameters: parameters(
            case.facts,
            question.key_id,
            key.and_then(|held| held.key.multi_region.as_ref()),
            requested_region(&question.resource, &service.keys.place.region),
        ),
        attestation: case.papers.as_ref().map(|papers| papers.attestation().to_policy()),
        grants: grants.iter().map(covering).collect(),
        time: case.time,
        source_ip: case.source.map(|source| source.to_string()),
    }
}

/// The operation's own parameters, the key as the caller named it (`kms:RequestAlias` reads it), how a
/// recipient wants its answer, what a multi-Region key is among its relatives, and the Region that the
/// resource does not name, by rising name.
fn parameters(
    facts: &Facts<'_>,
    key_id: Option<&str>,
    multi_region: Option<&MultiRegion>,
    region: Option<&str>,
) -> Vec<Pair> {
    let own = facts.parameters.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
    let key_id = key_id.map(|key_id| ("KeyId", key_id));
    let recipient = facts.recipient.map(|found| (Recipient::ALGORITHM, found.algorithm.name()));
    let key_type = multi_region.map(|found| (MULTI_REGION_KEY_TYPE, found.key_type()));
    let region = region.map(|region| (REQUESTED_REGION, region));
    let own = own.chain(key_id).chain(recipient);
    let mut parameters: Vec<_> = own.chain(key_type).chain(region).collect();
    parameters.sort_unstable();
    parameters.into_iter().map(pair).collect()
}

/// The Region of a request about what names none: `*`, and principals.
fn requested_region<'a>(resource: &str, region: &'a str) -> Option<&'a str> {
    let named = resource.split(':').nth(3).is_some_and(|region| !region.is_empty());
    (!named).then_some(region)
}

pub(super) fn principal(service: &Service, caller: &Caller) -> Principal {
    let account = service.keys.place.account.clone();
    let tags = caller.tags().iter().map(|(name, value)| pair((name, value))).collect();
    Principal { arn: caller.arn().to_owned(), account, tags }
}

pub(super) fn policy_key(arn: String, key: &Key, aliases: &[String]) -> sekisho_policy_engine::Key {
    sekisho_policy_engine::Key {
        arn,
        spec: key.spec.name().into(),
        usage: key.usage.name().into(),
        origin: key.origin.name().into(),
        state: key.state.name().into(),
        aliases: aliases.to_vec(),
        tags: key.tags.iter().map(|(name, value)| pair((name, value))).collect(),
    }
}

fn pair((name, value): (&str, &str)) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Subject;

    #[test]
    fn a_policy_is_told_what_a_multi_region_key_is_among_its_relatives() {
        let primary = MultiRegion::primary("eu-central-1");
        let replica = MultiRegion { own: "us-east-1".into(), ..primary.clone() };
        let facts = Facts::of(Subject::Named("alias/a"))
            .parameter("ReplicaRegion", "us-east-1")
            .parameter("KeySpec", "HMAC_256");
        for (multi_region, wanted) in
            [(None, None), (Some(&primary), Some("PRIMARY")), (Some(&replica), Some("REPLICA"))]
        {
            let told = parameters(&facts, Some("alias/a"), multi_region, None);
            assert!(told.is_sorted_by(|one, next| one.name <= next.name), "{told:?}");
            let value = |name: &str| {
                told.iter().find(|pair| pair.name == name).map(|pair| pair.value.as_str())
            };
            assert_eq!(value("MultiRegionKeyType"), wanted);
            assert_eq!(value("ReplicaRegion"), Some("us-east-1"));
            assert_eq!(value("KeyId"), Some("alias/a"));
        }
    }

    #[test]
    fn a_policy_is_told_the_region_that_the_resource_does_not_name() {
        for (resource, told) in [
            ("*", true),
            ("arn:aws:iam::111122223333:user/ada", true),
            ("arn:aws:kms:eu-central-1:111122223333:alias/a", false),
            ("arn:aws:kms:eu-central-1:111122223333:key/1", false),
        ] {
            let region = requested_region(resource, "eu-central-1");
            assert_eq!(region.is_some(), told, "{resource}");
            let pairs = parameters(&Facts::default(), None, None, region);
            let found = pairs.iter().find(|pair| pair.name == "RequestedRegion");
            assert_eq!(found.map(|pair| pair.value.as_str()), told.then_some("eu-central-1"));
        }
    }
}
