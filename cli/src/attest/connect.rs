//! `sekisho attest connect`: who is at the other end of a TLS connection, by attestation.
//!
//! The service is asked for a fresh document over a connection whose certificate nobody vouches
//! for. The document vouches: it carries our nonce, names the key of this very connection, and
//! binds the certificate authority from which the connection's certificate comes. That authority
//! is then all that an AWS client has to trust.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use sekisho_attestation::{
    Expectation, Rejection, Timestamp, TrustAnchors, VerifiedDocument, Verifier,
};
use sekisho_enclave::{AttestationBinding, UnsealProvider};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::checkpoints::{Checkpoint, Memory, MemoryError, Report, Served};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::https::{self, HttpsError, IssuerError};
use crate::measurement::Trust;
use crate::pem;
use crate::service::folder::write_public;
use crate::service::identity::{RandomUnavailable, random};

const EXAMPLES: &str = "\
Examples:
  A service in a Nitro enclave, whose image has this PCR0; then any AWS client:
    sekisho attest connect https://kms.example:8443 --pcr 0=3f0a… --ca-out ca.pem
    AWS_CA_BUNDLE=ca.pem AWS_ENDPOINT_URL_KMS=https://kms.example:8443 aws kms list-keys

  A service of `sekisho dev`, which proves nothing about hardware:
    sekisho attest connect https://127.0.0.1:8443 --any-measurement \\
      --root ~/.local/share/sekisho/dev/development-root.pem --ca-out ca.pem

  In a pipeline: never go back behind what was seen, here or in an earlier job:
    sekisho attest connect https://kms.example:8443 --pcr 0=3f0a… --ca-out ca.pem \\
      --fail-on-rollback --min-checkpoint 1093-8c5f…

The highest checkpoints of each service are kept in sekisho/checkpoints.json under XDG_STATE_HOME
or ~/.local/state, so that a service that was set back to an older copy of its storage shows.

Exit status: 0 verified, 1 refused, 2 wrong usage.";

/// Find out by attestation who is at the other end of a TLS connection, and whom to trust for it.
///
/// Asks the service for a fresh document over a connection whose certificate nobody vouches for
/// yet, verifies the document, that it names the key of this very connection, and that the
/// certificate comes from the authority that the document binds. Only then is that authority
/// written, for AWS_CA_BUNDLE.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The service's address; port 443 if it names none.
    #[arg(value_name = "https://HOST[:PORT]")]
    endpoint: Endpoint,

    #[command(flatten)]
    trust: Trust,

    /// The service's journal must be at this checkpoint or later: what an earlier run printed, or
    /// what the header x-sekisho-checkpoint of an answer said.
    #[arg(long, value_name = "SEQUENCE-HASH")]
    min_checkpoint: Option<Checkpoint>,

    /// Refuse a service that is behind what this machine has seen of it, or that another one has
    /// taken the place of, instead of warning.
    #[arg(long)]
    fail_on_rollback: bool,

    /// Take the service's state as it is now for the one to compare with, whatever was seen.
    #[arg(long, conflicts_with = "fail_on_rollback")]
    accept_rollback: bool,

    /// Where to write the service's certificate authority, in PEM.
    #[arg(long, value_name = "FILE")]
    ca_out: PathBuf,

    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Connects, verifies and writes the authority.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (expectation, anchors) = (arguments.trust.expectation()?, arguments.trust.anchors()?);
    let endpoint = &arguments.endpoint;
    // Before the service is asked.
    let memory = Memory::open();
    let service = attest(endpoint, anchors, expectation)
        .await
        .map_err(|error| Failure::failed(format_args!("{endpoint}: {error}")))?;
    let served = service.served(endpoint);
    if let Some(wanted) = arguments.min_checkpoint {
        check_reached(wanted, served.journal)?;
    }
    let report = compare(&arguments, memory, &served)?;
    let out = &arguments.ca_out;
    write_public(out, service.service_ca_pem().as_bytes())
        .map_err(|error| Failure::failed(format_args!("{}: {error}", out.display())))?;
    report.warn();
    if arguments.json {
        let mut found = service.to_json();
        if let Some(members) = found.as_object_mut() {
            members.insert("rollback".into(), report.to_json());
        }
        println!("{found}");
    } else {
        print!("{}", service.to_text());
        println!("its authority is in {}", out.display());
    }
    Ok(())
}

/// Refuses a service whose journal has not come as far as `wanted`, or not by the same way.
fn check_reached(wanted: Checkpoint, served: Option<Checkpoint>) -> Result<(), Failure> {
    let reached =
        served.is_some_and(|served| served.sequence > wanted.sequence || served == wanted);
    if reached {
        return Ok(());
    }
    let served = served.map_or_else(|| "nothing: it is sealed".into(), |at| at.to_string());
    let reason = format!("the service serves {served}, and {wanted} is expected at least");
    Err(Failure::Refused("min-checkpoint", reason))
}

/// What this machine knows of the service, and what is to be done about it.
fn compare(
    arguments: &Arguments,
    memory: Result<Memory, MemoryError>,
    served: &Served,
) -> Result<Report, Failure> {
    let memory = match memory {
        Ok(memory) => memory,
        Err(error) if arguments.fail_on_rollback || arguments.accept_rollback => {
            return Err(Failure::failed(error));
        }
        Err(error) => return Ok(Report { blind: Some(error), ..Report::default() }),
    };
    if arguments.accept_rollback {
        memory.accept(served).map_err(Failure::failed)?;
        return Ok(Report::default());
    }
    let mut rollbacks = memory.compare(served);
    rollbacks.extend(memory.other_authority(served));
    if let (true, Some(first)) = (arguments.fail_on_rollback, rollbacks.first()) {
        let reason = format!("{first}. If that was on purpose: --accept-rollback");
        return Err(Failure::Refused("rollback", reason));
    }
    Ok(Report { rollbacks, blind: memory.remember(served).err() })
}

/// As many bytes as the digest of a nonce would have; the service takes 16 to 64.
const NONCE_LENGTH: usize = 32;

/// A service whose attestation was verified over a connection that ends in it.
#[derive(Debug)]
pub(crate) struct AttestedService {
    pub(crate) document: VerifiedDocument,
    pub(crate) binding: AttestationBinding,
    /// The authority that the document binds, DER.
    service_ca: CertificateDer<'static>,
}

impl AttestedService {
    /// The authority in PEM: this one certificate, whatever else the service sent.
    pub(crate) fn service_ca_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.service_ca)
    }

    /// The authority that the document binds.
    pub(crate) fn service_ca(&self) -> &CertificateDer<'static> {
        &self.service_ca
    }

    /// Where its chains stand; they stand nowhere while it is sealed.
    pub(crate) fn served(&self, endpoint: &Endpoint) -> Served {
        let AttestationBinding { service_ca_sha256, journal_sequence, audit_sequence, .. } =
            self.binding;
        let journal = Checkpoint { sequence: journal_sequence, hash: self.binding.journal_hash };
        let audit = Checkpoint { sequence: audit_sequence, hash: self.binding.audit_hash };
        let unsealed = !self.is_sealed();
        Served {
            service_ca_sha256,
            endpoint: endpoint.to_string(),
            journal: unsealed.then_some(journal),
            audit: unsealed.then_some(audit),
        }
    }

    /// Whether it has no root key, and so no journal and no audit log.
    pub(crate) fn is_sealed(&self) -> bool {
        self.binding.audit_signature_key == [0; 32]
    }

    /// Whether the root key came from a file that others can read.
    fn is_development(&self) -> bool {
        self.binding.unseal == UnsealProvider::DevelopmentFile.name()
    }

    fn time(&self) -> String {
        let milliseconds = i128::from(self.document.timestamp().as_millis());
        OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.document.timestamp().to_string())
    }

    /// Registers that hold something, in hexadecimal.
    pub(crate) fn pcrs(&self) -> BTreeMap<u8, String> {
        let used = self.document.pcrs().iter().filter(|(_, value)| !value.is_zero());
        used.map(|(index, value)| (index.get(), value.to_string())).collect()
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({
            "module_id": self.document.module_id(),
            "timestamp": self.time(),
            "debug": self.document.is_debug(),
            "pcrs": self.pcrs(),
            "unseal": self.binding.unseal,
            "development": self.is_development(),
            "boot_configuration_sha384": hex::encode(self.binding.boot_configuration_sha384),
            "service_ca_sha256": hex::encode(self.binding.service_ca_sha256),
            "journal": {
                "sequence": self.binding.journal_sequence,
                "hash": hex::encode(self.binding.journal_hash),
            },
            "audit": {
                "sequence": self.binding.audit_sequence,
                "hash": hex::encode(self.binding.audit_hash),
                "signature_key": hex::encode(self.binding.audit_signature_key),
            },
        })
    }

    /// For a person.
    fn to_text(&self) -> String {
        let mut text = format!("verified: {} at {}\n", self.document.module_id(), self.time());
        for (index, value) in self.pcrs() {
            text.push_str(&format!("  PCR{index:<3} {value}\n"));
        }
        text.push_str(&format!(
            "  unsealed by {}\n  journal entry {} ({})\n  audit block {} ({})\n  \
             audit log signed under {}\n",
            self.binding.unseal,
            self.binding.journal_sequence,
            hex::encode(self.binding.journal_hash),
            self.binding.audit_sequence,
            hex::encode(self.binding.audit_hash),
            hex::encode(self.binding.audit_signature_key),
        ));
        if self.document.is_debug() {
            text.push_str(
                "WARNING: the enclave is in debug mode: its measurements prove nothing\n",
            );
        }
        if self.is_development() {
            text.push_str(
                "WARNING: a development service: its root key is a file, and whoever can read it \
                 can read every key\n",
            );
        }
        text
    }
}

/// What `GET /attestation` answers.
#[derive(Deserialize)]
struct Attestation {
    /// base64
    document: String,
    /// PEM
    service_ca: String,
}

/// Asks the service at `endpoint` for a document and verifies it against `expectation`, to which
/// the nonce is added, and that it speaks of the connection on which it came.
///
/// What is not checked: where the chains stand, for which one must have seen them before
/// ([`AttestedService::served`]).
///
/// # Errors
/// The first rule that failed, in the order in which they are listed in [`ConnectError`].
pub(crate) async fn attest(
    endpoint: &Endpoint,
    anchors: TrustAnchors,
    expectation: Expectation,
) -> Result<AttestedService, ConnectError> {
    let mut nonce = [0; NONCE_LENGTH];
    random(&mut nonce)?;
    let answer =
        https::get(endpoint, &format!("/attestation?nonce={}", hex::encode(nonce))).await?;
    let now = Timestamp::try_from(std::time::SystemTime::now()).map_err(|_| ConnectError::Clock)?;
    let (document, service_ca) = decode(&answer.body)?;
    let document = Verifier::new(anchors).verify(&document, now, &expectation.nonce(nonce))?;
    let binding = bind(endpoint, &answer.leaf, &document, &service_ca, UnixTime::now())?;
    Ok(AttestedService { document, binding, service_ca })
}

fn decode(body: &[u8]) -> Result<(Vec<u8>, CertificateDer<'static>), ConnectError> {
    let Attestation { document, service_ca } =
        serde_json::from_slice(body).map_err(|_| ConnectError::Answer)?;
    let document = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, document)
        .map_err(|_| ConnectError::Answer)?;
    let service_ca =
        CertificateDer::from_pem_slice(service_ca.as_bytes()).map_err(|_| ConnectError::Answer)?;
    Ok((document, service_ca))
}

/// That a verified document speaks of this leaf and this authority, and the one of the other.
fn bind(
    endpoint: &Endpoint,
    leaf: &CertificateDer<'_>,
    document: &VerifiedDocument,
    service_ca: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<AttestationBinding, ConnectError> {
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(IssuerError::Leaf)?;
    if document.public_key() != Some(leaf.subject_public_key_info().as_ref()) {
        return Err(ConnectError::OtherConnection);
    }
    let binding = document
        .user_data()
        .and_then(|user_data| AttestationBinding::from_user_data(user_data).ok())
        .ok_or(ConnectError::NoBinding)?;
    if binding.service_ca_sha256[..] != Sha256::digest(service_ca)[..] {
        return Err(ConnectError::OtherAuthority);
    }
    https::verify_issuer(&leaf, service_ca, now)?;
    leaf.verify_is_valid_for_subject_name(endpoint.server_name())
        .map_err(|_| ConnectError::Name(endpoint.host().to_owned()))?;
    Ok(binding)
}

/// Why a service is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("this machine's clock is before 1970 or far after")]
    Clock,
    #[error("the answer is not an attestation: a document in base64 and a certificate in PEM")]
    Answer,
    #[error("{rule}: {0}", rule = .0.rule())]
    Rejected(#[from] Rejection),
    #[error(
        "connection-key: the document is for another TLS connection: it does not name the key of this one"
    )]
    OtherConnection,
    #[error("binding: the document's user data are not those of a Sekisho service")]
    NoBinding,
    #[error(
        "service-ca: the document binds another certificate authority than the one sent with it"
    )]
    OtherAuthority,
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(
        "leaf-name: the connection's certificate is not for {0}, and AWS clients would refuse it"
    )]
    Name(String),
}
