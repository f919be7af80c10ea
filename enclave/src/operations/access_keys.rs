//! CreateAccessKey, UpdateAccessKey, DeleteAccessKey, ListAccessKeys, CreateSession: Sekisho's own,
//! after IAM's access keys and STS's session tokens.

use super::principals::{NAME, PRINCIPAL_NAME, refusal};
use super::seconds;
use crate::api::{AccountResource, ApiError, Fields, Input, Pattern, Subject, Text};
use crate::authorize::Permit;
use crate::principals::{AccessKey, KeyStatus};
use crate::service::Service;
use serde_json::{Value, json};

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

impl CreateAccessKey {
    const EXPIRATION: &str = "ExpirationDate";

    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = fields.required_text(NAME, PRINCIPAL_NAME)?;
        let expires = fields.integer(Self::EXPIRATION, 0, LATEST)?;
        let expires = expires.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Self { name, expires: expires.map(|seconds| seconds.saturating_mul(1000)) })
    }

    pub(crate) async fn perform(
        self,
        service: &Service,
        permit: Permit,
    ) -> Result<Value, ApiError> {
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
}

impl Input for CreateAccessKey {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let seconds = self.expires.map(|expires| (expires / 1000).to_string());
        seconds.map(|seconds| (Self::EXPIRATION, seconds)).into_iter().collect()
    }
}

pub(crate) struct UpdateAccessKey {
    name: String,
    id: String,
    status: KeyStatus,
}

impl UpdateAccessKey {
    const STATUS: &str = "Status";

    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let status = fields.choice(Self::STATUS, &KeyStatus::ALL.map(KeyStatus::name))?;
        let status = KeyStatus::ALL.into_iter().find(|known| Some(known.name()) == status);
        Ok(Self {
            name: fields.required_text(NAME, PRINCIPAL_NAME)?,
            id: fields.required_text("AccessKeyId", ACCESS_KEY_ID)?,
            status: fields.required(Self::STATUS, status),
        })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let Self { name, id, status } = self;
        let updated = service.credentials.principals.update_access_key(&name, &id, status).await;
        updated.map_err(|error| refusal(error, &name))?;
        Ok(json!({}))
    }
}

impl Input for UpdateAccessKey {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("AccessKeyId", self.id.clone()), (Self::STATUS, self.status.name().into())]
    }
}

pub(crate) struct DeleteAccessKey {
    name: String,
    id: String,
}

impl DeleteAccessKey {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text(NAME, PRINCIPAL_NAME)?,
            id: fields.required_text("AccessKeyId", ACCESS_KEY_ID)?,
        })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let deleted = service.credentials.principals.delete_access_key(&self.name, &self.id).await;
        deleted.map_err(|error| refusal(error, &self.name))?;
        Ok(json!({}))
    }
}

impl Input for DeleteAccessKey {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("AccessKeyId", self.id.clone())]
    }
}

pub(crate) struct ListAccessKeys {
    name: String,
}

impl ListAccessKeys {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text(NAME, PRINCIPAL_NAME)? })
    }

    pub(crate) async fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let name = &self.name;
        let found = service.credentials.principals.by_name(name).await?;
        let principal = found
            .ok_or_else(|| refusal(crate::principals::store::ChangeError::NoSuchPrincipal, name))?;
        let keys: Vec<_> = principal.keys.iter().map(|key| description(name, key)).collect();
        Ok(json!({ "AccessKeys": keys, "Truncated": false }))
    }
}

impl Input for ListAccessKeys {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Principal(&self.name))
    }
}

pub(crate) struct CreateSession {
    name: String,
    /// Seconds.
    duration: u64,
}

impl CreateSession {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let (shortest, longest) = DURATION;
        let duration = fields.integer("DurationSeconds", shortest, longest)?;
        Ok(Self {
            name: fields.required_text("SessionName", SESSION_NAME)?,
            duration: u64::try_from(duration.unwrap_or(DEFAULT_DURATION)).unwrap_or_default(),
        })
    }

    pub(crate) fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
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
}

impl Input for CreateSession {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Caller)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("DurationSeconds", self.duration.to_string()), ("SessionName", self.name.clone())]
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
        members.insert(CreateAccessKey::EXPIRATION.into(), seconds(expires));
    }
    description
}
