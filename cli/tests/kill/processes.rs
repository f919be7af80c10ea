//! The two processes of a service, started as `sekisho dev` starts them, and killed.

use sekisho_devkit::DevelopmentPki;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const ROOT_KEY: [u8; 32] = [5; 32];
pub(crate) const ACCESS_KEY_ID: &str = "AKIASEKISHOKILLTESTS";
pub(crate) const SECRET_ACCESS_KEY: &str = "a secret that only this test knows";
/// So that a snapshot is due after a few changes, and has several chunks.
const SNAPSHOTS: (u64, usize) = (15, 64);

/// What the workers' logs say.
#[derive(Default)]
pub(crate) struct Told {
    /// Snapshots that were written; the dropping of old entries begins then.
    pub(crate) snapshots: u64,
    /// What an honest host never causes.
    pub(crate) broken: Option<String>,
}

/// Words of a worker that holds its host for a liar, or takes a late message for another worker's; or
/// of a panic.
const BROKEN: [&str; 7] = [
    "is not as it was left",
    "does not open",
    "does not follow the",
    "has lost audit blocks",
    "is missing",
    "has taken over",
    "panicked",
];

pub(crate) struct Processes {
    pub(crate) folder: PathBuf,
    pub(crate) pki: DevelopmentPki,
    pub(crate) told: Arc<Mutex<Told>>,
    host: Option<Process>,
    worker: Option<Process>,
}

/// It ends with this value.
struct Process {
    child: Child,
    _stdin: ChildStdin,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Processes {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            pki: DevelopmentPki::generate(SystemTime::now()),
            told: Arc::default(),
            host: None,
            worker: None,
        }
    }

    /// Starts the host and waits until it serves; where it relays.
    pub(crate) fn start_host(&mut self) -> SocketAddr {
        let parameters = json!({
            "listen": "127.0.0.1:0",
            "worker": self.folder.join("worker.sock"),
            "store": self.store(),
            "data": self.folder.join("data"),
            "record_traffic": null,
        });
        let (process, address) = self.start("internal-host", &parameters);
        self.host = Some(process);
        address.parse().unwrap()
    }

    /// Starts a worker and waits until it serves: it has read its journal and found it whole.
    pub(crate) fn start_worker(&mut self) {
        let parameters = json!({
            "region": REGION,
            "account": ACCOUNT,
            "root_key": ROOT_KEY,
            "credentials": [{
                "access_key_id": ACCESS_KEY_ID,
                "secret_access_key": SECRET_ACCESS_KEY,
                "principal_arn": format!("arn:aws:iam::{ACCOUNT}:root"),
            }],
            "development_pki": self.pki.to_pem(),
            "auditor_key": sekisho_enclave::probe::auditor().unwrap().public_key(),
            "listen": self.folder.join("worker.sock"),
            "store": self.store(),
            "snapshots": SNAPSHOTS,
        });
        let (process, _) = self.start("internal-worker", &parameters);
        self.worker = Some(process);
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store.sock")
    }

    pub(crate) fn kill_worker(&mut self) {
        self.worker = None;
    }

    pub(crate) fn kill_host(&mut self) {
        self.host = None;
    }

    /// Both at once: neither is waited for before the other one is killed.
    pub(crate) fn kill_both(&mut self, worker_first: bool) {
        let mut both = [&mut self.worker, &mut self.host];
        if !worker_first {
            both.reverse();
        }
        for process in &mut both {
            let _ = process.as_mut().unwrap().child.kill();
        }
        (self.worker, self.host) = (None, None);
    }

    fn start(&self, role: &str, parameters: &Value) -> (Process, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .arg(role)
            .env("RUST_LOG", "warn,sekisho_enclave=info")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let told = self.told.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut told = told.lock().unwrap();
                told.snapshots += u64::from(line.contains("snapshot of the journal"));
                if BROKEN.iter().any(|words| line.contains(words)) && !is_conflict(&line) {
                    told.broken.get_or_insert(line);
                }
            }
        });
        writeln!(stdin, "{parameters}").unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(address) = answer["ready"].as_str().map(str::to_owned) else {
            panic!("{role} does not start: {line}; the store is in {}", self.folder.display());
        };
        (Process { child, _stdin: stdin }, address)
    }
}

/// A write of a worker that was killed has arrived after its end: what it was for is unknown.
fn is_conflict(line: &str) -> bool {
    line.contains("does not follow the store's head")
}
