//! PutKeyPolicy, GetKeyPolicy.

use super::{KEY_ID, POLICY};
use crate::api::{ApiError, Fields, Input, Pattern, Subject, Text};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

/// The only name that a key policy has in AWS.
const DEFAULT: &str = "default";

/// `PolicyNameType` of AWS's service model.
const POLICY_NAME: Text = Text {
    min: 1,
    max: 128,
    pattern: Some(Pattern {
        text: "[\\w]+",
        allows: |letter| letter.is_ascii_alphanumeric() || letter == '_',
    }),
};

fn policy_name(fields: &mut Fields) -> Result<String, ApiError> {
    Ok(fields.text("PolicyName", POLICY_NAME)?.unwrap_or_else(|| DEFAULT.into()))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name == DEFAULT {
        return Ok(());
    }
    Err(ApiError::NotFound("No such policy exists".into()))
}

pub(crate) struct PutKeyPolicy {
    key_id: String,
    name: String,
    policy: String,
    bypass_lockout_check: bool,
}

impl PutKeyPolicy {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            name: policy_name(fields)?,
            policy: fields.required_text("Policy", POLICY)?,
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
        })
    }

    pub(crate) async fn perform(
        self,
        service: &Service,
        permit: Permit,
    ) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let policy = permit.new_policy(
            service,
            &held.key,
            &held.aliases,
            &self.policy,
            self.bypass_lockout_check,
        )?;
        service.keys.put_policy(held.key.id, &policy).await?;
        Ok(json!({}))
    }
}

impl Input for PutKeyPolicy {
    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)
    }

    fn subject(&self) -> Subject<'_> {
        Subject::Named(&self.key_id)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("BypassPolicyLockoutSafetyCheck", self.bypass_lockout_check.to_string())]
    }
}

pub(crate) struct GetKeyPolicy {
    key_id: String,
    name: String,
}

impl GetKeyPolicy {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)?, name: policy_name(fields)? })
    }

    pub(crate) fn perform(self, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        Ok(json!({ "Policy": held.policy.document(), "PolicyName": DEFAULT }))
    }
}

impl Input for GetKeyPolicy {
    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)
    }

    fn subject(&self) -> Subject<'_> {
        Subject::Named(&self.key_id)
    }
}
