//! The side that has the root key. Nobody who asks is authenticated before the last step.

use super::admission::{Admission, Admitted, InvalidPeers, PeerRefused};
use super::challenge::Challenge;
use super::statement::SignedStatement;
use super::transcript::{Transcript, joining_user_data};
use crate::api::{ApiError, Response, new_request_id};
use crate::audit::{AuditEntry, AuditLog, AuditedAttestation, Outcome, Recorded};
use crate::clock::milliseconds;
use crate::configuration::{BootConfiguration, UnsealProvider, register_of};
use crate::hpke::HpkeKey;
use crate::keyring::HeldKeyring;
use crate::throttle::{Bucket, Exhausted, Rate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::Timestamp;
use sekisho_wire::{RecordKey, codec};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use time::OffsetDateTime;

/// Joins that are looked at, for everybody together: each costs a handful of signature checks and a
/// record in the audit log, and a fleet of ten joins at once.
const JOINS: Rate = Rate { per_second: 1, burst: 10 };
/// What stands as the operation in the audit log.
const OPERATION: &str = "JoinPeer";

/// Gives the root key to peers.
pub(crate) struct Giver {
    admission: Admission,
    configuration: BootConfiguration,
    keyring: HeldKeyring,
    /// Where it lies in the store.
    slot: Option<RecordKey>,
    audit: AuditLog,
    left: Mutex<Bucket>,
}

/// What a joining worker hands in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    document: String,
    configuration: String,
    #[serde(default)]
    statements: Vec<SignedStatement>,
}

/// What is looked at of every configuration; a later version's may have fields that this one does
/// not know, and counts where operators have allowed it as a whole.
#[derive(Deserialize)]
struct Essentials {
    region: String,
    #[serde(default)]
    other_regions: Vec<String>,
    account: String,
    unseal: UnsealProvider,
}

/// A [`Joining`] in bytes.
struct Claim {
    document: Vec<u8>,
    configuration: Vec<u8>,
    statements: Vec<SignedStatement>,
}

impl Giver {
    /// None where the configuration has no peers.
    pub(crate) fn new(
        configuration: &BootConfiguration,
        (keyring, slot): (HeldKeyring, Option<RecordKey>),
        audit: AuditLog,
        now: u64,
    ) -> Result<Option<Self>, InvalidPeers> {
        let Some(peers) = configuration.peers.clone() else { return Ok(None) };
        Ok(Some(Self {
            admission: Admission::new(peers, configuration.account.clone())?,
            configuration: configuration.clone(),
            keyring,
            slot,
            audit,
            left: Mutex::new(Bucket::full(JOINS, now)),
        }))
    }

    /// Decides about a joining worker, records it, and gives it the root key or the reason why not.
    pub(crate) async fn join(
        self: Arc<Self>,
        challenge: Option<Challenge>,
        service_ca_sha256: [u8; 32],
        body: &[u8],
        now: OffsetDateTime,
    ) -> Response {
        let (request_id, time) = (new_request_id(), milliseconds(now));
        let taken = self.left.lock().unwrap_or_else(PoisonError::into_inner).take(JOINS, 1, time);
        if let Err(Exhausted { wait }) = taken {
            let retry_after = u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX).max(1);
            return Response::refusal(request_id, &ApiError::TooManyAttestations { retry_after });
        }
        let claim = match Claim::read(body) {
            Ok(claim) => claim,
            Err(error) => return Response::refusal(request_id, &error),
        };
        let mut entry = AuditEntry {
            time,
            request_id: request_id.clone(),
            operation: OPERATION.into(),
            ..AuditEntry::default()
        };
        // Signature checks on many certificates, and a key agreement.
        let giver = self.clone();
        let deciding = tokio::task::spawn_blocking(move || {
            let decided = giver.decide(challenge, service_ca_sha256, &claim, time, &mut entry);
            (decided, entry)
        });
        let Ok((decided, mut entry)) = deciding.await else {
            return Response::refusal(request_id, &ApiError::Internal);
        };
        let response = match decided {
            Ok(sealed) => {
                Response::of(request_id.clone(), Ok(json!({ "root_key": BASE64.encode(sealed) })))
            }
            Err(Refused::Peer(refused)) => {
                entry.error = Some("AccessDeniedException".into());
                entry.reason = Some(refused.to_string());
                refusal(request_id.clone(), &refused)
            }
            Err(Refused::Failed) => Response::refusal(request_id.clone(), &ApiError::Internal),
        };
        match self.audit.record(Outcome { entry, response }).await {
            Ok(recorded) => Recorded::into_response(recorded),
            Err(_) => Response::refusal(request_id, &ApiError::DependencyTimeout),
        }
    }

    fn decide(
        &self,
        challenge: Option<Challenge>,
        service_ca_sha256: [u8; 32],
        claim: &Claim,
        time: u64,
        entry: &mut AuditEntry,
    ) -> Result<Vec<u8>, Refused> {
        let challenge = challenge.and_then(|challenge| challenge.take_up(Instant::now()));
        let (nonce, giving) = challenge.ok_or(PeerRefused::StaleNonce)?;
        let now = Timestamp::from_millis(time);
        let Claim { document, configuration, statements } = claim;
        let admitted = self.admission.admit(document, &nonce, statements, now)?;
        entry.attestation = Some(audited(&admitted));
        if let Some(id) = admitted.statement_id() {
            entry.encryption_context = vec![("upgrade-statement".into(), hex::encode(id))];
        }
        if admitted.document().user_data() != Some(&joining_user_data(&giving)) {
            return Err(PeerRefused::MadeForAnother.into());
        }
        self.check_configuration(&admitted, configuration, service_ca_sha256)?;
        let key = admitted.document().public_key().and_then(|key| HpkeKey::from_spki(key).ok());
        let key = key.ok_or(PeerRefused::NoKey)?;
        let (info, bound) =
            Transcript { giving: &giving, joining: document, configuration }.binding();
        // All generations that are in use, as they are at this moment.
        let given = self.keyring.read(|keyring| keyring.for_peer(self.slot));
        let given = given.map_err(|_| Refused::Failed)?;
        key.seal_for(info, &bound, &given).map_err(|_| Refused::Failed)
    }

    /// The host that starts the joining worker chooses its configuration: with callers' roots of
    /// its own it could make up every caller's measurement.
    fn check_configuration(
        &self,
        admitted: &Admitted,
        bytes: &[u8],
        service_ca_sha256: [u8; 32],
    ) -> Result<(), PeerRefused> {
        let (index, value) = register_of(bytes);
        if admitted.document().pcrs().get(index).map(|found| *found.as_bytes()) != Some(value) {
            return Err(PeerRefused::OtherConfiguration);
        }
        let malformed = |_| PeerRefused::MalformedConfiguration;
        let theirs: Essentials = codec::decode(bytes).map_err(malformed)?;
        let ours = &self.configuration;
        if theirs.account != ours.account {
            return Err(PeerRefused::OtherAccount);
        }
        if theirs.region != ours.region || theirs.other_regions != ours.other_regions {
            return Err(PeerRefused::OtherRegions);
        }
        match theirs.unseal {
            UnsealProvider::Peer(peer) if peer.service_ca_sha256 == service_ca_sha256 => {}
            _ => return Err(PeerRefused::OtherService),
        }
        if admitted.has_allowed_configuration() {
            return Ok(());
        }
        let theirs: BootConfiguration = codec::decode(bytes).map_err(malformed)?;
        for (same, name) in [
            (set(&theirs.caller_roots) == set(&ours.caller_roots), "roots for callers' documents"),
            (theirs.auditor_key == ours.auditor_key, "auditor's key"),
            (theirs.administrator_key == ours.administrator_key, "administrator's key"),
            (theirs.peers == ours.peers, "peers or operators"),
            (theirs.quotas == ours.quotas, "quotas"),
        ] {
            if !same {
                return Err(PeerRefused::Differs(name));
            }
        }
        Ok(())
    }
}

impl Claim {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::Validation("This is not what a joining worker sends.".into());
        let Joining { document, configuration, statements } =
            serde_json::from_slice(body).map_err(|_| malformed())?;
        let bytes = |text: &str| BASE64.decode(text).map_err(|_| malformed());
        Ok(Self { document: bytes(&document)?, configuration: bytes(&configuration)?, statements })
    }
}

fn set(roots: &[Vec<u8>]) -> BTreeSet<&[u8]> {
    roots.iter().map(Vec::as_slice).collect()
}

fn audited(admitted: &Admitted) -> AuditedAttestation {
    let document = admitted.document();
    let used = document.pcrs().iter().filter(|(_, value)| !value.is_zero());
    AuditedAttestation {
        module_id: document.module_id().to_owned(),
        pcrs: used.map(|(index, value)| (index.get(), value.to_string())).collect(),
        for_request: true,
    }
}

/// The rule that failed: nothing in it is secret, and who operates the joining worker needs it.
fn refusal(request_id: String, refused: &PeerRefused) -> Response {
    let message = format!("The peer is refused: {refused}.");
    let body: Value =
        json!({ "error": "AccessDenied", "rule": refused.rule(), "message": message });
    Response { request_id, status: 403, body }
}

enum Refused {
    Peer(PeerRefused),
    Failed,
}

impl From<PeerRefused> for Refused {
    fn from(refused: PeerRefused) -> Self {
        Self::Peer(refused)
    }
}
