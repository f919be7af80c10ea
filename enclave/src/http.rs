//! HTTP/1.1 and HTTP/2 on top of the worker's TLS: connections, bounds, and the routes.

mod body;
mod root_key;

use crate::api::{ApiError, Operation, Response as ApiResponse, new_request_id};
use crate::attested::{Allowance, Attester};
use crate::bounds::Bounds;
use crate::clock::milliseconds;
use crate::log::{Event, connection_kind, handshake_kind, log};
use crate::peers::{CHALLENGE_PATH, Challenge, JOIN_PATH};
use crate::pipeline;
use crate::service::Service;
use crate::signature::SignedRequest;
use crate::tls::{Identity, Leaf};
use crate::unseal::Ceremony;
use body::read_body;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use sekisho_wire::source::{Sourced, take_header};
use sekisho_wire::{Listener, Stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A request's body, bytes: the largest document (256 KiB) in base64, with room for the rest.
const MAX_BODY: usize = 512 * 1024;
/// The body of RegisterPolicyModule: the largest component (1920 KiB) in base64.
const MAX_COMPONENT_BODY: usize = 2688 * 1024;
/// Such bodies at the same time, from whoever has not shown yet who it is.
static COMPONENT_BODIES: Semaphore = Semaphore::const_new(4);
/// Streams of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 128;
/// How long open requests may take after the stop signal.
const DRAIN_TIME: Duration = Duration::from_secs(10);

const AMZ_JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What AWS KMS says to those who would keep an answer.
const NOT_KEPT: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate, private")),
    (EXPIRES, HeaderValue::from_static("0")),
    (PRAGMA, HeaderValue::from_static("no-cache")),
];

/// What answers.
pub(crate) struct Worker {
    pub(crate) attester: Attester,
    /// None while sealed.
    pub(crate) service: Option<Service>,
    /// While operators are waited for.
    pub(crate) ceremony: Option<Arc<Ceremony>>,
    pub(crate) bounds: Bounds,
}

/// What the requests of one connection share.
struct Connection {
    leaf: Arc<Leaf>,
    /// Where it comes from, as the host says it.
    source: Option<IpAddr>,
    attestations: Allowance,
    /// What a joining worker was told here; the next one takes its place.
    challenge: Mutex<Option<Challenge>>,
}

/// Serves until `shutdown`; open requests are the [`Draining`]'s.
pub(crate) async fn serve(
    listener: &Listener,
    identity: Arc<Identity>,
    worker: Arc<Worker>,
    shutdown: impl Future<Output = ()>,
) -> Draining {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(worker.bounds.connections));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                log(Event::AcceptFailed(error.kind()));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (leaf, worker, watcher) = (identity.leaf(), worker.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            serve_connection(stream, leaf, worker, watcher).await;
        });
    }
    Draining(graceful)
}

/// Connections that were accepted and have not ended.
#[must_use]
pub(crate) struct Draining(GracefulShutdown);

impl Draining {
    /// Lets their open requests end, for a while, and takes no more on them.
    pub(crate) async fn finish(self) {
        if timeout(DRAIN_TIME, self.0.shutdown()).await.is_err() {
            log(Event::DrainEnded);
        }
    }
}

type Secured = (TlsStream<Sourced<Stream>>, Option<IpAddr>);

async fn shake_hands(stream: Stream, leaf: &Leaf, time: Duration) -> Option<Secured> {
    let tls = TlsAcceptor::from(leaf.config.clone());
    let accept = async {
        let (stream, source) = take_header(stream).await?;
        Ok::<_, io::Error>((tls.accept(stream).await?, source))
    };
    match timeout(time, accept).await {
        Ok(Ok(secured)) => return Some(secured),
        Ok(Err(error)) => log(Event::HandshakeFailed { kind: handshake_kind(&error) }),
        Err(_) => log(Event::HandshakeLate),
    }
    None
}

async fn serve_connection(
    stream: Stream,
    leaf: Arc<Leaf>,
    worker: Arc<Worker>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Each stage in a box of its own, so that a connection holds the present one alone.
    let time = worker.bounds.handshake_time;
    let Some((stream, source)) = Box::pin(shake_hands(stream, &leaf, time)).await else {
        return;
    };
    let (builder, header_time) = (bounded(&worker.bounds), worker.bounds.header_time);
    let attestations = Allowance::new(milliseconds(OffsetDateTime::now_utc()));
    let connection =
        Arc::new(Connection { leaf, source, attestations, challenge: Mutex::default() });
    let asked = Arc::new(AtomicBool::new(false));
    let asks = asked.clone();
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        let (worker, connection) = (worker.clone(), connection.clone());
        // Boxed: a connection keeps room for its request's future for as long as it lives, and idle
        // ones have none.
        Box::pin(async move { Ok::<_, Infallible>(route(&worker, &connection, request).await) })
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = Box::pin(watcher.watch(connection.into_owned())) => if let Err(error) = ended {
            log(Event::ConnectionBroken { kind: connection_kind(&*error) });
        },
        () = asks_for_nothing(&asked, header_time) => log(Event::NothingAsked),
    }
}

/// Ends when `time` has passed without a request: hyper waits as long as the peer likes until it
/// knows which version of HTTP is spoken, and for the preface of HTTP/2.
async fn asks_for_nothing(asked: &AtomicBool, time: Duration) {
    tokio::time::sleep(time).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// HTTP/1.1 and HTTP/2 within the bounds of one connection.
fn bounded(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A peer that is gone gives its place back.
        .keep_alive_interval(Some(bounds.header_time))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(32 * 1024);
    builder
}

/// One connection without TLS, on which every request is read and none is authenticated.
pub(crate) async fn serve_unsigned(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let bounds = Bounds::default();
    let service = service_fn(move |request| async move {
        let error = read(request, bounds.body_time).await.err();
        let error = error.unwrap_or(ApiError::MissingAuthenticationToken);
        let answer = ApiResponse::refusal(new_request_id(), &error);
        Ok::<_, Infallible>(respond(answer.status, AMZ_JSON, &answer.body))
    });
    let _ = bounded(&bounds).serve_connection(TokioIo::new(stream), service).await;
}

async fn route(
    worker: &Worker,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/") => {
            let answer = kms(worker, connection.source, request).await;
            let mut response = respond(answer.status, AMZ_JSON, &answer.body);
            response.headers_mut().extend(NOT_KEPT);
            if let Ok(id) = HeaderValue::from_str(&answer.request_id) {
                response.headers_mut().insert("x-amzn-requestid", id);
            }
            if let Some(checkpoint) = worker.attester.receipt() {
                response.headers_mut().insert("x-sekisho-checkpoint", checkpoint);
            }
            response
        }
        (&Method::GET, "/attestation") => {
            let Connection { leaf, attestations, .. } = connection;
            let (query, now) = (request.uri().query(), OffsetDateTime::now_utc());
            match worker.attester.attest(leaf, attestations, query, now).await {
                Ok(body) => respond(200, JSON, &body),
                Err(error) => refuse(&error),
            }
        }
        (&Method::POST, path @ (CHALLENGE_PATH | JOIN_PATH)) => {
            let is_join = path == JOIN_PATH;
            let answered = match is_join {
                true => root_key::join(worker, connection, request).await,
                false => root_key::challenge(worker, connection, request).await,
            };
            answered.unwrap_or_else(|error| refuse(&error))
        }
        (_, "/unseal" | "/unseal/init") => root_key::unseal(worker, request).await,
        (&Method::GET, "/first-access-key") => first_access_key(worker),
        (&Method::GET, "/health") => {
            let status = if worker.service.is_some() { "ok" } else { "sealed" };
            respond(200, JSON, &json!({ "status": status }))
        }
        _ => {
            let message = "Here are POST / (AWS KMS), GET /attestation, GET /first-access-key, \
                           GET /health, and while operators unseal it GET and POST /unseal.";
            respond(404, JSON, &json!({ "error": "NotFound", "message": message }))
        }
    }
}

/// The first access key, encrypted to the administrator of the boot configuration.
fn first_access_key(worker: &Worker) -> Response<Full<Bytes>> {
    let Some(service) = &worker.service else { return refuse(&ApiError::Sealed) };
    match service.first_key.encrypted() {
        Some(encrypted) => respond(200, JSON, &encrypted),
        None => {
            let message = "No first access key waits here: it has signed a request already, or the \
                           service began without an administrator's key in its boot configuration.";
            respond(404, JSON, &json!({ "error": "NotFound", "message": message }))
        }
    }
}

/// An error of a route that is not AWS's.
fn refuse(error: &ApiError) -> Response<Full<Bytes>> {
    let body = json!({ "error": error.code(), "message": error.message() });
    let mut response = respond(error.status(), JSON, &body);
    if let ApiError::TooManyAttestations { retry_after } = error {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*retry_after));
    }
    response
}

async fn kms(worker: &Worker, source: Option<IpAddr>, request: Request<Incoming>) -> ApiResponse {
    let refuse = |error| ApiResponse::refusal(new_request_id(), &error);
    // Also where there is no service: an answer that overtakes the request's body makes clients of
    // HTTP/2 lose it.
    let request = read(request, worker.bounds.body_time).await;
    let Some(service) = &worker.service else {
        return refuse(ApiError::Sealed);
    };
    match request {
        Ok(request) => pipeline::answer(service, request, source, OffsetDateTime::now_utc()).await,
        Err(error) => refuse(error),
    }
}

/// Takes a request in, within bounds.
async fn read(request: Request<Incoming>, body_time: Duration) -> Result<SignedRequest, ApiError> {
    let (parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = Operation::from_target(target.unwrap_or_default());
    let body = match operation {
        Ok(Operation::RegisterPolicyModule) => {
            read_body(body, body_time, MAX_COMPONENT_BODY, Some(&COMPONENT_BODIES)).await?
        }
        _ => read_body(body, body_time, MAX_BODY, None).await?,
    };
    let mut headers = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(|_| {
            ApiError::Validation(format!("The header {name} is not printable ASCII."))
        })?;
        headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    // HTTP/2 has the host in `:authority`.
    if !parts.headers.contains_key("host")
        && let Some(authority) = parts.uri.authority()
    {
        headers.push(("host".into(), authority.as_str().into()));
    }
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ApiError::Validation("POST / takes no query string.".into()));
    }
    Ok(SignedRequest { operation: operation?, headers, body: body.to_vec() })
}

fn respond(status: u16, content_type: HeaderValue, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
