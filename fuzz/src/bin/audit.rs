//! An audit log with parts written over, and any bytes as a block, as a block's content and as a
//! segment of the host's.
//!
//! The first byte of an input says which; a log is changed by quadruples of a block's number, a
//! position (two bytes) and a byte.
#![no_main]

use std::cell::RefCell;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::probe::{self, Storage};
use sekisho_enclave::{
    AuditBlock, AuditChain, AuditEntry, AuditSignatureKey, AuditorPrivateKey, RootKey,
};
use sekisho_fuzz::memory::Memory;
use sekisho_fuzz::{block_on, within_allowance};
use sekisho_wire::codec;

static LOG: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let memory = Memory::default();
    block_on(async {
        let root = RootKey::from_bytes(&[1; 32]);
        let storage = Storage::open(memory.client(), &root, u64::MAX, 4096, None).await;
        let storage = storage.expect("an empty store");
        for decision in ["1", "2", "3"] {
            assert!(storage.record(decision).await);
        }
    });
    let blocks = memory.held().audit.values().cloned().collect();
    blocks
});

static KEY: LazyLock<AuditSignatureKey> = LazyLock::new(|| {
    probe::signature_key(&RootKey::from_bytes(&[1; 32])).expect("a key of the root")
});

thread_local! {
    static AUDITOR: RefCell<AuditorPrivateKey> =
        RefCell::new(probe::auditor().expect("a key that is known"));
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, bytes)) => within_allowance(|| {
            if let Ok(block) = AuditBlock::parse(bytes) {
                let opened = AUDITOR.with_borrow_mut(|auditor| block.open(auditor));
                assert!(opened.is_err() || LOG.iter().any(|good| good.ends_with(bytes)));
            }
            let _ = AuditChain::new(None).follow(1, bytes);
        }),
        Some((1, bytes)) => within_allowance(|| {
            if let Ok(entry) = codec::decode::<AuditEntry>(bytes) {
                assert_eq!(
                    codec::decode::<AuditEntry>(&codec::encode(&entry).expect("CBOR")),
                    Ok(entry)
                );
            }
        }),
        _ => {
            let mut log = LOG.clone();
            for edit in input.chunks_exact(4) {
                let blocks = log.len();
                let block = &mut log[usize::from(edit[0]) % blocks];
                let at = usize::from(u16::from_be_bytes([edit[1], edit[2]])) % block.len();
                block[at] = edit[3];
            }
            let mut chain = AuditChain::new(Some(*KEY));
            for ((record, block), good) in (1..).zip(&log).zip(LOG.iter()) {
                let followed = within_allowance(|| chain.follow(record, block).is_ok());
                assert!(!followed || block == good, "a changed block was believed");
                if !followed {
                    break;
                }
            }
        }
    }
});
