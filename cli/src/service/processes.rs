//! The host and the worker of a development service: this program, started twice more.
//!
//! [`Process`] is the parent's side, [`Child`] what the started program does with itself.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sekisho_enclave::{LogFormat, start_log};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::{ChildStdin, Command};
use tokio::sync::Mutex;
use tracing_subscriber::EnvFilter;

use super::channel::{self, Answer, ChannelError, ParentGone};
use super::root_key;

/// How long a process may take to finish its work after it was asked to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Host,
    Worker,
}

impl Role {
    /// The hidden command that plays it.
    fn command(self) -> &'static str {
        match self {
            Self::Host => "internal-host",
            Self::Worker => "internal-worker",
        }
    }
}

impl Role {
    /// Its log goes to stderr, warnings alone unless RUST_LOG says otherwise.
    fn start_log(self) {
        let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        match self {
            Self::Host => tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new(levels))
                .with_writer(io::stderr)
                .init(),
            Self::Worker => {
                // There is no other log in this process.
                let _ = start_log(LogFormat::Text, &levels);
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "host",
            Self::Worker => "worker",
        })
    }
}

/// Where a process writes its log.
#[derive(Clone, Debug)]
pub(crate) enum Log {
    Stderr,
    Folder(PathBuf),
}

/// A started process; it dies with this value, and with this program.
#[derive(Debug)]
pub(crate) struct Process {
    role: Role,
    child: tokio::process::Child,
    /// Its end is the sign to stop.
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    lines: Option<channel::Lines>,
    /// What it serves, as it said itself.
    pub(crate) address: String,
}

impl Process {
    /// Starts this program again as `role` and waits until it serves.
    pub(crate) async fn start<T: Serialize>(
        role: Role,
        log: &Log,
        parameters: &T,
    ) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Start { role, source };
        let program = std::env::current_exe().map_err(|error| failed(error.into()))?;
        let mut child = Command::new(program)
            .arg(role.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.open(role).map_err(|error| failed(error.into()))?)
            // A group of its own: Ctrl-C is for the parent, which stops the two in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.into()))?;
        let (address, stdin, lines) =
            channel::start(&mut child, parameters).await.map_err(failed)?;
        let stdin = Arc::new(Mutex::new(Some(stdin)));
        Ok(Self { role, child, stdin, lines: Some(lines), address })
    }

    /// From now on a worker's new root key goes into this file.
    pub(crate) fn keep_root_key(&mut self, path: PathBuf) {
        let Some(mut lines) = self.lines.take() else { return };
        let stdin = self.stdin.clone();
        tokio::spawn(async move {
            while let Some(key) = lines.new_root_key().await {
                let kept = root_key::replace(&path, &key);
                if let Err(error) = &kept {
                    eprintln!("{}: {error}", path.display());
                }
                if let Some(stdin) = &mut *stdin.lock().await {
                    // A worker that has ended asks for nothing.
                    let _ = channel::say_kept(stdin, kept.is_ok()).await;
                }
            }
        });
    }

    /// Waits for the process to end, which it should not do by itself.
    pub(crate) async fn ended(&mut self) -> ProcessError {
        match self.child.wait().await {
            Ok(status) => ProcessError::Ended { role: self.role, status },
            Err(source) => ProcessError::Lost { role: self.role, source },
        }
    }

    /// Asks the process to finish what it is doing and waits for its end; kills it if it does not.
    pub(crate) async fn stop(self) -> Result<(), ProcessError> {
        let Self { role, mut child, stdin, .. } = self;
        drop(stdin.lock().await.take());
        match tokio::time::timeout(STOP_LIMIT, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(ProcessError::Ended { role, status }),
            Ok(Err(source)) => Err(ProcessError::Lost { role, source }),
            Err(_) => {
                let _ = child.kill().await;
                Err(ProcessError::Killed { role })
            }
        }
    }
}

impl Log {
    fn open(&self, role: Role) -> io::Result<Stdio> {
        match self {
            Self::Stderr => Ok(Stdio::inherit()),
            Self::Folder(folder) => File::create(log_file(folder, role)).map(Stdio::from),
        }
    }
}

/// The log of one process in a folder of logs.
pub(crate) fn log_file(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.log"))
}

/// The started program: it has its parameters and owes its parent an answer.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    answered: Rc<Cell<bool>>,
}

impl Child {
    /// Reads the parameters, serves until the parent closes stdin, and tells the parent where
    /// it serves or why it cannot.
    pub(crate) fn run<T, F>(role: Role, serve: impl FnOnce(T, Self, ParentGone) -> F) -> ExitCode
    where
        T: DeserializeOwned,
        F: Future<Output = Result<(), Ended>>,
    {
        role.start_log();
        // A connection takes two files in the host and one in the worker. Where it cannot be raised,
        // fewer are accepted.
        let _ = sekisho_host::raise_open_files_limit();

        let child = Self { answered: Rc::default() };
        let ended = channel::parameters().map_err(Ended::new).and_then(|(parameters, parent)| {
            // One thread: a relay is several times faster so, and the worker's work is short.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Ended::new)?;
            let ended = runtime.block_on(serve(parameters, child.clone(), parent));
            runtime.shutdown_background();
            ended
        });
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(Ended(reason)) => {
                if child.answered.get() {
                    eprintln!("sekisho {role}: {reason}");
                } else {
                    child.answer(&Answer::Failed(reason));
                }
                ExitCode::FAILURE
            }
        }
    }

    /// Tells the parent that this process serves at `address`.
    pub(crate) fn ready(&self, address: &str) {
        self.answer(&Answer::Ready(address.to_owned()));
    }

    fn answer(&self, answer: &Answer) {
        self.answered.set(true);
        // A parent that no longer listens also closes stdin, which ends this process.
        let _ = channel::answer(answer);
    }
}

/// Why a child process ends before its time, in words for a person.
#[derive(Debug)]
pub(crate) struct Ended(String);

impl Ended {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// What went wrong with one of the two processes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("the {role} did not start: {source}")]
    Start { role: Role, source: ChannelError },
    #[error("the {role} stopped: {status}")]
    Ended { role: Role, status: ExitStatus },
    #[error("the {role} cannot be waited for: {source}")]
    Lost { role: Role, source: io::Error },
    #[error("the {role} did not stop within {} s and was killed", STOP_LIMIT.as_secs())]
    Killed { role: Role },
}
