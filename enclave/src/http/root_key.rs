//! The routes by which a root key comes to a sealed worker: from operators, and from a peer.

use super::body::read_body;
use super::{Connection, JSON, Worker, refuse, respond};
use crate::api::ApiError;
use crate::peers::{Challenge, Giver};
use crate::unseal::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use time::OffsetDateTime;

/// What a joining worker sends, bytes: a document, a configuration with some certificates, and some
/// statements, in base64.
const MAX_JOINING: usize = 128 * 1024;
/// A share in base64, with room for the rest, bytes.
const MAX_UNSEAL: usize = 4 * 1024;

/// What operators ask of a worker that waits for their shares.
pub(super) async fn unseal(worker: &Worker, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = read_body(request.into_body(), worker.bounds.body_time, MAX_UNSEAL, None).await;
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse(&error),
    };
    let Some(ceremony) = &worker.ceremony else {
        let message = match worker.service {
            Some(_) => "This service is unsealed.",
            None => "This worker is not unsealed by operators.",
        };
        return respond(404, JSON, &json!({ "error": "NotFound", "message": message }));
    };
    let answer = match (&method, path.as_str()) {
        (&Method::GET, "/unseal") => ceremony.status().await,
        (&Method::POST, "/unseal") => ceremony.give(&body).await,
        (&Method::POST, "/unseal/init") => ceremony.init(&body).await,
        _ => Err(Refused::Malformed("GET /unseal, POST /unseal or POST /unseal/init")),
    };
    match answer {
        Ok(answer) => respond(200, JSON, &answer),
        Err(refused) => {
            let body = json!({ "error": "UnsealRefused", "message": refused.to_string() });
            respond(refused.status(), JSON, &body)
        }
    }
}

/// The giving worker's document and nonce, for the nonce of one that wants to join.
pub(super) async fn challenge(
    worker: &Worker,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, ApiError> {
    let body = read_body(request.into_body(), worker.bounds.body_time, MAX_JOINING, None).await?;
    if let Err(refused) = giver(worker)? {
        return Ok(refused);
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let nonce = asked.pointer("/nonce").and_then(Value::as_str).unwrap_or_default();
    let Connection { leaf, attestations, challenge, .. } = connection;
    let (query, now) = (format!("nonce={nonce}"), OffsetDateTime::now_utc());
    let document = worker.attester.document_for(leaf, attestations, &query, now).await?;
    let made = Challenge::new(document, Instant::now())?;
    let body = json!({
        "document": BASE64.encode(made.document()),
        "nonce": hex::encode(made.nonce()),
    });
    *challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    Ok(respond(200, JSON, &body))
}

/// The root key for a worker that shows who it is.
pub(super) async fn join(
    worker: &Worker,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, ApiError> {
    let body = read_body(request.into_body(), worker.bounds.body_time, MAX_JOINING, None).await?;
    let giver = match giver(worker)? {
        Ok(giver) => giver,
        Err(refused) => return Ok(refused),
    };
    let challenge = connection.challenge.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (authority, now) = (connection.leaf.service_ca_sha256, OffsetDateTime::now_utc());
    let answer = giver.clone().join(challenge, authority, &body, now).await;
    Ok(respond(answer.status, JSON, &answer.body))
}

/// Who gives the root key; or the answer that nobody does.
fn giver(worker: &Worker) -> Result<Result<&Arc<Giver>, Response<Full<Bytes>>>, ApiError> {
    let service = worker.service.as_ref().ok_or(ApiError::Sealed)?;
    let message = "This service gives its root key to no other worker.";
    let nobody = || respond(404, JSON, &json!({ "error": "NotFound", "message": message }));
    Ok(service.giver.as_ref().ok_or_else(nobody))
}
