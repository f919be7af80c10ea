//! ReplicateKey, UpdatePrimaryRegion.

use super::keys::{DESCRIPTION, metadata};
use super::tags::{self, read_tags};
use super::{Input, KEY_ID, POLICY};
use crate::api::{AccountResource, ApiError, Facts, Fields, Form, Second, Subject, Text};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::multi_region::Family;
use crate::keys::policy::default_document;
use crate::keys::store::{HeldKey, StoreFault, key_write};
use crate::service::Service;
use serde_json::{Value, json};
use std::borrow::Cow;

/// `RegionType` of AWS's service model.
const REGION: Text = Text::length(1, 32);

fn region(fields: &mut Fields, name: &str) -> Result<String, ApiError> {
    let region = fields.formed_text(name, REGION, Form::REGION)?;
    Ok(fields.required(name, region))
}

/// Refuses a key that is not the primary key of its Region's relatives.
pub(super) fn check_primary(key: &Key, arn: &str) -> Result<(), ApiError> {
    if key.is_primary() {
        return Ok(());
    }
    Err(ApiError::UnsupportedOperation(format!("{arn} is not a multi-Region primary key.")))
}

pub(crate) struct ReplicateKey {
    key_id: String,
    region: String,
    policy: Option<String>,
    bypass_lockout_check: bool,
    description: String,
    tags: Vec<(String, String)>,
}

impl ReplicateKey {
    /// The service in the replica's Region.
    fn there(&self, service: &Service) -> Result<Service, ApiError> {
        let there = service.in_region(&self.region).map(Cow::into_owned);
        there.ok_or_else(|| {
            ApiError::UnsupportedOperation(format!(
                "Region {} is not served. This service is in {}.",
                self.region,
                service.regions.join(", ")
            ))
        })
    }
}

impl Input for ReplicateKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let tags = read_tags(fields)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            region: region(fields, "ReplicaRegion")?,
            policy: fields.text("Policy", POLICY)?,
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
            description: fields.text("Description", DESCRIPTION)?.unwrap_or_default(),
            tags,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        tags::check(&self.tags)
    }

    /// As in AWS, who replicates a key makes a key: the account is asked for that.
    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
            .and_account(AccountResource::Any)
            .of_account("kms:CreateKey")
            .parameter("BypassPolicyLockoutSafetyCheck", self.bypass_lockout_check)
            .parameter("ReplicaRegion", &self.region)
            .tags_of_new_key(&self.tags, &self.region)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        check_primary(&held.key, &held.arn)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let there = self.there(service)?;
        let Self { region, policy, bypass_lockout_check, description, tags, .. } = self;
        let (held, now) = (permit.key()?, permit.time());
        let replica =
            |primary: &Key| primary.replica(&region, now, description.clone(), tags.clone());
        let document = policy.unwrap_or_else(|| default_document(&there.keys.place.root_arn()));
        let copy = replica(&held.key);
        let policy = permit.new_policy(&there, &copy, &[], &document, bypass_lockout_check).await?;
        let mut made = None;
        let replicate = |family: &mut Family| {
            let primary = family.own();
            check(primary, held, &permit)?;
            if there.keys.place.region == service.keys.place.region
                || family.relative(&region).is_some()
            {
                let arn = there.keys.place.key_arn(primary.id);
                return Err(ApiError::ReplicaExists { arn });
            }
            there.keys.modules.check_kept(&policy.digest)?;
            let replica = replica(primary);
            let write = key_write(&replica, &policy, &[]).map_err(StoreFault::from)?;
            family.add(&region);
            made = Some(replica);
            Ok::<_, ApiError>(there.keys.localized(vec![write]))
        };
        service.keys.change_family(held.key.id, replicate).await?;
        let made = made.ok_or(ApiError::Internal)?;
        Ok(json!({
            "ReplicaKeyMetadata": metadata(&there.keys.place, &made, now),
            "ReplicaPolicy": document,
            "ReplicaTags": made.tags.iter().map(tags::description).collect::<Vec<_>>(),
        }))
    }
}

/// Between the permit and a change another request may have changed the key: what was checked is
/// looked at again.
fn check(primary: &Key, held: &HeldKey, permit: &Permit) -> Result<(), ApiError> {
    primary.state_at(permit.time()).check(permit.operation().needed_state(), &held.arn)?;
    check_primary(primary, &held.arn)
}

pub(crate) struct UpdatePrimaryRegion {
    key_id: String,
    region: String,
}

impl Input for UpdatePrimaryRegion {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            region: region(fields, "PrimaryRegion")?,
        })
    }

    /// As in AWS, both keys' policies are asked.
    fn facts(&self) -> Facts<'_> {
        let subject = Subject::Related { key_id: &self.key_id, region: &self.region };
        Facts::of(Subject::Key(&self.key_id))
            .and(Second { subject, actions: None, encryption_context: None })
            .parameter("PrimaryRegion", &self.region)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        check_primary(&held.key, &held.arn)?;
        if permit.second_key().is_ok_and(|replica| replica.arn == held.arn) {
            return Err(ApiError::UnsupportedOperation(format!(
                "{} is already the multi-Region primary key.",
                held.arn
            )));
        }
        Ok(())
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let there = service.keys.place.in_region(&self.region).key_arn(held.key.id);
        let promote = |family: &mut Family| {
            check(family.own(), held, &permit)?;
            let found = family.relative(&self.region).filter(|_| permit.second_key().is_ok());
            let replica =
                found.ok_or_else(|| ApiError::NotFound(format!("Key '{there}' does not exist")))?;
            replica
                .key
                .state_at(permit.time())
                .check(permit.operation().needed_state(), &replica.arn)?;
            family.promote(&self.region);
            Ok::<_, ApiError>(Vec::new())
        };
        service.keys.change_family(held.key.id, promote).await?;
        Ok(json!({}))
    }
}
