//! PutPrincipalPolicy, GetPrincipalPolicy, DeletePrincipalPolicy, ListPrincipalPolicies: Sekisho's
//! own, after the inline policies of IAM's users.

use super::principals::{NAME, PRINCIPAL_NAME};
use super::{Input, MARKER, POLICY, limit, page};
use crate::api::{AccountResource, ApiError, Facts, Fields, Text};
use crate::authorize::Permit;
use crate::keys::policy::PolicyRefused;
use crate::principals::policies::{PolicyChange, PrincipalPolicy};
use crate::service::Service;
use serde_json::{Value, json};

/// `policyNameType` of IAM's service model.
const POLICY_NAME: Text = Text { max: 128, ..PRINCIPAL_NAME };
const NAME_OF_POLICY: &str = "PolicyName";
/// Letters of a document (AWS's quota of a managed policy's size).
const MAX_DOCUMENT: usize = 6144;

pub(crate) struct PutPrincipalPolicy {
    principal: String,
    name: String,
    document: String,
}

impl Input for PutPrincipalPolicy {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            principal: fields.required_text(NAME, PRINCIPAL_NAME)?,
            name: fields.required_text(NAME_OF_POLICY, POLICY_NAME)?,
            document: fields.required_text("PolicyDocument", POLICY)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let Self { principal, name, document } = self;
        if document.len() > MAX_DOCUMENT {
            return Err(ApiError::LimitExceeded(format!(
                "The policy document is larger than {MAX_DOCUMENT} bytes."
            )));
        }
        let modules = &service.keys.modules;
        let malformed =
            |refused: PolicyRefused| ApiError::MalformedPolicyDocument(refused.to_string());
        let policy = modules.configure_principal(&document).map_err(malformed)?;
        let at_boot = service.credentials.is_of_boot(&service.keys.place.principal_arn(&principal));
        let policy = PrincipalPolicy { name: name.clone(), policy };
        let put = service.principal_policies.put(modules, &principal, policy, at_boot).await;
        put.map_err(|error| refusal(error, &principal, &name))?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.principal))
    }
}

pub(crate) struct GetPrincipalPolicy {
    principal: String,
    name: String,
}

impl Input for GetPrincipalPolicy {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            principal: fields.required_text(NAME, PRINCIPAL_NAME)?,
            name: fields.required_text(NAME_OF_POLICY, POLICY_NAME)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let own = service.principal_policies.of(&service.keys.modules, &self.principal).await?;
        let found = own.iter().find(|known| known.name == self.name);
        let found = found
            .ok_or_else(|| refusal(PolicyChange::NoSuchPolicy, &self.principal, &self.name))?;
        Ok(json!({
            "PrincipalName": self.principal,
            "PolicyName": found.name,
            "PolicyDocument": found.policy.document(),
        }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.principal))
    }
}

pub(crate) struct DeletePrincipalPolicy {
    principal: String,
    name: String,
}

impl Input for DeletePrincipalPolicy {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            principal: fields.required_text(NAME, PRINCIPAL_NAME)?,
            name: fields.required_text(NAME_OF_POLICY, POLICY_NAME)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let Self { principal, name } = self;
        let policies = &service.principal_policies;
        let deleted = policies.delete(&service.keys.modules, &principal, &name).await;
        deleted.map_err(|error| refusal(error, &principal, &name))?;
        Ok(json!({}))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.principal))
    }
}

pub(crate) struct ListPrincipalPolicies {
    principal: String,
    limit: usize,
    after: Option<String>,
}

impl Input for ListPrincipalPolicies {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            principal: fields.required_text(NAME, PRINCIPAL_NAME)?,
            limit: limit(fields, 100, 100)?,
            after: fields.text("Marker", MARKER)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let own = service.principal_policies.of(&service.keys.modules, &self.principal).await?;
        let after = self.after.unwrap_or_default();
        let names = own.iter().map(|known| known.name.clone()).filter(|name| *name > after);
        let found = names.take(self.limit.saturating_add(1)).collect();
        Ok(page(found, self.limit, "PolicyNames", String::clone, |name| json!(name)))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Principal(&self.principal))
    }
}

fn refusal(error: PolicyChange, principal: &str, name: &str) -> ApiError {
    match error {
        PolicyChange::NoSuchPrincipal => {
            ApiError::NotFound(format!("The principal with name {principal} cannot be found."))
        }
        PolicyChange::NoSuchPolicy => {
            ApiError::NotFound(format!("The principal {principal} has no policy named {name}."))
        }
        PolicyChange::TooMany => ApiError::LimitExceeded(format!("{principal}: {error}.")),
        PolicyChange::Fault(fault) => fault.into(),
    }
}
