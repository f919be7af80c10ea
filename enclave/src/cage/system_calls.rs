//! The system calls that a worker makes, and no others: seccomp(2).
//!
//! A call that is not in these lists fails with EPERM, whatever its name: a list of what is
//! forbidden would have to know every way around it (io_uring opens sockets too).

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Memory. `mprotect` may make code executable: policies are compiled.
const MEMORY: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
];

/// Threads, signals to itself, time, randomness.
const PROCESS: &[i64] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    // It can only add filters, and a filter can only take away.
    libc::SYS_seccomp,
];

/// Descriptors that are open already, and waiting for them. Nothing here opens a file.
const DESCRIPTORS: &[i64] = &[
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Sockets, once `socket` has made one of the family that is allowed.
const SOCKETS: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// What a listening socket's file needs: its permissions, its identity, its end.
const SOCKET_FILES: &[i64] =
    &[libc::SYS_fchmodat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_unlinkat];

/// Older calls that x86-64 still has and its C library still makes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_stat,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// What only the start needs.
const START: &[i64] = &[libc::SYS_bind, libc::SYS_fchmodat, libc::SYS_listen];
#[cfg(target_arch = "x86_64")]
const OLDER_START: &[i64] = &[libc::SYS_chmod];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_START: &[i64] = &[];

/// `PIDFD_SELF` of `linux/pidfd.h`, before Linux 6.15's own: the caller's thread group leader.
const PIDFD_SELF: [i32; 2] = [-10_000, -10_001];

/// Of `asm-generic/ioctls.h`: C libraries give it different types.
const FIONBIO: u64 = 0x5421;

/// Restricts this process, with all its threads.
pub(super) fn restrict() -> Result<(), Error> {
    // clone3(2) takes its flags from memory, where a filter cannot look. As on a kernel without
    // it, the C library then uses clone(2).
    let without_clone3 = rules([(libc::SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    apply(SeccompAction::Allow, missing, without_clone3)?;
    apply(refuse(), SeccompAction::Allow, allowed()?)
}

/// Takes away what only the start needs.
pub(super) fn close() -> Result<(), Error> {
    let calls = START.iter().chain(OLDER_START).map(|call| (*call, vec![]));
    apply(SeccompAction::Allow, refuse(), rules(calls))
}

fn refuse() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(calls: impl IntoIterator<Item = (i64, Vec<SeccompRule>)>) -> Rules {
    calls.into_iter().collect()
}

/// Each call that is allowed, and the arguments that it is allowed with; no rule means any.
fn allowed() -> Result<Rules, Error> {
    let free = [MEMORY, PROCESS, DESCRIPTORS, SOCKETS, SOCKET_FILES, OLDER].concat();
    let mut rules = rules(free.into_iter().map(|call| (call, vec![])));

    let unix = || one(argument(0, libc::AF_UNIX.unsigned_abs().into())?);
    rules.insert(libc::SYS_socket, vec![unix()?]);
    rules.insert(libc::SYS_socketpair, vec![unix()?]);

    // A thread of this process, never another process.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let in_this_process = condition(0, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![one(in_this_process)?]);
    // Allowed here, and missing by the filter below this one.
    rules.insert(libc::SYS_clone3, vec![]);

    // Signals to its own threads, as abort(3) sends one.
    let own = argument(0, std::process::id().into())?;
    rules.insert(libc::SYS_tgkill, vec![one(own)?]);

    // Reading its own limits, setting none.
    let read_limit = vec![argument(0, 0)?, condition(2, SeccompCmpOp::Eq, 0)?];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(read_limit)?]);

    rules.insert(
        libc::SYS_prctl,
        choices(
            0,
            &[
                libc::PR_GET_DUMPABLE.unsigned_abs().into(),
                libc::PR_SET_NAME.unsigned_abs().into(),
                libc::PR_SET_NO_NEW_PRIVS.unsigned_abs().into(),
                libc::PR_SET_VMA.unsigned_abs().into(),
            ],
        )?,
    );
    rules.insert(libc::SYS_ioctl, choices(1, &[FIONBIO])?);
    let own_memory = PIDFD_SELF.map(|own| u64::from(own.cast_unsigned()));
    rules.insert(libc::SYS_process_madvise, choices(0, &own_memory)?);
    Ok(rules)
}

/// A rule for each value that an argument may have.
fn choices(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|value| one(argument(index, *value)?)).collect()
}

fn one(condition: SeccompCondition) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition])
}

/// An `int` argument: the kernel looks at its lower half alone, and so must the filter.
fn argument(index: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// An argument of the full width.
fn condition(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value)
}

fn apply(otherwise: SeccompAction, matching: SeccompAction, rules: Rules) -> Result<(), Error> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, otherwise, matching, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)
}
