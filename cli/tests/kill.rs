//! Worker and host are killed at any instant under a load of signed requests, and nothing that was
//! acknowledged over the API is lost.
//!
//! ```sh
//! cargo test -p sekisho --test kill                                # some 10 kills
//! cargo test -p sekisho --test kill -- --kills 500 --seed 1        # the long form
//! ```
//!
//! The two are the processes of `sekisho dev`, the real worker and the real host, with a relay and
//! TLS between the callers and the worker. Callers make keys, aliases, policies, principals and
//! access keys, encrypt and decrypt, each on a connection of its own. This process ends worker, host
//! or both with SIGKILL, often just when a snapshot was written and old entries are dropped, and
//! starts them again. What was acknowledged must be there: every key with its policy, every alias,
//! every access key in its state; every ciphertext decrypts; the worker starts, which it does only
//! with a whole chain; and each acknowledged request is in the audit log once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

#[path = "kill/caller.rs"]
mod caller;
#[path = "kill/check.rs"]
mod check;
#[path = "kill/driver.rs"]
mod driver;
#[path = "kill/load.rs"]
mod load;
#[path = "kill/processes.rs"]
mod processes;

/// What a run is told.
struct Options {
    kills: u32,
    seed: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options { kills: 10, seed: 1 };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--kills" => options.kills = value().parse().unwrap(),
            "--seed" => options.seed = value().parse().unwrap(),
            // What `cargo test` may pass on to every test: a filter, --nocapture, --list.
            "--list" => return println!("nothing_acknowledged_is_lost: test"),
            _ => {}
        }
    }
    driver::run(&options);
}
