//! PutGuardrail, GetGuardrail, DeleteGuardrail: Sekisho's own.

use super::{Input, POLICY};
use crate::api::{AccountResource, ApiError, Facts, Fields};
use crate::authorize::Permit;
use crate::guardrail::Standing;
use crate::service::Service;
use serde_json::{Value, json};

pub(crate) struct PutGuardrail {
    policy: String,
    bypass_lockout_check: bool,
}

impl Input for PutGuardrail {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            policy: fields.required_text("Policy", POLICY)?,
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let bypass = self.bypass_lockout_check;
        let policy = permit.new_guardrail(service, &self.policy, bypass).await?;
        service.guardrail.put(&service.keys.modules, &policy).await?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
            .parameter("BypassPolicyLockoutSafetyCheck", self.bypass_lockout_check)
    }
}

pub(crate) struct GetGuardrail;

impl Input for GetGuardrail {
    fn read(_: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        match service.guardrail.standing(&service.keys.modules).await? {
            Standing::Policy(policy) => {
                Ok(json!({ "Policy": policy.document(), "Sha256": policy.digest }))
            }
            Standing::Nothing => Err(none()),
            Standing::Unreadable => Err(ApiError::NotFound(
                "The guardrail's component is not there any more; put another guardrail, or delete it."
                    .into(),
            )),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

pub(crate) struct DeleteGuardrail;

impl Input for DeleteGuardrail {
    fn read(_: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        if matches!(service.guardrail.standing(&service.keys.modules).await?, Standing::Nothing) {
            return Err(none());
        }
        service.guardrail.delete().await?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

fn none() -> ApiError {
    ApiError::NotFound("The service has no guardrail.".into())
}
