//! What one decision costs: the stock policies in their sandbox, and the same rule in Cedar and in
//! Rego by their native engines, in one run, one after the other in turns.
//!
//! The rule: one user may decrypt, from an enclave with two given registers. `iam` reads it from a
//! document of five statements. Each native engine has its policy parsed beforehand, and is given what
//! a key management service has: strings, of which it makes its own request for each decision.
//!
//! `cargo run --release` in this folder, on a quiet machine.

mod cedar;
mod rego;
mod sandboxed;

use std::time::Instant;

const USER: &str = "arn:aws:iam::111122223333:user/ada";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Turns, and decisions in each; the median of the turns counts.
const TURNS: usize = 101;
const DECISIONS: u32 = 500;

/// A register of 48 times the same byte.
fn register(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

/// A name, and a decision: whether it was to allow.
type Contender = (&'static str, Box<dyn FnMut() -> bool>);

fn main() {
    let mut contenders: Vec<Contender> = sandboxed::contenders();
    contenders.push(("Cedar, native", cedar::contender()));
    contenders.push(("Cedar, native, its request built before", cedar::prebuilt()));
    contenders.push(("Rego (regorus), native, from JSON", rego::contender()));
    let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
    for _ in 0..TURNS {
        for ((name, decide), times) in contenders.iter_mut().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..DECISIONS {
                assert!(decide(), "{name} denied");
            }
            times.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS));
        }
    }
    println!("{:<42}{:>10}{:>10}", "microseconds a decision", "median", "least");
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{name:<42}{:>10.2}{:>10.2}", times[times.len() / 2], times[0]);
    }
}
