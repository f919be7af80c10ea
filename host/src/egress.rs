//! The egress: the worker's way out, to destinations of a list and to nothing else.
//!
//! The worker needs it to reach the KMS that wraps its root key. The host connects, and moves
//! bytes of TLS that ends in the worker and in the KMS; for a worker that is somebody else's by
//! now, the list is what keeps it in.

mod credentials;
mod metadata;

pub use credentials::CredentialsSource;

use std::sync::Arc;
use std::time::Duration;

use sekisho_wire::egress::{
    Destination, MessageError, Refusal, Request, Response, read_request, write_response,
};
use sekisho_wire::{Address, Listener, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::metrics::{Egress as Asked, Exit, Metrics};
use crate::record::Recorder;
use crate::relay::{Patience, pump};

/// Streams at once. The worker needs one at a time.
const CONNECTIONS: usize = 16;

/// For a request to arrive after its stream.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// For a connection to the destination, its address looked up; the worker waits a little longer.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A KMS answers in milliseconds: a minute of silence is a connection that is dead.
const PATIENCE: Patience =
    Patience { idle: Duration::from_secs(60), half_closed: Duration::from_secs(10) };

/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The worker's way out.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Where the host waits for the worker's requests.
    pub listen: Address,
    /// Where connections may go.
    pub allowed: Vec<Destination>,
    /// Where the worker's AWS credentials come from, if anywhere.
    pub credentials: Option<CredentialsSource>,
}

/// What holds for every stream.
pub(crate) struct Egress {
    allowed: Vec<Destination>,
    credentials: Option<CredentialsSource>,
    recorder: Option<Recorder>,
    metrics: Arc<Metrics>,
}

impl Egress {
    pub(crate) fn new(
        config: EgressConfig,
        recorder: Option<Recorder>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let EgressConfig { allowed, credentials, .. } = config;
        Self { allowed, credentials, recorder, metrics }
    }

    /// Serves until the future is dropped, and its connections with it.
    pub(crate) async fn serve(self, listener: Listener) {
        let egress = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut live = JoinSet::new();
        loop {
            let accepting = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                Some(_) = live.join_next() => continue,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let egress = Arc::clone(&egress);
                    live.spawn(async move {
                        egress.answer(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "no egress connection can be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: Stream) {
        let request = match timeout(REQUEST_TIME, read_request(&mut stream)).await {
            Ok(Ok(request)) => request,
            // Nobody is there to be answered.
            Ok(Err(MessageError::Ended)) | Err(_) => return,
            Ok(Err(error)) => {
                warn!(%error, "a malformed egress request");
                self.refuse(&mut stream, Asked::Unknown, Refusal::Malformed).await;
                return;
            }
        };
        match request {
            Request::Connect(destination) => self.carry(stream, &destination).await,
            Request::Credentials => self.credentials(stream).await,
        }
    }

    async fn carry(&self, mut stream: Stream, destination: &Destination) {
        if !self.allowed.contains(destination) {
            warn!(%destination, "the worker asks for a destination that is not on the list (--egress)");
            return self.refuse(&mut stream, Asked::Connect, Refusal::NotAllowed).await;
        }
        let connecting = TcpStream::connect((destination.name(), destination.port()));
        let mut remote = match timeout(CONNECT_TIME, connecting).await {
            Ok(Ok(remote)) => remote,
            Ok(Err(error)) => {
                warn!(%destination, %error, "the destination cannot be reached");
                return self.refuse(&mut stream, Asked::Connect, Refusal::Unreachable).await;
            }
            Err(_) => {
                warn!(%destination, "the destination does not answer");
                return self.refuse(&mut stream, Asked::Connect, Refusal::Unreachable).await;
            }
        };
        let _ = remote.set_nodelay(true);
        if write_response(&mut stream, &Response::Connected).await.is_err() {
            return;
        }
        self.count(Asked::Connect, Exit::Done);
        info!(%destination, "the worker is connected");
        let _connected = self.metrics.egress_live.enter();
        let bytes = &self.metrics.egress_bytes;
        match &self.recorder {
            None => {
                pump(&mut remote, &mut stream, bytes, PATIENCE).await;
            }
            Some(recorder) => match recorder.record("egress", stream) {
                Ok(mut stream) => {
                    pump(&mut remote, &mut stream, bytes, PATIENCE).await;
                }
                Err(error) => warn!(%error, "a connection cannot be recorded, and is closed"),
            },
        }
    }

    async fn credentials(&self, mut stream: Stream) {
        let Some(source) = &self.credentials else {
            warn!("the worker asks for AWS credentials and there are none (--kms-credentials)");
            return self.refuse(&mut stream, Asked::Credentials, Refusal::NoCredentials).await;
        };
        match source.read().await {
            Ok(credentials) => {
                let response = Response::Credentials(credentials);
                if write_response(&mut stream, &response).await.is_ok() {
                    self.count(Asked::Credentials, Exit::Done);
                }
                let _ = stream.shutdown().await;
            }
            Err(error) => {
                warn!(%source, %error, "the AWS credentials cannot be read");
                let refusal = Refusal::CredentialsUnreadable;
                self.refuse(&mut stream, Asked::Credentials, refusal).await;
            }
        }
    }

    async fn refuse(&self, stream: &mut Stream, asked: Asked, refusal: Refusal) {
        self.count(asked, exit(refusal));
        let _ = write_response(stream, &Response::Refused(refusal)).await;
        let _ = stream.shutdown().await;
    }

    fn count(&self, asked: Asked, exit: Exit) {
        self.metrics.egress_requests.of(asked).of(exit).increment();
    }
}

fn exit(refusal: Refusal) -> Exit {
    match refusal {
        Refusal::NotAllowed => Exit::NotAllowed,
        Refusal::Unreachable => Exit::Unreachable,
        Refusal::NoCredentials => Exit::NoCredentials,
        Refusal::CredentialsUnreadable => Exit::CredentialsUnreadable,
        Refusal::Malformed => Exit::Malformed,
    }
}

#[cfg(test)]
mod tests;
