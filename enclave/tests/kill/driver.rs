//! Starts, kills and starts again.

use super::Options;
use super::model::Model;
use super::worker::ROOT;
use sekisho_devkit::Random;
use sekisho_enclave::probe::{ReadError, read_audit_log};
use sekisho_enclave::{AuditError, RootKey};
use sekisho_wire::{Address, StoreClient};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// For anything to come back: far beyond what it takes.
const SOON: Duration = Duration::from_secs(60);
/// For a full disk to show.
const FULL: Duration = Duration::from_secs(20);
/// The audit log is read through after so many kills, and at the end.
const AUDIT_EVERY: u32 = 25;

struct Run {
    folder: PathBuf,
    random: Random,
    model: Arc<Mutex<Model>>,
    host: Process,
    worker: Process,
    listener: Option<JoinHandle<()>>,
}

/// Ends its child with the test, however that ends.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn run(options: &Options) {
    let folder = match &options.small_disk {
        Some(disk) => tempfile::tempdir_in(disk).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let started = Instant::now();
    let mut random = Random::new(options.seed);
    let host = spawn("host", folder.path(), random.next());
    let worker = spawn("worker", folder.path(), random.next());
    let folder_path = folder.path().to_owned();
    let model = Arc::default();
    let mut run = Run { folder: folder_path, random, model, host, worker, listener: None };
    run.listen();
    run.wait("the first start", |model| model.ready);
    let (mut in_snapshots, mut in_rotations, mut full) = (0, 0, 0);
    for kill in 1..=options.kills {
        let before = run.model().acknowledged;
        run.wait("a change to be acknowledged", |model| model.acknowledged > before);
        let (snapshots, rotations) = {
            let model = run.model();
            (model.snapshots, model.rotations)
        };
        match run.random.below(5) {
            0 => run.wait("a snapshot", |model| model.in_snapshot),
            2 => run.wait("a rotation", |model| model.in_rotation),
            3 => run.wait("a rotation's end", |model| model.rotations > rotations),
            1 => run.wait("a snapshot's end", |model| model.snapshots > snapshots),
            _ => run.pause(150),
        }
        if options.small_disk.is_some() && kill % 10 == 0 {
            full += u32::from(run.fill_the_disk());
        }
        run.pause(15);
        in_snapshots += u32::from(run.model().in_snapshot);
        in_rotations += u32::from(run.model().in_rotation);
        match run.random.below(3) {
            0 => run.kill_worker(),
            1 => run.kill_host(),
            _ => run.kill_both(),
        }
        if kill % AUDIT_EVERY == 0 || kill == options.kills {
            run.check_audit();
            let seconds = started.elapsed().as_secs();
            let model = run.model();
            println!(
                "{kill:5} kills, {in_snapshots} of them in snapshots, {in_rotations} in rotations of the \
                 root key, {full} on a full disk; {} acknowledged, {} failed, {} snapshots, {} \
                 rotations; {seconds} s",
                model.acknowledged, model.failed, model.snapshots, model.rotations
            );
        }
    }
    run.kill_both();
    let rotations = run.model().rotations;
    run.wait("a rotation's end", |model| model.rotations > rotations);
    run.check_audit();
    assert!(full > 0 || options.small_disk.is_none(), "no change ever failed on a full disk");
    println!("nothing acknowledged is lost (seed {})", options.seed);
}

fn spawn(role: &str, folder: &Path, seed: u64) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--role", role]).arg(folder).arg(seed.to_string());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    Process(child.unwrap())
}

impl Run {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    fn pause(&mut self, up_to: u64) {
        sleep(Duration::from_micros(self.random.below(up_to * 1000)));
    }

    /// Hears out the worker on a thread.
    fn listen(&mut self) {
        let output: ChildStdout = self.worker.0.stdout.take().unwrap();
        let model = self.model.clone();
        self.listener = Some(std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                model.lock().unwrap().hear(&line);
            }
        }));
    }

    fn wait(&self, what: &str, until: impl Fn(&Model) -> bool) {
        let came = self.comes_within(SOON, until);
        assert!(came, "waited for {what}; the store is in {}", self.keep().display());
    }

    fn comes_within(&self, time: Duration, until: impl Fn(&Model) -> bool) -> bool {
        let started = Instant::now();
        loop {
            let model = self.model();
            if let Some(broken) = &model.broken {
                panic!("{broken}; the store is in {}", self.keep().display());
            }
            if until(&model) {
                return true;
            }
            drop(model);
            if started.elapsed() > time {
                return false;
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Keeps what a failure left.
    fn keep(&self) -> PathBuf {
        let kept = self.folder.with_extension("broken");
        let _ = std::fs::rename(&self.folder, &kept);
        kept
    }

    fn kill_worker(&mut self) {
        self.worker.kill();
        self.start_worker();
    }

    fn kill_host(&mut self) {
        self.host.kill();
        self.pause(20);
        self.host = spawn("host", &self.folder, self.random.next());
    }

    fn kill_both(&mut self) {
        if self.random.below(2) == 0 {
            self.worker.kill();
            self.host.kill();
        } else {
            self.host.kill();
            self.worker.kill();
        }
        self.host = spawn("host", &self.folder, self.random.next());
        self.start_worker();
    }

    fn start_worker(&mut self) {
        // All that it has said counts.
        self.listener.take().unwrap().join().unwrap();
        self.model().started();
        self.worker = spawn("worker", &self.folder, self.random.next());
        self.listen();
        self.wait("the worker's start", |model| model.ready);
    }

    /// Leaves the store no room for a while but what is in its own files: freed pages of the journal,
    /// and what is written ahead of the audit log. Whether changes failed meanwhile.
    fn fill_the_disk(&mut self) -> bool {
        let ballast = self.folder.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        let failed = self.model().failed;
        let has_failed = self.comes_within(FULL, |model| model.failed > failed);
        self.pause(50);
        if self.random.below(2) == 0 {
            // It reads what is there, and goes on when there is room again.
            self.kill_worker();
        }
        drop(file);
        std::fs::remove_file(&ballast).unwrap();
        has_failed
    }

    /// Reads the whole audit log: its chain, and each decision that was acknowledged.
    fn check_audit(&self) {
        let expected = self.model().audited.clone();
        let store = Address::Unix { path: self.folder.join("store") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let entries = runtime.block_on(async {
            let store = StoreClient::dial(store);
            let started = Instant::now();
            loop {
                match read_audit_log(&store, &RootKey::from_bytes(&ROOT)).await {
                    Ok(entries) => return entries,
                    // The host is only just starting.
                    Err(ReadError::Log(AuditError::Store(_))) if started.elapsed() < SOON => {}
                    Err(error) => panic!("{error}; the store is in {}", self.keep().display()),
                }
            }
        });
        let found: HashSet<String> = entries.into_iter().map(|entry| entry.request_id).collect();
        let lost: Vec<_> = expected.difference(&found).collect();
        assert!(lost.is_empty(), "audit records are lost: {lost:?}");
    }
}
