//! One signed call: `POST /` over TLS 1.3 whose certificate the CA bundle vouches for.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::environment::{Environment, EnvironmentError};
use crate::checkpoints::{Memory, MemoryError, Report, Served};
use crate::https::{self, HttpsError, Reply};

/// The header of an answer with the journal's checkpoint.
const RECEIPT: &str = "x-sekisho-checkpoint";

/// A page of a hundred principals with all the tags that they may have.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// A service and who asks it.
pub(crate) struct Client {
    environment: Environment,
    /// The certificates of the CA bundle.
    authorities: Vec<CertificateDer<'static>>,
    tls: ClientConfig,
    warned: Cell<bool>,
}

impl Client {
    /// As the environment says; `profile` names an access key of the credentials file.
    pub(crate) fn from_environment(profile: Option<&str>) -> Result<Self, CallError> {
        let environment = Environment::read(profile, |name| std::env::var(name))?;
        let mut roots = RootCertStore::empty();
        let mut authorities = Vec::new();
        let bundle = |reason: String| CallError::Bundle {
            path: environment.ca.display().to_string(),
            reason,
        };
        for certificate in CertificateDer::pem_file_iter(&environment.ca)
            .map_err(|error| bundle(error.to_string()))?
        {
            let certificate = certificate.map_err(|error| bundle(error.to_string()))?;
            roots.add(certificate.clone()).map_err(|error| bundle(error.to_string()))?;
            authorities.push(certificate);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(HttpsError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { environment, authorities, tls, warned: Cell::new(false) })
    }

    /// The answer to the operation `target`, such as `Sekisho.ListPrincipals`.
    pub(crate) async fn call(&self, target: &str, body: &Value) -> Result<Value, CallError> {
        self.call_patiently(target, body, Duration::ZERO).await
    }

    /// [`Client::call`] to an operation that may take so much longer than others.
    pub(crate) async fn call_patiently(
        &self,
        target: &str,
        body: &Value,
        longer: Duration,
    ) -> Result<Value, CallError> {
        let Environment { endpoint, region, key, .. } = &self.environment;
        let body = body.to_string().into_bytes();
        let host = endpoint.authority();
        let now = OffsetDateTime::now_utc();
        let mut request = Request::post("/");
        for (name, value) in key.sign(region, &host, target, &body, now) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(HttpsError::Request)?;
        // Before the service is asked.
        let memory = Memory::open();
        let reply =
            https::send_patiently(endpoint, self.tls.clone(), request, ANSWER_LIMIT, longer)
                .await?;
        self.keep_receipt(memory, &reply);
        let answer: Value = serde_json::from_slice(&reply.body).map_err(|_| CallError::NotJson)?;
        if reply.status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Err(CallError::Refused { code: text("__type").into(), message: text("message").into() })
    }

    /// Compares the receipt with what this machine has seen of the service, and keeps it.
    fn keep_receipt(&self, memory: Result<Memory, MemoryError>, reply: &Reply) {
        let receipt = reply.headers.get(RECEIPT).and_then(|value| value.to_str().ok());
        let Some(journal) = receipt.and_then(|text| text.parse().ok()) else { return };
        let mut authorities = self.authorities.iter();
        let Some(authority) = authorities.find(|authority| issued(authority, &reply.leaf)) else {
            return;
        };
        let served = Served {
            service_ca_sha256: Sha256::digest(authority).into(),
            endpoint: self.environment.endpoint.to_string(),
            journal: Some(journal),
            audit: None,
        };
        let report = Report::of(memory, &served);
        // Once a command, which may ask for many pages.
        if !self.warned.get() {
            report.warn();
            self.warned.set(!report.is_silent());
        }
    }
}

/// Whether the leaf comes from this authority of the bundle. The handshake has verified that it
/// comes from one of them.
fn issued(authority: &CertificateDer<'_>, leaf: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(leaf)
        .is_ok_and(|leaf| https::verify_issuer(&leaf, authority, UnixTime::now()).is_ok())
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("{path}: {reason}")]
    Bundle { path: String, reason: String },
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("the answer is not JSON")]
    NotJson,
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
}
