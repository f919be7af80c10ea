//! The machine around the worker: what the kernel leaves to an init.

use super::clock::{self, ClockError};
use super::modules::{self, ModuleError};
use rustix::mount::{MountFlags, mount};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::system::{RebootCommand, reboot};
use sekisho_nsm::{Nsm, NsmError};
use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use thiserror::Error;

/// Files open at once: a connection has one, and a host relays 16384 of them unless told otherwise.
const OPEN_FILES: u64 = 65_536;

/// Random bytes that go from the NSM into the kernel's pool, in answers of up to 256.
const SEED: usize = 1024;

/// Settings of the kernel, under `/proc/sys/kernel`, once the modules are loaded. Those that a kernel
/// does not have it cannot do anything with.
const SETTINGS: &[(&str, &str)] = &[
    // No code gets into the kernel any more.
    ("modules_disabled", "1"),
    ("kexec_load_disabled", "1"),
    ("unprivileged_bpf_disabled", "2"),
    // No keys on a console.
    ("sysrq", "0"),
    // A kernel that is wrong somewhere starts again instead of going on.
    ("panic_on_oops", "1"),
    ("panic", "-1"),
];

/// Whether this process is the init of a machine, which no process is by accident.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Proof that this process is an init whose machine is set up.
#[derive(Debug)]
pub struct Machine(());

impl Machine {
    /// Mounts what is needed, loads the ramdisk's modules, and closes what only a start needs.
    ///
    /// # Errors
    /// [`MachineError`]: the worker must not serve.
    pub fn prepare() -> Result<Self, MachineError> {
        // Unlike a container's, an image's init finds nothing mounted.
        for (kind, place) in [(c"devtmpfs", c"/dev"), (c"proc", c"/proc")] {
            attach(kind, place)?;
        }
        modules::load_all()?;
        for (name, value) in SETTINGS {
            set(name, value)?;
        }
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).map_err(MachineError::limits)?;
        let files = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
        setrlimit(Resource::Nofile, files).map_err(MachineError::limits)?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(MachineError::limits)?;
        Ok(Self(()))
    }

    /// Stirs the NSM's randomness into the kernel's, and sets the clock by it. Answers by how many
    /// milliseconds the clock was off.
    ///
    /// Nobody can take away from the kernel's pool by adding to it, so the kernel's own sources (the
    /// processor, and the NSM as a hardware generator of its driver) count beside it.
    ///
    /// # Errors
    /// The NSM or the kernel refuses.
    pub fn trust_the_nsm(&self, nsm: &dyn Nsm) -> Result<i64, MachineError> {
        let failed = |source| MachineError::Randomness { source };
        let mut pool = OpenOptions::new().write(true).open("/dev/urandom").map_err(failed)?;
        let mut stirred = 0;
        while stirred < SEED {
            let random = nsm.random()?;
            if random.is_empty() {
                return Err(MachineError::NoRandomness);
            }
            pool.write_all(&random).map_err(failed)?;
            stirred = stirred.saturating_add(random.len());
        }
        Ok(clock::set_by(nsm)?)
    }
}

/// Ends the machine: an init that ends in another way makes its kernel panic. Comes back with the
/// reason if it cannot.
pub fn restart() -> io::Error {
    match reboot(RebootCommand::Restart) {
        Ok(()) => io::Error::other("the machine goes on after its end"),
        Err(error) => error.into(),
    }
}

fn attach(kind: &'static CStr, place: &'static CStr) -> Result<(), MachineError> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount(kind, place, kind, flags, None::<&CStr>).map_err(|error| MachineError::Mount {
        place: place.to_string_lossy().into_owned(),
        source: error.into(),
    })
}

fn set(name: &'static str, value: &str) -> Result<(), MachineError> {
    match fs::write(format!("/proc/sys/kernel/{name}"), value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(MachineError::Setting { name, source: error })
        }
        _ => Ok(()),
    }
}

/// The machine could not be set up.
#[derive(Debug, Error)]
pub enum MachineError {
    /// A file system. In a container PID 1 is no init: give it one.
    #[error("PID 1 is the init of an image, and {place} cannot be mounted here: {source}")]
    Mount {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A module of the ramdisk.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// A setting of the kernel.
    #[error("/proc/sys/kernel/{name} cannot be set: {source}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A limit of this process.
    #[error("limits cannot be set: {source}")]
    Limits {
        /// Why.
        source: io::Error,
    },
    /// The kernel's pool.
    #[error("the kernel takes no randomness: {source}")]
    Randomness {
        /// Why.
        source: io::Error,
    },
    /// The NSM's answer is empty.
    #[error("the NSM gives no randomness")]
    NoRandomness,
    /// The NSM.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl MachineError {
    fn limits(error: rustix::io::Errno) -> Self {
        Self::Limits { source: error.into() }
    }
}
