//! The comparator: hyper and rustls as the worker has them, behind a relay and without one.

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use sekisho_wire::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Result;
use crate::load::Target;
use crate::process::{Parties, Process, Running};

/// What a download is made of: a record of TLS.
const CHUNK: usize = 16 * 1024;

/// The hello-world server, reached through its relay and without it.
pub(crate) struct Hello {
    pub(crate) relayed: Target,
    pub(crate) direct: Target,
    server: Process,
    relay: Process,
}

impl Hello {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names)?;
        let ca = folder.join("hello.pem");
        std::fs::write(&ca, certified.cert.pem())?;
        std::fs::write(folder.join("hello-key.pem"), certified.signing_key.serialize_pem())?;
        let program = std::env::current_exe()?;
        let start = |role| Process::start(Command::new(&program).arg(role).arg(folder));
        let (server, direct) = start("hello-server")?;
        let (relay, relayed) = start("hello-relay")?;
        let target = |address: &str| Target::tls(address.trim().parse()?, &ca);
        Ok(Self { relayed: target(&relayed)?, direct: target(&direct)?, server, relay })
    }

    pub(crate) fn parties(&self) -> Parties {
        Parties::new(self.server(), self.relay.running())
    }

    pub(crate) fn server(&self) -> Running {
        self.server.running()
    }
}

/// Says hello, or as many zeros as the request's path is long a number, on a Unix socket for the
/// relay and on TCP.
pub(crate) async fn hello_server(folder: &str) -> Result {
    let folder = Path::new(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("hello.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("hello-key.pem"))?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let relayed = Address::Unix { path: folder.join("hello.sock") }.listen().await?;
    let direct = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", direct.local_addr()?);
    loop {
        tokio::select! {
            stream = relayed.accept() => {
                tokio::spawn(serve(acceptor.clone(), stream?));
            }
            stream = direct.accept() => {
                let (stream, _) = stream?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(acceptor.clone(), stream));
            }
        }
    }
}

async fn serve(acceptor: TlsAcceptor, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let hello = service_fn(|request: Request<Incoming>| async move {
        let length = request.uri().path().trim_start_matches('/').parse();
        request.into_body().collect().await?;
        let answer = match length {
            Ok(left) => Answer { left, chunk: Bytes::from(vec![0; CHUNK]) },
            Err(_) => Answer { left: 5, chunk: Bytes::from_static(b"hello") },
        };
        Ok::<_, hyper::Error>(Response::new(answer))
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), hello)
        .await;
}

/// So many bytes, in equal chunks.
struct Answer {
    left: u64,
    chunk: Bytes,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left = self.left.saturating_sub(self.chunk.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }
}

pub(crate) async fn hello_relay(folder: &str) -> Result {
    let folder = Path::new(folder);
    let config = sekisho_host::Config::new(
        ([127, 0, 0, 1], 0).into(),
        Address::Unix { path: folder.join("hello.sock") },
        Address::Unix { path: folder.join("hello-store.sock") },
        folder.join("hello-store"),
    );
    sekisho_host::run(
        config,
        |listening| println!("{}", listening.callers),
        std::future::pending(),
    )
    .await?;
    Ok(())
}
