//! The comparator: hyper and rustls as the worker has them, saying hello behind a relay.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use sekisho_wire::Address;
use tokio_rustls::TlsAcceptor;

use crate::Result;
use crate::load::Target;
use crate::process::Process;

/// The hello-world server and its relay.
pub(crate) struct Hello {
    pub(crate) target: Target,
    _processes: [Process; 2],
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
        let (server, _) = start("hello-server")?;
        let (relay, address) = start("hello-relay")?;
        let target = Target::new(address.trim().parse()?, &ca)?;
        Ok(Self { target, _processes: [server, relay] })
    }
}

/// The server that only says hello: hyper and rustls as the worker has them, on a Unix socket.
pub(crate) async fn hello_server(folder: &str) -> Result {
    let folder = Path::new(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("hello.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("hello-key.pem"))?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = Address::Unix { path: folder.join("hello.sock") }.listen().await?;
    println!("ready");
    loop {
        let stream = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let hello = service_fn(|request: Request<Incoming>| async move {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), hello)
                .await;
        });
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
    sekisho_host::run(config, |address| println!("{address}"), std::future::pending()).await?;
    Ok(())
}
