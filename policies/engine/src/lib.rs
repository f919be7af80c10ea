//! Evaluates key policies as sandboxed WebAssembly components.
//!
//! ```text
//! bytes ──admit──► Module ──configure──► Policy ──evaluate(request)──► Evaluation
//! ```
//!
//! An [`Engine`] admits a component: it is small enough, imports nothing, exports the
//! contract of `policies/wit/`, and is compiled. The [`Module`] reads a configuration
//! once, which makes a [`Policy`]; a policy decides on a [`Request`], in a fresh
//! instance each time. An [`Evaluation`] always has an answer: whatever goes wrong in
//! the sandbox is a deny with a [`Failure`] that names it.
//!
//! Nothing here does I/O or reads a clock; one thread a running engine counts time
//! for the deadlines.

mod admission;
mod answer;
mod contract;
mod engine;
mod evaluation;
mod limits;
mod policy;
mod sandbox;
pub mod stock;
mod ticker;

pub use admission::{AdmissionError, BoundExceeded, inspect};
pub use contract::{
    ACCEPTED_VERSIONS, Answer, Approvals, Attestation, AttestationKind, ConfigurationError,
    Decision, Grant, Key, Obligation, Pair, Pcr, Principal, Request,
};
pub use engine::{Engine, EngineError, Module, ModuleDigest, try_compiling};
pub use evaluation::{Evaluation, Permit};
pub use limits::{
    AdmissionLimits, AnswerLimits, Budget, DEFAULT_COMPONENT, Limits, MAX_COMPONENT, Parts,
};
pub use policy::{ConfigureError, Policy};
pub use sandbox::{Failure, Part};
