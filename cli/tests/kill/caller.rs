//! One caller: signed requests, one at a time, on a TLS connection that is made anew when it breaks.

use super::processes::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use sekisho_devkit::Signer;
use serde_json::Value;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const HOST: &str = "127.0.0.1";
/// Beyond what a worker waits for its store.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the service is at the moment, and whom it is trusted by.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: Arc<Mutex<SocketAddr>>,
    tls: TlsConnector,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(tls));
        Self { address: Arc::new(Mutex::new(address)), tls }
    }
}

/// How a request ended.
pub(crate) enum Answer {
    /// Acknowledged: what it asked for has happened, and the request's id is in the audit log.
    Done { answer: Value, request_id: String },
    /// It has not happened.
    Refused { code: String },
    /// It may have happened.
    Unknown,
}

pub(crate) struct Caller {
    target: Target,
    signer: Signer,
    sender: Option<SendRequest<Full<Bytes>>>,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Caller {
    /// The account's root.
    pub(crate) fn root(target: &Target) -> Self {
        Self::with_key(target, ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    }

    pub(crate) fn with_key(target: &Target, id: &str, secret: &str) -> Self {
        let signer = Signer {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
            region: REGION.to_owned(),
        };
        Self { target: target.clone(), signer, sender: None }
    }

    pub(crate) async fn call(&mut self, target: &str, body: &Value) -> Answer {
        let answered = timeout(PATIENCE, self.exchange(target, body)).await;
        let Ok(Ok((status, request_id, body))) = answered else {
            self.sender = None;
            // A service that is just not there is not asked all the time.
            tokio::time::sleep(Duration::from_millis(40)).await;
            return Answer::Unknown;
        };
        let answer: Value = serde_json::from_slice(&body).unwrap();
        match status {
            200 => Answer::Done { answer, request_id },
            503 => Answer::Unknown,
            _ => Answer::Refused { code: answer["__type"].as_str().unwrap().to_owned() },
        }
    }

    /// [`Caller::call`] of a service that nobody kills, until it answers.
    pub(crate) async fn ask(&mut self, target: &str, body: &Value) -> Result<Value, String> {
        for _ in 0..1000 {
            match self.call(target, body).await {
                Answer::Done { answer, .. } => return Ok(answer),
                Answer::Refused { code } => return Err(code),
                Answer::Unknown => {}
            }
        }
        panic!("{target} is not answered");
    }

    async fn exchange(
        &mut self,
        target: &str,
        body: &Value,
    ) -> Result<(u16, String, Bytes), Failure> {
        let service = if target.contains('.') { "" } else { "TrentService." };
        let body = Bytes::from(body.to_string());
        let now = OffsetDateTime::now_utc();
        let mut request = Request::post("/");
        for (name, value) in self.signer.headers(HOST, &format!("{service}{target}"), &body, now) {
            request = request.header(name, value);
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(connect(&self.target).await?),
        };
        sender.ready().await?;
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status().as_u16();
        let id = response.headers().get("x-amzn-requestid").ok_or("no request id")?;
        let id = id.to_str()?.to_owned();
        Ok((status, id, response.into_body().collect().await?.to_bytes()))
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let address = *target.address.lock().unwrap();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = target.tls.connect(ServerName::try_from(HOST)?, stream).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
