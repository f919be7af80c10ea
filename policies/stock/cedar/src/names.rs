//! The names of the schema.

use crate::rebuild::type_of_entity;
use cedar_policy_core::FromNormalizedStr;
use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Name};
use smol_str::SmolStr;

/// The entity types of the schema, parsed once.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) account: EntityType,
    pub(crate) action: EntityType,
    pub(crate) group: EntityType,
    pub(crate) key: EntityType,
    pub(crate) pairs: EntityType,
    pub(crate) principal: EntityType,
}

impl Types {
    /// `None` only if one of these were no name.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            account: named("Sekisho::Account")?,
            action: named("Sekisho::Action")?,
            group: named("Sekisho::Group")?,
            key: named("Sekisho::Key")?,
            pairs: named("Sekisho::Pairs")?,
            principal: named("Sekisho::Principal")?,
        })
    }

    /// The same, sharing nothing with these.
    pub(crate) fn anew(&self) -> Option<Self> {
        Some(Self {
            account: type_of_entity(&self.account)?,
            action: type_of_entity(&self.action)?,
            group: type_of_entity(&self.group)?,
            key: type_of_entity(&self.key)?,
            pairs: type_of_entity(&self.pairs)?,
            principal: type_of_entity(&self.principal)?,
        })
    }
}

fn named(name: &str) -> Option<EntityType> {
    Name::from_normalized_str(name).ok().map(EntityType::from)
}

pub(crate) fn entity(of: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(of.clone(), Eid::new(SmolStr::new(id)), None)
}
