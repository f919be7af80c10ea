//! CreatePrincipal, DeletePrincipal, ListPrincipals: Sekisho's own, after IAM's users.

use super::tags::read_tags;
use super::{Input, MARKER, limit, page, seconds, tags};
use crate::api::{AccountResource, ApiError, Facts, Fields, Pattern, Text};
use crate::authorize::Permit;
use crate::principals::Principal;
use crate::principals::store::ChangeError;
use crate::service::Service;
use serde_json::{Value, json};

/// `userNameType` of IAM's service model.
pub(super) const PRINCIPAL_NAME: Text = Text {
    min: 1,
    max: 64,
    pattern: Some(Pattern {
        text: "[\\w+=,.@-]+",
        allows: |letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter),
    }),
};
/// Whose access keys are asked for: a principal's, or `:root`'s, the account's root.
pub(super) const KEY_HOLDER: Text = Text {
    min: 1,
    max: 64,
    pattern: Some(Pattern {
        text: "[\\w+=,.@-]+|:root",
        allows: |letter| letter.is_ascii_alphanumeric() || "_+=,.@-:".contains(letter),
    }),
};
/// IAM's default page and largest page of users, the latter less what one answer should hold.
const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1000;
pub(super) const NAME: &str = "PrincipalName";

pub(crate) struct CreatePrincipal {
    name: String,
    tags: Vec<(String, String)>,
}

impl Input for CreatePrincipal {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = fields.required_text(NAME, PRINCIPAL_NAME)?;
        Ok(Self { name, tags: read_tags(fields)? })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let Self { name, tags } = self;
        let principal = Principal { name, created: permit.time(), tags, keys: Vec::new() };
        let answer = json!({ "Principal": description(service, &principal) });
        let name = principal.name.clone();
        let created = service.credentials.principals.create(principal).await;
        created.map_err(|error| refusal(error, &name))?;
        Ok(answer)
    }

    fn check(&self) -> Result<(), ApiError> {
        tags::check(&self.tags)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name)).tags(&self.tags)
    }
}

pub(crate) struct DeletePrincipal {
    name: String,
}

impl Input for DeletePrincipal {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text(NAME, PRINCIPAL_NAME)? })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let deleted = service.credentials.principals.delete(&self.name).await;
        deleted.map_err(|error| refusal(error, &self.name))?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name))
    }
}

pub(crate) struct ListPrincipals {
    limit: usize,
    after: Option<String>,
}

impl Input for ListPrincipals {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            limit: limit(fields, DEFAULT_LIMIT, MAX_LIMIT)?,
            after: fields.text("Marker", MARKER)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let principals = &service.credentials.principals;
        let names = principals.names(self.after.as_deref(), self.limit.saturating_add(1));
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            // A principal may go between the listing and this look.
            found.extend(principals.by_name(&name).await?);
        }
        Ok(page(
            found,
            self.limit,
            "Principals",
            |principal| principal.name.clone(),
            |principal| description(service, principal),
        ))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

fn description(service: &Service, principal: &Principal) -> Value {
    json!({
        "PrincipalName": principal.name,
        "Arn": service.keys.place.principal_arn(&principal.name),
        "CreateDate": seconds(principal.created),
        "Tags": principal.tags.iter().map(tags::description).collect::<Vec<_>>(),
    })
}

/// A refused change in IAM's words.
pub(super) fn refusal(error: ChangeError, name: &str) -> ApiError {
    match error {
        ChangeError::Exists => {
            ApiError::EntityAlreadyExists(format!("Principal with name {name} already exists."))
        }
        ChangeError::NoSuchPrincipal => {
            ApiError::NotFound(format!("The principal with name {name} cannot be found."))
        }
        ChangeError::NoSuchAccessKey => ApiError::NotFound(format!(
            "The principal with name {name} has no access key with this id."
        )),
        error @ (ChangeError::HasAccessKeys
        | ChangeError::HasPolicies
        | ChangeError::LastRootKey) => ApiError::DeleteConflict(format!("{name}: {error}.")),
        error @ (ChangeError::TooManyPrincipals | ChangeError::TooManyAccessKeys) => {
            ApiError::LimitExceeded(format!("{name}: {error}."))
        }
        ChangeError::Fault(fault) => fault.into(),
        ChangeError::Random(error) => error.into(),
    }
}
