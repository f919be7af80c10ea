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

use crate::egress::{Egress, EgressConfig};
use crate::handover::WorkerConfiguration;
use crate::metrics::{Metrics, MetricsServer};
use crate::record::Recorder;
use crate::relay::{Patience, Relay, Terms};
use crate::store::{Measured, OpenError, RedbStore};

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
    /// The most connections that are relayed at once from one address; further ones are closed.
    /// For a host whose callers reach it directly: behind a balancer all have its address.
    pub max_connections_per_address: Option<usize>,
    /// Whether the worker is told where each connection comes from, by a PROXY protocol header of version 2:
    /// policies see it as `aws:SourceIp`.
    pub proxy_protocol: bool,
    /// How long a connection may carry nothing, in either direction, before it is closed.
    pub idle: Duration,
    /// The same for one of which one direction has ended.
    pub half_closed: Duration,
    /// How long live connections may take to finish after the shutdown.
    pub drain: Duration,
    /// Where `/metrics` and `/healthz` are answered, without TLS; port 0 takes any that is free.
    pub metrics_listen: Option<SocketAddr>,
    /// A folder for recordings of all that passes; for debugging, see [`run`].
    pub record_traffic: Option<PathBuf>,
    /// The worker's way out, if it has one.
    pub egress: Option<EgressConfig>,
    /// What a worker in an image is started with; one that is a process has arguments.
    pub worker_configuration: Option<WorkerConfiguration>,
}

impl Config {
    /// A host with the usual limits: 16384 connections, 350 seconds of silence as with AWS's Network
    /// Load Balancer, 60 in half-closed connections, 10 to drain; no metrics, no recording, no egress.
    pub fn new(listen: SocketAddr, worker: Address, store_listen: Address, data: PathBuf) -> Self {
        Self {
            listen,
            worker,
            store_listen,
            data,
            max_connections: 16_384,
            max_connections_per_address: None,
            proxy_protocol: false,
            idle: Duration::from_secs(350),
            half_closed: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            metrics_listen: None,
            record_traffic: None,
            egress: None,
            worker_configuration: None,
        }
    }
}

/// Where a running host is reached.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// By callers.
    pub callers: SocketAddr,
    /// By Prometheus, if at all.
    pub metrics: Option<SocketAddr>,
}

/// Runs a host until `shutdown`, and a little longer until its connections are drained.
///
/// `ready` gets the addresses once callers can connect and the store is open. It says nothing about
/// the worker, which may start later.
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
    ready: impl FnOnce(Listening),
    shutdown: impl Future<Output = ()>,
) -> Result<(), HostError> {
    let recorder = match &config.record_traffic {
        None => None,
        Some(folder) => Some(
            Recorder::new(folder)
                .map_err(|source| HostError::Recording { folder: folder.clone(), source })?,
        ),
    };
    if let Some(configuration) = &config.worker_configuration {
        configuration.read().map_err(|source| HostError::WorkerConfiguration {
            file: configuration.file.clone(),
            source,
        })?;
    }
    let metrics = Arc::new(Metrics::default());
    let store = open_store(&config.data, Arc::clone(&metrics)).await?;
    let store_listener = config.store_listen.listen().await.map_err(|source| {
        HostError::StoreListen { address: config.store_listen.clone(), source }
    })?;
    let no_listener = |source| HostError::Listen { listen: config.listen, source };
    let terms = Terms {
        worker: config.worker.clone(),
        max_connections: config.max_connections,
        max_per_address: config.max_connections_per_address,
        proxy_protocol: config.proxy_protocol,
        patience: Patience { idle: config.idle, half_closed: config.half_closed },
        recorder: recorder.clone(),
    };
    let relay = Relay::bind(config.listen, terms, Arc::clone(&metrics)).map_err(no_listener)?;
    let callers = relay.local_addr().map_err(no_listener)?;
    let scraped = match config.metrics_listen {
        None => None,
        Some(listen) => {
            let failed = |source| HostError::MetricsListen { listen, source };
            let server = MetricsServer::bind(listen).await.map_err(failed)?;
            let address = server.local_addr().map_err(failed)?;
            info!(listen = %address, "metrics");
            Some((server, address))
        }
    };

    let egress = match config.egress {
        None => None,
        Some(egress) => {
            let address = egress.listen.clone();
            let listener = address
                .listen()
                .await
                .map_err(|source| HostError::EgressListen { address: address.clone(), source })?;
            for destination in &egress.allowed {
                info!(listen = %address, %destination, "the worker may connect to this");
            }
            Some((Egress::new(egress, recorder.clone(), Arc::clone(&metrics)), listener))
        }
    };

    info!(data = %config.data.display(), listen = %config.store_listen, "store open");
    info!(listen = %callers, worker = %config.worker, "relaying");
    if let Some(folder) = &config.record_traffic {
        warn!(folder = %folder.display(), "recording every byte that passes");
    }
    ready(Listening { callers, metrics: scraped.as_ref().map(|(_, address)| *address) });

    // The store outlives the relay: what is drained still needs it.
    let (relaying, stop) = oneshot::channel::<()>();
    let relayed = async {
        relay.serve(shutdown, config.drain).await;
        drop(relaying);
    };
    let sizes = Arc::downgrade(&store);
    let sizes = move || sizes.upgrade().map(|store| store.sizes()).unwrap_or_default();
    let scraping =
        scraped.map(|(server, _)| tokio::spawn(server.serve(Arc::clone(&metrics), sizes)));
    let store = Measured::new(store, Arc::clone(&metrics)).await;
    let egress = egress.map(|(egress, listener)| tokio::spawn(egress.serve(listener)));
    // Last: a worker that is configured dials at once.
    let handing_over = config.worker_configuration.map(|given| tokio::spawn(given.serve()));
    tokio::join!(relayed, serve_stores(store_listener, store, recorder, &metrics, stop));
    if let Some(egress) = egress {
        egress.abort();
    }
    if let Some(scraping) = scraping {
        scraping.abort();
    }
    if let Some(handing_over) = handing_over {
        handing_over.abort();
    }
    info!("stopped");
    Ok(())
}

async fn open_store(folder: &Path, metrics: Arc<Metrics>) -> Result<Arc<RedbStore>, HostError> {
    let path = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        make_private_folder(&path)?;
        RedbStore::open_measured(&path, metrics)
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
    store: Measured,
    recorder: Option<Recorder>,
    metrics: &Arc<Metrics>,
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
                let (store, recorder) = (Arc::new(store.for_stream()), recorder.clone());
                let metrics = Arc::clone(metrics);
                live.spawn(async move {
                    let _connected = metrics.worker_streams.enter();
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

async fn serve_one_store(stream: Stream, store: Arc<Measured>, recorder: Option<Recorder>) {
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
    /// The egress's address.
    #[error("cannot listen for the worker's egress on {address}: {source}")]
    EgressListen {
        /// `egress.listen`.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The address for metrics.
    #[error("cannot listen for metrics on {listen}: {source}")]
    MetricsListen {
        /// `metrics_listen`.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The file with the worker's options.
    #[error("cannot read the worker's configuration in {file}: {source}")]
    WorkerConfiguration {
        /// `worker_configuration.file`.
        file: PathBuf,
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
