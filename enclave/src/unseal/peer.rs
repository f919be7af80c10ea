//! The root key from a worker of the same service that has it: the joining side.
//!
//! TLS ends in the peer, whoever vouches for its certificate: the document vouches, which names the
//! key of this very connection, the nonce of this attempt, and the service's authority, which the
//! boot configuration pins. That authority's key is sealed in the service's journal: who shows it
//! has the root key already, and was checked by whoever gave it.

use super::any_certificate;
use super::conversation::{Conversation, PATIENCE};
use super::failure::Failure;
use crate::attested::AttestationBinding;
use crate::configuration::BootConfiguration;
use crate::hpke::HpkePair;
use crate::peers::{
    Admission, CHALLENGE_PATH, JOIN_PATH, PeerRefused, SignedStatement, Transcript,
    joining_user_data,
};
use crate::secret::fill_random;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::record::BlobHash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use sekisho_attestation::Timestamp;
use sekisho_nsm::{AttestationRequest, Nsm};
use sekisho_wire::codec;
use sekisho_wire::egress::{self, Destination};
use sekisho_wire::{Address, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Bytes of this side's nonce.
const NONCE: usize = 32;

/// The peer that is asked; all of it is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where it is reached, through the host's egress.
    pub endpoint: Destination,
    /// SHA-256 of the certificate (DER) of the service's authority, as its attestations have it:
    /// which service is joined.
    #[serde(with = "serde_bytes")]
    pub service_ca_sha256: [u8; 32],
}

/// Asks the peer.
pub(super) struct PeerClient {
    peer: Peer,
    admission: Arc<Admission>,
    statements: Arc<[SignedStatement]>,
    /// As PCR16 was extended with it.
    configuration: Vec<u8>,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    egress: Address,
    nsm: Arc<dyn Nsm>,
}

#[derive(Deserialize)]
struct Challenge {
    document: String,
    nonce: String,
}

#[derive(Deserialize)]
struct Given {
    root_key: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    rule: String,
}

impl PeerClient {
    pub(super) fn new(
        peer: Peer,
        configuration: &BootConfiguration,
        admission: Admission,
        statements: Vec<SignedStatement>,
        egress: Address,
        nsm: Arc<dyn Nsm>,
    ) -> Result<Self, super::InvalidKms> {
        let mut tls = any_certificate().map_err(|_| super::InvalidKms::Tls)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each exchange has a handshake of its own, in which the server shows its certificate.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            server_name: ServerName::try_from(peer.endpoint.name().to_owned())
                .map_err(|_| super::InvalidKms::Endpoint)?,
            configuration: codec::encode(configuration).map_err(|_| super::InvalidKms::Tls)?,
            admission: Arc::new(admission),
            statements: statements.into(),
            tls: TlsConnector::from(Arc::new(tls)),
            egress,
            nsm,
            peer,
        })
    }

    /// The keyring as the peer encodes it, and where the peer's journal stands.
    pub(super) async fn join(&self) -> Result<(Zeroizing<Vec<u8>>, Checkpoint), Failure> {
        let stream = egress::connect(&self.egress, &self.peer.endpoint).await?;
        timeout(PATIENCE, self.exchange(stream)).await.map_err(|_| Failure::Late)?
    }

    async fn exchange(&self, stream: Stream) -> Result<(Zeroizing<Vec<u8>>, Checkpoint), Failure> {
        let connecting = self.tls.connect(self.server_name.clone(), stream);
        let stream = connecting.await.map_err(|_| Failure::Broken)?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        let leaf = leaf.ok_or(Failure::Malformed)?.subject_public_key_info().to_vec();
        let mut conversation = Conversation::over(stream).await?;

        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        let challenge: Challenge = self
            .post(&mut conversation, CHALLENGE_PATH, &json!({ "nonce": hex::encode(nonce) }))
            .await?;
        let giving = BASE64.decode(&challenge.document).map_err(|_| Failure::Malformed)?;
        let asked = hex::decode(&challenge.nonce).map_err(|_| Failure::Malformed)?;
        let (giving, reached) = self.verify(giving, nonce, leaf).await?;

        let (pair, joining) = self.document(joining_user_data(&giving), asked).await?;
        let handed_in = json!({
            "document": BASE64.encode(&joining),
            "configuration": BASE64.encode(&self.configuration),
            "statements": &self.statements[..],
        });
        let given: Given = self.post(&mut conversation, JOIN_PATH, &handed_in).await?;
        let sealed = BASE64.decode(given.root_key).map_err(|_| Failure::Malformed)?;
        let transcript =
            Transcript { giving: &giving, joining: &joining, configuration: &self.configuration };
        let (info, bound) = transcript.binding();
        let given = pair.open(info, &bound, &sealed).ok_or(Failure::NotOfThisExchange)?;
        Ok((given, reached))
    }

    /// The peer's document is one of the service's, of a worker that may have the root key, for this
    /// nonce and this connection. Gives it back, with what it says of its journal.
    async fn verify(
        &self,
        document: Vec<u8>,
        nonce: [u8; NONCE],
        leaf: Vec<u8>,
    ) -> Result<(Vec<u8>, Checkpoint), Failure> {
        let (admission, statements) = (self.admission.clone(), self.statements.clone());
        let pinned = self.peer.service_ca_sha256;
        let verifying = move || {
            let now = Timestamp::try_from(SystemTime::now()).map_err(|_| Failure::Internal)?;
            let admitted = admission.admit(&document, &nonce, &statements, now)?;
            if admitted.document().public_key() != Some(leaf.as_slice()) {
                return Err(PeerRefused::MadeForAnother.into());
            }
            let binding = admitted.document().user_data().unwrap_or_default();
            let binding =
                AttestationBinding::from_user_data(binding).map_err(|_| Failure::Malformed)?;
            if binding.service_ca_sha256 != pinned {
                return Err(PeerRefused::OtherService.into());
            }
            let hash = BlobHash::from_bytes(binding.journal_hash);
            Ok((document, Checkpoint { sequence: binding.journal_sequence, hash }))
        };
        tokio::task::spawn_blocking(verifying).await.map_err(|_| Failure::Internal)?
    }

    /// A key that lives for this exchange, and a document that holds it.
    async fn document(
        &self,
        user_data: Vec<u8>,
        nonce: Vec<u8>,
    ) -> Result<(HpkePair, Vec<u8>), Failure> {
        let nsm = self.nsm.clone();
        let making = move || {
            let pair = HpkePair::generate().map_err(|_| Failure::Internal)?;
            let document = nsm.attestation(AttestationRequest {
                public_key: Some(pair.public_key().to_vec()),
                user_data: Some(user_data),
                nonce: Some(nonce),
            })?;
            Ok((pair, document))
        };
        tokio::task::spawn_blocking(making).await.map_err(|_| Failure::Internal)?
    }

    async fn post<T: for<'a> Deserialize<'a>>(
        &self,
        conversation: &mut Conversation,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        let request = Request::post(path)
            .header("host", self.peer.endpoint.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| Failure::Internal)?;
        let (status, body) = conversation.ask(request).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| Failure::Malformed);
        }
        let refusal = serde_json::from_slice(&body).unwrap_or(Refusal { rule: String::new() });
        Err(match PeerRefused::known_rule(&refusal.rule) {
            Some(rule) => Failure::RefusedByPeer(rule),
            None if status.as_u16() == 429 => Failure::Throttled,
            None if status.as_u16() == 404 => Failure::NoPeer,
            None if status.is_server_error() => Failure::PeerUnavailable,
            None => Failure::OtherOfPeer(status.as_u16()),
        })
    }
}
