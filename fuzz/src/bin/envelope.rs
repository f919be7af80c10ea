//! Any bytes as a document: the COSE envelope, and all that can be behind it.
//!
//! Inputs of which the first byte is 0xff stand for the good document with their other bytes
//! written over it: position (two bytes), then bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::{TARGET, within_allowance};

fuzz_target!(|input: &[u8]| {
    let target = &*TARGET;
    let document = match input {
        [0xff, high, low, bytes @ ..] => {
            let mut document = target.document.clone();
            let start = usize::from(u16::from_be_bytes([*high, *low])) % document.len();
            document.iter_mut().skip(start).zip(bytes).for_each(|(old, new)| *old = *new);
            document
        }
        bytes => bytes.to_vec(),
    };
    let answer = within_allowance(|| target.verify(&document));
    assert!(answer.is_err() || document.ends_with(&target.document), "a forgery");
});
