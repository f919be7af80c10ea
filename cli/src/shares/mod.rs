//! `sekisho init`, `sekisho unseal` and `sekisho rekey`: what operators who unseal a service together do.
//!
//! Each begins with the worker's attestation; what is asked then goes over connections whose
//! certificate comes from the attested authority, which a sealed worker has for this one start.

pub(crate) mod init;
pub(crate) mod rekey;
pub(crate) mod unseal;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use sekisho_enclave::{HpkePair, MAX_HOLDERS, OperatorShare};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attest::asked::Attested;
use crate::attest::connect::AttestedService;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::https::{self, HttpsError};
use crate::key_pair;
use crate::service::folder::{private_folder, write_private};

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
    /// Where the former holders are to give their shares for others.
    next: Option<Next>,
    /// Whether the shares were made anew at this start.
    #[serde(default)]
    rekeyed: bool,
    #[serde(default)]
    encrypted_shares: Vec<ShareFile>,
}

/// For whom former holders give their shares.
#[derive(Deserialize)]
struct Next {
    /// SHA-256 of their public keys, hexadecimal.
    holders: Vec<String>,
    threshold: u8,
}

#[derive(Deserialize)]
struct Holder {
    index: u8,
    key_sha256: String,
    given: bool,
}

impl Worker {
    async fn attest(attested: Attested) -> Result<Self, Failure> {
        let service = attested.attest().await?;
        let endpoint = attested.endpoint;
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

/// A share, opened with its holder's private key.
fn opened(share: &Path, key: &Path) -> Result<(HpkePair, OperatorShare), Failure> {
    let pair = key_pair::private_key(key).map_err(Failure::usage)?;
    let file = read(share)?;
    let encrypted = BASE64.decode(&file.encrypted).ok();
    let opened = encrypted.and_then(|bytes| OperatorShare::open(&pair, &bytes).ok());
    let opened = opened.ok_or_else(|| {
        Failure::usage(format_args!(
            "{} does not open with {}: it is for the holder with the public key {}",
            share.display(),
            key.display(),
            file.holder_key_sha256,
        ))
    })?;
    Ok((pair, opened))
}

fn read(path: &Path) -> Result<ShareFile, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    let file: Result<ShareFile, _> = serde_json::from_slice(&bytes);
    file.ok().filter(|file| file.version == 1).ok_or_else(|| {
        Failure::usage(format_args!("{} is no share of sekisho init or rekey", path.display()))
    })
}

/// Files for shares, in a folder in which none of them is.
struct Out(PathBuf);

impl Out {
    fn prepare(folder: PathBuf) -> Result<Self, Failure> {
        private_folder(&folder)
            .map_err(|error| Failure::usage(format_args!("{}: {error}", folder.display())))?;
        let out = Self(folder);
        let mut paths = (1..=MAX_HOLDERS).filter_map(|index| u8::try_from(index).ok());
        match paths.find(|index| out.path(*index).symlink_metadata().is_ok()) {
            Some(there) => Err(Failure::usage(format_args!(
                "{} is there already: choose another --out",
                out.path(there).display()
            ))),
            None => Ok(out),
        }
    }

    fn path(&self, index: u8) -> PathBuf {
        self.0.join(format!("share-{index}.json"))
    }

    fn write(&self, shares: &[ShareFile]) -> Result<(), Failure> {
        for share in shares {
            let path = self.path(share.index);
            let text = serde_json::to_vec_pretty(share).map_err(Failure::failed)?;
            write_private(&path, &text)
                .map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?;
        }
        Ok(())
    }
}

/// An answer for a program: without the shares, which are in files.
fn print_json(mut answer: Value) {
    if let Some(members) = answer.as_object_mut() {
        members.remove("encrypted_shares");
    }
    println!("{answer}");
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
