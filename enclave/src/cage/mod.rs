//! The cage of a worker that is a plain process: what the code in it can reach when it is no
//! longer ours.
//!
//! In a Nitro enclave the machine is the cage. Under `sekisho dev`, and wherever the worker is a
//! process among others, this is: no network, no files, no other programs, no other processes, no
//! dumps. What each rule is for stands in docs/cage.md, and `tests/cage.rs` tries every one.

mod files;
mod process;
mod system_calls;

use crate::log::{Event, log};
pub use files::FilesError;
use sekisho_wire::Address;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A cage that is built but not entered: it knows the sockets that stay in reach.
#[derive(Debug)]
pub struct Cage {
    /// Folders in which the worker makes its sockets, and removes them at its end.
    made_in: Vec<PathBuf>,
    /// Folders of sockets that the worker connects to.
    dialled_in: Vec<PathBuf>,
}

/// Proof that this process is in its cage. Only [`Cage::enter`] makes one.
#[derive(Debug)]
pub struct Caged {
    gaps: Vec<Gap>,
}

/// Something that this kernel or this user's limits do not let the cage do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// No Landlock at all: paths can be resolved, removed and connected to.
    NoLandlock,
    /// Landlock before ABI 6 (Linux 6.12): abstract Unix sockets of others can be connected to.
    AbstractSockets,
    /// Landlock before ABI 9 (Linux 7.1): Unix sockets anywhere in the file system can be
    /// connected to, as far as their permissions let the user.
    SocketsOfOthers,
    /// Memory may be written to swap: locking it as a whole would keep the sandbox of the
    /// policies from giving its memory back.
    Swap,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLandlock => "the kernel has no Landlock: paths can be removed and connected to",
            Self::AbstractSockets => {
                "Landlock is older than ABI 6: abstract Unix sockets can be connected to"
            }
            Self::SocketsOfOthers => {
                "Landlock is older than ABI 9: Unix sockets of other programs can be connected to"
            }
            Self::Swap => "swap is on and memory is not locked: keys may be written to it",
        })
    }
}

impl Cage {
    /// A cage around a worker that listens on `listen` and dials `store`, and `egress` if it has one.
    ///
    /// # Errors
    /// [`CageError::NotAUnixSocket`]: there is no cage with a vsock in it.
    pub fn around(
        listen: &Address,
        store: &Address,
        egress: Option<&Address>,
    ) -> Result<Self, CageError> {
        let made = listen.listening_path();
        let dialled = [store].into_iter().chain(egress).map(|address| match address {
            Address::Unix { path } | Address::Hybrid { path, .. } => Some(folder(path)),
            Address::Vsock { .. } => None,
        });
        let (Some(made), Some(mut dialled)) = (made, dialled.collect::<Option<Vec<_>>>()) else {
            return Err(CageError::NotAUnixSocket);
        };
        dialled.dedup();
        Ok(Self { made_in: vec![folder(&made)], dialled_in: dialled })
    }

    /// A cage without any socket in it.
    pub(crate) fn without_sockets() -> Self {
        Self { made_in: Vec::new(), dialled_in: Vec::new() }
    }

    /// Enters the cage; there is no way out of it. Says in the log what could not be closed.
    ///
    /// # Errors
    /// Each [`CageError`]; where it fails, the process must not serve.
    pub fn enter(self) -> Result<Caged, CageError> {
        process::check_single_thread()?;
        process::forget_privileges_and_dumps()?;
        let mut gaps = files::restrict(&self.made_in, &self.dialled_in)?;
        gaps.extend(process::swap_is_on().then_some(Gap::Swap));
        system_calls::restrict()?;
        for gap in &gaps {
            log(Event::CageGap(*gap));
        }
        log(Event::Caged { gaps: gaps.len() });
        Ok(Caged { gaps })
    }
}

impl Caged {
    /// What could not be closed on this machine.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Takes away what only the start needs, once the worker listens: making sockets known by a
    /// path, and changing permissions.
    ///
    /// # Errors
    /// [`CageError::SystemCalls`].
    pub fn close(&self) -> Result<(), CageError> {
        Ok(system_calls::close()?)
    }
}

fn folder(socket: &Path) -> PathBuf {
    match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Why a process is not in its cage.
#[derive(Debug, Error)]
pub enum CageError {
    /// An address is not a Unix socket.
    #[error("a worker in a cage is reached over Unix sockets alone")]
    NotAUnixSocket,
    /// Landlock holds for one thread and those it starts.
    #[error("the cage must be entered before any other thread starts; there are {0}")]
    Threads(usize),
    /// Privileges or dumps could not be given up.
    #[error("privileges and dumps cannot be given up: {0}")]
    Process(#[from] io::Error),
    /// Landlock is there but refused.
    #[error("the file system cannot be closed: {0}")]
    Files(#[from] FilesError),
    /// The filter was refused.
    #[error("system calls cannot be filtered: {0}")]
    SystemCalls(#[from] seccompiler::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cage_is_around_unix_sockets_alone() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let cage = Cage::around(&address("unix:/run/a/w"), &address("unix:store"), None).unwrap();
        assert_eq!(cage.made_in, [Path::new("/run/a")]);
        assert_eq!(cage.dialled_in, [Path::new(".")]);
        let (listen, store) = (address("unix:/run/a/w"), address("unix:/run/b/store"));
        for (egress, dialled) in [
            ("unix:/run/c/egress", ["/run/b", "/run/c"].as_slice()),
            ("unix:/run/b/egress", &["/run/b"]),
        ] {
            let cage = Cage::around(&listen, &store, Some(&address(egress))).unwrap();
            assert!(
                cage.dialled_in
                    .iter()
                    .map(|folder| folder.as_path())
                    .eq(dialled.iter().map(Path::new))
            );
        }
        let vsock = address("vsock:3:5000");
        let with_vsock = Cage::around(&listen, &store, Some(&vsock));
        assert!(matches!(with_vsock, Err(CageError::NotAUnixSocket)));
        for (listen, store) in
            [(&vsock, &address("unix:/a")), (&address("unix:/a"), &vsock), (&vsock, &vsock)]
        {
            assert!(matches!(Cage::around(listen, store, None), Err(CageError::NotAUnixSocket)));
        }
    }
}
