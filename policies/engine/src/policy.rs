//! A policy: a module and what it made of a configuration.

use crate::answer::{bounded, bounded_refusal, within};
use crate::contract::{
    Answer, ConfigurationError, ConfigureResult, EvaluateResult, OlderEvaluateResult, Request,
    Version,
};
use crate::engine::Module;
use crate::evaluation::Evaluation;
use crate::sandbox::{Failure, Part, call};
use std::fmt;
use std::sync::Arc;

/// Why a configuration did not make a policy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// It is longer than the engine takes; the module was not asked.
    #[error("the configuration has {size} bytes; at most {limit} are taken")]
    Size {
        /// Bytes of the configuration.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The module refuses it, and says where and why.
    #[error("{}{}", place(.0), .0.reason)]
    Refused(ConfigurationError),
    /// The module gave no answer.
    #[error("the module does not read the configuration: {0}")]
    Failed(#[from] Failure),
}

fn place(error: &ConfigurationError) -> String {
    match error.place.as_str() {
        "" => String::new(),
        place => [place, ": "].concat(),
    }
}

impl Module {
    /// Has the module read a configuration, once, and keeps what it made of it.
    ///
    /// # Errors
    ///
    /// The configuration is too long, or the module refuses it or fails over it.
    pub fn configure(&self, configuration: &[u8]) -> Result<Policy, ConfigureError> {
        let limits = &self.engine().limits;
        if configuration.len() > limits.configuration {
            return Err(ConfigureError::Size {
                size: configuration.len(),
                limit: limits.configuration,
            });
        }
        let code = self.code()?;
        let (result, _fuel) =
            call(self, code, limits.configure, &code.functions.configure, (configuration,));
        let (answer,): ConfigureResult = result?;
        match answer {
            Ok(state) => {
                within(state.len(), limits.state, Part::State)?;
                Ok(self.policy_from_state(state))
            }
            Err(refusal) => Err(ConfigureError::Refused(bounded_refusal(refusal, &limits.answer)?)),
        }
    }

    /// The policy with a state that this module returned before.
    ///
    /// Whether it did is for the caller to know, by keeping the state sealed beside the
    /// module's digest. A module that gets a strange state can still do nothing but
    /// decide.
    pub fn policy_from_state(&self, state: Vec<u8>) -> Policy {
        Policy { module: self.clone(), state: state.into() }
    }
}

/// What decides on the use of a key. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    module: Module,
    state: Arc<[u8]>,
}

impl Policy {
    /// The module that decides.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What the module made of the configuration; opaque, at most 64 KiB. Kept, it
    /// saves reading the configuration again ([`Module::policy_from_state`]).
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// Decides on one request, in a fresh instance.
    ///
    /// There is no error: whatever goes wrong is a deny, and the evaluation's
    /// [`failure`](Evaluation::failure) names it.
    pub fn evaluate(&self, request: &Request) -> Evaluation {
        let limits = &self.module.engine().limits;
        let module = &self.module;
        let code = match module.code() {
            Ok(code) => code,
            Err(failure) => return Evaluation::new(module.digest(), Err(failure), 0),
        };
        let (function, parameters) = (&code.functions.evaluate, (&*self.state, request));
        let (result, fuel) = match code.functions.version {
            Version::V0_2 => {
                let (result, fuel) = call(module, code, limits.evaluate, function, parameters);
                (result.map(|(answer,): EvaluateResult| answer), fuel)
            }
            Version::V0_1 => {
                let (result, fuel) = call(module, code, limits.evaluate, function, parameters);
                (result.map(|(older,): OlderEvaluateResult| Answer::from(older)), fuel)
            }
        };
        let answer = result.and_then(|answer| bounded(answer, &limits.answer));
        Evaluation::new(self.module.digest(), answer, fuel)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("module", &self.module)
            .field("state_len", &self.state.len())
            .finish()
    }
}
