//! A closed loop: as many requests as a number of connections carry, one at a time each.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Result;

/// Before the clock runs: connections opened, code and caches warm.
const WARM_UP: Duration = Duration::from_millis(200);

pub(crate) type Sender = SendRequest<Full<Bytes>>;
type Failure = Box<dyn Error + Send + Sync>;

/// What a closed loop measured.
#[derive(Default)]
pub(crate) struct Load {
    /// Requests, those before the clock ran among them.
    pub(crate) all: u64,
    latencies: Vec<Duration>,
    duration: Duration,
}

impl Load {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.duration.as_secs_f64()
    }

    /// The latency, in µs, that these parts of the requests did not exceed.
    pub(crate) fn quantiles<const N: usize>(&self, parts: [f64; N]) -> [u128; N] {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        parts.map(|part| {
            let index = (latencies.len() as f64 * part) as usize;
            latencies.get(index).map_or(0, Duration::as_micros)
        })
    }

    /// Goes on with another loop of the same requests.
    pub(crate) fn extend(&mut self, other: Self) {
        self.all += other.all;
        self.latencies.extend(other.latencies);
        self.duration += other.duration;
    }
}

/// The same request again and again, for a while.
pub(crate) async fn load(
    target: &Target,
    call: &Call,
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let senders = connect(target, connections).await?;
    let from = Instant::now() + WARM_UP;
    let until = from + duration;
    let early = Arc::new(AtomicU64::new(0));
    let loops = senders.into_iter().map(|mut sender| {
        let (call, target, early) = (call.clone(), target.clone(), early.clone());
        async move {
            let mut latencies = Vec::new();
            loop {
                let started = Instant::now();
                if started >= until {
                    return Ok::<_, Failure>(latencies);
                }
                answer(&target, &mut sender, &call).await?;
                if started >= from {
                    latencies.push(started.elapsed());
                } else {
                    early.fetch_add(1, Relaxed);
                }
            }
        }
    });
    let latencies = join(loops).await?;
    Ok(Load { all: latencies.len() as u64 + early.load(Relaxed), latencies, duration })
}

/// Each of some requests once, shared out among the connections.
pub(crate) async fn load_each(
    target: &Target,
    calls: Vec<Call>,
    connections: usize,
) -> Result<Load> {
    let senders = connect(target, connections).await?;
    let mut shares = vec![Vec::new(); connections];
    for (index, call) in calls.into_iter().enumerate() {
        shares.get_mut(index % connections).ok_or("no connection")?.push(call);
    }
    let started = Instant::now();
    let loops = senders.into_iter().zip(shares).map(|(mut sender, calls)| {
        let target = target.clone();
        async move {
            let mut latencies = Vec::new();
            for call in &calls {
                let started = Instant::now();
                answer(&target, &mut sender, call).await?;
                latencies.push(started.elapsed());
            }
            Ok::<_, Failure>(latencies)
        }
    });
    let latencies = join(loops).await?;
    Ok(Load { all: latencies.len() as u64, latencies, duration: started.elapsed() })
}

/// Bytes a second of one download.
pub(crate) async fn download(target: &Target, bytes: u64) -> Result<f64> {
    let mut sender = target.connect().await?;
    let request = Request::get(format!("/{bytes}")).header("host", "localhost");
    let started = Instant::now();
    let mut body = sender.send_request(request.body(Full::default())?).await?.into_body();
    let mut arrived = 0;
    while let Some(frame) = body.frame().await {
        arrived += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    if arrived != bytes {
        return Err(format!("{arrived} of {bytes} bytes arrived").into());
    }
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

async fn connect(target: &Target, connections: usize) -> Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(target.connect().await?);
    }
    Ok(senders)
}

async fn join<F>(loops: impl Iterator<Item = F>) -> Result<Vec<Duration>>
where
    F: Future<Output = std::result::Result<Vec<Duration>, Failure>> + Send + 'static,
{
    let tasks: Vec<_> = loops.map(tokio::spawn).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await?.map_err(|error| error.to_string())?);
    }
    Ok(latencies)
}

/// Sends a request and looks whether its answer is the right one. A server that speaks HTTP/1.0 gets
/// a connection for each.
async fn answer(
    target: &Target,
    sender: &mut Sender,
    call: &Call,
) -> std::result::Result<(), Failure> {
    if sender.ready().await.is_err() {
        *sender = target.connect().await.map_err(|error| error.to_string())?;
    }
    let (status, body) = send(sender, call).await?;
    let is_right = body.windows(call.wants.len().max(1)).any(|part| part == call.wants);
    if status != StatusCode::OK || !is_right {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(())
}

pub(crate) async fn send(
    sender: &mut Sender,
    call: &Call,
) -> std::result::Result<(StatusCode, Bytes), Failure> {
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = Method::POST;
    request.headers_mut().clone_from(&call.headers);
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// A request, signed where it has to be.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What a right answer holds.
    pub(crate) wants: Vec<u8>,
}

impl Call {
    pub(crate) fn hello() -> Self {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        Self { headers, body: Bytes::new(), wants: b"hello".to_vec() }
    }
}

/// Where a server is reached.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Target {
    /// Without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// With TLS 1.3 and a certificate of this authority.
    pub(crate) fn tls(address: SocketAddr, ca: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address, tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// The same at another address.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, tls: self.tls.clone() }
    }

    pub(crate) async fn connect(&self) -> Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return over(stream).await };
        let name = ServerName::IpAddress(self.address.ip().into());
        over(tls.connect(name, stream).await?).await
    }
}

async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Sender> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
