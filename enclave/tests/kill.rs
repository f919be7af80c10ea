//! Worker and host are killed at any instant, and nothing acknowledged is lost.
//!
//! ```sh
//! cargo test -p sekisho-enclave --test kill                                # some 20 kills
//! cargo test -p sekisho-enclave --test kill -- --kills 500 --seed 1        # the long form
//! ```
//!
//! The worker writes, deletes and reads records and audit entries, makes snapshots, compacts and
//! rotates its root key all the time, and says on its standard output what it is about to do and what was
//! acknowledged. This process kills worker, host or both with SIGKILL, often while a snapshot is
//! on its way, and starts them again. A started worker says what it finds: of each record the
//! acknowledged version, or a later one that was on its way. At times the host's disk is slow,
//! full, or fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "kill/driver.rs"]
mod driver;
#[path = "kill/faults.rs"]
mod faults;
#[path = "kill/model.rs"]
mod model;
#[path = "kill/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};

/// What a run is told.
struct Options {
    kills: u32,
    seed: u64,
    /// A small file system of its own that may be filled up.
    small_disk: Option<PathBuf>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options { kills: 20, seed: 1, small_disk: None };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--role" => {
                let (role, folder, seed) = (value(), value(), value().parse().unwrap());
                return run_role(&role, Path::new(&folder), seed);
            }
            "--kills" => options.kills = value().parse().unwrap(),
            "--seed" => options.seed = value().parse().unwrap(),
            "--small-disk" => options.small_disk = Some(value().into()),
            // What `cargo test` may pass on to every test: a filter, --nocapture, --list.
            "--list" => return println!("nothing_acknowledged_is_lost: test"),
            _ => {}
        }
    }
    driver::run(&options);
}

fn run_role(role: &str, folder: &Path, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match role {
        "host" => runtime.block_on(faults::host(folder, seed)),
        "worker" => runtime.block_on(worker::run(folder, seed)),
        other => panic!("no role {other}"),
    }
}
