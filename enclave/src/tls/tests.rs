//! Attested TLS over real connections: renewal, and which leaf an attestation speaks of.

use super::identity::Renewed;
use super::{Identity, ServiceAuthority, Terms};
use crate::AttestationBinding;
use crate::attested::{Attester, Budget};
use crate::bounds::Bounds;
use crate::clock::milliseconds;
use crate::configuration::UnsealProvider;
use crate::http::{self, Worker};
use crate::secret::{RootKey, Subkeys};
use crate::storage::journal::{Cadence, Journal};
use crate::storage::opponent::Opponent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use sekisho_attestation::{Expectation, Timestamp, TrustAnchors, VerifiedDocument, Verifier};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options};
use sekisho_nsm::Nsm;
use sekisho_nsm::wire::{Request, Response};
use sekisho_wire::Address;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The emulated module, with a count of its documents.
struct Counting {
    nsm: EmulatedNsm,
    documents: AtomicUsize,
}

impl Nsm for Counting {
    fn process(&self, request: Request) -> Response {
        if matches!(request, Request::Attestation { .. }) {
            self.documents.fetch_add(1, Ordering::SeqCst);
        }
        self.nsm.process(request)
    }
}

/// A sealed worker that serves on a socket of its own.
struct Serving {
    folder: tempfile::TempDir,
    identity: Arc<Identity>,
    nsm: Arc<Counting>,
    pki: DevelopmentPki,
}

impl Serving {
    /// Whose first leaf was issued at `born`.
    async fn start(born: OffsetDateTime) -> Self {
        let pki = DevelopmentPki::generate(SystemTime::now());
        let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"test"), Options::default());
        let nsm = Arc::new(Counting { nsm, documents: AtomicUsize::new(0) });
        let attester = Attester {
            nsm: nsm.clone(),
            unseal: UnsealProvider::Nothing.name(),
            boot_configuration_sha384: [7; 48],
            journal: None,
            audit: None,
            budget: Budget::new(milliseconds(OffsetDateTime::now_utc())),
        };
        let authority = ServiceAuthority::generate(born).unwrap();
        let identity = Identity::new(authority, None, Vec::new(), Terms::DEFAULT, born).unwrap();
        let identity = Arc::new(identity);
        let folder = tempfile::tempdir().unwrap();
        let listen = Address::Unix { path: folder.path().join("worker") };
        let listener = listen.listen().await.unwrap();
        let worker =
            Arc::new(Worker { attester, service: None, ceremony: None, bounds: Bounds::default() });
        let serving = identity.clone();
        tokio::spawn(async move {
            http::serve(&listener, serving, worker, std::future::pending()).await.finish().await;
        });
        Self { folder, identity, nsm, pki }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("worker")
    }

    fn documents(&self) -> usize {
        self.nsm.documents.load(Ordering::SeqCst)
    }

    async fn connect(&self, trusting: &Arc<ClientConfig>) -> Client {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(trusting.clone()).connect(name, stream).await.unwrap();
        Client { stream }
    }

    /// What a document says, and that it is genuine.
    fn verify(&self, answer: &Value, nonce: Option<[u8; 32]>) -> VerifiedDocument {
        let document = BASE64.decode(answer["document"].as_str().unwrap()).unwrap();
        let verifier = Verifier::new(TrustAnchors::from_der([self.pki.root_der()]).unwrap());
        let mut expectation = Expectation::any_measurement();
        if let Some(nonce) = nonce {
            expectation = expectation.nonce(nonce);
        }
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        let document = verifier.verify(&document, now, &expectation).unwrap();
        let binding = AttestationBinding::from_user_data(document.user_data().unwrap()).unwrap();
        let sent = certificate(answer["service_ca"].as_str().unwrap());
        assert_eq!(binding.service_ca_sha256[..], Sha256::digest(&sent)[..]);
        document
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A client that trusts one authority and speaks HTTP/1.1.
fn trusting(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pem)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

struct Client {
    stream: TlsStream<UnixStream>,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Client {
    /// The public key of the leaf that this connection was made with.
    fn leaf_key(&self) -> Vec<u8> {
        let leaf = &self.stream.get_ref().1.peer_certificates().unwrap()[0];
        ParsedCertificate::try_from(leaf).unwrap().subject_public_key_info().to_vec()
    }

    fn resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    async fn get(&mut self, target: &str) -> Answer {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split_once("content-length: ").unwrap().1;
        let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: serde_json::from_slice(&body).unwrap() }
    }

    async fn attest(&mut self, nonce: [u8; 32]) -> Value {
        let answer = self.get(&format!("/attestation?nonce={}", hex::encode(nonce))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}

#[tokio::test]
async fn a_connection_goes_on_through_a_renewal_and_is_attested_by_its_own_leaf() {
    let now = OffsetDateTime::now_utc();
    let serving = Serving::start(now - Duration::days(61)).await;
    let trusting = trusting(&serving.identity.leaf().service_ca_pem);

    let mut old = serving.connect(&trusting).await;
    let document = serving.verify(&old.attest([1; 32]).await, Some([1; 32]));
    assert_eq!(document.public_key(), Some(old.leaf_key().as_slice()));
    // While the leaf is the same, a session is resumed.
    let mut again = serving.connect(&trusting).await;
    assert!(again.resumed());
    assert_eq!(again.leaf_key(), old.leaf_key());
    again.get("/health").await;

    assert_eq!(serving.identity.renew(now - Duration::days(2)).await.unwrap(), Renewed::Nothing);
    assert_eq!(serving.identity.renew(now).await.unwrap(), Renewed::Leaf);
    assert_eq!(serving.identity.renew(now).await.unwrap(), Renewed::Nothing);

    // A session of the old leaf is not: this client sees the new one.
    let mut new = serving.connect(&trusting).await;
    assert!(!new.resumed());
    assert_ne!(new.leaf_key(), old.leaf_key());
    for client in [&mut old, &mut again, &mut new] {
        let document = serving.verify(&client.attest([2; 32]).await, Some([2; 32]));
        assert_eq!(document.public_key(), Some(client.leaf_key().as_slice()));
    }
    assert_eq!(old.get("/health").await.status, 200);
}

#[tokio::test]
async fn without_a_nonce_the_device_is_asked_once_for_each_leaf() {
    let now = OffsetDateTime::now_utc();
    let serving = Serving::start(now - Duration::days(61)).await;
    let trusting = trusting(&serving.identity.leaf().service_ca_pem);
    let mut old = serving.connect(&trusting).await;
    let first = old.get("/attestation").await.body;
    for _ in 0..20 {
        let mut other = serving.connect(&trusting).await;
        assert_eq!(other.get("/attestation").await.body, first);
        assert_eq!(old.get("/attestation").await.body, first);
    }
    assert_eq!(serving.documents(), 1);
    let document = serving.verify(&first, None);
    assert_eq!(document.nonce(), None);
    assert_eq!(document.public_key(), Some(old.leaf_key().as_slice()));

    serving.identity.renew(now).await.unwrap();
    let mut new = serving.connect(&trusting).await;
    let document = serving.verify(&new.get("/attestation").await.body, None);
    assert_eq!(document.public_key(), Some(new.leaf_key().as_slice()));
    assert_eq!(old.get("/attestation").await.body, first);
    assert_eq!(serving.documents(), 2);
}

#[tokio::test]
async fn a_connection_that_asks_too_often_is_told_when_to_ask_again() {
    let serving = Serving::start(OffsetDateTime::now_utc()).await;
    let trusting = trusting(&serving.identity.leaf().service_ca_pem);
    let mut greedy = serving.connect(&trusting).await;
    let target = format!("/attestation?nonce={}", "ab".repeat(16));
    // Five at once, and one more for each second that this takes.
    let mut served = 0;
    let refused = loop {
        let answer = greedy.get(&target).await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(served < 1000, "never refused");
    };
    assert!(served >= 5);
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("\r\nretry-after: 1\r\n"), "{}", refused.head);
    assert_eq!(refused.body["error"], "TooManyRequests");
    assert!(refused.body["message"].as_str().unwrap().contains("Ask again after 1 s"));
    assert_eq!(serving.documents(), served);
    // The others are served, and so is all else on this connection.
    assert_eq!(greedy.get("/health").await.status, 200);
    assert_eq!(greedy.get("/attestation").await.status, 200);
    serving.connect(&trusting).await.attest([3; 32]).await;
}

#[tokio::test]
async fn an_authority_in_its_last_year_is_signed_again_with_the_same_name_and_key() {
    let now = OffsetDateTime::now_utc();
    let (opponent, born) = (Opponent::default(), now - Duration::days(3650 - 200));
    let journal = || async {
        let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
        Arc::new(Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap())
    };
    let first = journal().await;
    let authority = ServiceAuthority::open(&first, born).await.unwrap();
    let old = authority.pem();
    assert!(!authority.ends_soon(born) && authority.ends_soon(now));
    let identity =
        Identity::new(authority, Some(first.clone()), Vec::new(), Terms::DEFAULT, born).unwrap();

    // A store that takes nothing: the old authority stays, and a leaf comes nevertheless.
    opponent.held().full = true;
    identity.renew(now).await.unwrap_err();
    assert_eq!(identity.leaf().service_ca_pem, old);
    opponent.held().full = false;
    assert_eq!(identity.renew(now).await.unwrap(), Renewed::Authority);
    let new = identity.leaf().service_ca_pem.clone();
    assert_ne!(new, old);
    assert_eq!(identity.renew(now).await.unwrap(), Renewed::Nothing);

    // It is the one that the next start finds.
    let found = ServiceAuthority::open(journal().await.as_ref(), now).await.unwrap();
    assert_eq!(found.pem(), new);
    assert!(!found.ends_soon(now));

    // A client of either one accepts the new leaf.
    for authority in [&old, &new] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let accepting = tokio_rustls::TlsAcceptor::from(identity.leaf().config.clone());
        let connector = TlsConnector::from(trusting(authority));
        let name = ServerName::try_from("localhost").unwrap();
        let (accepted, connected) =
            tokio::join!(accepting.accept(far), connector.connect(name, near));
        accepted.unwrap();
        connected.unwrap();
    }
}
