//! Any bytes as a payload, every signature taken for good: the fields, the certificates, the rest.
//!
//! Inputs of which the first byte is 0xff stand for the good payload with their other bytes
//! spliced into it: position (two bytes), bytes to take out (one), then bytes to put in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_devkit::envelope;
use sekisho_fuzz::{TARGET, within_allowance};

fuzz_target!(|input: &[u8]| {
    let target = &*TARGET;
    let payload = match input {
        [0xff, high, low, out, bytes @ ..] => {
            let mut payload = target.payload.clone();
            let start = usize::from(u16::from_be_bytes([*high, *low])) % payload.len();
            let end = start.saturating_add(usize::from(*out)).min(payload.len());
            payload.splice(start..end, bytes.iter().copied());
            payload
        }
        bytes => bytes.to_vec(),
    };
    let document = envelope(&[0xa1, 0x01, 0x38, 0x22], &payload, &[1; 96]);
    let _ = within_allowance(|| target.verify_gullibly(&document));
});
