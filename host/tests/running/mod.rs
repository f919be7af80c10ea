//! A running host for tests.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sekisho_host::{Config, HostError, Listening, run};
use sekisho_wire::{Address, Listener, StoreClient, Stream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For what should not take long, on a machine that does.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running host in a folder of its own.
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) running: JoinHandle<Result<(), HostError>>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), |_| {}).await
    }

    pub(crate) async fn start_with(
        folder: tempfile::TempDir,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::new(
            "127.0.0.1:0".parse().unwrap(),
            Address::Unix { path: folder.path().join("worker") },
            Address::Unix { path: folder.path().join("store") },
            folder.path().join("data"),
        );
        config.drain = Duration::from_millis(500);
        change(&mut config);
        let (ready, listening) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let running =
            tokio::spawn(run(config, |listening| ready.send(listening).unwrap(), async {
                let _ = stopped.await;
            }));
        let Listening { callers, metrics } = timeout(SOON, listening).await.unwrap().unwrap();
        Self { folder, address: callers, metrics, stop: Some(stop), running }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn worker(&self) -> Listener {
        Address::Unix { path: self.path("worker") }.listen().await.unwrap()
    }

    /// A caller's connection and the worker's end of it.
    pub(crate) async fn connect(&self, worker: &Listener) -> (TcpStream, Stream) {
        let (caller, accepted) = tokio::join!(TcpStream::connect(self.address), worker.accept());
        (caller.unwrap(), accepted.unwrap())
    }

    pub(crate) fn store_address(&self) -> Address {
        Address::Unix { path: self.path("store") }
    }

    pub(crate) fn store(&self) -> StoreClient {
        StoreClient::dial(self.store_address())
    }

    pub(crate) fn signal(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        self.signal();
        timeout(SOON, self.running).await.unwrap().unwrap().unwrap();
        self.folder
    }
}

/// What comes until the end.
pub(crate) async fn read_all(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut read = Vec::new();
    timeout(SOON, stream.read_to_end(&mut read)).await.unwrap().unwrap();
    read
}
