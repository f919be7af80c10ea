//! The rule in Cedar, by its own crate: the same policy that the stock policy `cedar` has, under the
//! same schema, and of each request what that schema says.

use crate::{USER, register};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};
use sekisho_policy_engine::{Attestation, AttestationKind, Key, Pair, Request as Contract};
use std::collections::HashSet;

pub fn policy() -> String {
    format!(
        r#"permit (principal == Sekisho::Principal::"{USER}",
            action == Sekisho::Action::"kms:Decrypt", resource)
        when {{ context has attestation.pcr0 && context.attestation.pcr0 == "{}"
            && context has attestation.pcr8 && context.attestation.pcr8 == "{}" }};"#,
        register(1),
        register(2),
    )
}

/// Names that were parsed before.
struct Names {
    principal: EntityTypeName,
    action: EntityTypeName,
    key: EntityTypeName,
    pairs: EntityTypeName,
}

impl Names {
    fn new() -> Self {
        let named = |name: &str| name.parse().unwrap();
        Self {
            principal: named("Sekisho::Principal"),
            action: named("Sekisho::Action"),
            key: named("Sekisho::Key"),
            pairs: named("Sekisho::Pairs"),
        }
    }

    fn pose(&self, request: &Contract) -> (Request, Entities) {
        let key = request.key.as_ref().unwrap();
        let principal = uid(&self.principal, &request.principal.arn);
        let action = uid(&self.action, &request.action);
        let resource = uid(&self.key, &key.arn);
        let (encryption_context, parameters) =
            (uid(&self.pairs, "encryptionContext"), uid(&self.pairs, "parameters"));
        let of_principal = [
            ("arn".to_owned(), text(&request.principal.arn)),
            ("account".to_owned(), text(&request.principal.account)),
        ];
        let group = uid(&self.action, "kms:*");
        let entities = [
            entity(&principal, of_principal, [], &request.principal.tags),
            entity(&resource, of_key(key), [], &key.tags),
            entity(&action, [], [group], &[]),
            entity(&encryption_context, [], [], &request.encryption_context),
            entity(&parameters, [], [], &request.parameters),
        ];
        let context = self.context(request, encryption_context, parameters);
        let request = Request::new(principal, action, resource, context, None).unwrap();
        (request, Entities::from_entities(entities, None).unwrap())
    }

    fn context(&self, request: &Contract, encryption: EntityUid, parameters: EntityUid) -> Context {
        let grants = request.grants.iter().map(|grant| text(&grant.id));
        let mut context = vec![
            ("encryptionContext".to_owned(), RestrictedExpression::new_entity_uid(encryption)),
            ("parameters".to_owned(), RestrictedExpression::new_entity_uid(parameters)),
            ("time".to_owned(), clock(request.time)),
            ("grants".to_owned(), RestrictedExpression::new_set(grants)),
        ];
        let attestation = request.attestation.as_ref().map(measured);
        context.extend(attestation.map(|value| ("attestation".to_owned(), value)));
        let address = request.source_ip.as_ref();
        context.extend(address.map(|address| ("sourceIp".to_owned(), text(address))));
        Context::from_pairs(context).unwrap()
    }
}

fn of_key(key: &Key) -> Vec<(String, RestrictedExpression)> {
    let aliases = key.aliases.iter().map(|alias| text(alias));
    let mut attributes: Vec<_> = [
        ("arn", &key.arn),
        ("spec", &key.spec),
        ("usage", &key.usage),
        ("origin", &key.origin),
        ("state", &key.state),
    ]
    .map(|(name, value)| (name.to_owned(), text(value)))
    .into();
    attributes.push(("aliases".to_owned(), RestrictedExpression::new_set(aliases)));
    attributes
}

fn measured(attestation: &Attestation) -> RestrictedExpression {
    let kind = match attestation.kind {
        AttestationKind::Enclave => "enclave",
        AttestationKind::NitroTpm => "nitro-tpm",
    };
    let age = i64::try_from(attestation.age).unwrap();
    let mut members = vec![
        ("kind".to_owned(), text(kind)),
        ("moduleId".to_owned(), text(&attestation.module_id)),
        ("age".to_owned(), RestrictedExpression::new_long(age)),
        ("nonceFresh".to_owned(), RestrictedExpression::new_bool(attestation.nonce_fresh)),
    ];
    let hex = |bytes: &Vec<u8>| base16ct::lower::encode_string(bytes);
    let digest = attestation.public_key_sha256.as_ref();
    members.extend(digest.map(|digest| ("publicKeySha256".to_owned(), text(digest))));
    let nonce = attestation.nonce.as_ref();
    members.extend(nonce.map(|nonce| ("nonce".to_owned(), text(&hex(nonce)))));
    let pcrs = attestation.pcrs.iter();
    members.extend(pcrs.map(|pcr| (format!("pcr{}", pcr.index), text(&pcr.value))));
    RestrictedExpression::new_record(members).unwrap()
}

/// Nobody's rule asks for the day, and what it costs to tell it is not Cedar's.
fn clock(milliseconds: u64) -> RestrictedExpression {
    let epoch = i64::try_from(milliseconds).unwrap();
    let members = [
        ("epoch", epoch),
        ("date", 20_260_922),
        ("hour", epoch / 3_600_000 % 24),
        ("minute", epoch / 60_000 % 60),
    ]
    .map(|(name, number)| (name.to_owned(), RestrictedExpression::new_long(number)));
    let weekday = ("weekday".to_owned(), text("Tuesday"));
    RestrictedExpression::new_record(members.into_iter().chain([weekday])).unwrap()
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn entity(
    uid: &EntityUid,
    attributes: impl IntoIterator<Item = (String, RestrictedExpression)>,
    parents: impl IntoIterator<Item = EntityUid>,
    tags: &[Pair],
) -> Entity {
    let tags = tags.iter().map(|pair| (pair.name.clone(), text(&pair.value)));
    let parents: HashSet<EntityUid> = parents.into_iter().collect();
    Entity::new_with_tags(uid.clone(), attributes, parents, tags).unwrap()
}

/// Its policy parsed before; its request made for each decision.
pub fn contender(contract: Contract) -> Box<dyn FnMut() -> bool> {
    let (policies, names): (PolicySet, _) = (policy().parse().unwrap(), Names::new());
    let authorizer = Authorizer::new();
    Box::new(move || {
        let (request, entities) = names.pose(&contract);
        authorizer.is_authorized(&request, &policies, &entities).decision() == Decision::Allow
    })
}

/// Its request made before too.
pub fn prebuilt(contract: &Contract) -> Box<dyn FnMut() -> bool> {
    let policies: PolicySet = policy().parse().unwrap();
    let authorizer = Authorizer::new();
    let (request, entities) = Names::new().pose(contract);
    Box::new(move || {
        authorizer.is_authorized(&request, &policies, &entities).decision() == Decision::Allow
    })
}
