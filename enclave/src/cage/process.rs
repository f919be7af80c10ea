//! What the process gives up about itself: privileges to come, and being looked into.

use super::CageError;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::fs;
use std::io;

/// Landlock binds the calling thread and those it starts later, so there must be no other yet.
pub(super) fn check_single_thread() -> Result<(), CageError> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(CageError::Threads(threads));
    }
    Ok(())
}

/// No program that it could start gets more than it has (prctl(2), PR_SET_NO_NEW_PRIVS); a crash
/// leaves no core; and no process of the same user traces it or reads its memory (ptrace(2),
/// PR_SET_DUMPABLE).
pub(super) fn forget_privileges_and_dumps() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Whether keys could be written to swap. A machine that does not say counts as one that swaps.
pub(super) fn swap_is_on() -> bool {
    // proc(5): a headline, then a line for each area.
    fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().count() > 1)
}
