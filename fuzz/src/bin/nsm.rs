//! Any bytes as a request to the NSM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::{TARGET, within_allowance};
use sekisho_nsm::MAX_RESPONSE;

fuzz_target!(|input: &[u8]| {
    let target = &*TARGET;
    let response = within_allowance(|| target.nsm.process_cbor(input));
    assert!(!response.is_empty() && response.len() <= MAX_RESPONSE);
});
