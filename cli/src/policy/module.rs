//! The policies that the commands take: a component's file, a project's folder, or a stock policy by
//! its name.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sekisho_enclave::PolicyModuleSize;
use sekisho_policy_engine::{
    AdmissionError, DEFAULT_COMPONENT, Engine, EngineError, Limits, Module, Policy, stock,
};
use serde_json::Value;

use super::project::Project;
use crate::failure::Failure;

/// What a file may have at most; the engine's own limit for a component is far below.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

const MEBIBYTE: usize = 1024 * 1024;

/// A policy as it is chosen on the command line.
#[derive(clap::Args, Debug)]
pub(super) struct Chosen {
    /// A component's file, a project's folder, or a stock policy's name.
    policy: String,

    /// Its configuration: for `iam` an AWS policy document [default: null].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Chosen {
    /// The policy, admitted and configured as a service would.
    pub(super) fn policy(&self) -> Result<Policy, Failure> {
        let admitted = admit(&self.policy)?;
        let configuration = self.config.as_deref().map_or(Ok(Value::Null), json)?;
        configure(&admitted, &configuration)
    }
}

/// The component that `name` stands for: a stock policy's name, the folder of a project that was
/// built, or a file.
pub(super) fn component(name: &str) -> Result<Vec<u8>, Failure> {
    if let Some((_, bytes)) = stock::ALL.into_iter().find(|(known, _)| *known == name) {
        return Ok(bytes.to_vec());
    }
    let path = Path::new(name);
    if Project::is_in(path) {
        return read(&Project::open(path)?.component()).map_err(|_| {
            Failure::usage(format_args!("{name} is not built: sekisho policy build {name}"))
        });
    }
    read(path).map_err(|reason| {
        let known = stock::ALL.map(|(known, _)| known).join(", ");
        Failure::usage(format_args!("{reason} (the stock policies are: {known})"))
    })
}

/// The module that `name` stands for, admitted as the service would.
pub(super) fn admit(name: &str) -> Result<Module, Failure> {
    admit_component(name, &component(name)?)
}

/// The module of a component, which is called `name`.
pub(super) fn admit_component(name: &str, component: &[u8]) -> Result<Module, Failure> {
    let admitted = try_admitting(component);
    let (module, _) = admitted.map_err(|error| Failure::failed(format_args!("{name}: {error}")))?;
    Ok(module)
}

/// The module of a component, with the limits of a service that admits its size; and the size that the
/// service has to be told for it, where it is more than the default.
pub(super) fn try_admitting(
    component: &[u8],
) -> Result<(Module, Option<PolicyModuleSize>), NotAdmitted> {
    let engine = Engine::new(Limits::with_components_of(size_to_allow(component)))?;
    Ok((engine.admit(component)?, option(component)))
}

/// Bytes that the service has to allow: a stock policy is admitted whatever its size.
fn size_to_allow(component: &[u8]) -> usize {
    if is_stock(component) { 0 } else { component.len() }
}

/// Whether it is one that comes with the service, which nobody has to register.
pub(super) fn is_stock(component: &[u8]) -> bool {
    stock::ALL.iter().any(|(_, bytes)| *bytes == component)
}

/// The value of --policy-module-size that lets a component in; none where the default does, and where
/// nothing does.
pub(super) fn option(component: &[u8]) -> Option<PolicyModuleSize> {
    let size = size_to_allow(component);
    let mebibytes = u64::try_from(size.div_ceil(MEBIBYTE)).ok()?;
    let option = PolicyModuleSize::try_from(mebibytes.saturating_mul(MEBIBYTE as u64)).ok();
    option.filter(|_| size > DEFAULT_COMPONENT)
}

/// Why a component is not admitted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAdmitted {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Component(#[from] AdmissionError),
}

/// What `PutKeyPolicy` makes of a configuration: an AWS policy document is text as it is, and so is
/// any other JSON.
pub(super) fn configure(module: &Module, configuration: &Value) -> Result<Policy, Failure> {
    let text = configuration.to_string();
    module
        .configure(text.as_bytes())
        .map_err(|error| Failure::failed(format_args!("the configuration: {error}")))
}

/// A JSON file.
pub(super) fn json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_slice(&read(path).map_err(Failure::Usage)?)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |reason: std::io::Error| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("{}: larger than {FILE_LIMIT} bytes", path.display()));
    }
    Ok(bytes)
}
