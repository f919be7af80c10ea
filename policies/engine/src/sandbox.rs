//! One call into a fresh instance, within its budget.

use crate::engine::{Code, Module};
use crate::limits::Budget;
use crate::ticker::Ticker;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap};

/// Why a policy gave no answer. Each of them is a deny.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The call used up its fuel.
    #[error("the policy used up its fuel")]
    Fuel,
    /// The call did not end within its deadline.
    #[error("the policy did not answer within its deadline")]
    Deadline,
    /// The instance asked for more memory or table elements than the limit.
    #[error("the policy asked for more memory than its limit")]
    Memory,
    /// The call recursed too deep.
    #[error("the policy used up its stack")]
    Stack,
    /// The instance trapped.
    #[error("the policy trapped: {0}")]
    Trap(&'static str),
    /// The answer is not one of the contract's: a pointer outside memory, text that
    /// is not UTF-8, a case that does not exist, or more data than an answer may have.
    #[error("the policy's answer is malformed: {0}")]
    Malformed(String),
    /// A part of the answer is larger than its bound.
    #[error("the policy's answer is too large: {0}")]
    Oversized(Part),
    /// More instances run than the engine has room for.
    #[error("too many policies run at once")]
    Busy,
    /// No instance could be made.
    #[error("the policy could not be started: {0}")]
    Start(String),
}

/// A bounded part of what a policy returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// The reason of a deny, or of a refused configuration.
    #[error("reason")]
    Reason,
    /// The place in a refused configuration.
    #[error("place")]
    Place,
    /// The number of obligations.
    #[error("obligations")]
    Obligations,
    /// The name or the value of an annotation.
    #[error("annotation")]
    Annotation,
    /// A group of approvers.
    #[error("approvals")]
    Approvals,
    /// The lines for the author.
    #[error("log")]
    Log,
    /// The state that `configure` returns.
    #[error("state")]
    State,
}

/// Counts what an instance takes of memory and tables.
pub(crate) struct Guard {
    memory: usize,
    memory_limit: usize,
    table_limit: usize,
}

/// Marks the trap that a refused growth becomes.
#[derive(Debug, thiserror::Error)]
#[error("memory limit")]
struct MemoryLimit;

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        self.memory = self.memory.saturating_add(more);
        // An error stops the call at once; -1 would leave a policy to work on without.
        if self.memory > self.memory_limit {
            return Err(MemoryLimit.into());
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_limit {
            return Err(MemoryLimit.into());
        }
        Ok(true)
    }
}

/// Calls a function of `module` in an instance of its own; the fuel used comes back
/// whatever the outcome.
pub(crate) fn call<Parameters, Return>(
    module: &Module,
    code: &Code,
    budget: Budget,
    function: &ComponentExportIndex,
    parameters: Parameters,
) -> (Result<Return, Failure>, u64)
where
    Parameters: ComponentNamedList + Lower + Send + Sync,
    Return: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let engine = module.engine();
    let limits = &engine.limits;
    let _running = engine.ticker.run();
    let guard = Guard { memory: 0, memory_limit: limits.memory, table_limit: limits.table };
    let mut store = Store::new(&engine.wasmtime, guard);
    store.limiter(|guard| guard);
    store.set_epoch_deadline(Ticker::ticks(budget.deadline));
    store.set_hostcall_fuel(limits.answer.total);
    let result = store
        .set_fuel(budget.fuel)
        .map_err(start)
        .and_then(|()| code.pre.instantiate(&mut store).map_err(start))
        .and_then(|instance| {
            instance.get_typed_func::<Parameters, Return>(&mut store, function).map_err(start)
        })
        .and_then(|function| function.call(&mut store, parameters).map_err(failure));
    let left = store.get_fuel().unwrap_or(0);
    (result, budget.fuel.saturating_sub(left))
}

fn start(error: wasmtime::Error) -> Failure {
    if error.is::<PoolConcurrencyLimitError>() {
        return Failure::Busy;
    }
    match failure(error) {
        Failure::Malformed(reason) => Failure::Start(reason),
        failure => failure,
    }
}

/// What an error of a call means. What is neither a trap nor our own limit comes from
/// reading the answer out of the instance.
fn failure(error: wasmtime::Error) -> Failure {
    if error.is::<MemoryLimit>() {
        return Failure::Memory;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::Fuel,
        Some(Trap::Interrupt) => Failure::Deadline,
        Some(Trap::StackOverflow) => Failure::Stack,
        Some(Trap::UnreachableCodeReached) => Failure::Trap("unreachable, as after a panic"),
        Some(Trap::MemoryOutOfBounds) => Failure::Trap("access outside its memory"),
        Some(Trap::TableOutOfBounds) => Failure::Trap("access outside a table"),
        Some(Trap::IndirectCallToNull) => Failure::Trap("call of no function"),
        Some(Trap::BadSignature) => Failure::Trap("call of a function of another type"),
        Some(Trap::IntegerDivisionByZero) => Failure::Trap("division by zero"),
        Some(Trap::IntegerOverflow) => Failure::Trap("integer overflow"),
        Some(_) => Failure::Trap("another trap"),
        None => Failure::Malformed(crate::answer::cut(&error.root_cause().to_string(), 256)),
    }
}
