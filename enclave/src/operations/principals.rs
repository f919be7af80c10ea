//! CreatePrincipal, DeletePrincipal, ListPrincipals: Sekisho's own, after IAM's users.

use super::tags::read_tags;
use super::{MARKER, page, seconds, tags};
use crate::api::{AccountResource, ApiError, Fields, Input, Pattern, Subject, Text};
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
pub(super) const NAME: &str = "PrincipalName";

pub(crate) struct CreatePrincipal {
    name: String,
    tags: Vec<(String, String)>,
}

impl CreatePrincipal {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = fields.required_text(NAME, PRINCIPAL_NAME)?;
        Ok(Self { name, tags: read_tags(fields)? })
    }

    pub(crate) async fn perform(
        self,
        service: &Service,
        permit: Permit,
    ) -> Result<Value, ApiError> {
        let Self { name, tags } = self;
        let principal = Principal { name, created: permit.time(), tags, keys: Vec::new() };
        let answer = json!({ "Principal": description(service, &principal) });
        let name = principal.name.clone();
        let created = service.credentials.principals.create(principal).await;
        created.map_err(|error| refusal(error, &name))?;
        Ok(answer)
    }
}

impl Input for CreatePrincipal {
    fn check(&self) -> Result<(), ApiError> {
        tags::check(&self.tags)
    }

    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }
}

pub(crate) struct DeletePrincipal {
    name: String,
}

impl DeletePrincipal {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text(NAME, PRINCIPAL_NAME)? })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let deleted = service.credentials.principals.delete(&self.name).await;
        deleted.map_err(|error| refusal(error, &self.name))?;
        Ok(json!({}))
    }
}

impl Input for DeletePrincipal {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }
}

pub(crate) struct ListPrincipals {
    limit: usize,
    after: Option<String>,
}

impl ListPrincipals {
    /// IAM's default page and largest page of users, the latter less what one answer should hold.
    const DEFAULT_LIMIT: i64 = 100;
    const MAX_LIMIT: i64 = 1000;

    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let limit = fields.integer("Limit", 1, Self::MAX_LIMIT)?.unwrap_or(Self::DEFAULT_LIMIT);
        let limit = usize::try_from(limit).unwrap_or_default();
        Ok(Self { limit, after: fields.text("Marker", MARKER)? })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
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
}

impl Input for ListPrincipals {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Any)
    }
}

fn description(service: &Service, principal: &Principal) -> Value {
    let tag = |(name, value): &(String, String)| json!({ "TagKey": name, "TagValue": value });
    json!({
        "PrincipalName": principal.name,
        "Arn": service.keys.place.user_arn(&principal.name),
        "CreateDate": seconds(principal.created),
        "Tags": principal.tags.iter().map(tag).collect::<Vec<_>>(),
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
        error @ ChangeError::HasAccessKeys => ApiError::DeleteConflict(format!("{name}: {error}.")),
        error @ (ChangeError::TooManyPrincipals | ChangeError::TooManyAccessKeys) => {
            ApiError::LimitExceeded(format!("{name}: {error}."))
        }
        ChangeError::Fault(fault) => fault.into(),
        ChangeError::Random(error) => error.into(),
    }
}
