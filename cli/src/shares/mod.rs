//! `sekisho init` and `sekisho unseal`: what operators who unseal a service together do.
//!
//! Each begins with the worker's attestation; what is asked then goes over connections whose
//! certificate comes from the attested authority, which a sealed worker has for this one start.

pub(crate) mod init;
pub(crate) mod unseal;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attest::connect::{self, AttestedService};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::https::{self, HttpsError};
use crate::measurement::Trust;

/// A worker that was attested.
struct Worker {
    endpoint: Endpoint,
    service: AttestedService,
}

/// A share as its holder keeps it, in a file: of no use without the holder's private key.
#[derive(Serialize, Deserialize)]
pub(crate) struct ShareFile {
    version: u8,
    /// Hexadecimal.
    ceremony: String,
    index: u8,
    shares: usize,
    threshold: u8,
    /// Hexadecimal.
    holder_key_sha256: String,
    /// base64
    encrypted: String,
}

/// Where a ceremony stands.
#[derive(Deserialize)]
struct Status {
    state: String,
    ceremony: Option<String>,
    shares: usize,
    threshold: u8,
    given: usize,
    holders: Vec<Holder>,
    /// base64
    worker_key: String,
    counted: Option<bool>,
    #[serde(default)]
    encrypted_shares: Vec<ShareFile>,
}

#[derive(Deserialize)]
struct Holder {
    index: u8,
    key_sha256: String,
    given: bool,
}

impl Worker {
    async fn attest(endpoint: Endpoint, trust: &Trust) -> Result<Self, Failure> {
        let (expectation, anchors) = (trust.expectation()?, trust.anchors()?);
        let service = connect::attest(&endpoint, anchors, expectation).await;
        let service =
            service.map_err(|error| Failure::failed(format_args!("{endpoint}: {error}")))?;
        if !service.is_sealed() {
            return Err(Failure::failed(format_args!("{endpoint}: it is unsealed already")));
        }
        Ok(Self { endpoint, service })
    }

    async fn status(&self) -> Result<(Status, Value), Failure> {
        self.ask(Method::GET, "/unseal", String::new()).await
    }

    /// The answer, as far as it is known and as it came.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(Status, Value), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::failed(format_args!("{}: {error}", self.endpoint))
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.endpoint.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&HttpsError::Request(error)))?;
        let tls = https::trusting(self.service.service_ca()).map_err(|error| failed(&error))?;
        let reply = https::send(&self.endpoint, tls, request, https::BODY_LIMIT)
            .await
            .map_err(|error| failed(&error))?;
        let answer: Value =
            serde_json::from_slice(&reply.body).map_err(|_| failed(&"the answer is not JSON"))?;
        if !reply.status.is_success() {
            let message = answer.get("message").and_then(Value::as_str);
            return Err(match message {
                Some(message) => failed(&message),
                None => failed(&HttpsError::Status(reply.status)),
            });
        }
        let status = Status::deserialize(&answer)
            .map_err(|_| failed(&"the answer does not say where the ceremony stands"))?;
        Ok((status, answer))
    }
}

impl Status {
    /// For a person.
    fn to_text(&self) -> String {
        let mut text = format!(
            "{}: {} of {} shares given, {} unseal; ceremony {}\n",
            self.state,
            self.given,
            self.shares,
            self.threshold,
            self.ceremony.as_deref().unwrap_or("none yet"),
        );
        for Holder { index, key_sha256, given } in &self.holders {
            let word = if *given { "given" } else { "-" };
            text.push_str(&format!("  share {index:<3} {word:<6} holder {key_sha256}\n"));
        }
        text
    }
}
