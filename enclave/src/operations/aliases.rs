//! CreateAlias, UpdateAlias, DeleteAlias, ListAliases.

use super::{Input, KEY_ID, MARKER, limit, page, seconds};
use crate::api::{
    AccountResource, ApiError, Facts, Fields, NeededState, Pattern, Second, Subject, Text,
};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::aliases::AliasError;
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

/// What both operations ask for that let an alias point to a key.
struct Pointing {
    name: String,
    target: String,
}

impl Pointing {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text("AliasName", ALIAS_NAME)?,
            target: fields.required_text("TargetKeyId", KEY_ID)?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)?;
        if self.target.contains("alias/") {
            return Err(ApiError::Validation("Aliases must refer to keys. Not aliases".into()));
        }
        Ok(())
    }
}

pub(crate) struct CreateAlias {
    asked: Pointing,
}

impl Input for CreateAlias {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: Pointing::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.asked.check()
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.asked.target))
            .and_account(AccountResource::Alias(&self.asked.name))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let target = permit.key()?.key.id;
        let created = service.keys.create_alias(&self.asked.name, target, permit.time()).await;
        created.map_err(|error| refusal(service, error, &self.asked.name))?;
        Ok(json!({}))
    }
}

pub(crate) struct UpdateAlias {
    asked: Pointing,
}

impl Input for UpdateAlias {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: Pointing::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.asked.check()
    }

    /// As in AWS, the alias, the key that it leaves and the key that it comes to are asked for.
    fn facts(&self) -> Facts<'_> {
        let subject = Subject::Key(&self.asked.target);
        Facts::of(Subject::Named(&self.asked.name))
            .and(Second { subject, actions: None, encryption_context: None })
            .and_account(AccountResource::Alias(&self.asked.name))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let (before, after) = (permit.key()?, permit.second_key()?);
        after.key.state.check(NeededState::NotPendingDeletion, &after.arn)?;
        let kind = |key: &Key| (key.spec.key_type(), key.usage);
        if kind(&before.key) != kind(&after.key) {
            return Err(ApiError::Validation(format!(
                "Alias {} cannot be changed to a key of another type or key usage",
                self.asked.name
            )));
        }
        Ok(())
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (before, after) = (permit.key()?.key.id, permit.second_key()?.key.id);
        let moved = service.keys.move_alias(&self.asked.name, before, after, permit.time()).await;
        moved.map_err(|error| refusal(service, error, &self.asked.name))?;
        Ok(json!({}))
    }
}

pub(crate) struct DeleteAlias {
    name: String,
}

impl Input for DeleteAlias {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text("AliasName", ALIAS_NAME)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.name)).and_account(AccountResource::Alias(&self.name))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let deleted = service.keys.delete_alias(&self.name, permit.key()?.key.id).await;
        deleted.map_err(|error| refusal(service, error, &self.name))?;
        Ok(json!({}))
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    match name.strip_prefix("alias/") {
        None => Err(ApiError::Validation(
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .into(),
        )),
        Some("") => Err(ApiError::InvalidAliasName("Invalid identifier")),
        Some(rest) if rest.starts_with("aws/") => Err(ApiError::NotAuthorized),
        Some(rest) if rest.contains(':') => {
            Err(ApiError::Validation(format!("{name} contains invalid characters for an alias")))
        }
        Some(_) => Ok(()),
    }
}

fn refusal(service: &Service, error: AliasError, name: &str) -> ApiError {
    match error {
        AliasError::Exists => ApiError::AlreadyExists { arn: service.keys.place.alias_arn(name) },
        AliasError::Moved => {
            let alias = service.keys.place.alias_arn(name);
            ApiError::NotFound(format!("Alias {alias} is not found."))
        }
        error @ AliasError::TooMany => ApiError::LimitExceeded(error.to_string()),
        AliasError::Fault(fault) => fault.into(),
    }
}

pub(crate) struct ListAliases {
    key_id: Option<String>,
    limit: usize,
    after: Option<String>,
}

impl Input for ListAliases {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let after = fields.text("Marker", MARKER)?;
        let is_alias = after.as_ref().is_none_or(|marker| marker.starts_with("alias/"));
        fields.understood(if is_alias { Ok(()) } else { Err(ApiError::InvalidMarker) });
        // AWS's default page, and its largest, below the service model's 1000.
        let limit = limit(fields, 50, 100)?;
        Ok(Self { key_id: fields.text("KeyId", KEY_ID)?, limit, after })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let place = &service.keys.place;
        let wanted = self.limit.saturating_add(1);
        let after = self.after.as_deref();
        let names = match &self.key_id {
            None => service.keys.alias_names(after, wanted),
            Some(key_id) => {
                let held = service.find(&place.parse_key(key_id)?).await?;
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
