//! GetKeyLastUsage.

use super::{Input, KEY_ID, seconds};
use crate::api::{ApiError, Facts, Fields, Subject};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

pub(crate) struct GetKeyLastUsage {
    key_id: String,
}

impl Input for GetKeyLastUsage {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (keys, key) = (&service.keys, &permit.key()?.key);
        let since = keys.tracking_since(service.started).await?;
        // The audit log stands where AWS has CloudTrail: a request's id is its record's.
        let usage = match keys.last_usage(key.id).await? {
            Some(usage) => json!({
                "Operation": usage.operation,
                "Timestamp": seconds(usage.time),
                "CloudTrailEventId": usage.request_id,
                "KmsRequestId": usage.request_id,
            }),
            None => json!({}),
        };
        Ok(json!({
            "KeyId": key.id.to_string(),
            "KeyLastUsage": usage,
            "TrackingStartDate": seconds(since.max(key.created)),
            "KeyCreationDate": seconds(key.created),
        }))
    }
}
