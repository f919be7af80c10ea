//! The engine, and the modules it admits.

use crate::admission::{self, AdmissionError};
use crate::contract::Functions;
use crate::limits::{Limits, Parts};
use crate::sandbox::{Failure, Guard};
use crate::stock;
use crate::ticker::Ticker;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, OnceLock};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy, WasmFeatures,
};

/// The memory that stays mapped in an instance's slot between two calls: the page a
/// stock policy starts with. More costs time to clear, less costs a system call.
const KEEP_RESIDENT: usize = 64 * 1024;

/// What a component may use of WebAssembly: what compilers to it use today without
/// being asked. All of it is deterministic; of floats, because a NaN has one form
/// here.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    // For what passes text from one memory to another inside a component. A module still defines
    // one memory at most: the pool has no more for it.
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// The engine does not start on this machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sandbox cannot be set up: too little address space, an unusual processor.
    #[error("the policy sandbox cannot be set up: {0}")]
    Sandbox(String),
    /// The thread for the deadlines does not start.
    #[error("the thread for the deadlines does not start: {0}")]
    Ticker(#[from] std::io::Error),
}

/// Admits components and runs them. Cheap to clone; the clones are one engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    // Before the engine, so that its thread ends first.
    pub(crate) ticker: Ticker,
    pub(crate) wasmtime: wasmtime::Engine,
    linker: Linker<Guard>,
    pub(crate) limits: Limits,
}

impl Engine {
    /// An engine with these limits.
    ///
    /// # Errors
    ///
    /// The machine does not give what the sandbox needs.
    pub fn new(limits: Limits) -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&configuration(&limits))
            .map_err(|error| EngineError::Sandbox(format!("{error:#}")))?;
        Ok(Self {
            shared: Arc::new(Shared {
                ticker: Ticker::start(wasmtime.clone())?,
                // Empty: a policy imports nothing.
                linker: Linker::new(&wasmtime),
                wasmtime,
                limits,
            }),
        })
    }

    /// Admits a component: checks it and compiles it, in this order.
    ///
    /// Compiling runs in this process and takes milliseconds for an honest policy. The
    /// bounds of [`AdmissionLimits`](crate::AdmissionLimits) cut off the known ways to
    /// make it expensive, and are no promise about time: a component of unknown origin
    /// is for [`try_compiling`] first, in a process that may be ended.
    ///
    /// # Errors
    ///
    /// The first rule that the component breaks.
    pub fn admit(&self, bytes: &[u8]) -> Result<Module, AdmissionError> {
        let code = self.compile(bytes)?;
        Ok(self.module(ModuleDigest::of(bytes), None, OnceLock::from(Ok(code))))
    }

    /// A module that is admitted when it is first used, such as a stock policy that most services never
    /// name. Where it is not admitted then, it decides nothing: that is a [`Failure::Start`].
    pub fn admit_on_use(&self, bytes: &'static [u8]) -> Module {
        self.module(ModuleDigest::of(bytes), Some(bytes), OnceLock::new())
    }

    /// A module of the component with this digest, which [`Module::supply`] brings later. Until then it
    /// decides nothing: that is a [`Failure::Start`].
    pub fn admit_later(&self, digest: ModuleDigest) -> Module {
        self.module(digest, None, OnceLock::new())
    }

    fn module(
        &self,
        digest: ModuleDigest,
        component: Option<&'static [u8]>,
        code: OnceLock<Result<Code, String>>,
    ) -> Module {
        let engine = self.clone();
        Module { shared: Arc::new(Compiled { code, component, digest, engine }) }
    }

    fn compile(&self, bytes: &[u8]) -> Result<Code, AdmissionError> {
        admission::inspect(bytes, &stock::admission(bytes, &self.shared.limits.admission))?;
        let component =
            Component::from_binary(&self.shared.wasmtime, bytes).map_err(not_compiled)?;
        let pre = self.shared.linker.instantiate_pre(&component).map_err(not_compiled)?;
        Ok(Code { functions: Functions::find(&pre)?, pre })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

/// Inspects and compiles a component as [`Engine::admit`] does, and throws the code away: with no pool
/// of instances, nothing is taken of the machine but what compiling takes.
///
/// Bounds of time and memory are the calling process's own, which gives itself up for them.
///
/// # Errors
///
/// The first rule that the component breaks; the contract is not looked at.
pub fn try_compiling(bytes: &[u8], limits: &Limits) -> Result<(), AdmissionError> {
    admission::inspect(bytes, &limits.admission)?;
    let compile = || wasmtime::Engine::new(&rules(limits))?.precompile_component(bytes);
    compile().map(drop).map_err(not_compiled)
}

fn not_compiled(error: wasmtime::Error) -> AdmissionError {
    AdmissionError::Compile { reason: crate::answer::cut(&format!("{error:#}"), 512) }
}

/// The rules, and a pool of instances.
fn configuration(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let Parts { core_instances, memories, tables } = limits.parts;
    pool.total_component_instances(limits.concurrent)
        .total_core_instances(limits.concurrent.saturating_mul(core_instances))
        .total_memories(limits.concurrent.saturating_mul(memories))
        .total_tables(limits.concurrent.saturating_mul(tables))
        .max_core_instances_per_component(core_instances)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memories_per_module(1)
        .max_tables_per_module(tables)
        .max_memory_size(limits.memory)
        .table_elements(limits.table)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(limits.concurrent);
    let mut config = rules(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// What a component may use, and how it is compiled.
fn rules(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack)
        // Nobody reads a policy's backtrace, and unwinding it costs time.
        .wasm_backtrace_max_frames(None);
    config
}

/// A component that was admitted. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    shared: Arc<Compiled>,
}

struct Compiled {
    code: OnceLock<Result<Code, String>>,
    /// What `code` is made of when it is first needed.
    component: Option<&'static [u8]>,
    digest: ModuleDigest,
    engine: Engine,
}

/// A compiled component.
pub(crate) struct Code {
    pub(crate) pre: InstancePre<Guard>,
    pub(crate) functions: Functions,
}

impl Module {
    /// SHA-256 of the component's bytes.
    pub fn digest(&self) -> ModuleDigest {
        self.shared.digest
    }

    /// The version of the contract that it speaks, such as `0.2.0`. One that is not admitted when it
    /// is first used speaks none.
    pub fn contract_version(&self) -> &'static str {
        self.code().map_or("none", |code| code.functions.version.name())
    }

    /// Whether its code is there, or why there is none: a call of it waits for no compiling.
    pub fn is_compiled(&self) -> bool {
        self.shared.code.get().is_some()
    }

    /// Brings the component of a module that was [admitted later](Engine::admit_later), and compiles it
    /// as [`Engine::admit`] does. What is compiled already stays.
    ///
    /// # Errors
    ///
    /// It is another component, or is not admitted; the module decides nothing then.
    pub fn supply(&self, bytes: &[u8]) -> Result<(), AdmissionError> {
        let Compiled { code, digest, engine, .. } = &*self.shared;
        if code.get().is_some() {
            return Ok(());
        }
        if ModuleDigest::of(bytes) != *digest {
            let reason = "it is not the component that was registered".into();
            return Err(AdmissionError::NotComponent { reason });
        }
        let (made, outcome) = match engine.compile(bytes) {
            Ok(made) => (Ok(made), Ok(())),
            Err(error) => (Err(error.to_string()), Err(error)),
        };
        // Where another thread was faster, it compiled the same bytes.
        let _ = code.set(made);
        outcome
    }

    /// Compiles it where it is not compiled yet, which takes seconds for a large one: not for a thread
    /// that others wait for. One that is not admitted says so at each call.
    pub fn compile(&self) {
        let _ = self.code();
    }

    pub(crate) fn engine(&self) -> &Shared {
        &self.shared.engine.shared
    }

    /// Compiled, now if not before.
    pub(crate) fn code(&self) -> Result<&Code, Failure> {
        let Compiled { code, component, engine, .. } = &*self.shared;
        let compiled = match (code.get(), component) {
            (Some(compiled), _) => compiled,
            (None, Some(component)) => {
                code.get_or_init(|| engine.compile(component).map_err(|error| error.to_string()))
            }
            (None, None) => return Err(Failure::Start("it is not compiled yet".into())),
        };
        compiled.as_ref().map_err(|reason| Failure::Start(reason.clone()))
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Module").field(&self.shared.digest).finish()
    }
}

/// SHA-256 of a component's bytes: the module's name in audit records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleDigest([u8; 32]);

impl ModuleDigest {
    /// The digest of a component that need not be admitted yet.
    pub fn of(component: &[u8]) -> Self {
        Self(Sha256::digest(component).into())
    }

    /// From 64 digits, lower-case hex.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = base16ct::lower::decode_vec(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
