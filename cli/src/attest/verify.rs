//! `sekisho attest verify`: whether a document holds.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sekisho_attestation::{Expectation, Kind, PcrValue, Timestamp, VerifiedDocument, Verifier};
use serde_json::json;

use super::{document_file, instant};
use crate::failure::Failure;
use crate::measurement;

const EXAMPLES: &str = "\
Examples:
  Is this document from an enclave that runs exactly this image, now?
    sekisho attest verify document.bin --pcr 0=$PCR0 --pcr 1=$PCR1 --pcr 2=$PCR2

  Was it, when it was made, whatever it runs?
    sekisho attest verify document.b64 --any-measurement --at 2025-12-25T16:04:19Z

  A document of the development service, whose root is not AWS's:
    sekisho attest verify - --root development-root.pem --pcr 0=$PCR0 < document.bin

Exit status: 0 verified, 1 refused (the failed rule's name is first on standard error), 2 usage.";

/// Verify an attestation document.
///
/// The document's form, its certificates up to a trusted root, its signature and what it says are
/// checked. Which code is expected must be said: with --pcr, or with --any-measurement.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The document: raw, in base64 or in hexadecimal; - is standard input
    file: PathBuf,
    /// Trust this root (PEM or DER) instead of AWS's; may be given several times
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// Verify as of this instant instead of now: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    at: Option<Timestamp>,
    /// The document must have this PCR with this value; may be given several times
    #[arg(long, value_name = "N=HEX", value_parser = measurement::parse_pcr)]
    pcr: Vec<(u8, PcrValue)>,
    /// Any code will do
    #[arg(long)]
    any_measurement: bool,
    /// The document must have this nonce
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    nonce: Option<Bytes>,
    /// The document must have these user data
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    user_data: Option<Bytes>,
    /// What must have made the document
    #[arg(long, value_enum, default_value = "enclave")]
    kind: KindArgument,
    /// The document must not be older
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// The document must not be further in the future; as --max-age unless given
    #[arg(long, value_name = "SECONDS")]
    max_skew: Option<u64>,
    /// Accept debug enclaves, which prove nothing about their code
    #[arg(long)]
    allow_debug: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum KindArgument {
    Enclave,
    NitroTpm,
}

impl From<KindArgument> for Kind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Enclave => Self::Enclave,
            KindArgument::NitroTpm => Self::NitroTpm,
        }
    }
}

/// Bytes given in hexadecimal.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

fn parse_hex(text: &str) -> Result<Bytes, String> {
    hex::decode(text).map(Bytes).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let expectation = expectation(arguments)?;
    let verifier = Verifier::new(measurement::anchors(&arguments.root)?);
    let document = document_file::read(&arguments.file)?;
    let at = instant::or_now(arguments.at)?;
    match verifier.verify(&document, at, &expectation) {
        Ok(document) if arguments.json => println!("{:#}", to_json(&document)),
        Ok(document) => print!("{}", to_text(&document)),
        Err(rejection) => {
            let (rule, reason) = (rejection.rule(), rejection.to_string());
            if arguments.json {
                println!("{:#}", json!({ "verified": false, "rule": rule, "reason": reason }));
            }
            return Err(Failure::Refused(rule, reason));
        }
    }
    Ok(())
}

fn expectation(arguments: &Arguments) -> Result<Expectation, Failure> {
    let mut expectation = measurement::expectation(&arguments.pcr, arguments.any_measurement)?
        .kind(arguments.kind.into());
    if let Some(Bytes(nonce)) = &arguments.nonce {
        if nonce.is_empty() {
            return Err(Failure::usage("an empty nonce proves nothing"));
        }
        expectation = expectation.nonce(nonce.clone());
    }
    if let Some(Bytes(user_data)) = &arguments.user_data {
        expectation = expectation.user_data(user_data.clone());
    }
    if let Some(seconds) = arguments.max_age {
        expectation = expectation.max_age(Duration::from_secs(seconds));
    }
    if let Some(seconds) = arguments.max_skew {
        expectation = expectation.max_skew(Duration::from_secs(seconds));
    }
    if arguments.allow_debug {
        expectation = expectation.allow_debug();
    }
    Ok(expectation)
}

fn to_json(document: &VerifiedDocument) -> serde_json::Value {
    let pcrs: serde_json::Map<_, _> = document
        .pcrs()
        .iter()
        .map(|(index, value)| (index.get().to_string(), json!(value.to_string())))
        .collect();
    json!({
        "verified": true,
        "kind": document.kind().name(),
        "debug": document.is_debug(),
        "module_id": document.module_id(),
        "timestamp": instant::format(document.timestamp()),
        "timestamp_ms": document.timestamp().as_millis(),
        "not_after": instant::format(document.not_after()),
        "pcrs": pcrs,
        "public_key": document.public_key().map(hex::encode),
        "user_data": document.user_data().map(hex::encode),
        "nonce": document.nonce().map(hex::encode),
        "payload_sha384": hex::encode(document.payload_sha384()),
    })
}

fn to_text(document: &VerifiedDocument) -> String {
    let bytes = |bytes: Option<&[u8]>| bytes.map_or_else(|| "none".to_owned(), super::shown);
    let mut text = format!(
        "verified\n\
         kind         {}{}\n\
         module       {}\n\
         made         {}\n\
         valid until  {}\n\
         public key   {}\n\
         user data    {}\n\
         nonce        {}\n",
        document.kind(),
        if document.is_debug() { ", IN DEBUG MODE: it proves nothing about its code" } else { "" },
        document.module_id().escape_debug(),
        instant::format(document.timestamp()),
        instant::format(document.not_after()),
        bytes(document.public_key()),
        bytes(document.user_data()),
        bytes(document.nonce()),
    );
    for (index, value) in document.pcrs().iter().filter(|(_, value)| !value.is_zero()) {
        text += &format!("{:<12} {value}\n", index.to_string());
    }
    text
}
