//! Start-up, memory, and what a Decrypt under a key that is not in memory takes, by the number of keys.
//!
//! `cargo bench -p sekisho-enclave --bench scale -- [KEYS]…`, by default 10, 10 000 and 1 000 000.
//! Worker and host are processes of their own, the host's store lies in a temporary folder. A Decrypt is
//! a signed request through the whole worker but TLS and HTTP: signature, key, policy, audit record on disk.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

use sekisho_devkit::Signer;
use sekisho_enclave::probe::{Keys, Storage};
use sekisho_enclave::{BootCredential, RootKey};
use sekisho_wire::{Address, StoreClient};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Keys in one entry while a store is filled: what a commit takes.
const BATCH: usize = 2000;
/// Looks at keys whose times are taken.
const LOOKS: usize = 5000;
/// Keys that something is encrypted under, all over the store.
const ENCRYPTED: usize = 500;
/// Decrypts whose times are taken, half of them under a key that was used before.
const DECRYPTS: usize = 2 * ENCRYPTED;
/// After a boot, before Decrypts are measured.
const SETTLE: Duration = Duration::from_secs(2);
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
         store MiB | find us: cached, p50, p99 | Decrypt us: first p50, p99, again p50 | \
         audit us p50 | fill s | snapshot s"
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
        let workers: Vec<[f64; 10]> = runs("worker", folder.path());
        let (boot, worst_boot) = median_and_worst(workers.iter().map(|run| run[0]));
        // Of each the median of the runs.
        let [_, resident, peak, cached, p50, p99, audit, first, late, again]: [f64; 10] =
            std::array::from_fn(|column| median_and_worst(workers.iter().map(|run| run[column])).0);
        let store = folder_bytes(&folder.path().join("data")) as f64 / MIB;
        println!(
            "{size:9} | {journal:10.1} ({worst_journal:5.0}) | {boot:7.0} ({worst_boot:5.0}) | \
             {index:9.1} | {resident:10.1} ({peak:4.0}) | {store:9.1} | \
             {cached:15.2} {p50:4.0} {p99:4.0} | {first:14.0} {late:7.0} {again:7.0} | \
             {audit:12.0} | {fill:6.1} | {snapshot:10.2}"
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

fn signer() -> Signer {
    Signer {
        access_key_id: "AKIASCALE00000000000".into(),
        secret_access_key: "a secret that everybody knows, of a benchmark".into(),
        session_token: None,
        region: "eu-central-1".into(),
    }
}

async fn boot(folder: &Path) -> Keys {
    let signer = signer();
    let credential = BootCredential {
        access_key_id: signer.access_key_id,
        secret_access_key: signer.secret_access_key.into(),
        principal_arn: "arn:aws:iam::111122223333:root".into(),
    };
    Keys::boot(store(folder), &root(), vec![credential]).await.unwrap()
}

/// A signed request, answered; the answer's field, and how long it took.
async fn ask(worker: &Keys, operation: &str, body: &str, field: &str) -> (String, Duration) {
    let target = format!("TrentService.{operation}");
    let headers =
        signer().headers("localhost", &target, body.as_bytes(), OffsetDateTime::now_utc());
    let started = Instant::now();
    let answer = worker.answer(&target, headers, body.as_bytes().to_vec()).await;
    let elapsed = started.elapsed();
    let answer = answer.unwrap_or_else(|| panic!("{operation} was refused"));
    (answer[field].as_str().unwrap().to_owned(), elapsed)
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

fn ciphertexts_file(folder: &Path) -> PathBuf {
    folder.join("ciphertexts")
}

async fn fill(folder: &Path, keys: usize) {
    let started = Instant::now();
    let worker = boot(folder).await;
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
    let mut ciphertexts = Vec::new();
    for id in ids.iter().step_by(keys.div_ceil(ENCRYPTED)) {
        let id = uuid::Uuid::from_u128(*id);
        let body = format!(r#"{{"KeyId":"{id}","Plaintext":"c2VrcmV0"}}"#);
        ciphertexts.push(ask(&worker, "Encrypt", &body, "CiphertextBlob").await.0);
    }
    std::fs::write(ciphertexts_file(folder), ciphertexts.join("\n")).unwrap();
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
    let worker = boot(folder).await;
    let boot = started.elapsed();
    let (resident, peak) = (status("VmRSS:"), status("VmHWM:"));

    // Before the looks, which leave keys in memory.
    let ciphertexts = std::fs::read_to_string(ciphertexts_file(folder)).unwrap();
    let ciphertexts: Vec<&str> = ciphertexts.lines().collect();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    // What is compiled once a worker serves is not a Decrypt's.
    tokio::time::sleep(SETTLE).await;
    for ciphertext in ciphertexts.iter().cycle().take(DECRYPTS.max(2 * ciphertexts.len())) {
        let body = format!(r#"{{"CiphertextBlob":"{ciphertext}"}}"#);
        let (plaintext, elapsed) = ask(&worker, "Decrypt", &body, "Plaintext").await;
        assert_eq!(plaintext, "c2VrcmV0");
        match first.len() < ciphertexts.len() {
            true => first.push(elapsed),
            false => again.push(elapsed),
        }
    }
    first.sort();
    again.sort();

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
        "{} {resident} {peak} {cached} {} {} {} {} {} {}",
        boot.as_secs_f64() * 1000.0,
        micros(p50),
        micros(p99),
        micros(audits[audits.len() / 2]),
        micros(first[first.len() / 2]),
        micros(first[first.len() * 99 / 100]),
        micros(again[again.len() / 2]),
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
