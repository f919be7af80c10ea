//! What one decision costs: the stock policies in their sandbox, and the same rule in Cedar and in
//! Rego by their native engines, in one run, one after the other in turns.
//!
//! The rule: one user may decrypt, from an enclave with two given registers. `iam` reads it from a
//! document of five statements. Each native engine has its policy parsed beforehand, and makes its own
//! request, for each decision, of the contract's request, which is what a key management service has.
//!
//! `cargo run --release` in this folder, on a quiet machine; names as arguments choose among the
//! contenders.

mod cedar;
mod rego;
mod sandboxed;

use std::time::{Duration, Instant};

const USER: &str = "arn:aws:iam::111122223333:user/ada";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Turns; the median counts. A turn is much shorter than what the kernel gives a process at once, so that
/// whoever else works touches some turns and not their median.
const TURNS: usize = 1001;
const TURN: Duration = Duration::from_micros(300);

/// A register of 48 times the same byte.
fn register(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

/// A name, and what prepares its decision: whether it was to allow.
type Contender = (&'static str, fn(&'static str) -> Box<dyn FnMut() -> bool>);

const NATIVE: [Contender; 4] = [
    ("Cedar, native", |_| cedar::contender(sandboxed::request())),
    ("Cedar, native, its request made before", |_| cedar::prebuilt(&sandboxed::request())),
    ("Rego (regorus), native", |_| rego::interpreter(sandboxed::request())),
    ("Rego (regorus), native, compiled", |_| rego::virtual_machine(sandboxed::request())),
];

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let mut contenders: Vec<_> = (sandboxed::CONTENDERS.into_iter().chain(NATIVE))
        .filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|one| one == name))
        .map(|(name, prepare)| (name, prepare(name)))
        .collect();
    let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
    let decisions: Vec<u32> = contenders.iter_mut().map(|(_, decide)| in_a_turn(decide)).collect();
    for _ in 0..TURNS {
        for ((contender, decisions), times) in contenders.iter_mut().zip(&decisions).zip(&mut times)
        {
            let (name, decide) = contender;
            let started = Instant::now();
            for _ in 0..*decisions {
                assert!(decide(), "{name} denied");
            }
            times.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(*decisions));
        }
    }
    println!("{:<42}{:>10}{:>10}", "microseconds a decision", "median", "least");
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{name:<42}{:>10.2}{:>10.2}", times[times.len() / 2], times[0]);
    }
}

/// How many decisions there are in a turn.
fn in_a_turn(decide: &mut Box<dyn FnMut() -> bool>) -> u32 {
    let mut decisions = 0;
    let started = Instant::now();
    while started.elapsed() < TURN * 20 {
        decide();
        decisions += 1;
    }
    (decisions / 20).max(1)
}
