//! CreateAlias, ListAliases.

use super::{KEY_ID, MARKER, page, seconds};
use crate::api::{AccountResource, ApiError, Fields, Input, Pattern, Subject, Text};
use crate::authorize::Permit;
use crate::keys::store::CreateAliasError;
use crate::service::Service;
use serde_json::{Value, json};

/// `AliasNameType` of AWS's service model.
const ALIAS_NAME: Text = Text {
    min: 1,
    max: 256,
    pattern: Some(Pattern {
        text: "^[a-zA-Z0-9:/_-]+$",
        allows: |letter| letter.is_ascii_alphanumeric() || ":/_-".contains(letter),
    }),
};

pub(crate) struct CreateAlias {
    name: String,
    target: String,
}

impl CreateAlias {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text("AliasName", ALIAS_NAME)?,
            target: fields.required_text("TargetKeyId", KEY_ID)?,
        })
    }

    pub(crate) async fn perform(
        self,
        service: &Service,
        permit: Permit,
    ) -> Result<Value, ApiError> {
        let target = permit.key()?.key.id;
        match service.keys.create_alias(&self.name, target, permit.time()).await {
            Ok(()) => Ok(json!({})),
            Err(CreateAliasError::Exists) => {
                Err(ApiError::AlreadyExists { arn: service.keys.place.alias_arn(&self.name) })
            }
            Err(error @ CreateAliasError::TooMany) => {
                Err(ApiError::LimitExceeded(error.to_string()))
            }
            Err(CreateAliasError::Fault(fault)) => Err(fault.into()),
        }
    }
}

impl Input for CreateAlias {
    fn check(&self) -> Result<(), ApiError> {
        match self.name.strip_prefix("alias/") {
            None | Some("") => Err(ApiError::InvalidAliasName("Invalid identifier")),
            Some(name) if name.starts_with("aws/") => Err(ApiError::InvalidAliasName(
                "Alias names with the prefix alias/aws/ are reserved",
            )),
            Some(name) if name.contains(':') => {
                Err(ApiError::InvalidAliasName("Alias contains invalid characters"))
            }
            Some(_) if self.target.contains("alias/") => {
                Err(ApiError::Validation("Aliases must refer to keys. Not aliases".into()))
            }
            Some(_) => Ok(()),
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject::Named(&self.target)
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Alias(&self.name))
    }
}

pub(crate) struct ListAliases {
    key_id: Option<String>,
    limit: usize,
    after: Option<String>,
}

impl ListAliases {
    /// AWS's default page.
    const DEFAULT_LIMIT: i64 = 50;
    /// AWS's largest page, below the service model's 1000.
    const MAX_LIMIT: i64 = 100;

    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let limit = fields.integer("Limit", 1, 1000)?.unwrap_or(Self::DEFAULT_LIMIT);
        let after = fields.text("Marker", MARKER)?;
        if after.as_ref().is_some_and(|marker| !marker.starts_with("alias/")) {
            return Err(ApiError::InvalidMarker);
        }
        let limit = usize::try_from(limit.min(Self::MAX_LIMIT)).unwrap_or_default();
        Ok(Self { key_id: fields.text("KeyId", KEY_ID)?, limit, after })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let place = &service.keys.place;
        let wanted = self.limit.saturating_add(1);
        let after = self.after.as_deref();
        let names = match &self.key_id {
            None => service.keys.alias_names(after, wanted),
            Some(key_id) => {
                let held = service.find(&place.parse(key_id)?).await?;
                let later = held.aliases.iter().filter(|name| after < Some(name.as_str()));
                later.take(wanted).cloned().collect()
            }
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            // An alias may go between the listing and this look.
            if let Some(alias) = service.keys.alias(&name).await? {
                found.push((name, alias));
            }
        }
        Ok(page(
            found,
            self.limit,
            "Aliases",
            |(name, _)| name.clone(),
            |(name, alias)| {
                json!({
                    "AliasName": name,
                    "AliasArn": place.alias_arn(name),
                    "TargetKeyId": alias.target,
                    "CreationDate": seconds(alias.created),
                    "LastUpdatedDate": seconds(alias.updated),
                })
            },
        ))
    }
}

impl Input for ListAliases {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Any)
    }
}
