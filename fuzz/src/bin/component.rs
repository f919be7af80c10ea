//! Any bytes as a component that somebody registers: what is looked at before it is compiled.
//!
//! Inputs of which the first byte is 0xff stand for the stock policy `attested` with their other bytes
//! spliced into it: position (three bytes), bytes to take out (one), then bytes to put in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::within_allowance;
use sekisho_policy_engine::{AdmissionLimits, inspect, stock};

fuzz_target!(|input: &[u8]| {
    let spliced;
    let component = match input {
        [0xff, high, middle, low, out, bytes @ ..] => {
            let mut component = stock::ATTESTED.to_vec();
            let start = u32::from_be_bytes([0, *high, *middle, *low]) as usize % component.len();
            let end = start.saturating_add(usize::from(*out)).min(component.len());
            component.splice(start..end, bytes.iter().copied());
            spliced = component;
            &spliced
        }
        bytes => bytes,
    };
    if let Err(error) = within_allowance(|| inspect(component, &AdmissionLimits::default())) {
        assert!(error.to_string().len() < 2048);
    }
});
