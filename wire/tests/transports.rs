//! Addresses that are dialled and listened on: Unix sockets, and the hybrid vsock over one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use sekisho_wire::{Address, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

async fn exchange(mut one: Stream, mut other: Stream) {
    one.write_all(b"ping").await.unwrap();
    one.shutdown().await.unwrap();
    let mut read = Vec::new();
    other.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"ping");
    // Half-closed: the other direction is still open.
    other.write_all(b"pong").await.unwrap();
    drop(other);
    read.clear();
    one.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"pong");
}

fn unix(folder: &tempfile::TempDir) -> (std::path::PathBuf, Address) {
    let path = folder.path().join("s");
    (path.clone(), Address::Unix { path })
}

#[tokio::test]
async fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (path, address) = unix(&folder);
    let listener = address.listen().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (one, other) = tokio::join!(address.connect(), listener.accept());
    exchange(one.unwrap(), other.unwrap()).await;
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, address) = unix(&folder);
    let _listener = address.listen().await.unwrap();
    assert_eq!(address.listen().await.unwrap_err().kind(), ErrorKind::AddrInUse);
    assert!(path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, address) = unix(&folder);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = address.listen().await.unwrap();
    let (one, other) = tokio::join!(address.connect(), listener.accept());
    exchange(one.unwrap(), other.unwrap()).await;
}

#[tokio::test]
async fn another_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, address) = unix(&folder);
    std::fs::write(&path, "mine").unwrap();
    assert_eq!(address.listen().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let (_, address) = unix(&folder);
    assert_eq!(address.connect().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_hybrid_listener_is_an_ordinary_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let address = Address::Hybrid { path: path.clone(), port: 5000 };
    let listener = address.listen().await.unwrap();
    let guest = Address::Unix { path: folder.path().join("v_5000") };
    let (one, other) = tokio::join!(guest.connect(), listener.accept());
    exchange(one.unwrap(), other.unwrap()).await;
}

/// A VM's device that answers `CONNECT` with the given bytes.
async fn device(answer: &'static [u8]) -> (tempfile::TempDir, std::io::Result<Stream>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let listener = UnixListener::bind(&path).unwrap();
    let address = Address::Hybrid { path, port: 77 };
    let vm = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut line = [0; 11];
        stream.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"CONNECT 77\n");
        stream.write_all(answer).await.unwrap();
    };
    let (stream, ()) = tokio::join!(address.connect(), vm);
    (folder, stream)
}

#[tokio::test]
async fn a_hybrid_connection_keeps_what_follows_the_answer() {
    let (_folder, stream) = device(b"OK 1073741824\nhello").await;
    let mut read = Vec::new();
    stream.unwrap().read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"hello");
}

#[tokio::test]
async fn a_hybrid_device_that_refuses() {
    for answer in [
        &b""[..],
        b"OK 1073",
        b"NO\n",
        b"OKAY 1\n",
        b"\n",
        b"OK 11111111111111111111111111111111111111111111",
    ] {
        let (_folder, stream) = device(answer).await;
        assert_eq!(stream.unwrap_err().kind(), ErrorKind::ConnectionRefused, "{answer:?}");
    }
}

/// More than the socket takes at once: the writer waits for its reader, again and again.
#[tokio::test]
async fn a_unix_writer_waits_for_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let (_, address) = unix(&folder);
    let listener = address.listen().await.unwrap();
    let (one, other) = tokio::join!(address.connect(), listener.accept());
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    let sent: Vec<u8> = (0..8 << 20).map(|n: u32| (n >> 8) as u8).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        one.write_all(&sent).await.unwrap();
        // The other direction is free meanwhile and afterwards.
        let mut answer = [0; 4];
        one.read_exact(&mut answer).await.unwrap();
        one.write_all(&answer).await.unwrap();
        one
    });
    let mut read = vec![0; expected.len()];
    for part in read.chunks_mut(100_000) {
        other.read_exact(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read == expected);
    other.write_all(b"done").await.unwrap();
    let mut answer = [0; 4];
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"done");
    drop(writer.await.unwrap());
    assert_eq!(other.read(&mut answer).await.unwrap(), 0);
}
