//! A trial: one component, compiled within bounds, and the end.

use super::{MAX_ASKED, asked, memory, processor_seconds, receive};
use crate::cage::Cage;
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use sekisho_policy_engine::{Limits, try_compiling};
use std::io::{self, Write};
use std::process::ExitCode;

/// Lowest of all: a request that is answered meanwhile goes first.
const NICENESS: i32 = 19;

/// Status 0: compiled. Status 1: refused, and stdout says why. Anything else is not for the trial to
/// choose.
pub(super) fn run(caged: bool) -> ExitCode {
    match attempt(caged) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(reason)) => {
            // Who no longer listens needs no reason.
            let _ = io::stdout().write_all(reason.as_bytes());
            ExitCode::from(1)
        }
        Err(_) => ExitCode::from(2),
    }
}

fn attempt(caged: bool) -> io::Result<Result<(), String>> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(NICENESS)?;
    let message = receive(&mut io::stdin().lock(), MAX_ASKED)?;
    let (admitted, component) = asked(&message)?;
    let seconds = processor_seconds(component.len());
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    // Private memory that can be written to: what the compiler allocates, and its stack's not.
    let memory = memory(component.len());
    limit(Resource::Data, memory, memory)?;
    limit(Resource::Core, 0, 0)?;
    if caged {
        Cage::without_sockets().enter().map_err(io::Error::other)?;
    }
    let limits = Limits::with_components_of(admitted);
    Ok(try_compiling(component, &limits).map_err(|error| error.to_string()))
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}
