//! Starts, kills and starts again.

use super::caller::Target;
use super::check::Since;
use super::load::{Model, Shared};
use super::processes::Processes;
use super::{Options, check, load};
use sekisho_devkit::Random;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

const CALLERS: u64 = 6;
/// For anything to come back: far beyond what it takes.
const SOON: Duration = Duration::from_secs(60);
/// What has been acknowledged is looked at after so many kills, and all of it at the end.
const CHECK_EVERY: u32 = 50;

struct Run {
    random: Random,
    processes: Processes,
    target: Target,
    counter: Arc<AtomicU64>,
    models: Vec<Model>,
    acknowledged: u64,
    unknown: u64,
}

/// Callers at work, on a thread of theirs.
struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<Model>>,
}

pub(super) fn run(options: &Options) {
    println!("{} kills, seed {}", options.kills, options.seed);
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut processes = Processes::new(folder.path());
    let address = processes.start_host();
    processes.start_worker();
    let ca = authority(&processes, address, folder.path());
    let mut run = Run {
        random: Random::new(options.seed),
        target: Target::new(address, &ca),
        processes,
        counter: Arc::default(),
        models: (0..CALLERS).map(|_| Model::default()).collect(),
        acknowledged: 0,
        unknown: 0,
    };
    let (mut in_snapshots, mut kills) = (0, 0);
    while kills < options.kills {
        let load = run.start_load();
        let round = CHECK_EVERY.min(options.kills - kills);
        for _ in 0..round {
            in_snapshots += u32::from(run.kill_one(&load));
        }
        kills += round;
        run.stop_load(load);
        run.check(Since::LastLook);
        println!(
            "{kills:5} kills, {in_snapshots} of them when a snapshot had just been written; {} \
             requests acknowledged, the fate of {} unknown; {} s",
            run.acknowledged,
            run.unknown,
            started.elapsed().as_secs()
        );
    }
    // Once more, with nothing on its way.
    run.restart_both();
    run.check(Since::TheBeginning);
    println!("nothing acknowledged is lost (seed {})", options.seed);
}

/// The service's authority, as an attestation vouches for it.
fn authority(processes: &Processes, address: SocketAddr, folder: &Path) -> std::path::PathBuf {
    let (root, ca) = (folder.join("root.pem"), folder.join("ca.pem"));
    std::fs::write(&root, processes.pki.root_pem()).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["attest", "connect", &format!("https://{address}"), "--any-measurement", "--root"])
        .arg(&root)
        .arg("--ca-out")
        .arg(&ca)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    ca
}

impl Run {
    fn start_load(&mut self) -> Load {
        let shared = Arc::new(Shared::default());
        let (target, counter) = (self.target.clone(), self.counter.clone());
        let seed = self.random.next();
        let models = std::mem::take(&mut self.models);
        let sharing = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut random = Random::new(seed);
                let mut callers = Vec::new();
                for (number, model) in (0..).zip(models) {
                    let random = Random::new(random.next());
                    let (target, shared) = (target.clone(), sharing.clone());
                    let counter = counter.clone();
                    let calling = load::run(target, shared, number, counter, random, model);
                    callers.push(tokio::spawn(calling));
                }
                let mut models = Vec::new();
                for caller in callers {
                    models.push(caller.await.unwrap());
                }
                models
            })
        });
        Load { shared, thread }
    }

    fn stop_load(&mut self, load: Load) {
        load.shared.stop.store(true, Ordering::Relaxed);
        self.models = load.thread.join().unwrap();
        self.acknowledged += load.shared.acknowledged.load(Ordering::Relaxed);
        self.unknown += load.shared.unknown.load(Ordering::Relaxed);
        self.check_broken(&load.shared);
    }

    /// Kills under load; whether that was just after a snapshot had been written.
    fn kill_one(&mut self, load: &Load) -> bool {
        // Each start has served.
        let before = load.shared.acknowledged.load(Ordering::Relaxed);
        self.wait(load, "requests to be acknowledged", |acknowledged, _| {
            acknowledged > before + CALLERS
        });
        let snapshots = self.snapshots();
        match self.random.below(3) {
            // Then the entries before it are dropped.
            0 => self.wait(load, "a snapshot", |_, now| now > snapshots),
            // Then the next one is written, as soon as it is due.
            1 => {
                self.wait(load, "a snapshot", |_, now| now > snapshots);
                self.pause(40);
            }
            _ => self.pause(120),
        }
        self.pause(2);
        let just_written = self.snapshots() > snapshots;
        match self.random.below(3) {
            0 => {
                self.processes.kill_worker();
                self.processes.start_worker();
            }
            1 => {
                self.processes.kill_host();
                self.pause(20);
                self.start_host();
            }
            _ => self.restart_both(),
        }
        just_written
    }

    fn restart_both(&mut self) {
        let worker_first = self.random.below(2) == 0;
        self.processes.kill_both(worker_first);
        self.start_host();
        self.processes.start_worker();
    }

    fn start_host(&mut self) {
        *self.target.address.lock().unwrap() = self.processes.start_host();
    }

    fn check(&mut self, since: Since) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let models = std::mem::take(&mut self.models);
        let looking = check::acknowledged(&self.processes, &self.target, models, since);
        self.models = runtime.block_on(looking);
    }

    fn snapshots(&self) -> u64 {
        self.processes.told.lock().unwrap().snapshots
    }

    fn pause(&mut self, up_to: u64) {
        sleep(Duration::from_micros(self.random.below(up_to * 1000)));
    }

    fn wait(&self, load: &Load, what: &str, until: impl Fn(u64, u64) -> bool) {
        let started = Instant::now();
        loop {
            self.check_broken(&load.shared);
            if until(load.shared.acknowledged.load(Ordering::Relaxed), self.snapshots()) {
                return;
            }
            assert!(started.elapsed() < SOON, "waited for {what}");
            sleep(Duration::from_millis(1));
        }
    }

    fn check_broken(&self, shared: &Shared) {
        let told = self.processes.told.lock().unwrap().broken.clone();
        if let Some(broken) = shared.broken.lock().unwrap().clone().or(told) {
            let kept = self.processes.folder.with_extension("broken");
            let _ = std::fs::rename(&self.processes.folder, &kept);
            panic!("{broken}; the store is in {}", kept.display());
        }
    }
}
