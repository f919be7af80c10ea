//! The relay: a TCP connection becomes a connection to the worker, and bytes move.
//!
//! The host cannot read what it carries and does not try. It bounds how many connections there
//! are, and holds no more of each than what the other side has not taken yet.

mod pump;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sekisho_wire::Address;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use self::pump::pump;
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

struct Route {
    worker: Address,
    recorder: Option<Recorder>,
}

impl Relay {
    pub(crate) fn bind(
        listen: SocketAddr,
        worker: Address,
        max_connections: usize,
        recorder: Option<Recorder>,
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
        let route = Arc::new(Route { worker, recorder });
        let connections = Arc::new(Semaphore::new(max_connections.max(1)));
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
        self::drain(live, drain).await;
    }

    /// Cancellation safe: a permit that is not used goes back.
    async fn accept(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        let permit = Arc::clone(&self.connections).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((client, peer)) => return (client, peer, permit),
                Err(error) => {
                    warn!(%error, "no connection can be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn drain(mut live: JoinSet<()>, patience: Duration) {
    while live.try_join_next().is_some() {}
    if live.is_empty() {
        return;
    }
    info!(connections = live.len(), "stopped accepting; letting live connections finish");
    let finished = timeout(patience, async { while live.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        warn!(connections = live.len(), "closing the connections that have not finished");
        live.shutdown().await;
    }
}

impl Route {
    async fn carry(&self, mut client: TcpStream, peer: SocketAddr) {
        let mut worker = match self.worker.connect().await {
            Ok(worker) => worker,
            Err(error) => {
                warn!(%peer, worker = %self.worker, %error, "the worker cannot be reached");
                return;
            }
        };
        let carried = match &self.recorder {
            None => pump(&mut client, &mut worker).await,
            Some(recorder) => match recorder.record("relay", worker) {
                Ok(mut worker) => pump(&mut client, &mut worker).await,
                Err(error) => Err(error),
            },
        };
        match carried {
            Ok((up, down)) => debug!(%peer, up, down, "connection finished"),
            Err(error) => debug!(%peer, %error, "connection broken"),
        }
    }
}
