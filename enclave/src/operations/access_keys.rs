//! CreateAccessKey, UpdateAccessKey, DeleteAccessKey, ListAccessKeys, CreateSession: Sekisho's own,
//! after IAM's access keys and STS's session tokens.

use super::principals::{KEY_HOLDER, NAME, PRINCIPAL_NAME, refusal};
use super::{Input, seconds};
use crate::api::{AccountResource, ApiError, Facts, Fields, Pattern, Text};
use crate::authorize::Permit;
use crate::principals::{AccessKey, KeyStatus};
use crate::service::Service;
use serde_json::{Value, json};

const EXPIRATION: &str = "ExpirationDate";
const STATUS: &str = "Status";

/// `accessKeyIdType` of IAM's service model.
const ACCESS_KEY_ID: Text = Text {
    min: 16,
    max: 128,
    pattern: Some(Pattern {
        text: "[\\w]+",
        allows: |letter| letter.is_ascii_alphanumeric() || letter == '_',
    }),
};
/// `roleSessionNameType` of STS's service model.
const SESSION_NAME: Text = Text { min: 2, ..PRINCIPAL_NAME };
/// `durationSecondsType` of STS's GetSessionToken: 15 minutes to 36 hours.
const DURATION: (i64, i64) = (900, 129_600);
const DEFAULT_DURATION: i64 = 3600;
/// The year 9999 in seconds: above it nothing can be written as a date.
const LATEST: i64 = 253_402_300_799;

pub(crate) struct CreateAccessKey {
    name: String,
    /// Milliseconds since 1970.
    expires: Option<u64>,
}

impl Input for CreateAccessKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = fields.required_text(NAME, KEY_HOLDER)?;
        let expires = fields.integer(EXPIRATION, 0, LATEST)?;
        let expires = expires.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Self { name, expires: expires.map(|seconds| seconds.saturating_mul(1000)) })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let Self { name, expires } = self;
        let now = permit.time();
        if expires.is_some_and(|expires| expires <= now) {
            return Err(ApiError::Validation("ExpirationDate is not in the future.".into()));
        }
        let created = service.credentials.principals.create_access_key(&name, now, expires).await;
        let key = created.map_err(|error| refusal(error, &name))?;
        let mut answer = description(&name, &key);
        if let Some(members) = answer.as_object_mut() {
            // The only time that it is shown.
            members.insert("SecretAccessKey".into(), key.secret.expose().into());
        }
        Ok(json!({ "AccessKey": answer }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name))
            .optional(EXPIRATION, self.expires.map(|expires| expires / 1000))
    }
}

pub(crate) struct UpdateAccessKey {
    name: String,
    id: String,
    status: KeyStatus,
}

impl Input for UpdateAccessKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let status = fields.choice(STATUS, &KeyStatus::ALL.map(KeyStatus::name))?;
        let status = KeyStatus::ALL.into_iter().find(|known| Some(known.name()) == status);
        Ok(Self {
            name: fields.required_text(NAME, KEY_HOLDER)?,
            id: fields.required_text("AccessKeyId", ACCESS_KEY_ID)?,
            status: fields.required(STATUS, status),
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let Self { name, id, status } = self;
        let updated = service.credentials.principals.update_access_key(&name, &id, status).await;
        updated.map_err(|error| refusal(error, &name))?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name))
            .parameter("AccessKeyId", &self.id)
            .parameter(STATUS, self.status.name())
    }
}

pub(crate) struct DeleteAccessKey {
    name: String,
    id: String,
}

impl Input for DeleteAccessKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text(NAME, KEY_HOLDER)?,
            id: fields.required_text("AccessKeyId", ACCESS_KEY_ID)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let deleted = service.credentials.principals.delete_access_key(&self.name, &self.id).await;
        deleted.map_err(|error| refusal(error, &self.name))?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name)).parameter("AccessKeyId", &self.id)
    }
}

pub(crate) struct ListAccessKeys {
    name: String,
}

impl Input for ListAccessKeys {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text(NAME, KEY_HOLDER)? })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let name = &self.name;
        let found = service.credentials.principals.by_name(name).await?;
        let principal = found
            .ok_or_else(|| refusal(crate::principals::store::ChangeError::NoSuchPrincipal, name))?;
        let keys: Vec<_> = principal.keys.iter().map(|key| description(name, key)).collect();
        Ok(json!({ "AccessKeys": keys, "Truncated": false }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.name))
    }
}

pub(crate) struct CreateSession {
    name: String,
    /// Seconds.
    duration: u64,
}

impl Input for CreateSession {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let (shortest, longest) = DURATION;
        let duration = fields.integer("DurationSeconds", shortest, longest)?;
        Ok(Self {
            name: fields.required_text("SessionName", SESSION_NAME)?,
            duration: u64::try_from(duration.unwrap_or(DEFAULT_DURATION)).unwrap_or_default(),
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let expires = permit.time().saturating_add(self.duration.saturating_mul(1000));
        let parent = permit.caller().access_key_id();
        let issued = service.credentials.sessions.issue(parent, self.name, expires);
        let issued = issued.map_err(|_| ApiError::Internal)?;
        Ok(json!({ "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.session.secret.expose(),
            "SessionToken": issued.token,
            "Expiration": seconds(expires),
        } }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Caller)
            .parameter("DurationSeconds", self.duration)
            .parameter("SessionName", &self.name)
    }
}

fn description(name: &str, key: &AccessKey) -> Value {
    let mut description = json!({
        "PrincipalName": name,
        "AccessKeyId": key.id,
        "Status": key.status.name(),
        "CreateDate": seconds(key.created),
    });
    if let (Some(expires), Some(members)) = (key.expires, description.as_object_mut()) {
        members.insert(EXPIRATION.into(), seconds(expires));
    }
    description
}
