//! A running `sekisho dev` in a temporary folder, and clients that are not ours.

#![allow(dead_code, reason = "each test file uses its part of it")]

pub(crate) mod overheard;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use overheard::Overheard;
use serde_json::Value;

/// The built command.
pub(crate) const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");

/// What `sekisho` remembers of the services of these tests, in place of the tester's own.
pub(crate) const STATE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state");

/// For a service to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running service. Dropping it stops it, and searches what its host carried and stored.
pub(crate) struct Service {
    child: Option<Child>,
    /// What it says on stdout.
    lines: Receiver<String>,
    pub(crate) overheard: Overheard,
    /// What it said when it was ready.
    pub(crate) ready: Value,
}

impl Service {
    /// Starts a service in `folder` with the users that the client scripts know.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--user", "alice", "--user", "bob"])
    }

    /// Starts a service in `folder` on a free port.
    pub(crate) fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_by(Command::new(SEKISHO), folder, arguments)
    }

    /// Starts a service that logs all it can to a file.
    pub(crate) fn start_talking(folder: &Path, log: &Path) -> Self {
        let mut command = Command::new(SEKISHO);
        let log = std::fs::File::create(log).expect("a file for the log");
        command.env("RUST_LOG", "trace").stderr(log);
        Self::start_by(command, folder, &[])
    }

    /// Starts a service with this command, whose stderr may go elsewhere, on a free port.
    pub(crate) fn start_by(command: Command, folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at(command, folder, "127.0.0.1:0", arguments)
    }

    /// As [`Service::start_by`], where an earlier one has listened.
    pub(crate) fn start_at(
        mut command: Command,
        folder: &Path,
        listen: &str,
        arguments: &[&str],
    ) -> Self {
        let overheard = Overheard::new();
        let mut child = command
            .args(["dev", "--json", "--listen", listen, "--data-dir"])
            .arg(folder)
            .arg("--record-traffic")
            .arg(overheard.carried())
            .args(arguments)
            .env("XDG_STATE_HOME", STATE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sekisho dev starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let (said, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| said.send(line))
        });
        let line = lines.recv().unwrap_or_default();
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("it is not ready: {:?}", child.wait()));
        let service = Self { child: Some(child), lines, overheard, ready };
        service.overheard.say_in_the_clear(&service.endpoint());
        service
    }

    /// Whether a service that was sealed at first says within `patience` that it is not any more.
    pub(crate) fn unsealed(&mut self, patience: Duration) -> bool {
        let Ok(line) = self.lines.recv_timeout(patience) else { return false };
        self.ready = serde_json::from_str(&line).expect("JSON");
        true
    }

    /// The secrets in what a client of this service printed: the host must not know them.
    pub(crate) fn learn_from(&self, output: &Output) {
        self.overheard.learn_from(&output.stdout);
    }

    /// A string of what the service said when it was ready.
    pub(crate) fn said(&self, pointer: &str) -> String {
        let found = self.ready.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in {}", self.ready)).to_owned()
    }

    /// `https://127.0.0.1:<port>`
    pub(crate) fn endpoint(&self) -> String {
        self.said("/endpoint")
    }

    /// A program with what the service says that AWS clients need, and nothing else of AWS's.
    pub(crate) fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        let environment = self.ready.pointer("/environment").and_then(Value::as_object);
        for (name, value) in environment.expect("an environment") {
            command.env(name, value.as_str().expect("a string"));
        }
        command
            .env("XDG_STATE_HOME", STATE)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_PAGER", "")
            .env("NO_PROXY", "*")
            .env("SEKISHO", SEKISHO)
            .env("SEKISHO_SECRETS", self.overheard.told_by_scripts())
            .env("SEKISHO_DATA", self.said("/data_dir"));
        command
    }

    /// Runs a script of `cli/tests/clients` and wants it to succeed.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let output = self
            .client(venv("python3"))
            .arg("-B")
            .arg(clients.join(script))
            .args(arguments)
            .output()
            .expect("Python runs");
        assert!(output.status.success(), "{script}: {}", words(&output));
    }

    /// `aws kms <arguments>` as a profile of the service's.
    pub(crate) fn aws(&self, profile: &str, arguments: &[&str]) -> Output {
        for pair in arguments.windows(2) {
            if let ["--plaintext", file] = pair
                && let Some(path) = file.strip_prefix("fileb://")
            {
                self.overheard.learn("a plaintext", std::fs::read(path).expect("a plaintext"));
            }
        }
        let output = self
            .client(venv("aws"))
            .env("AWS_PROFILE", profile)
            .args(["--output", "json", "kms"])
            .args(arguments)
            .output()
            .expect("the AWS CLI runs");
        self.learn_from(&output);
        output
    }

    /// The process id of `sekisho dev`.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Asks the service to stop, and returns its exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.end("-TERM")
    }

    /// Waits for a service that ends by itself, and returns its exit status.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let status = wait(&mut child);
        self.search();
        status
    }

    fn end(&mut self, signal: &str) -> Option<i32> {
        let mut child = self.child.take()?;
        kill(signal, child.id());
        let status = wait(&mut child);
        self.search();
        status
    }

    fn search(&self) {
        // What failed first is to be told.
        if !std::thread::panicking() {
            self.overheard.search(Path::new(&self.said("/data_dir")));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end("-TERM");
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn kill(signal: &str, id: u32) {
    let status = Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

fn wait(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < STOP_LIMIT {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    panic!("sekisho dev did not stop within {STOP_LIMIT:?}");
}

/// A program of the environment that `scripts/clients` makes.
pub(crate) fn venv(program: &str) -> PathBuf {
    let venv = std::env::var_os("SEKISHO_TEST_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv"),
        PathBuf::from,
    );
    let path = venv.join("bin").join(program);
    assert!(
        path.exists(),
        "{} is missing: run scripts/clients, or all tests by scripts/test",
        path.display()
    );
    path
}

/// What a program said.
pub(crate) fn words(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The decisions about an operation that the audit log of the service in `data` has, oldest first.
pub(crate) fn recorded(data: &Path, operation: &str) -> Vec<Value> {
    let mut tail = Command::new(SEKISHO);
    tail.args(["audit", "tail", "-n", "500", "--json", "--data-dir"]).arg(data);
    let tail = run(tail.env("XDG_STATE_HOME", STATE));
    let decisions = String::from_utf8_lossy(&tail.stdout);
    let decisions = decisions.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    decisions.filter(|decision: &Value| decision["operation"] == operation).collect()
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    output
}

/// A folder that goes away at the end.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
