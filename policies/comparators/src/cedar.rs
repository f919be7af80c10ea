//! The rule in Cedar, by its own crate.

use crate::{KEY, USER, register};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request, RestrictedExpression,
};

fn policies() -> PolicySet {
    format!(
        r#"permit (principal == User::"{USER}", action == Action::"kms:Decrypt", resource)
        when {{ context has attestation
            && context.attestation.pcr0 == "{}" && context.attestation.pcr8 == "{}" }};"#,
        register(1),
        register(2),
    )
    .parse()
    .unwrap()
}

/// Types whose names were parsed before.
struct Types {
    user: EntityTypeName,
    action: EntityTypeName,
    key: EntityTypeName,
}

impl Types {
    fn new() -> Self {
        let named = |name: &str| name.parse().unwrap();
        Self { user: named("User"), action: named("Action"), key: named("Key") }
    }

    fn request(&self, pcr0: &str, pcr8: &str) -> Request {
        let text = |text: &str| RestrictedExpression::new_string(text.into());
        let uid = |of: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
        };
        let attestation = RestrictedExpression::new_record([
            ("pcr0".to_owned(), text(pcr0)),
            ("pcr8".to_owned(), text(pcr8)),
        ]);
        let encryption_context = RestrictedExpression::new_record([
            ("dataset".to_owned(), text("claims")),
            ("tenant".to_owned(), text("acme")),
        ]);
        let context = Context::from_pairs([
            ("attestation".to_owned(), attestation.unwrap()),
            ("encryptionContext".to_owned(), encryption_context.unwrap()),
            ("sourceIp".to_owned(), text("192.0.2.7")),
        ]);
        Request::new(
            uid(&self.user, USER),
            uid(&self.action, "kms:Decrypt"),
            uid(&self.key, KEY),
            context.unwrap(),
            None,
        )
        .unwrap()
    }
}

pub fn contender() -> Box<dyn FnMut() -> bool> {
    let (policies, types, entities) = (policies(), Types::new(), Entities::empty());
    let (authorizer, pcr0, pcr8) = (Authorizer::new(), register(1), register(2));
    Box::new(move || {
        let request = types.request(&pcr0, &pcr8);
        authorizer.is_authorized(&request, &policies, &entities).decision() == Decision::Allow
    })
}

pub fn prebuilt() -> Box<dyn FnMut() -> bool> {
    let (policies, entities, authorizer) = (policies(), Entities::empty(), Authorizer::new());
    let request = Types::new().request(&register(1), &register(2));
    Box::new(move || {
        authorizer.is_authorized(&request, &policies, &entities).decision() == Decision::Allow
    })
}
