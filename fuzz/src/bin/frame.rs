//! Any bytes on the stream between worker and host: as the worker's requests, and as the host's
//! answers.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sekisho_fuzz::memory::Memory;
use sekisho_fuzz::{block_on, within_allowance};
use sekisho_wire::store::{MAX_PAGE_ITEMS, serve_store};
use sekisho_wire::{RecordKey, Store as _, StoreClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fuzz_target!(|input: &[u8]| {
    within_allowance(|| {
        block_on(async {
            let (worker, host) = tokio::io::duplex(1 << 16);
            let (mut answers, mut requests) = tokio::io::split(worker);
            let store = Memory::default();
            let asking = async {
                let _ = requests.write_all(input).await;
                let _ = requests.shutdown().await;
            };
            let hearing = async { answers.read_to_end(&mut Vec::new()).await };
            let (served, ..) = tokio::join!(serve_store(host, Arc::new(store)), asking, hearing);
            let _ = served;

            let (worker, mut host) = tokio::io::duplex(1 << 16);
            let client = StoreClient::over(worker);
            let asking = async move {
                // In the order of their numbers: 0, 1, 2 …
                tokio::join!(
                    client.head(),
                    client.get(RecordKey([0; 16])),
                    client.entries(1, 3),
                    client.audit(1, u32::MAX),
                    client.audit_tail(),
                )
            };
            let answering = async {
                let _ = host.write_all(input).await;
                let _ = host.shutdown().await;
                let _ = host.read_to_end(&mut Vec::new()).await;
            };
            let ((_, _, entries, audit, _), ()) = tokio::join!(asking, answering);
            for (page, limit) in [(entries, 3), (audit, MAX_PAGE_ITEMS as usize)] {
                let Ok(page) = page else { continue };
                let mut expected = 1..;
                let mut follows = |(sequence, _): &(u64, _)| expected.next() == Some(*sequence);
                assert!(page.len() <= limit && page.iter().all(&mut follows));
            }
        });
    });
});
