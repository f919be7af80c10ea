//! Any bytes as what comes out of a caller's TLS connection: HTTP/1.1 or HTTP/2, and bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_enclave::probe::parsers;
use sekisho_fuzz::{block_on, within_allowance};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fuzz_target!(|input: &[u8]| {
    let answer = within_allowance(|| {
        block_on(async {
            let (caller, worker) = tokio::io::duplex(1 << 16);
            let (mut answers, mut requests) = tokio::io::split(caller);
            let asking = async {
                let _ = requests.write_all(input).await;
                let _ = requests.shutdown().await;
            };
            let mut answer = Vec::new();
            tokio::join!(parsers::connection(worker), asking, async {
                let _ = answers.read_to_end(&mut answer).await;
            });
            answer
        })
    });
    assert!(!answer.windows(15).any(|part| part == b"HTTP/1.1 200 OK"), "nobody signed");
});
