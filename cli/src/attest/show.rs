//! `sekisho attest show`: what a document says, for a person, whether it holds or not.

use std::path::PathBuf;

use clap::Args;
use sekisho_attestation::{
    CertificateClaims, Expectation, Rejection, Timestamp, TrustAnchors, UnverifiedDocument,
    Verifier,
};
use serde_json::json;

use super::{document_file, instant};
use crate::failure::Failure;
use crate::measurement;

/// The fewest bits in which a random nonce is not guessed.
const SHORT_NONCE: usize = 16;

/// Show what an attestation document says.
///
/// This works on documents that do not verify, and then says so in its first line. It is not a
/// verification: nothing is expected of the document, and its own timestamp stands in for now.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The document: raw, in base64 or in hexadecimal; - is standard input
    file: PathBuf,
    /// Trust this root (PEM or DER) instead of AWS's; may be given several times
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// Look at it as of this instant instead of its own timestamp
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    at: Option<Timestamp>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let anchors = measurement::anchors(&arguments.root)?;
    let bytes = document_file::read(&arguments.file)?;
    let document = UnverifiedDocument::read(&bytes).map_err(Failure::failed)?;
    let at = arguments.at.or(document.timestamp).unwrap_or(Timestamp::from_millis(0));
    let verdict = verdict(&bytes, &document, anchors, at);
    if arguments.json {
        println!("{:#}", to_json(&document, &verdict, at));
    } else {
        print!("{}", to_text(&document, &verdict, at, instant::or_now(None)?));
    }
    Ok(())
}

/// Whether form, chain and signature are right, whatever the document says.
fn verdict(
    bytes: &[u8],
    document: &UnverifiedDocument,
    anchors: TrustAnchors,
    at: Timestamp,
) -> Result<(), Rejection> {
    let mut expectation = Expectation::any_measurement().allow_debug();
    if let Some(kind) = document.kind {
        expectation = expectation.kind(kind);
    }
    Verifier::new(anchors).verify(bytes, at, &expectation).map(|_| ())
}

fn to_text(
    document: &UnverifiedDocument,
    verdict: &Result<(), Rejection>,
    at: Timestamp,
    now: Timestamp,
) -> String {
    let mut text = match verdict {
        Ok(()) => format!(
            "form, chain and signature are right as of {}; this is not a verification\n",
            instant::format(at)
        ),
        Err(rejection) => {
            format!("DOES NOT VERIFY: {}: {rejection}\n", rejection.rule())
        }
    };
    let missing = || "missing".to_owned();
    let bytes =
        |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or_else(|| "none".to_owned(), super::shown);
    let module = document.module_id.as_ref().map(|id| id.escape_debug().to_string());
    for (label, value) in [
        ("kind", document.kind.map(|kind| kind.to_string()).unwrap_or_else(missing)),
        ("module", module.unwrap_or_else(missing)),
        ("made", document.timestamp.map(instant::format).unwrap_or_else(missing)),
        ("public key", bytes(&document.public_key)),
        ("user data", bytes(&document.user_data)),
        ("nonce", bytes(&document.nonce)),
    ] {
        text += &format!("{label:<12} {value}\n");
    }
    for (index, value) in &document.pcrs {
        if value.iter().any(|byte| *byte != 0) {
            text += &format!("{:<12} {}\n", format!("PCR{index}"), hex::encode(value));
        }
    }
    let zero = document.pcrs.iter().filter(|(_, value)| value.iter().all(|byte| *byte == 0));
    let zero: Vec<_> = zero.map(|(index, _)| index.to_string()).collect();
    if !zero.is_empty() {
        text += &format!("{:<12} PCR {}\n", "all zero", zero.join(", "));
    }
    for certificate in &document.certificates {
        text += &format!("\n{}\n", certificate.position);
        match &certificate.claims {
            Ok(claims) => text += &certificate_text(claims),
            Err(fault) => text += &format!("  cannot be read: {fault}\n"),
        }
    }
    let unusual = unusual(document, now);
    if !unusual.is_empty() {
        text += "\nunusual\n";
        for remark in unusual {
            text += &format!("  {remark}\n");
        }
    }
    text
}

fn certificate_text(claims: &CertificateClaims) -> String {
    let lifetime = claims.not_after.since(claims.not_before).as_secs();
    format!(
        "  subject    {}\n  issuer     {}\n  serial     {}\n  valid      {} to {} ({})\n",
        claims.subject,
        claims.issuer,
        hex::encode(&claims.serial),
        instant::format(claims.not_before),
        instant::format(claims.not_after),
        lifetime_text(lifetime),
    )
}

/// A lifetime in the unit in which AWS's certificates are told apart.
fn lifetime_text(seconds: u64) -> String {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..HOUR => format!("{} minutes", seconds / 60),
        HOUR..=DAY => format!("{} hours", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

/// What AWS's documents do not show, or show seldom.
fn unusual(document: &UnverifiedDocument, now: Timestamp) -> Vec<String> {
    let mut remarks = Vec::new();
    if !document.complete {
        remarks.push("the payload is damaged: what follows the damage is not shown".to_owned());
    }
    let zero = |index| {
        let pcr = document.pcrs.iter().find(|(found, _)| *found == index);
        pcr.is_some_and(|(_, value)| value.iter().all(|byte| *byte == 0))
    };
    if document.kind == Some(sekisho_attestation::Kind::Enclave) {
        if zero(0) && zero(1) && zero(2) {
            remarks.push("a debug enclave: its memory is open to the host".to_owned());
        }
        let code =
            [0, 1, 2].into_iter().all(|index| document.pcrs.iter().any(|(i, _)| *i == index));
        if !code {
            remarks.push("PCR0, PCR1 or PCR2 is missing".to_owned());
        }
    }
    if let Some(tag) = document.tag {
        remarks.push(format!("CBOR tag {tag}; AWS writes none"));
    }
    if !document.indefinite && document.timestamp.is_some_and(|at| at.as_seconds() > 1_767_225_600)
    {
        remarks.push("a map of definite length, though made after 2025".to_owned());
    }
    if document.certificates.len() != 5 {
        let count = document.certificates.len();
        remarks.push(format!("{count} certificates; AWS sends five"));
    }
    for index in document.pcrs.iter().map(|(index, _)| *index).filter(|index| *index > 15) {
        if document.kind == Some(sekisho_attestation::Kind::Enclave) {
            remarks.push(format!("PCR{index} was locked by the enclave itself"));
        }
    }
    if document.nonce.as_ref().is_some_and(|nonce| nonce.len() < SHORT_NONCE) {
        remarks.push("a nonce of fewer than 16 bytes".to_owned());
    }
    if document.signature_length != 96 {
        remarks.push(format!("a signature of {} bytes, not 96", document.signature_length));
    }
    for key in &document.unknown_fields {
        remarks.push(format!("an unknown field: {}", key.escape_debug()));
    }
    let ends = document.certificates.iter().filter_map(|c| c.claims.as_ref().ok());
    if let Some(end) = ends.map(|claims| claims.not_after).min()
        && end < now
    {
        remarks.push(format!("expired {}", instant::format(end)));
    }
    remarks
}

fn to_json(
    document: &UnverifiedDocument,
    verdict: &Result<(), Rejection>,
    at: Timestamp,
) -> serde_json::Value {
    let certificates: Vec<_> = document
        .certificates
        .iter()
        .map(|certificate| match &certificate.claims {
            Ok(claims) => json!({
                "position": certificate.position.to_string(),
                "subject": claims.subject,
                "issuer": claims.issuer,
                "serial": hex::encode(&claims.serial),
                "not_before": instant::format(claims.not_before),
                "not_after": instant::format(claims.not_after),
            }),
            Err(fault) => json!({
                "position": certificate.position.to_string(),
                "fault": fault.rule(),
            }),
        })
        .collect();
    let pcrs: serde_json::Map<_, _> = document
        .pcrs
        .iter()
        .map(|(index, value)| (index.to_string(), json!(hex::encode(value))))
        .collect();
    json!({
        "verified": false,
        "verifies_at": verdict.is_ok().then(|| instant::format(at)),
        "rule": verdict.err().map(|rejection| rejection.rule()),
        "reason": verdict.err().map(|rejection| rejection.to_string()),
        "kind": document.kind.map(|kind| kind.name()),
        "module_id": document.module_id,
        "digest": document.digest,
        "timestamp": document.timestamp.map(instant::format),
        "timestamp_ms": document.timestamp.map(Timestamp::as_millis),
        "pcrs": pcrs,
        "certificates": certificates,
        "public_key": document.public_key.as_ref().map(hex::encode),
        "user_data": document.user_data.as_ref().map(hex::encode),
        "nonce": document.nonce.as_ref().map(hex::encode),
        "complete": document.complete,
        "unknown_fields": document.unknown_fields,
        "tag": document.tag,
        "indefinite": document.indefinite,
    })
}
