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
        let window = u64::try_from(self.days).unwrap_or_default().saturating_mul(DAY);
        let deletion = permit.time().saturating_add(window);
        let state = KeyState::PendingDeletion { deletion };
        set_state(service, &permit, state).await?;
        Ok(json!({
            "KeyId": permit.key()?.arn,
            "DeletionDate": seconds(deletion),
            "KeyState": state.name(),
            "PendingWindowInDays": self.days,
        }))
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
