//! The heartbeat that a Nitro enclave gives its parent instance once: `nitro-cli run-enclave` calls an
//! enclave started when it has come, and ends it otherwise.
//!
//! Source: `init` of AWS's `aws-nitro-enclaves-sdk-bootstrap`.

use sekisho_wire::Address;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The parent instance, and the port at which it waits.
const PARENT: Address = Address::Vsock { cid: 3, port: 9000 };
const BEAT: u8 = 0xB7;

/// Sends it. Where nobody waits for it (a VM of another kind), nothing is lost.
pub async fn beat() {
    let _ = exchange().await;
}

async fn exchange() -> io::Result<u8> {
    let mut parent = PARENT.connect().await?;
    parent.write_u8(BEAT).await?;
    parent.flush().await?;
    // The echo: the parent has seen it, and the connection may end.
    parent.read_u8().await
}
