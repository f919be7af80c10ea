//! The policy components that a service knows: the stock ones, which come with the worker and are part
//! of its measurement, and those that its owner registered, kept in the journal.
//!
//! A registered module never changes and keeps its name: a new version is another name. What is
//! registered is compiled here only after a process of its own compiled it within bounds; what was
//! registered before a start is compiled beside the requests, and earlier for whoever needs it.

use super::module_deletion::DeleteModuleError;
use super::module_records;
use super::module_upload::Upload;
use super::store::StoreFault;
use crate::compiler::{CompileHelper, NotCompiled};
use crate::log::{Event, log};
use crate::storage::journal::Journal;
use crate::storage::record::RecordId;
use sekisho_policy_engine::{
    ACCEPTED_VERSIONS, AdmissionError, DEFAULT_COMPONENT, Engine, Module, ModuleDigest, stock,
};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};

/// The stock component that reads AWS policy documents.
pub(crate) const IAM: &str = "iam";

/// The stock component that is compiled as soon as a worker serves; the others when they are first used.
const SOON: &str = "attested";

/// Registered modules of one service: each takes its compiled code, up to a few MiB by default, and time
/// to compile after every start.
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
    /// The version of the contract, as it was when the component was registered.
    recorded_contract: Option<String>,
}

/// All of them.
pub(crate) struct Modules {
    engine: Engine,
    /// Without one, nothing is registered.
    compiler: Option<Arc<CompileHelper>>,
    /// Bytes of the largest component that is registered.
    pub(crate) largest: usize,
    /// The component that is coming in parts.
    pub(crate) upload: Upload,
    /// Where the registered ones are.
    journal: OnceLock<Arc<Journal>>,
    /// One is compiled at a time; who waits longest is next.
    compiling: Mutex<()>,
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
            largest: DEFAULT_COMPONENT,
            upload: Upload::default(),
            journal: OnceLock::new(),
            compiling: Mutex::default(),
            known: RwLock::new(known),
            retiring: RwLock::default(),
            changing: Mutex::default(),
        })
    }

    /// What is likely to be used soon, and is not compiled yet.
    pub(crate) fn soon(&self) -> Option<Module> {
        self.of_name(SOON).map(|known| known.module)
    }

    /// With a process in which a component of at most `largest` bytes is tried before it is registered.
    pub(crate) fn with_compiler(
        self,
        compiler: Option<Arc<CompileHelper>>,
        largest: usize,
    ) -> Self {
        Self { compiler, largest, ..self }
    }

    /// Learns what is registered, and was tried then. It is compiled later: [`Self::compile_all`].
    pub(crate) async fn load(&self, journal: &Arc<Journal>) -> Result<(), StoreFault> {
        let from = RecordId::PolicyModule(String::new());
        let is_module = |id: &RecordId| matches!(id, RecordId::PolicyModule(_));
        for id in journal.ids(&from, MAX_REGISTERED, is_module) {
            let RecordId::PolicyModule(name) = id else { continue };
            let Some(record) = module_records::read(journal, &name).await? else { continue };
            let module = self.engine.admit_later(record.digest());
            self.add(KnownModule {
                name,
                digest: module.digest().to_string(),
                module,
                size: record.size(),
                created: Some(record.created),
                recorded_contract: record.contract,
            });
        }
        // Set once, at boot.
        let _ = self.journal.set(journal.clone());
        Ok(())
    }

    /// Compiles what was registered before the start, one after the other.
    pub(crate) async fn compile_all(&self) {
        for known in self.list() {
            // What cannot be read now is read again for who needs it.
            if self.ready(&known.digest).await.is_err() {
                log(Event::PolicyModuleWaits);
            }
        }
    }

    /// Waits until the module with this name or digest is compiled, if it is one that was registered;
    /// who comes first has it compiled. One that is no longer admitted is given up: its keys are
    /// refused, and the service goes on.
    pub(crate) async fn ready(&self, name: &str) -> Result<(), StoreFault> {
        let waiting = |known: &KnownModule| known.created.is_some() && !known.module.is_compiled();
        let Some(known) = self.named(name).filter(waiting) else { return Ok(()) };
        let Some(journal) = self.journal.get() else { return Ok(()) };
        let _turn = self.compiling.lock().await;
        if known.module.is_compiled() {
            return Ok(());
        }
        let component = module_records::component(journal, &known.name).await?;
        let Some(component) = component else { return Ok(()) };
        let module = known.module.clone();
        let compiling = tokio::task::spawn_blocking(move || module.supply(&component).is_ok());
        if !compiling.await.unwrap_or(false) {
            log(Event::PolicyModuleRefused);
            self.forget(&known.name);
        }
        Ok(())
    }

    /// Removes what a registration left that did not come to its end.
    pub(crate) async fn remove_orphans(&self, journal: &Journal) -> Result<(), StoreFault> {
        module_records::remove_orphans(journal).await
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
        let contract = module.module.contract_version().to_owned();
        module_records::write(journal, name, now, contract, component).await?;
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

    pub(crate) fn of_name(&self, name: &str) -> Option<KnownModule> {
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
        let (name, digest) = (name.to_owned(), module.digest().to_string());
        let size = component.len();
        Self { name, module, digest, size, created: None, recorded_contract: None }
    }

    /// The version of the contract that it speaks, for which nothing is compiled: a stock component is of
    /// the newest. None of a module that was registered by an earlier release and is not compiled yet.
    pub(crate) fn contract(&self) -> Option<&str> {
        match (self.created, self.module.is_compiled()) {
            (_, true) => Some(self.module.contract_version()),
            (Some(_), false) => self.recorded_contract.as_deref(),
            (None, false) => ACCEPTED_VERSIONS.first().copied(),
        }
    }

    fn admit(
        engine: &Engine,
        name: String,
        component: &[u8],
        created: Option<u64>,
    ) -> Result<Self, AdmissionError> {
        let module = engine.admit(component)?;
        let digest = module.digest().to_string();
        let size = component.len();
        Ok(Self { name, module, digest, size, created, recorded_contract: None })
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
