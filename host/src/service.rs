//! The host as a whole: relay and store, from start to drain.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sekisho_wire::store::serve_store;
use sekisho_wire::{Address, Listener, Stream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::record::Recorder;
use crate::relay::Relay;
use crate::store::{OpenError, RedbStore};

/// Streams of store messages at once. The worker needs one, and one more while it reconnects.
const STORE_CONNECTIONS: usize = 16;

/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a host needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where callers connect; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where the worker takes the callers' connections.
    pub worker: Address,
    /// Where the host waits for the worker's store messages.
    pub store_listen: Address,
    /// The folder of the store, made with mode 0700 if it is not there.
    pub data: PathBuf,
    /// The most connections that are relayed at once; further ones wait.
    pub max_connections: usize,
    /// How long live connections may take to finish after the shutdown.
    pub drain: Duration,
    /// A folder for recordings of all that passes; for debugging, see [`run`].
    pub record_traffic: Option<PathBuf>,
}

impl Config {
    /// A host with the usual limits: 16384 connections, 10 seconds to drain, no recording.
    pub fn new(listen: SocketAddr, worker: Address, store_listen: Address, data: PathBuf) -> Self {
        Self {
            listen,
            worker,
            store_listen,
            data,
            max_connections: 16_384,
            drain: Duration::from_secs(10),
            record_traffic: None,
        }
    }
}

/// Runs a host until `shutdown`, and a little longer until its connections are drained.
///
/// `ready` gets the address that callers can connect to, once they can and the store is open. It
/// says nothing about the worker, which may start later.
///
/// With `record_traffic` every byte of relay and store is also written to files of that folder,
/// `<kind>-<process id>-<connection>-<from|to>-worker.bin`. They hold no more than any host could
/// keep, but they grow without bound.
///
/// Use a current-thread runtime: a relay is several times faster there, and the store has threads
/// of its own.
///
/// # Errors
///
/// [`HostError`], all of them at the start.
pub async fn run(
    config: Config,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), HostError> {
    let recorder = match &config.record_traffic {
        None => None,
        Some(folder) => Some(
            Recorder::new(folder)
                .map_err(|source| HostError::Recording { folder: folder.clone(), source })?,
        ),
    };
    let store = open_store(&config.data).await?;
    let store_listener = config.store_listen.listen().await.map_err(|source| {
        HostError::StoreListen { address: config.store_listen.clone(), source }
    })?;
    let no_listener = |source| HostError::Listen { listen: config.listen, source };
    let relay =
        Relay::bind(config.listen, config.worker.clone(), config.max_connections, recorder.clone())
            .map_err(no_listener)?;
    let address = relay.local_addr().map_err(no_listener)?;

    info!(data = %config.data.display(), listen = %config.store_listen, "store open");
    info!(listen = %address, worker = %config.worker, "relaying");
    if let Some(folder) = &config.record_traffic {
        warn!(folder = %folder.display(), "recording every byte that passes");
    }
    ready(address);

    // The store outlives the relay: what is drained still needs it.
    let (relaying, stop) = oneshot::channel::<()>();
    let relayed = async {
        relay.serve(shutdown, config.drain).await;
        drop(relaying);
    };
    tokio::join!(relayed, serve_stores(store_listener, store, recorder, stop));
    info!("stopped");
    Ok(())
}

async fn open_store(folder: &Path) -> Result<Arc<RedbStore>, HostError> {
    let path = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        make_private_folder(&path)?;
        RedbStore::open(&path)
    });
    let source = match opened.await {
        Ok(Ok(store)) => return Ok(Arc::new(store)),
        Ok(Err(error)) => error,
        Err(error) => OpenError::Io(io::Error::other(error)),
    };
    Err(HostError::Store { folder: folder.to_owned(), source })
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Serves the worker's store messages until `stop`; the store is closed when it returns.
async fn serve_stores(
    listener: Listener,
    store: Arc<RedbStore>,
    recorder: Option<Recorder>,
    mut stop: oneshot::Receiver<()>,
) {
    let connections = Arc::new(Semaphore::new(STORE_CONNECTIONS));
    let mut live = JoinSet::new();
    loop {
        let accepting = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            _ = &mut stop => break,
            Some(_) = live.join_next() => continue,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok(stream) => {
                let (store, recorder) = (Arc::clone(&store), recorder.clone());
                live.spawn(async move {
                    serve_one_store(stream, store, recorder).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "no store connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    live.shutdown().await;
}

async fn serve_one_store(stream: Stream, store: Arc<RedbStore>, recorder: Option<Recorder>) {
    info!("the worker has connected to the store");
    let served = match recorder {
        None => serve_store(stream, store).await,
        Some(recorder) => match recorder.record("store", stream) {
            Ok(stream) => serve_store(stream, store).await,
            Err(error) => Err(sekisho_wire::frame::FrameError::Io(error).into()),
        },
    };
    match served {
        Ok(()) => info!("the worker has disconnected from the store"),
        Err(error) => warn!(%error, "the store connection broke"),
    }
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store.
    #[error("cannot open the store in {folder}: {source}")]
    Store {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The store's address.
    #[error("cannot listen for the worker's store messages on {address}: {source}")]
    StoreListen {
        /// `store_listen`.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The callers' address.
    #[error("cannot listen for callers on {listen}: {source}")]
    Listen {
        /// `listen`.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The folder for recordings.
    #[error("cannot record into {folder}: {source}")]
    Recording {
        /// `record_traffic`.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}
