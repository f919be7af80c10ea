//! EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion.

use super::{Input, KEY_ID, change, seconds};
use crate::api::{ApiError, Facts, Fields, Subject};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::rotation::DAY;
use crate::keys::state::KeyState;
use crate::service::Service;
use serde_json::{Value, json};

/// AWS's pending window in days: least and most, which is also the default. The service model's own
/// bounds are wider, and refused in other words.
const WINDOW: (i64, i64) = (7, 30);
const MODEL_WINDOW: (i64, i64) = (1, 365);

pub(crate) struct EnableKey {
    key_id: String,
}

impl Input for EnableKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        set_state(service, &permit, KeyState::Enabled).await?;
        Ok(json!({}))
    }
}

pub(crate) struct DisableKey {
    key_id: String,
}

impl Input for DisableKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        set_state(service, &permit, KeyState::Disabled).await?;
        Ok(json!({}))
    }
}

pub(crate) struct ScheduleKeyDeletion {
    key_id: String,
    days: i64,
}

impl Input for ScheduleKeyDeletion {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let (least, most) = MODEL_WINDOW;
        let days = fields.integer("PendingWindowInDays", least, most)?;
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        Ok(Self { key_id, days: days.unwrap_or(WINDOW.1) })
    }

    fn check(&self) -> Result<(), ApiError> {
        let (least, most) = WINDOW;
        if (least..=most).contains(&self.days) {
            return Ok(());
        }
        Err(ApiError::Validation(format!(
            "PendingWindowInDays must be between {least} and {most} (inclusive)"
        )))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id)).parameter("PendingWindowInDays", self.days)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let window = u32::try_from(self.days).map_err(|_| ApiError::Internal)?;
        let deletion = permit.time().saturating_add(u64::from(window).saturating_mul(DAY));
        let mut answer = json!({ "KeyId": permit.key()?.arn, "PendingWindowInDays": window });
        let members = answer.as_object_mut().ok_or(ApiError::Internal)?;
        change(service, &permit, |key| {
            key.state = if key.has_replicas() {
                KeyState::PendingReplicaDeletion { window }
            } else {
                members.insert("DeletionDate".into(), seconds(deletion));
                KeyState::PendingDeletion { deletion }
            };
            members.insert("KeyState".into(), key.state.name().into());
            Ok(())
        })
        .await?;
        Ok(answer)
    }
}

pub(crate) struct CancelKeyDeletion {
    key_id: String,
}

impl Input for CancelKeyDeletion {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let cancel = |key: &mut Key| {
            key.state = key.state_without_deletion();
            Ok(())
        };
        change(service, &permit, cancel).await?;
        Ok(json!({ "KeyId": permit.key()?.arn }))
    }
}

async fn set_state(service: &Service, permit: &Permit, state: KeyState) -> Result<(), ApiError> {
    let set = |key: &mut Key| {
        key.state = state;
        Ok(())
    };
    change(service, permit, set).await
}
