//! The relay: a TCP connection becomes a connection to the worker, and bytes move.
//!
//! The host cannot read what it carries and does not try. It bounds how many connections there
//! are, and holds no more of each than what the other side has not taken yet.

mod pump;
mod sources;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sekisho_wire::{Address, Stream, source};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

pub(crate) use self::pump::Patience;
pub(crate) use self::pump::pump;
use self::sources::Sources;
use crate::metrics::{End, Metrics, Phase};
use crate::record::Recorder;

/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// A relay that has its port and waits for [`Relay::serve`].
pub(crate) struct Relay {
    listener: TcpListener,
    route: Arc<Route>,
    connections: Arc<Semaphore>,
}

/// What holds for every connection.
pub(crate) struct Terms {
    pub(crate) worker: Address,
    pub(crate) max_connections: usize,
    /// The most from one address.
    pub(crate) max_per_address: Option<usize>,
    pub(crate) patience: Patience,
    pub(crate) recorder: Option<Recorder>,
    /// Whether the worker is told where each connection comes from.
    pub(crate) proxy_protocol: bool,
}

struct Route {
    worker: Address,
    patience: Patience,
    recorder: Option<Recorder>,
    proxy_protocol: bool,
    sources: Arc<Sources>,
    metrics: Arc<Metrics>,
    /// Whether the last attempt to reach the worker failed; the log has the changes alone.
    worker_is_away: AtomicBool,
}

impl Relay {
    pub(crate) fn bind(
        listen: SocketAddr,
        terms: Terms,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let socket = match listen {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit both.
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        socket.bind(listen)?;
        let listener = socket.listen(BACKLOG)?;
        let route = Arc::new(Route {
            worker: terms.worker,
            patience: terms.patience,
            recorder: terms.recorder,
            proxy_protocol: terms.proxy_protocol,
            sources: Arc::new(Sources::new(terms.max_per_address)),
            metrics,
            worker_is_away: AtomicBool::new(false),
        });
        let connections = Arc::new(Semaphore::new(terms.max_connections.max(1)));
        Ok(Self { listener, route, connections })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Relays until `shutdown`, then waits for the live connections, but no longer than `drain`.
    ///
    /// With the most connections that are allowed, further ones wait in the kernel's backlog.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>, drain: Duration) {
        let mut live = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = live.join_next() => {}
                (client, peer, permit) = self.accept() => {
                    let route = Arc::clone(&self.route);
                    live.spawn(async move {
                        route.carry(client, peer).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(self.listener);
        self::drain(live, drain, &self.route.metrics).await;
    }

    /// Cancellation safe: a permit that is not used goes back.
    async fn accept(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        let metrics = &self.route.metrics;
        let permit = match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                metrics.stalls.increment();
                Arc::clone(&self.connections).acquire_owned().await.ok()
            }
        };
        loop {
            match self.listener.accept().await {
                Ok((client, peer)) => {
                    metrics.accepted.increment();
                    return (client, peer, permit);
                }
                Err(error) => {
                    metrics.accept_errors.increment();
                    warn!(%error, "no connection can be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn drain(mut live: JoinSet<()>, patience: Duration, metrics: &Metrics) {
    while live.try_join_next().is_some() {}
    if live.is_empty() {
        return;
    }
    info!(connections = live.len(), "stopped accepting; letting live connections finish");
    let finished = timeout(patience, async { while live.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        warn!(connections = live.len(), "closing the connections that have not finished");
        metrics.ended.of(End::Drained).add(live.len() as u64);
        live.shutdown().await;
    }
}

impl Route {
    async fn carry(&self, client: TcpStream, peer: SocketAddr) {
        let end = match self.sources.enter(peer.ip()) {
            Some(_inside) => self.relay(client, peer).await,
            None => End::Refused,
        };
        self.metrics.ended.of(end).increment();
        debug!(%peer, ?end, "connection ended");
    }

    async fn relay(&self, mut client: TcpStream, peer: SocketAddr) -> End {
        let connecting = self.metrics.live.of(Phase::Connecting).enter();
        let connected = self.worker.connect().await;
        drop(connecting);
        let mut worker = match connected {
            Ok(worker) => {
                if self.worker_is_away.swap(false, Ordering::Relaxed) {
                    info!("the worker can be reached again");
                }
                worker
            }
            Err(error) => {
                if !self.worker_is_away.swap(true, Ordering::Relaxed) {
                    let worker = &self.worker;
                    warn!(%worker, %error, "the worker cannot be reached; callers are hung up on");
                }
                return End::WorkerUnreachable;
            }
        };
        if self.proxy_protocol
            && let Err(error) = self.announce(&client, peer, &mut worker).await
        {
            debug!(%peer, %error, "the worker could not be told where a connection comes from");
            return End::Broken;
        }
        let _relaying = self.metrics.live.of(Phase::Relaying).enter();
        let bytes = &self.metrics.bytes;
        match &self.recorder {
            None => pump(&mut client, &mut worker, bytes, self.patience).await,
            Some(recorder) => match recorder.record("relay", worker) {
                Ok(mut worker) => pump(&mut client, &mut worker, bytes, self.patience).await,
                Err(error) => {
                    warn!(%error, "a connection cannot be recorded, and is closed");
                    End::Broken
                }
            },
        }
    }

    /// The header fits into an empty socket's buffer: nobody waits for the worker to read it.
    async fn announce(
        &self,
        client: &TcpStream,
        peer: SocketAddr,
        worker: &mut Stream,
    ) -> io::Result<()> {
        worker.write_all(&source::header(peer, client.local_addr()?)).await
    }
}
