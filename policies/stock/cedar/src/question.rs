//! A request in Cedar's terms: as much of it as the policies mention.

use crate::actions;
use crate::mentions::Mentions;
use crate::names::entity;
use crate::rules::Rules;
use cedar_policy_core::ast::{
    Context, Entity, EntityType, EntityUID, EntityUIDEntry, PartialValue, Request as CedarRequest,
    Value,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use sekisho_policy::{Attestation, AttestationKind, Pair, Request};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Who asks for what, and what is known of them.
pub(crate) struct Question {
    request: CedarRequest,
    entities: Entities,
}

impl Question {
    pub(crate) fn evaluator(&self) -> Evaluator<'_> {
        Evaluator::new(self.request.clone(), &self.entities, Extensions::none())
    }
}

type Attributes = Vec<(SmolStr, PartialValue)>;

/// Poses the question that the policies are asked.
///
/// # Errors
///
/// Why it cannot be put in Cedar's terms, which is a deny.
pub(crate) fn pose(rules: &Rules, request: &Request) -> Result<Question, &'static str> {
    let (types, mentions) = (&rules.types, &rules.mentions);
    let group = actions::group(&request.action, request.key.is_some())
        .ok_or("the schema of the policies has no such action on such a resource")?;
    let action = entity(&types.action, &request.action);
    let in_group = HashSet::from([entity(&types.action, group)]);
    let principal = principal(rules, request);
    let resource = resource(rules, request);
    let (who, what) = (principal.uid().clone(), resource.uid().clone());
    let mut entities = vec![principal, resource, plain(action.clone(), in_group)];
    let context = context(request, mentions, &types.pairs, &mut entities);
    let schema = None::<&NoEntitiesSchema>;
    let closed = TCComputation::AssumeAlreadyComputed;
    let entities = Entities::from_entities(entities, schema, closed, Extensions::none())
        .map_err(|_| "the request has two entities of one name")?;
    let known = |uid: EntityUID| EntityUIDEntry::known(uid, None);
    let context = Some(Context::Value(Arc::new(context)));
    let request = CedarRequest::new_unchecked(known(who), known(action), known(what), context);
    Ok(Question { request, entities })
}

fn principal(rules: &Rules, request: &Request) -> Entity {
    let (types, principal) = (&rules.types, &request.principal);
    let mut attributes = Attributes::new();
    text(&mut attributes, &rules.mentions, "arn", &principal.arn);
    text(&mut attributes, &rules.mentions, "account", &principal.account);
    let groups = rules.groups_of(&principal.arn).iter();
    let groups = groups.map(|group| entity(&types.group, group)).collect();
    let uid = entity(&types.principal, &principal.arn);
    described(uid, attributes, groups, tags(&rules.mentions, &principal.tags))
}

fn resource(rules: &Rules, request: &Request) -> Entity {
    let (types, mentions) = (&rules.types, &rules.mentions);
    let Some(key) = &request.key else {
        return plain(entity(&types.account, &request.principal.account), HashSet::new());
    };
    let mut attributes = Attributes::new();
    for (name, value) in [
        ("arn", &key.arn),
        ("spec", &key.spec),
        ("usage", &key.usage),
        ("origin", &key.origin),
        ("state", &key.state),
    ] {
        text(&mut attributes, mentions, name, value);
    }
    if mentions.attribute("aliases") {
        let aliases = key.aliases.iter().map(|alias| alias.as_str().into());
        attributes.push(("aliases".into(), Value::set(aliases, None).into()));
    }
    let uid = entity(&types.key, &key.arn);
    described(uid, attributes, HashSet::new(), tags(mentions, &key.tags))
}

fn context(
    request: &Request,
    mentions: &Mentions,
    pairs: &EntityType,
    entities: &mut Vec<Entity>,
) -> BTreeMap<SmolStr, Value> {
    let mut context = BTreeMap::new();
    for (name, of) in
        [("encryptionContext", &request.encryption_context), ("parameters", &request.parameters)]
    {
        if mentions.attribute(name) {
            let uid = entity(pairs, name);
            let tags = tags(mentions, of);
            entities.push(described(uid.clone(), Attributes::new(), HashSet::new(), tags));
            context.insert(name.into(), uid.into());
        }
    }
    if let Some(attestation) = &request.attestation
        && mentions.attribute("attestation")
    {
        context.insert("attestation".into(), record(measured(attestation, mentions)));
    }
    if mentions.attribute("time") {
        context.insert("time".into(), record(clock(request.time, mentions)));
    }
    if mentions.attribute("grants") {
        let grants = request.grants.iter().map(|grant| grant.id.as_str().into());
        context.insert("grants".into(), Value::set(grants, None));
    }
    if let Some(address) = &request.source_ip
        && mentions.attribute("sourceIp")
    {
        context.insert("sourceIp".into(), address.as_str().into());
    }
    context
}

fn measured(attestation: &Attestation, mentions: &Mentions) -> BTreeMap<SmolStr, Value> {
    let kind = match attestation.kind {
        AttestationKind::Enclave => "enclave",
        AttestationKind::NitroTpm => "nitro-tpm",
    };
    let mut record = BTreeMap::new();
    let mut put = |name: &str, value: &dyn Fn() -> Value| {
        if mentions.attribute(name) {
            record.insert(SmolStr::new(name), value());
        }
    };
    put("kind", &|| kind.into());
    put("moduleId", &|| attestation.module_id.as_str().into());
    put("age", &|| long(attestation.age));
    put("nonceFresh", &|| attestation.nonce_fresh.into());
    if let Some(nonce) = &attestation.nonce {
        put("nonce", &|| hex(nonce).into());
    }
    if let Some(data) = &attestation.user_data {
        put("userData", &|| hex(data).into());
    }
    if let Some(digest) = &attestation.public_key_sha256 {
        put("publicKeySha256", &|| digest.as_str().into());
    }
    for pcr in &attestation.pcrs {
        if let Some(name) = PCRS.get(usize::from(pcr.index)) {
            put(name, &|| pcr.value.as_str().into());
        }
    }
    record
}

/// The names of the registers.
const PCRS: [&str; 32] = [
    "pcr0", "pcr1", "pcr2", "pcr3", "pcr4", "pcr5", "pcr6", "pcr7", "pcr8", "pcr9", "pcr10",
    "pcr11", "pcr12", "pcr13", "pcr14", "pcr15", "pcr16", "pcr17", "pcr18", "pcr19", "pcr20",
    "pcr21", "pcr22", "pcr23", "pcr24", "pcr25", "pcr26", "pcr27", "pcr28", "pcr29", "pcr30",
    "pcr31",
];

fn clock(milliseconds: u64, mentions: &Mentions) -> BTreeMap<SmolStr, Value> {
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / DAY, seconds % DAY);
    let weekday = WEEKDAYS.get((days % 7) as usize).copied().unwrap_or_default();
    let mut record = BTreeMap::new();
    let mut put = |name: &str, value: Value| {
        if mentions.attribute(name) {
            record.insert(SmolStr::new(name), value);
        }
    };
    put("epoch", long(milliseconds));
    put("date", long(date(days)));
    put("hour", long(second / 3600));
    put("minute", long(second / 60 % 60));
    put("weekday", weekday.into());
    record
}

/// A day, counted from 1970, as the number `20261122` (the proleptic Gregorian calendar).
fn date(days: u64) -> u64 {
    // Counted from 1 March of the year 0, whose leap day ends a year; 400 years have 146 097 days.
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, later) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(later);
    year.saturating_mul(10_000).saturating_add(month * 100 + day_of_month)
}

fn record(members: BTreeMap<SmolStr, Value>) -> Value {
    Value::record_arc(Arc::new(members), None)
}

fn long(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(attributes: &mut Attributes, mentions: &Mentions, name: &str, value: &str) {
    if mentions.attribute(name) {
        attributes.push((name.into(), Value::from(value).into()));
    }
}

fn tags(mentions: &Mentions, pairs: &[Pair]) -> Attributes {
    if !mentions.tags {
        return Attributes::new();
    }
    let tag = |pair: &Pair| (SmolStr::new(&pair.name), Value::from(pair.value.as_str()).into());
    pairs.iter().map(tag).collect()
}

fn plain(uid: EntityUID, parents: HashSet<EntityUID>) -> Entity {
    described(uid, Attributes::new(), parents, Attributes::new())
}

fn described(
    uid: EntityUID,
    attributes: Attributes,
    parents: HashSet<EntityUID>,
    tags: Attributes,
) -> Entity {
    Entity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents, tags)
}
