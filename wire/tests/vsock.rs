//! AF_VSOCK, where the machine has a loopback for it (`modprobe vsock_loopback`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use sekisho_wire::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `VMADDR_CID_LOCAL` (`vsock(7)`).
const LOOPBACK: u32 = 1;

#[tokio::test]
async fn more_than_one_write_can_take() {
    let port = 40_000 + std::process::id() % 20_000;
    let listener =
        match (Address::Vsock { cid: sekisho_wire::address::CID_ANY, port }).listen().await {
            Ok(listener) => listener,
            Err(error) => return eprintln!("skipped: no AF_VSOCK here ({error})"),
        };
    let mut near = match (Address::Vsock { cid: LOOPBACK, port }).connect().await {
        Ok(stream) => stream,
        Err(error) => return eprintln!("skipped: no vsock loopback here ({error})"),
    };
    let mut far = listener.accept().await.unwrap();
    let sent: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let sending = async {
        assert_eq!(near.write(&sent).await.unwrap(), 16 * 1024);
        near.write_all(&sent[16 * 1024..]).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = tokio::join!(sending, far.read_to_end(&mut received));
    read.unwrap();
    assert!(received == sent);
}
