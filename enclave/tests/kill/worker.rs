//! The worker's process: load on the real journal and audit log, and a line for each step.
//!
//! ```text
//! open <sequence> <hash>         where the journal stands after the start
//! found <id> <version>           each record that is there
//! ready
//! will <id> <version>            a change is on its way; version 0 deletes
//! done <id> <version> <sequence> <hash>
//! failed <id>
//! audit <request id>             acknowledged by the audit log
//! snapshot | snapshot-over
//! generation <number>            of the root key, at the start
//! rotate | rotated <number>      a new root key: begun, and nothing left of the one before
//! broken <reason>                what must never happen
//! ```

use sekisho_devkit::Random;
use sekisho_enclave::probe::Storage;
use sekisho_enclave::{BootError, JournalError, RootKey, RootKeyFile};
use sekisho_wire::{Address, StoreClient};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TASKS: u64 = 6;
const RECORDS_OF_A_TASK: u64 = 10;
/// So that a snapshot is due after a few dozen changes, and has several chunks.
const ENTRIES: u64 = 40;
const ROWS: usize = 16;

pub(super) const ROOT: [u8; 32] = [5; 32];

fn say(line: std::fmt::Arguments<'_>) {
    // One write for a line: a kill does not cut it.
    let line = format!("{line}\n");
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

fn broken(reason: std::fmt::Arguments<'_>) -> ! {
    say(format_args!("broken {reason}"));
    std::process::exit(1);
}

/// The content of a version: its id and number, and some hundred bytes that follow from them.
fn content(id: u64, version: u64) -> Vec<u8> {
    let mut random = Random::new(version ^ id << 40);
    let filler = std::iter::repeat_with(|| random.next()).take((version % 60) as usize);
    let words = [id, version].into_iter().chain(filler);
    words.flat_map(u64::to_be_bytes).collect()
}

fn version(id: u64, bytes: &[u8]) -> u64 {
    let version = bytes.get(8..16).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    match version {
        Some(version) if bytes == content(id, version) => version,
        _ => broken(format_args!("record {id} has another content")),
    }
}

pub(super) async fn run(folder: &Path, seed: u64) {
    let storage = Arc::new(open(folder).await);
    let (sequence, hash) = storage.reached();
    say(format_args!("open {sequence} {:032x}", short(hash)));
    for id in storage.ids() {
        let id = id as u64;
        loop {
            match storage.get(id.into()).await {
                Ok(Some(bytes)) => {
                    say(format_args!("found {id} {}", version(id, &bytes)));
                    break;
                }
                // A deletion of the worker before was still on its way; whether it may be is for
                // the driver to say.
                Ok(None) => break,
                // The host may be killed meanwhile.
                Err(JournalError::Store(_)) => pause().await,
                other => broken(format_args!("record {id} at the start: {:?}", other.err())),
            }
        }
    }
    say(format_args!("generation {}", storage.root_key().0));
    say(format_args!("ready"));
    let mut random = Random::new(seed);
    tokio::spawn(rotate(storage.clone(), Random::new(random.next())));
    for task in 0..TASKS {
        tokio::spawn(load(storage.clone(), task, Random::new(random.next()), seed));
    }
    loop {
        if storage.snapshot_is_due() {
            say(format_args!("snapshot"));
            if let Err(error) = storage.snapshot().await {
                check(&error);
                pause().await;
            }
            say(format_args!("snapshot-over"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn open(folder: &Path) -> Storage {
    let store = Address::Unix { path: folder.join("store") };
    loop {
        let file = RootFile { path: folder.join("root") };
        let root = RootKey::from_bytes(&file.read());
        let client = StoreClient::dial(store.clone());
        match Storage::open(client, &root, ENTRIES, ROWS, Some(Arc::new(file))).await {
            Ok(storage) => return storage,
            Err(BootError::Journal(JournalError::Store(_))) => pause().await,
            Err(BootError::Audit(error)) if error.to_string().starts_with("the store") => {
                pause().await;
            }
            Err(BootError::RootKeyFile(error)) if error.starts_with("the host's store") => {
                pause().await;
            }
            Err(error) => broken(format_args!("the boot fails: {error}")),
        }
    }
}

/// The root key, in a file beside the store as in a development service's folder.
struct RootFile {
    path: PathBuf,
}

impl RootFile {
    fn read(&self) -> [u8; 32] {
        std::fs::read(&self.path).map_or(ROOT, |bytes| bytes.try_into().unwrap())
    }
}

impl RootKeyFile for RootFile {
    fn replace(&self, root: &[u8; 32]) -> std::io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(root)?;
        file.sync_all()?;
        std::fs::rename(new, &self.path)
    }
}

/// One rotation after the other; the first thing is to end one that another start has begun.
async fn rotate(storage: Arc<Storage>, mut random: Random) {
    loop {
        if storage.root_key().1 {
            say(format_args!("rotate"));
            while storage.root_key().1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            say(format_args!("rotated {}", storage.root_key().0));
        }
        tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        say(format_args!("rotate"));
        if !storage.rotate().await {
            // The disk, or it has begun nevertheless.
            pause().await;
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Only the store may fail.
fn check(error: &JournalError) {
    if !matches!(error, JournalError::Store(_)) {
        broken(format_args!("{error}"));
    }
}

async fn load(storage: Arc<Storage>, task: u64, mut random: Random, seed: u64) {
    let mut counter = 0;
    // What a read has to find; none after a change whose fate is unknown.
    let mut known = vec![None; RECORDS_OF_A_TASK as usize];
    loop {
        counter += 1;
        let record = random.below(RECORDS_OF_A_TASK);
        let id = record * TASKS + task;
        let known = &mut known[record as usize];
        match random.below(10) {
            0..6 => {
                let next = (seed & 0xff_ffff) << 24 | task << 20 | counter;
                change(&storage, id, next, Some(content(id, next)), known).await;
            }
            6 => change(&storage, id, 0, None, known).await,
            7 | 8 => match storage.get(id.into()).await {
                Ok(found) => {
                    let found = found.map_or(0, |bytes| version(id, &bytes));
                    if known.is_some_and(|known| known != found) {
                        broken(format_args!("record {id} is {found}, not {known:?}"));
                    }
                }
                Err(error) => check(&error),
            },
            _ => {
                let request_id = format!("{seed}-{task}-{counter}");
                if storage.record(&request_id).await {
                    say(format_args!("audit {request_id}"));
                } else {
                    pause().await;
                }
            }
        }
    }
}

async fn change(
    storage: &Storage,
    id: u64,
    version: u64,
    bytes: Option<Vec<u8>>,
    known: &mut Option<u64>,
) {
    say(format_args!("will {id} {version}"));
    match storage.change(id.into(), bytes).await {
        Ok((sequence, hash)) => {
            *known = Some(version);
            say(format_args!("done {id} {version} {sequence} {:032x}", short(hash)));
        }
        Err(error) => {
            check(&error);
            *known = None;
            say(format_args!("failed {id}"));
            pause().await;
        }
    }
}

fn short(hash: [u8; 32]) -> u128 {
    u128::from_be_bytes(hash[..16].try_into().unwrap())
}
