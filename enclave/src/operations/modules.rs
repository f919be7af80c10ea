//! RegisterPolicyModule, ListPolicyModules, DeletePolicyModule: Sekisho's own. A key policy then names the module:
//! `{"module": "<name>", "config": …}`.

use super::{Input, MARKER, limit, page, seconds};
use crate::api::{AccountResource, ApiError, Facts, Fields, Pattern, Text};
use crate::authorize::Permit;
use crate::keys::module_deletion::DeleteModuleError;
use crate::keys::modules::{KnownModule, RegisterError};
use crate::service::Service;
use sekisho_policy_engine::ACCEPTED_VERSIONS;
use serde_json::{Value, json};

/// As `sekisho policy new` takes it.
const NAME: Text = Text {
    min: 1,
    max: 64,
    pattern: Some(Pattern {
        text: "[a-z0-9-]+",
        allows: |letter| matches!(letter, 'a'..='z' | '0'..='9' | '-'),
    }),
};
/// As the engine has it, bytes.
const MAX_COMPONENT: usize = 1920 * 1024;
const DEFAULT_LIMIT: i64 = 100;

pub(crate) struct RegisterPolicyModule {
    name: String,
    component: Vec<u8>,
}

impl Input for RegisterPolicyModule {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text("Name", NAME)?,
            component: fields.required_public_blob("Component", 1, MAX_COMPONENT)?,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let Self { name, component } = self;
        let registered = service.keys.register_module(&name, component, permit.time()).await;
        Ok(json!({ "PolicyModule": description(&registered.map_err(refusal)?) }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

pub(crate) struct ListPolicyModules {
    limit: usize,
    after: Option<String>,
}

impl Input for ListPolicyModules {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            limit: limit(fields, DEFAULT_LIMIT, DEFAULT_LIMIT)?,
            after: fields.text("Marker", MARKER)?,
        })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let mut found = service.keys.modules.list();
        let after = self.after.unwrap_or_default();
        found.retain(|known| known.name > after);
        found.truncate(self.limit.saturating_add(1));
        let name = |known: &KnownModule| known.name.clone();
        let mut answer = page(found, self.limit, "PolicyModules", name, description);
        if let Some(members) = answer.as_object_mut() {
            members.insert("ContractVersions".into(), json!(ACCEPTED_VERSIONS));
        }
        Ok(answer)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

pub(crate) struct DeletePolicyModule {
    name: String,
}

impl Input for DeletePolicyModule {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.required_text("Name", NAME)? })
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let deleted =
            service.keys.delete_module(&self.name).await.map_err(|error| match error {
                DeleteModuleError::Fault(fault) => fault.into(),
                DeleteModuleError::Used { .. } => ApiError::DeleteConflict(error.to_string()),
                DeleteModuleError::Unknown { .. } => ApiError::NotFound(error.to_string()),
                DeleteModuleError::Stock { .. } => ApiError::Validation(error.to_string()),
            })?;
        Ok(json!({ "PolicyModule": description(&deleted) }))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

fn description(known: &KnownModule) -> Value {
    let mut description = json!({
        "Name": known.name,
        "Sha256": known.digest,
        "Size": known.size,
        "Contract": known.module.contract_version(),
        "Stock": known.created.is_none(),
    });
    if let (Some(created), Some(members)) = (known.created, description.as_object_mut()) {
        members.insert("CreationDate".into(), seconds(created));
    }
    description
}

fn refusal(error: RegisterError) -> ApiError {
    match error {
        RegisterError::Fault(fault) => fault.into(),
        RegisterError::Exists { .. } => ApiError::EntityAlreadyExists(error.to_string()),
        RegisterError::TooMany => ApiError::LimitExceeded(error.to_string()),
        RegisterError::Admission(_)
        | RegisterError::NotCompiled(_)
        | RegisterError::NoCompiler
        | RegisterError::Broken => ApiError::Validation(error.to_string()),
    }
}
