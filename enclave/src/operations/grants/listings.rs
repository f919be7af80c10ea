//! ListGrants, ListRetirableGrants.

use super::super::{Input, KEY_ID, MARKER, limit, page, seconds};
use super::{GRANT_ID, PRINCIPAL, no_such_grant, service_principal};
use crate::api::{AccountResource, ApiError, Facts, Fields, Subject};
use crate::authorize::Permit;
use crate::keys::grants::{Constraint, Grant, GrantToken};
use crate::keys::id::KeyId;
use crate::keys::store::HeldKey;
use crate::service::Service;
use serde_json::{Value, json};
use std::sync::Arc;

/// AWS's default page, and its largest.
const PAGE: (i64, i64) = (50, 100);

pub(crate) struct ListGrants {
    key_id: String,
    grant_id: Option<String>,
    grantee: Option<String>,
    after: Option<String>,
    limit: usize,
}

impl Input for ListGrants {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let service = service_principal(fields, "GranteeServicePrincipal")?;
        let after = fields.text("Marker", MARKER)?;
        let is_id = |marker: &String| marker.len() == 64 && hex::decode(marker).is_ok();
        let is_marker = after.as_ref().is_none_or(is_id);
        fields.understood(if is_marker { Ok(()) } else { Err(ApiError::InvalidMarker) });
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            grant_id: fields.text("GrantId", GRANT_ID)?,
            // No grant is a service's.
            grantee: fields.text("GranteePrincipal", PRINCIPAL)?.or(service),
            after,
            limit: limit(fields, PAGE.0, PAGE.1)?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let wanted = |grant: &&Grant| {
            self.grant_id.as_ref().is_none_or(|id| *id == grant.id)
                && self.grantee.as_ref().is_none_or(|grantee| *grantee == grant.terms.grantee)
                && self.after.as_ref().is_none_or(|after| grant.id > *after)
        };
        let found = held.key.grants.iter().filter(wanted);
        let found: Vec<_> = found.take(self.limit.saturating_add(1)).collect();
        if let (Some(id), true) = (&self.grant_id, found.is_empty()) {
            return Err(no_such_grant(id));
        }
        let account = service.keys.place.root_arn();
        let item = |grant: &&Grant| description(&held.arn, &account, grant);
        Ok(page(found, self.limit, "Grants", |grant| grant.id.clone(), item))
    }
}

pub(crate) struct ListRetirableGrants {
    principal: Option<String>,
    after: Option<(KeyId, String)>,
    limit: usize,
}

impl Input for ListRetirableGrants {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let service = service_principal(fields, "RetiringServicePrincipal")?;
        let principal = fields.text("RetiringPrincipal", PRINCIPAL)?.or(service);
        let after = fields.text("Marker", MARKER)?;
        let after = after.map(|marker| GrantToken::read(&marker).ok_or(ApiError::InvalidMarker));
        let after = fields.understood(after.transpose());
        let after = after.map(|token| (token.key, token.grant));
        let limit = limit(fields, PAGE.0, PAGE.1)?;
        Ok(Self { principal, after, limit })
    }

    fn check(&self) -> Result<(), ApiError> {
        let missing = "Either RetiringPrincipal or RetiringServicePrincipal must be specified.";
        self.principal.as_ref().map(|_| ()).ok_or_else(|| ApiError::Validation(missing.into()))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let wanted = self.limit.saturating_add(1);
        let mut found = Vec::new();
        let principal = self.principal.as_deref().unwrap_or_default();
        for (key, id) in service.keys.retirable(principal, self.after.as_ref(), wanted) {
            // A grant may go between the listing and this look.
            if let Some(held) = service.keys.by_id(key).await? {
                found.extend(held.key.grant(&id).cloned().map(|grant| (held.clone(), grant)));
            }
        }
        let account = service.keys.place.root_arn();
        let marker = |(held, grant): &(Arc<HeldKey>, Grant)| {
            GrantToken { key: held.key.id, grant: grant.id.clone() }.to_marker()
        };
        Ok(page(found, self.limit, "Grants", marker, |(held, grant)| {
            description(&held.arn, &account, grant)
        }))
    }
}

fn description(arn: &str, account: &str, grant: &Grant) -> Value {
    let terms = &grant.terms;
    let mut entry = json!({
        "KeyId": arn,
        "GrantId": grant.id,
        "Name": terms.name.as_deref().unwrap_or_default(),
        "CreationDate": seconds(grant.created),
        "GranteePrincipal": terms.grantee,
        "IssuingAccount": account,
        "Operations": terms.operations,
    });
    let Some(members) = entry.as_object_mut() else { return entry };
    if let Some(retiring) = &terms.retiring {
        members.insert("RetiringPrincipal".into(), retiring.as_str().into());
    }
    if let Some(constraint) = &terms.constraint {
        let (name, pairs) = match constraint {
            Constraint::Subset(pairs) => ("EncryptionContextSubset", pairs),
            Constraint::Equals(pairs) => ("EncryptionContextEquals", pairs),
        };
        let pairs: serde_json::Map<String, Value> =
            pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        members.insert("Constraints".into(), json!({ name: pairs }));
    }
    entry
}
