//! One request over a fresh TLS 1.3 connection.
//!
//! [`get`] takes a certificate that nobody vouches for yet: the peer proves possession of the leaf's
//! key, as in any handshake, and nothing else. The caller gets the leaf together with the answer
//! and has to find out whose it is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use sekisho_enclave::any_certificate;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use webpki::EndEntityCert;

use crate::endpoint::Endpoint;

/// An attestation document has at most 16 KiB (5 to 6 in practice), in base64 a third more, and
/// a certificate beside it.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// For connecting, the handshake and the answer together, where little is sent.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// What adds a second to that: a policy that is registered is compiled before the answer, twice.
const BYTES_FOR_A_SECOND: u64 = 32 * 1024;
/// How often a service that is asked too fast (429) is asked again.
const ATTEMPTS: u32 = 5;
/// Before an attempt, in seconds: what the service may ask for at the most, and what is waited where
/// it does not say.
const PAUSES: std::ops::RangeInclusive<u64> = 1..=8;

/// What a peer answered, and the certificate under whose key it did.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The TLS leaf of this connection, DER.
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) body: Bytes,
}

/// What a service answered to one request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The TLS leaf of this connection, DER.
    pub(crate) leaf: CertificateDer<'static>,
}

/// GETs `path` from `endpoint` over a fresh connection; of a service that is asked too fast, again
/// when it says so.
pub(crate) async fn get(endpoint: &Endpoint, path: &str) -> Result<Answer, HttpsError> {
    let mut attempt = 1;
    loop {
        let request = Request::get(path)
            .header(header::HOST, endpoint.authority())
            .header(header::ACCEPT, "application/json")
            .body(Full::default())?;
        let reply = send(endpoint, any_certificate()?, request, BODY_LIMIT).await?;
        match reply.status {
            StatusCode::OK => return Ok(Answer { leaf: reply.leaf, body: reply.body }),
            StatusCode::TOO_MANY_REQUESTS if attempt < ATTEMPTS => {
                tokio::time::sleep(pause(reply.headers.get(header::RETRY_AFTER))).await;
                attempt += 1;
            }
            status => return Err(HttpsError::Status(status)),
        }
    }
}

/// What `Retry-After` asks for, within bounds; it may also be a date, which ours never is.
fn pause(retry_after: Option<&HeaderValue>) -> Duration {
    let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0).clamp(*PAUSES.start(), *PAUSES.end()))
}

/// Sends `request` over a fresh connection; `tls` says whose certificate is accepted, and
/// `limit` how many bytes the answer may have.
pub(crate) async fn send(
    endpoint: &Endpoint,
    tls: ClientConfig,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Reply, HttpsError> {
    send_patiently(endpoint, tls, request, limit, Duration::ZERO).await
}

/// [`send`], for what may take so much `longer` to be answered.
pub(crate) async fn send_patiently(
    endpoint: &Endpoint,
    tls: ClientConfig,
    request: Request<Full<Bytes>>,
    limit: usize,
    longer: Duration,
) -> Result<Reply, HttpsError> {
    let sent = request.body().size_hint().lower();
    let patience = TIME_LIMIT + Duration::from_secs(sent / BYTES_FOR_A_SECOND) + longer;
    tokio::time::timeout(patience, exchange(endpoint, tls, request, limit))
        .await
        .map_err(|_| HttpsError::Late { patience })?
}

async fn exchange(
    endpoint: &Endpoint,
    mut tls: ClientConfig,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Reply, HttpsError> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect((endpoint.host(), endpoint.port()))
        .await
        .map_err(HttpsError::Connect)?;
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(endpoint.server_name().clone(), stream)
        .await
        .map_err(HttpsError::Handshake)?;
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or(HttpsError::NoCertificate)?
        .clone()
        .into_owned();

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = Limited::new(response.into_body(), limit)
        .collect()
        .await
        .map_err(HttpsError::Body)?
        .to_bytes();
    drop(sender);
    connection.abort();
    Ok(Reply { status, headers, body, leaf })
}

/// Checks that `leaf` is a server's certificate that `authority` issued, at `now`.
pub(crate) fn verify_issuer(
    leaf: &EndEntityCert<'_>,
    authority: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), IssuerError> {
    let anchor = webpki::anchor_from_trusted_cert(authority).map_err(IssuerError::Authority)?;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(algorithms, &[anchor], &[], now, usage, None, None)
        .map_err(IssuerError::Leaf)?;
    Ok(())
}

/// For connections to servers whose certificate comes from `authority`, as one that was attested.
pub(crate) fn trusting(authority: &CertificateDer<'_>) -> Result<ClientConfig, HttpsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    let configuration =
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(configuration)
}

/// Why a certificate is not taken for one of an authority's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    #[error("service-ca: not a certificate: {0}")]
    Authority(webpki::Error),
    #[error("leaf: the connection's certificate does not come from the attested authority: {0}")]
    Leaf(webpki::Error),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no TLS 1.3 connection: {0}")]
    Handshake(io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the peer showed no certificate")]
    NoCertificate,
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the service answered {0}")]
    Status(StatusCode),
    #[error("no answer within {} s", patience.as_secs())]
    Late { patience: Duration },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// Serves one connection for each answer, and returns what was asked.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let mut asked = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            asked.push(String::from_utf8(head).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn asked_too_fast_it_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: Endpoint =
            format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let answers = [
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        ];
        let asking = async {
            let answer = get(&endpoint, "/attestation?nonce=00").await.unwrap();
            assert_eq!(&answer.body[..], b"yes");
            let refused = get(&endpoint, "/other").await;
            assert!(matches!(refused, Err(HttpsError::Status(StatusCode::SERVICE_UNAVAILABLE))));
        };
        let (asked, ()) = tokio::join!(serve(listener, &answers), asking);
        assert!(asked[0].starts_with("GET /attestation?nonce=00 "));
        assert_eq!(asked[0], asked[1]);
    }

    #[test]
    fn a_service_cannot_make_us_wait_long() {
        let of = |text| pause(Some(&HeaderValue::from_static(text))).as_secs();
        assert_eq!([of("3"), of("0"), of("86400"), of("tomorrow")], [3, 1, 8, 1]);
        assert_eq!(pause(None).as_secs(), 1);
    }
}
