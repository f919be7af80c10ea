//! A caller: TLS 1.3 to the worker's socket, signed requests, HTTP/1.1 in bytes.

use super::host::Opponent;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sekisho_devkit::Signer;
use sekisho_enclave::any_certificate;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const HOST: &str = "localhost";

/// A refusal: AWS's code, and the HTTP status it came with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn answer(&self) -> Result<Value, Refused> {
        let answer = self.json();
        if self.status == 200 {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Err(Refused { status: self.status, code: text("__type"), message: text("message") })
    }
}

/// A caller of one worker.
#[derive(Clone)]
pub(crate) struct Client {
    socket: PathBuf,
    opponent: Opponent,
    pub(crate) signer: Signer,
    pub(crate) tls: Arc<ClientConfig>,
}

/// A TLS connection whose encrypted bytes the opponent sees.
pub(crate) type Connection = TlsStream<Carried>;

impl Client {
    /// A caller that trusts nobody yet: any certificate passes.
    pub(crate) fn new(socket: PathBuf, opponent: Opponent, signer: Signer) -> Self {
        let tls = any_certificate().unwrap();
        Self { socket, opponent, signer, tls: Arc::new(tls) }
    }

    /// The same caller, who trusts what this authority vouches for and nothing else.
    pub(crate) fn trusting(&self, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    /// The same caller, who offers only this protocol over TLS (RFC 7301).
    pub(crate) fn speaking(&self, protocol: &str) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    /// As the relay connects: bytes to the worker, which the opponent sees.
    pub(crate) async fn carry(&self) -> Carried {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        Carried { stream, opponent: self.opponent.clone() }
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let name = ServerName::try_from(HOST).unwrap();
        let stream = UnixStream::connect(&self.socket).await?;
        let stream = Carried { stream, opponent: self.opponent.clone() };
        TlsConnector::from(self.tls.clone()).connect(name, stream).await
    }

    /// A signed request as it goes into TLS.
    pub(crate) fn signed(&self, operation: &str, body: &Value) -> Vec<u8> {
        self.signed_at(operation, body, OffsetDateTime::now_utc())
    }

    pub(crate) fn signed_at(&self, operation: &str, body: &Value, at: OffsetDateTime) -> Vec<u8> {
        let body = body.to_string().into_bytes();
        let service = if operation.contains('.') { "" } else { "TrentService." };
        let target = format!("{service}{operation}");
        let headers = self.signer.headers(HOST, &target, &body, at);
        request(&headers, &body)
    }

    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, Refused> {
        self.send(&self.signed(operation, &body)).await.unwrap().answer()
    }

    /// Sends these bytes over a connection of their own, and reads one answer, which may come, with
    /// the end of the connection, before all is sent.
    pub(crate) async fn send(&self, bytes: &[u8]) -> io::Result<Reply> {
        let mut connection = self.connect().await?;
        let sent = match connection.write_all(bytes).await {
            Ok(()) => connection.flush().await,
            Err(error) => Err(error),
        };
        let reply = read_reply(&mut connection).await;
        if reply.is_err() {
            sent?;
        }
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> io::Result<Reply> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await
    }
}

/// `POST /` with a length and these headers.
pub(crate) fn request(headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\n".to_vec();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one answer; an error where the connection ends before it is complete.
pub(crate) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        bytes.push(stream.read_u8().await?);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).await?;
    Ok(Reply { status, head, body })
}

/// What the relay carries: encrypted bytes, all of which the opponent sees.
pub(crate) struct Carried {
    pub(crate) stream: UnixStream,
    opponent: Opponent,
}

impl AsyncRead for Carried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.opponent.sees(&buffer.filled()[before..]);
        poll
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &poll {
            self.opponent.sees(&bytes[..*written]);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
