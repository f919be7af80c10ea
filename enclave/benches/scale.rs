//! Start-up, memory and the cost of a key that is not in memory, by the number of keys.
//!
//! `cargo bench -p sekisho-enclave --bench scale -- [KEYS]…`, by default 10, 10 000 and 1 000 000.
//! Worker and host are processes of their own, the host's store lies in a temporary folder.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

use sekisho_enclave::RootKey;
use sekisho_enclave::probe::{Keys, Storage};
use sekisho_wire::{Address, StoreClient};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Keys in one entry while a store is filled: what a commit takes.
const BATCH: usize = 2000;
/// Looks at keys whose times are taken.
const LOOKS: usize = 5000;
/// Starts of each kind.
const RUNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["host", folder] => block_on(host(Path::new(folder))),
        ["fill", folder, keys] => block_on(fill(Path::new(folder), keys.parse().unwrap())),
        ["journal", folder] => block_on(journal(Path::new(folder))),
        ["worker", folder] => block_on(worker(Path::new(folder))),
        [] => measure(&[10, 10_000, 1_000_000]),
        _ => measure(&arguments.iter().map(|keys| keys.parse().unwrap()).collect::<Vec<_>>()),
    }
}

fn measure(sizes: &[usize]) {
    println!(
        "     keys | journal ms (worst) | boot ms (worst) | index MiB | worker MiB (peak) | \
         store MiB | find us: cached, p50, p99 | audit us p50 | fill s | snapshot s"
    );
    for size in sizes {
        let folder = tempfile::tempdir().unwrap();
        let _host = Process(role("host", folder.path()).spawn().unwrap());
        let output = role("fill", folder.path()).arg(size.to_string()).output().unwrap();
        let filled = String::from_utf8(output.stdout).unwrap();
        let [fill, snapshot] = numbers(&filled);

        let journals: Vec<[f64; 2]> = runs("journal", folder.path());
        let index = journals[0][1];
        let (journal, worst_journal) = median_and_worst(journals.iter().map(|run| run[0]));
        let workers: Vec<[f64; 7]> = runs("worker", folder.path());
        let (boot, worst_boot) = median_and_worst(workers.iter().map(|run| run[0]));
        let [_, resident, peak, cached, p50, p99, audit] = workers[RUNS - 1];
        let store = folder_bytes(&folder.path().join("data")) as f64 / MIB;
        println!(
            "{size:9} | {journal:10.1} ({worst_journal:5.0}) | {boot:7.0} ({worst_boot:5.0}) | \
             {index:9.1} | {resident:10.1} ({peak:4.0}) | {store:9.1} | \
             {cached:15.2} {p50:4.0} {p99:4.0} | {audit:12.0} | {fill:6.1} | {snapshot:10.2}"
        );
    }
}

fn runs<const N: usize>(name: &str, folder: &Path) -> Vec<[f64; N]> {
    let run = |_| {
        let output = role(name, folder).output().unwrap();
        numbers(&String::from_utf8(output.stdout).unwrap())
    };
    (0..RUNS).map(run).collect()
}

fn median_and_worst(runs: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut runs: Vec<f64> = runs.collect();
    runs.sort_by(f64::total_cmp);
    (runs[runs.len() / 2], runs[runs.len() - 1])
}

const MIB: f64 = 1024.0 * 1024.0;

fn numbers<const N: usize>(line: &str) -> [f64; N] {
    let numbers: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("a child said {line:?}"))
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn role(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(name).arg(folder).stderr(Stdio::inherit());
    command
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

fn store(folder: &Path) -> Address {
    Address::Unix { path: folder.join("store") }
}

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

async fn host(folder: &Path) {
    let worker = Address::Unix { path: folder.join("worker") };
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = sekisho_host::Config::new(listen, worker, store(folder), folder.join("data"));
    sekisho_host::run(config, |_| {}, std::future::pending()).await.unwrap();
}

fn ids_file(folder: &Path) -> PathBuf {
    folder.join("ids")
}

async fn fill(folder: &Path, keys: usize) {
    let started = Instant::now();
    let worker = Keys::boot(store(folder), &root()).await.unwrap();
    let mut ids = Vec::with_capacity(keys);
    while ids.len() < keys {
        ids.extend(worker.create(BATCH.min(keys - ids.len())).await.unwrap());
    }
    let filled = started.elapsed().as_secs_f64();
    let started = Instant::now();
    worker.snapshot().await.unwrap();
    let snapshot = started.elapsed().as_secs_f64();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
    std::fs::write(ids_file(folder), bytes).unwrap();
    println!("{filled} {snapshot}");
}

/// Journal and audit log alone: a boot without the policies' compilation and the TLS identity.
async fn journal(folder: &Path) {
    let before = status("VmRSS:");
    let started = Instant::now();
    let storage = Storage::open(StoreClient::dial(store(folder)), &root(), u64::MAX, 4096, None)
        .await
        .unwrap();
    let opened = started.elapsed();
    println!("{} {}", opened.as_secs_f64() * 1000.0, status("VmRSS:") - before);
    drop(storage);
}

async fn worker(folder: &Path) {
    let started = Instant::now();
    let worker = Keys::boot(store(folder), &root()).await.unwrap();
    let boot = started.elapsed();
    let (resident, peak) = (status("VmRSS:"), status("VmHWM:"));

    let bytes = std::fs::read(ids_file(folder)).unwrap();
    let ids: Vec<u128> =
        bytes.chunks_exact(16).map(|id| u128::from_be_bytes(id.try_into().unwrap())).collect();
    let mut misses = Vec::with_capacity(LOOKS);
    let mut at = 0;
    for _ in 0..LOOKS.min(ids.len()) {
        // A stride that is prime to the number of keys: each is looked up once, in no order.
        at = (at + 618_033) % ids.len();
        let started = Instant::now();
        assert!(worker.find(ids[at]).await);
        misses.push(started.elapsed());
    }
    let started = Instant::now();
    for _ in 0..LOOKS {
        assert!(worker.find(ids[at]).await);
    }
    let cached = micros(started.elapsed()) / LOOKS as f64;
    let mut audits = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        assert!(worker.record().await);
        audits.push(started.elapsed());
    }
    misses.sort();
    audits.sort();
    let (p50, p99) = (misses[misses.len() / 2], misses[misses.len() * 99 / 100]);
    println!(
        "{} {resident} {peak} {cached} {} {} {}",
        boot.as_secs_f64() * 1000.0,
        micros(p50),
        micros(p99),
        micros(audits[audits.len() / 2]),
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Of this process, in MiB.
fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => folder_bytes(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(size).sum()
}
