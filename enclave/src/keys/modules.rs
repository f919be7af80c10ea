//! The policy components that a service knows: the stock ones, which come with the worker and are part
//! of its measurement, and those that its owner registered, kept in the journal.
//!
//! A registered module never changes and keeps its name: a new version is another name. What is
//! registered is compiled here only after a process of its own compiled it within bounds.

use super::module_deletion::DeleteModuleError;
use super::store::StoreFault;
use crate::compiler::{CompileHelper, NotCompiled};
use crate::log::{Event, log};
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use sekisho_policy_engine::{AdmissionError, Engine, Module, ModuleDigest, stock};
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

/// The stock component that reads AWS policy documents.
pub(crate) const IAM: &str = "iam";

/// The stock component that is compiled as soon as a worker serves; the others when they are first used.
const SOON: &str = "attested";

/// Registered modules of one service: each takes its compiled code, up to a few MiB, and a part of a
/// second at every start.
const MAX_REGISTERED: usize = 64;

/// A component that was admitted.
#[derive(Clone)]
pub(crate) struct KnownModule {
    pub(crate) name: String,
    pub(crate) module: Module,
    /// SHA-256 of the component, lower-case hex.
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: usize,
    /// Milliseconds since 1970; none for a stock component.
    pub(crate) created: Option<u64>,
}

/// All of them.
pub(crate) struct Modules {
    engine: Engine,
    /// Without one, nothing is registered.
    compiler: Option<Arc<CompileHelper>>,
    /// The stock ones first.
    known: RwLock<Vec<KnownModule>>,
    /// The digest of a module that is being deleted: no new policy is made with it.
    retiring: RwLock<Option<String>>,
    /// One registration or deletion at a time.
    changing: Mutex<()>,
}

/// While it lives, no new policy is made with a module.
pub(super) struct Retiring<'a>(&'a RwLock<Option<String>>);

impl Drop for Retiring<'_> {
    fn drop(&mut self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A registered module as the journal keeps it.
#[derive(Serialize, Deserialize)]
struct ModuleRecord {
    created: u64,
    #[serde(with = "serde_bytes")]
    component: Vec<u8>,
}

impl Modules {
    /// Admits the stock component that every service uses, and the others when they are first used:
    /// compiling them is most of a start.
    pub(crate) fn stock(engine: &Engine) -> Result<Self, AdmissionError> {
        let admitted = stock::ALL.into_iter().map(|(name, bytes)| match name {
            IAM => KnownModule::admit(engine, name.to_owned(), bytes, None),
            _ => Ok(KnownModule::on_use(engine, name, bytes)),
        });
        let known = admitted.collect::<Result<_, _>>()?;
        Ok(Self {
            engine: engine.clone(),
            compiler: None,
            known: RwLock::new(known),
            retiring: RwLock::default(),
            changing: Mutex::default(),
        })
    }

    /// What is likely to be used soon, and is not compiled yet.
    pub(crate) fn soon(&self) -> Option<Module> {
        self.of_name(SOON).map(|known| known.module)
    }

    /// With a process in which a component is tried before it is registered.
    pub(crate) fn with_compiler(self, compiler: Option<Arc<CompileHelper>>) -> Self {
        Self { compiler, ..self }
    }

    /// Admits what is registered, and was tried then. One that is no longer admitted is left out: its keys are refused,
    /// and the service starts.
    pub(crate) async fn load(&self, journal: &Journal) -> Result<(), StoreFault> {
        let from = RecordId::PolicyModule(String::new());
        let is_module = |id: &RecordId| matches!(id, RecordId::PolicyModule(_));
        for id in journal.ids(&from, MAX_REGISTERED, is_module) {
            let (RecordId::PolicyModule(name), Some(record)) = (&id, journal.get(&id).await?)
            else {
                continue;
            };
            let ModuleRecord { created, component } = codec::decode(&record)?;
            match self.compile(name.clone(), component, created).await {
                Ok((module, _)) => self.add(module),
                Err(_) => log(Event::PolicyModuleRefused),
            }
        }
        Ok(())
    }

    /// Admits and keeps a component. The same one again is the same module.
    pub(crate) async fn register(
        &self,
        journal: &Journal,
        name: &str,
        component: Vec<u8>,
        now: u64,
    ) -> Result<KnownModule, RegisterError> {
        let _alone = self.alone().await;
        let digest = ModuleDigest::of(&component).to_string();
        if let Some(same) = self.of_name(name).filter(|known| known.digest == digest) {
            return Ok(same);
        }
        if let Some(known) = self.of_name(name) {
            return Err(RegisterError::Exists { name: known.name, digest: known.digest });
        }
        if self.list().len() >= MAX_REGISTERED + stock::ALL.len() {
            return Err(RegisterError::TooMany);
        }
        let component = self.attempt(component).await?;
        let (module, component) = self.compile(name.to_owned(), component, now).await?;
        let record = codec::encode(&ModuleRecord { created: now, component });
        let write = Write {
            id: RecordId::PolicyModule(name.to_owned()),
            plaintext: Some(Zeroizing::new(record.map_err(StoreFault::from)?)),
        };
        let writer = journal.writer().await.map_err(StoreFault::from)?;
        writer.commit(vec![write]).await.map_err(StoreFault::from)?;
        self.add(module.clone());
        Ok(module)
    }

    /// Nothing is registered or deleted meanwhile.
    pub(super) async fn alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// A module that is registered and can be deleted.
    pub(super) fn registered(&self, name: &str) -> Result<KnownModule, DeleteModuleError> {
        let known = self
            .of_name(name)
            .ok_or_else(|| DeleteModuleError::Unknown { name: name.to_owned() })?;
        if known.created.is_none() {
            return Err(DeleteModuleError::Stock { name: known.name });
        }
        Ok(known)
    }

    /// Lets no new policy be made with the module of this digest.
    pub(super) fn retire(&self, digest: &str) -> Retiring<'_> {
        let mut retiring = self.retiring.write().unwrap_or_else(PoisonError::into_inner);
        *retiring = Some(digest.to_owned());
        Retiring(&self.retiring)
    }

    fn is_retiring(&self, digest: &str) -> bool {
        let retiring = self.retiring.read().unwrap_or_else(PoisonError::into_inner);
        retiring.as_deref() == Some(digest)
    }

    /// Whether a policy of the component with this digest may be written. Whoever asks is the journal's
    /// writer.
    pub(crate) fn check_kept(&self, digest: &str) -> Result<(), StoreFault> {
        match self.find(|known| known.digest == digest) {
            Some(_) if !self.is_retiring(digest) => Ok(()),
            _ => Err(StoreFault::ModuleGone),
        }
    }

    /// The module with this name, or with this digest, for a policy that is to be made.
    pub(super) fn for_new_policies(&self, name: &str) -> Option<KnownModule> {
        self.named(name).filter(|known| !self.is_retiring(&known.digest))
    }

    /// Gives up a module that is no longer in the journal, and with the last of its policies its code.
    pub(super) fn forget(&self, name: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.name != name);
    }

    /// The module with this name, or with this digest.
    pub(crate) fn named(&self, name: &str) -> Option<KnownModule> {
        self.find(|known| known.name == name || known.digest.eq_ignore_ascii_case(name))
    }

    fn of_name(&self, name: &str) -> Option<KnownModule> {
        self.find(|known| known.name == name)
    }

    fn find(&self, is_it: impl Fn(&KnownModule) -> bool) -> Option<KnownModule> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| is_it(known)).cloned()
    }

    /// All, by name.
    pub(crate) fn list(&self) -> Vec<KnownModule> {
        let mut known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.sort_by(|one, other| one.name.cmp(&other.name));
        known
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.list().into_iter().map(|known| known.name).collect()
    }

    fn add(&self, module: KnownModule) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).push(module);
    }

    /// Compiles in a process of its own, and forgets the code.
    async fn attempt(&self, component: Vec<u8>) -> Result<Vec<u8>, RegisterError> {
        let compiler = self.compiler.clone().ok_or(RegisterError::NoCompiler)?;
        let attempt = tokio::task::spawn_blocking(move || {
            compiler.compile(&component).map(|()| component).map_err(RegisterError::NotCompiled)
        });
        attempt.await.unwrap_or(Err(RegisterError::Broken))
    }

    /// Compiles beside the thread that answers requests.
    async fn compile(
        &self,
        name: String,
        component: Vec<u8>,
        created: u64,
    ) -> Result<(KnownModule, Vec<u8>), RegisterError> {
        let engine = self.engine.clone();
        let compiling = tokio::task::spawn_blocking(move || {
            let admitted = KnownModule::admit(&engine, name, &component, Some(created));
            admitted.map(|module| (module, component))
        });
        match compiling.await {
            Ok(admitted) => Ok(admitted?),
            Err(_) => Err(RegisterError::Broken),
        }
    }
}

impl KnownModule {
    fn on_use(engine: &Engine, name: &str, component: &'static [u8]) -> Self {
        let module = engine.admit_on_use(component);
        let digest = module.digest().to_string();
        Self { name: name.to_owned(), module, digest, size: component.len(), created: None }
    }

    fn admit(
        engine: &Engine,
        name: String,
        component: &[u8],
        created: Option<u64>,
    ) -> Result<Self, AdmissionError> {
        let module = engine.admit(component)?;
        let digest = module.digest().to_string();
        Ok(Self { name, module, digest, size: component.len(), created })
    }
}

/// Why a component is not registered.
#[derive(Debug, Error)]
pub(crate) enum RegisterError {
    #[error("The component is not admitted: {0}.")]
    Admission(#[from] AdmissionError),
    #[error("The component is not admitted: {0}.")]
    NotCompiled(NotCompiled),
    #[error("This worker has no process in which a component is tried first, and registers none.")]
    NoCompiler,
    #[error(
        "A policy module with the name {name} exists, with the SHA-256 {digest}. A module never \
         changes: give the new one another name."
    )]
    Exists { name: String, digest: String },
    #[error("The service has {MAX_REGISTERED} registered policy modules, the most that it keeps.")]
    TooMany,
    #[error("The component cannot be compiled.")]
    Broken,
    #[error(transparent)]
    Fault(#[from] StoreFault),
}
