//! A sealed journal with parts written over, and any bytes as what is inside its seals.
//!
//! The first byte of an input says which; a journal is changed by quadruples of a blob's number, a
//! position (two bytes) and a byte.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::RootKey;
use sekisho_enclave::probe::{Storage, parsers};
use sekisho_fuzz::memory::{Held, Memory};
use sekisho_fuzz::{block_on, within_allowance};

static JOURNAL: LazyLock<Held> = LazyLock::new(|| {
    let memory = Memory::default();
    block_on(async {
        let storage = Storage::open(memory.client(), &root(), u64::MAX, 4096, None).await;
        let storage = storage.expect("an empty store");
        for number in [1, 2, 3, 2] {
            storage.change(number, Some(vec![7; 40])).await.expect("a change");
            if number == 3 {
                storage.snapshot().await.expect("a snapshot");
            }
        }
    });
    let held = memory.held().clone();
    held
});

fn root() -> RootKey {
    RootKey::from_bytes(&[1; 32])
}

fuzz_target!(|input: &[u8]| {
    let good = &*JOURNAL;
    match input.split_first() {
        Some((0, plaintext)) => {
            assert!(within_allowance(|| parsers::journal_plaintexts(plaintext)) <= 3);
        }
        _ => {
            let mut held = good.clone();
            for edit in input.chunks_exact(4) {
                let blobs = held.entries.len() + held.records.len();
                let blob = held.entries.values_mut().chain(held.records.values_mut());
                let Some(blob) = blob.skip(usize::from(edit[0]) % blobs).next() else { continue };
                let at = usize::from(u16::from_be_bytes([edit[1], edit[2]])) % blob.len();
                blob[at] = edit[3];
            }
            let untouched = held.entries == good.entries;
            let memory = Memory::of(held);
            let opened = within_allowance(|| {
                block_on(async { parsers::journal(memory.client(), &root()).await })
            });
            assert!(opened.is_none() || untouched, "a changed chain was believed");
        }
    }
});
