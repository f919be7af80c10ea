//! PutKeyPolicy, GetKeyPolicy, ListKeyPolicies.

use super::{Input, KEY_ID, POLICY, limit, offset, page_from};
use crate::api::{ApiError, Facts, Fields, Pattern, Subject, Text};
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

impl Input for PutKeyPolicy {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            name: policy_name(fields)?,
            policy: fields.required_text("Policy", POLICY)?,
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let policy = permit.new_policy(
            service,
            &held.key,
            &held.aliases,
            &self.policy,
            self.bypass_lockout_check,
        );
        let policy = policy.await?;
        service.keys.put_policy(held.key.id, &policy).await?;
        Ok(json!({}))
    }

    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
            .parameter("BypassPolicyLockoutSafetyCheck", self.bypass_lockout_check)
    }
}

pub(crate) struct GetKeyPolicy {
    key_id: String,
    name: String,
}

impl Input for GetKeyPolicy {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)?, name: policy_name(fields)? })
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        Ok(json!({ "Policy": held.policy.document(), "PolicyName": DEFAULT }))
    }

    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }
}

pub(crate) struct ListKeyPolicies {
    key_id: String,
    offset: usize,
    limit: usize,
}

impl Input for ListKeyPolicies {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        Ok(Self { key_id, offset: offset(fields)?, limit: limit(fields, 100, 1000)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, _: &Service, _: Permit) -> Result<Value, ApiError> {
        Ok(page_from([DEFAULT], self.offset, self.limit, "PolicyNames", |name| json!(name)))
    }
}
