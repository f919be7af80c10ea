//! The policy components that a service knows: the stock ones, which come with the worker and are part
//! of its measurement, and those that its owner registered, kept in the journal.
//!
//! A registered module never changes and keeps its name: a new version is another name. Whoever may
//! register is trusted with the worker's time: compiling is bounded by the component's shape alone.

use super::store::StoreFault;
use crate::log::{Event, log};
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use sekisho_policy_engine::{AdmissionError, Engine, Module, ModuleDigest, stock};
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use std::panic::resume_unwind;
use std::sync::{PoisonError, RwLock};
use std::thread;
use thiserror::Error;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// The stock component that reads AWS policy documents.
pub(crate) const IAM: &str = "iam";

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
    /// The stock ones first.
    known: RwLock<Vec<KnownModule>>,
    /// One registration at a time.
    registering: Mutex<()>,
}

/// A registered module as the journal keeps it.
#[derive(Serialize, Deserialize)]
struct ModuleRecord {
    created: u64,
    #[serde(with = "serde_bytes")]
    component: Vec<u8>,
}

impl Modules {
    /// Admits the stock components, each on a thread of its own: compiling them is most of a start.
    pub(crate) fn stock(engine: &Engine) -> Result<Self, AdmissionError> {
        let admitted = thread::scope(|scope| {
            let compiling = stock::ALL.map(|(name, bytes)| {
                scope.spawn(move || KnownModule::admit(engine, name.to_owned(), bytes, None))
            });
            compiling.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let known = admitted.into_iter().collect::<Result<_, _>>()?;
        Ok(Self {
            engine: engine.clone(),
            known: RwLock::new(known),
            registering: Mutex::default(),
        })
    }

    /// Admits what is registered. One that is no longer admitted is left out: its keys are refused,
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
        let _registering = self.registering.lock().await;
        let digest = ModuleDigest::of(&component).to_string();
        if let Some(same) = self.of_name(name).filter(|known| known.digest == digest) {
            return Ok(same);
        }
        let (module, component) = self.compile(name.to_owned(), component, now).await?;
        if let Some(known) = self.of_name(name) {
            return Err(RegisterError::Exists { name: known.name, digest: known.digest });
        }
        if self.list().len() >= MAX_REGISTERED + stock::ALL.len() {
            return Err(RegisterError::TooMany);
        }
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
