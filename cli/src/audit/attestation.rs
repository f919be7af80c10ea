//! What the running service attests of its log.

use sekisho_enclave::AuditSignatureKey;

use super::source::Log;
use crate::attest::connect::{self, AttestedService, ConnectError};
use crate::checkpoints::{Memory, Report};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::https::HttpsError;
use crate::measurement::{Trust, anchors};

/// Which service `sekisho audit verify` asks.
#[derive(clap::Args, Debug)]
pub(super) struct Witness {
    /// Attest the service at this address, and compare the log with what it says of it [default:
    /// the `sekisho dev` of the data folder, if it runs].
    #[arg(long, value_name = "https://HOST[:PORT]")]
    endpoint: Option<Endpoint>,

    /// Ask no service: a log that was cut at its end is then taken for whole.
    #[arg(long, conflicts_with = "endpoint")]
    offline: bool,

    #[command(flatten)]
    trust: Trust,
}

/// A service's word.
pub(super) struct Attested {
    pub(super) endpoint: Endpoint,
    pub(super) module_id: String,
    pub(super) key: AuditSignatureKey,
    /// Number and hash of the newest block; 0 before the first.
    pub(super) sequence: u64,
    pub(super) hash: [u8; 32],
    /// Whether it is behind what this machine has seen of it.
    pub(super) checkpoints: Report,
}

impl Witness {
    /// The service's word, or why there is none.
    pub(super) async fn ask(self, log: &Log) -> Result<Result<Attested, String>, Failure> {
        if self.offline {
            return Ok(Err("no attestation was asked for (--offline)".into()));
        }
        if let Some(endpoint) = self.endpoint {
            let expectation = self.trust.expectation()?;
            let anchors = self.trust.anchors()?;
            // Before the service is asked.
            let memory = Memory::open();
            let service = connect::attest(&endpoint, anchors, expectation).await;
            let service = service.map_err(|error| refused(&endpoint, &error))?;
            return Attested::of(endpoint, &service, memory).map(Ok);
        }
        let Some(existing) = &log.existing else {
            return Ok(Err("no service was asked: give --endpoint".into()));
        };
        let Some(endpoint) = existing.endpoint() else {
            return Ok(Err("the service of the data folder has never run".into()));
        };
        let expectation = existing.expectation().map_err(Failure::failed)?;
        let anchors = anchors(&[existing.development_root()])?;
        let memory = Memory::open();
        match connect::attest(&endpoint, anchors, expectation).await {
            Ok(service) => Attested::of(endpoint, &service, memory).map(Ok),
            Err(ConnectError::Https(HttpsError::Connect(_))) => {
                Ok(Err(format!("the service of the data folder does not run ({endpoint})")))
            }
            Err(error) => Err(refused(&endpoint, &error)),
        }
    }
}

fn refused(endpoint: &Endpoint, error: &ConnectError) -> Failure {
    Failure::failed(format_args!(
        "{endpoint}: {error}; to verify the log without an attestation: --offline"
    ))
}

impl Attested {
    fn of(
        endpoint: Endpoint,
        service: &AttestedService,
        memory: Result<Memory, crate::checkpoints::MemoryError>,
    ) -> Result<Self, Failure> {
        if service.is_sealed() {
            return Err(Failure::failed(format_args!(
                "{endpoint}: the service is sealed and attests no audit log"
            )));
        }
        let checkpoints = Report::of(memory, &service.served(&endpoint));
        Ok(Self {
            endpoint,
            module_id: service.document.module_id().to_owned(),
            key: AuditSignatureKey::from_bytes(service.binding.audit_signature_key),
            sequence: service.binding.audit_sequence,
            hash: service.binding.audit_hash,
            checkpoints,
        })
    }
}
