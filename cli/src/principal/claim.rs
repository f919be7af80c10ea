//! `sekisho principal claim`: the first access key of a new service, for its administrator.
//!
//! The service is attested first. The encrypted copy is then asked for over a connection whose
//! certificate comes from the attested authority, so that it is this service's and nobody else's.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::{Request, StatusCode, header};
use sekisho_enclave::{HpkePair, open_first_access_key};
use serde::Deserialize;
use serde_json::Value;

use super::output::{Credentials, print};
use crate::attest::asked::Attested;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::https;
use crate::key_pair;

const EXAMPLES: &str = "\
Examples:
  The key pair whose public half the worker is started with (--administrator-key):
    sekisho principal keygen --out administrator.pem > administrator-public.pem

  The first access key of a new service in a Nitro enclave, whose image has this PCR0:
    sekisho principal claim --endpoint https://kms.example:8443 --pcr 0=3f0a… --pcr 16=77c1… \\
      --private-key administrator.pem >> ~/.aws/credentials
    AWS_PROFILE=root AWS_CA_BUNDLE=ca.pem AWS_ENDPOINT_URL_KMS=https://kms.example:8443 \\
      aws kms create-key

It can be claimed again until it has signed a request, and then no more. `sekisho principal keys`
replaces it, under the name :root.";

/// Fetch the first access key of a new service, which only its administrator can open.
///
/// Verifies the service's attestation as `sekisho attest connect` does, asks the attested service
/// for the access key, opens it with the administrator's private key, and prints it as a profile of
/// the credentials file. It is one of the account's root.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    attested: Attested,

    /// The administrator's private key, PEM.
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,

    /// The name of the profile that is printed.
    #[arg(long = "as", value_name = "PROFILE", default_value = "root")]
    printed_profile: String,
}

/// What `GET /first-access-key` answers: one of the two.
#[derive(Deserialize)]
struct Answer {
    /// base64
    encrypted: Option<String>,
    /// hexadecimal
    administrator_key_sha256: Option<String>,
    message: Option<String>,
}

pub(super) async fn run(arguments: Arguments, as_json: bool) -> Result<(), Failure> {
    let Arguments { attested, private_key, printed_profile } = arguments;
    // Before the service is asked.
    let pair = key_pair::private_key(&private_key).map_err(Failure::usage)?;
    let service = attested.attest().await?;
    let endpoint = attested.endpoint;
    let at_endpoint =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{endpoint}: {error}"));
    if service.is_sealed() {
        return Err(at_endpoint(&"it is sealed: it has an access key once it is unsealed"));
    }
    let encrypted =
        fetch(&endpoint, service.service_ca(), &pair).await.map_err(|error| at_endpoint(&error))?;
    let opened = open_first_access_key(&pair, &encrypted).map_err(|error| at_endpoint(&error))?;
    let key: Value = serde_json::from_slice(&opened)
        .map_err(|_| at_endpoint(&"what is encrypted to this key is no access key"))?;
    if as_json {
        print(&key);
    } else {
        Credentials::of_key(&key).print(&printed_profile);
    }
    Ok(())
}

async fn fetch(
    endpoint: &Endpoint,
    authority: &rustls::pki_types::CertificateDer<'_>,
    pair: &HpkePair,
) -> Result<Vec<u8>, ClaimError> {
    let request = Request::get("/first-access-key")
        .header(header::HOST, endpoint.authority())
        .body(http_body_util::Full::default())
        .map_err(https::HttpsError::Request)?;
    let tls = https::trusting(authority)?;
    let reply = https::send(endpoint, tls, request, https::BODY_LIMIT).await?;
    let answer: Answer = serde_json::from_slice(&reply.body).map_err(|_| ClaimError::Answer)?;
    match (reply.status, answer) {
        (StatusCode::OK, Answer { encrypted: Some(encrypted), administrator_key_sha256, .. }) => {
            let to = administrator_key_sha256.ok_or(ClaimError::Answer)?;
            let ours = hex::encode(pair.identifier());
            if to != ours {
                return Err(ClaimError::OtherKey { to, ours });
            }
            BASE64.decode(encrypted).map_err(|_| ClaimError::Answer)
        }
        (_, Answer { message: Some(message), .. }) => Err(ClaimError::Refused(message)),
        _ => Err(ClaimError::Answer),
    }
}

/// Why there is nothing to open.
#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Https(#[from] https::HttpsError),
    #[error("the answer is not a first access key: its encrypted copy in base64")]
    Answer,
    #[error("{0}")]
    Refused(String),
    #[error(
        "the first access key is encrypted to another public key (SHA-256 {to}) than that of \
         --private-key ({ours})"
    )]
    OtherKey { to: String, ours: String },
}
