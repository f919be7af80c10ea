//! A closed loop: as many requests as a number of connections carry, one at a time each.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Result;

/// Before the clock runs: connections opened, code and caches warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// What a closed loop measured.
pub(crate) struct Load {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: u128,
    pub(crate) p99: u128,
}

pub(crate) async fn load(
    target: &Target,
    call: &Call,
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(target.connect().await?);
    }
    let from = Instant::now() + WARM_UP;
    let until = from + duration;
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| tokio::spawn(closed_loop(sender, call.clone(), from, until)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await?.map_err(|error| error.to_string())?);
    }
    latencies.sort_unstable();
    let at = |part: f64| {
        let index = (latencies.len() as f64 * part) as usize;
        latencies.get(index).map_or(0, Duration::as_micros)
    };
    Ok(Load { rate: latencies.len() as f64 / duration.as_secs_f64(), p50: at(0.50), p99: at(0.99) })
}

async fn closed_loop(
    mut sender: SendRequest<Full<Bytes>>,
    call: Call,
    from: Instant,
    until: Instant,
) -> std::result::Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let mut latencies = Vec::new();
    loop {
        let started = Instant::now();
        if started >= until {
            return Ok(latencies);
        }
        let (status, body) = send(&mut sender, &call).await?;
        if status != StatusCode::OK
            || !body.windows(call.wants.len()).any(|part| part == call.wants)
        {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        if started >= from {
            latencies.push(started.elapsed());
        }
    }
}

pub(crate) async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    call: &Call,
) -> std::result::Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let mut request = Request::post("/");
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    sender.ready().await?;
    let response = sender.send_request(request.body(Full::new(call.body.clone()))?).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// A request, signed where it has to be.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// What a right answer holds.
    pub(crate) wants: Vec<u8>,
}

impl Call {
    pub(crate) fn hello() -> Self {
        let headers = vec![("host".to_owned(), "localhost".to_owned())];
        Self { headers, body: Bytes::new(), wants: b"hello".to_vec() }
    }
}

/// Where a server is reached and what its certificate comes from.
pub(crate) struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, ca: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
