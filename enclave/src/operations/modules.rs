//! RegisterPolicyModule, ListPolicyModules, DeletePolicyModule: Sekisho's own. A key policy then names the module:
//! `{"module": "<name>", "config": …}`.

use super::{Input, MARKER, limit, page, seconds};
use crate::api::{AccountResource, ApiError, Facts, Fields, Pattern, Text};
use crate::authorize::Permit;
use crate::keys::module_deletion::DeleteModuleError;
use crate::keys::module_upload::{Part, Taken};
use crate::keys::modules::{KnownModule, RegisterError};
use crate::service::Service;
use sekisho_policy_engine::{ACCEPTED_VERSIONS, DEFAULT_COMPONENT};
use serde_json::{Value, json};
use std::time::Instant;

/// As `sekisho policy new` takes it.
const NAME: Text = Text {
    min: 1,
    max: 64,
    pattern: Some(Pattern {
        text: "[a-z0-9-]+",
        allows: |letter| matches!(letter, 'a'..='z' | '0'..='9' | '-'),
    }),
};
/// SHA-256, lower-case hex.
const SHA256: Text = Text {
    min: 64,
    max: 64,
    pattern: Some(Pattern {
        text: "[a-f0-9]+",
        allows: |letter| matches!(letter, 'a'..='f' | '0'..='9'),
    }),
};
/// A worker that admits no more says so itself.
const MAX_SIZE: i64 = 1 << 40;
const DEFAULT_LIMIT: i64 = 100;

/// A component, whole or a part of one that is larger than a request's body.
pub(crate) struct RegisterPolicyModule {
    name: String,
    component: Vec<u8>,
    part: Option<PartOf>,
}

/// Where in a component a part belongs.
struct PartOf {
    sha256: String,
    size: usize,
    offset: usize,
}

impl PartOf {
    /// All of its members, or none.
    fn read(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        let sha256 = fields.text("Sha256", SHA256)?;
        let size = fields.integer("Size", 1, MAX_SIZE)?;
        let offset = fields.integer("Offset", 0, MAX_SIZE)?;
        let bytes = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        match (sha256, size, offset) {
            (None, None, None) => Ok(None),
            (Some(sha256), Some(size), Some(offset)) => {
                Ok(Some(Self { sha256, size: bytes(size), offset: bytes(offset) }))
            }
            _ => Err(ApiError::Validation("A part has Sha256, Size and Offset.".into())),
        }
    }
}

impl Input for RegisterPolicyModule {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.required_text("Name", NAME)?,
            component: fields.required_public_blob("Component", 1, DEFAULT_COMPONENT)?,
            part: PartOf::read(fields)?,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let Self { name, mut component, part } = self;
        if let Some(PartOf { sha256, size, offset }) = part {
            let modules = &service.keys.modules;
            if let Some(known) = modules.of_name(&name).filter(|known| known.digest == sha256) {
                return Ok(json!({ "PolicyModule": description(&known) }));
            }
            let part = Part { sha256, size, offset, bytes: component };
            let (sender, largest) = (permit.caller().arn(), modules.largest);
            let taken = modules.upload.take(sender, part, largest, Instant::now());
            component = match taken.map_err(|error| ApiError::Validation(error.to_string()))? {
                Taken::Part(received) => return Ok(json!({ "Received": received })),
                Taken::Whole(component) => component,
            };
        }
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
        "Contract": known.contract(),
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
