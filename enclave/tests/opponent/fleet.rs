//! Two workers of one service at one store: one that has the root key, and one that joins it.

use super::client::Client;
use super::host::Opponent;
use super::scene::{PKI, REGION, bounds, configuration};
use super::worker::{Log, Worker};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options, Signer};
use sekisho_enclave::{
    AttestationBinding, AuditEntry, Boot, BootConfiguration, BootCredential, Bounds, Measurement,
    OperatorSignature, Pauses, Peer, Peers, RootKey, RootKeyFile, SignedStatement, UnsealProvider,
    UpgradeStatement,
};
use sekisho_wire::egress::{Request, Response, read_request, write_response};
use sekisho_wire::{Address, StoreClient};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub(crate) const ROOT_KEY: [u8; 32] = *b"the root key that two workers ow";
const ACCESS_KEY_ID: &str = "AKIASEKISHOTHEFLEETX";
const SECRET: &str = "dGhlIHNlY3JldCBvZiB0aGUgZmxlZXQ";
pub(crate) const ACCOUNT: &str = "111122223333";
/// What runs, and what shall run next.
pub(crate) const IMAGE: &[u8] = b"worker";
pub(crate) const NEXT_IMAGE: &[u8] = b"the worker of the next release";

pub(crate) fn measurement(image: &[u8]) -> Measurement {
    let Measurements { pcr0, pcr1, pcr2, .. } = Measurements::of(image);
    let pcrs = [(0, pcr0), (1, pcr1), (2, pcr2)];
    Measurement::new(Pcrs::new(pcrs.map(|(at, value)| (at, PcrValue::new(value)))).unwrap())
        .unwrap()
}

/// Who may allow an upgrade.
pub(crate) struct Operator(EcdsaKeyPair);

impl Operator {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        let before = "3076301006072a8648ce3d020106052b81040022036200";
        [hex::decode(before).unwrap(), self.0.public_key().as_ref().to_vec()].concat()
    }

    pub(crate) fn sign(&self, text: &str) -> OperatorSignature {
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        OperatorSignature { key: BASE64.encode(self.key()), signature: BASE64.encode(signature) }
    }
}

/// A statement of this hour for [`NEXT_IMAGE`].
pub(crate) fn statement() -> UpgradeStatement {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    UpgradeStatement {
        id: [7; 16],
        account: ACCOUNT.into(),
        expires: now + 3600,
        measurement: measurement(NEXT_IMAGE),
    }
}

pub(crate) fn signed(statement: &UpgradeStatement, by: &[&Operator]) -> SignedStatement {
    let statement = statement.to_string();
    let signatures = by.iter().map(|operator| operator.sign(&statement)).collect();
    SignedStatement { statement, signatures }
}

/// An enclave that has just started.
pub(crate) fn nsm_of(pki: &DevelopmentPki, image: &[u8], debug: bool) -> Arc<EmulatedNsm> {
    let options = Options { debug, ..Options::default() };
    Arc::new(EmulatedNsm::new(pki.clone(), &Measurements::of(image), options))
}

/// The host, the worker that has the root key, and three operators, of whom two are needed.
pub(crate) struct Fleet {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) opponent: Opponent,
    pub(crate) operators: [Operator; 3],
    /// Where the host's egress leads.
    pub(crate) route: Arc<Mutex<PathBuf>>,
    pub(crate) giving: Option<Worker>,
    pub(crate) log: Log,
    pub(crate) client: Client,
    pub(crate) service_ca_sha256: [u8; 32],
}

/// One that joins, or tries to.
pub(crate) struct Joining {
    pub(crate) worker: Worker,
    pub(crate) log: Log,
    pub(crate) client: Client,
}

fn signer() -> Signer {
    Signer {
        access_key_id: ACCESS_KEY_ID.into(),
        secret_access_key: SECRET.into(),
        session_token: None,
        region: REGION.into(),
    }
}

pub(crate) async fn is_unsealed(client: &Client, log: &Log) {
    for _ in 0..3000 {
        // A connection of the moment in which it is unsealed ends without an answer.
        let answer = client.get("/health").await;
        if answer.is_ok_and(|answer| answer.json()["status"] == "ok") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it stays sealed:\n{}", log.text());
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With a file for a new root key.
    pub(crate) async fn start_with(file: Option<Arc<dyn RootKeyFile>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opponent = Opponent::start(folder.path()).await;
        let socket = folder.path().join("giving.sock");
        let client = Client::new(socket.clone(), opponent.clone(), signer());
        let operators = [Operator::new(), Operator::new(), Operator::new()];
        let mut fleet = Self {
            route: Arc::new(Mutex::new(socket)),
            giving: None,
            log: Log::default(),
            service_ca_sha256: [0; 32],
            folder,
            opponent,
            operators,
            client,
        };
        let boot = fleet.boot(fleet.giving_configuration(), "giving.sock", IMAGE);
        let boot = Boot {
            root_key: Some(RootKey::from_bytes(&ROOT_KEY)),
            root_key_file: file,
            egress: None,
            ..boot
        };
        fleet.giving = Some(Worker::start(boot, fleet.log.clone()).await.unwrap());
        fleet.service_ca_sha256 = attested(&fleet.client).await.service_ca_sha256;
        fleet.serve_egress().await;
        fleet
    }

    pub(crate) fn peers(&self) -> Peers {
        Peers {
            roots: vec![PKI.root_der().to_vec()],
            measurements: vec![measurement(IMAGE)],
            operators: self.operators.iter().map(Operator::key).collect(),
            operators_needed: 2,
        }
    }

    /// The boot configuration of the one that has the root key.
    pub(crate) fn giving_configuration(&self) -> BootConfiguration {
        BootConfiguration { peers: Some(self.peers()), ..configuration() }
    }

    /// The boot configuration of one that joins this service.
    pub(crate) fn joining_configuration(&self) -> BootConfiguration {
        BootConfiguration {
            unseal: UnsealProvider::Peer(Peer {
                endpoint: "peer.example:8443".parse().unwrap(),
                service_ca_sha256: self.service_ca_sha256,
            }),
            peers: Some(self.peers()),
            ..configuration()
        }
    }

    pub(crate) fn boot(
        &self,
        configuration: BootConfiguration,
        socket: &str,
        image: &[u8],
    ) -> Boot {
        let mut bounds = bounds();
        bounds.watch = Bounds::default().watch;
        bounds.unsealing =
            Pauses { first: Duration::from_millis(50), last: Duration::from_secs(1) };
        Boot {
            configuration,
            nsm: nsm_of(&PKI, image, false),
            root_key: None,
            root_key_file: None,
            egress: Some(Address::Unix { path: self.folder.path().join("egress.sock") }),
            statements: Vec::new(),
            credentials: vec![BootCredential {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: SECRET.to_owned().into(),
                principal_arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            }],
            listen: Address::Unix { path: self.folder.path().join(socket) },
            store: Opponent::address(self.folder.path()),
            bounds,
            compiler: None,
        }
    }

    /// A worker that joins, with what the test changes of how it is started.
    pub(crate) async fn join(&self, image: &[u8], change: impl FnOnce(&mut Boot)) -> Joining {
        let mut boot = self.boot(self.joining_configuration(), "joining.sock", image);
        change(&mut boot);
        let log = Log::default();
        let worker = Worker::start(boot, log.clone()).await.expect("it serves, sealed");
        let socket = self.folder.path().join("joining.sock");
        let client = Client::new(socket, self.opponent.clone(), signer());
        Joining { worker, log, client }
    }

    /// One that joins is refused with these words in its log, and with these in the audit log of the
    /// giving worker; which serves as before.
    pub(crate) async fn refuses(
        &self,
        image: &[u8],
        change: impl FnOnce(&mut Boot),
        words: &str,
        audited: Option<&str>,
    ) {
        let joining = self.join(image, change).await;
        joining.says(words).await;
        let health = joining.client.get("/health").await.unwrap().json();
        assert_eq!(health["status"], "sealed");
        joining.worker.stop().await;
        if let Some(reason) = audited {
            let entries = self.audited().await;
            let last = entries.iter().rfind(|entry| entry.operation == "JoinPeer").unwrap();
            let found = last.reason.clone().unwrap_or_default();
            assert!(found.contains(reason), "{reason:?} is not in {found:?}");
            assert_eq!(last.error.as_deref(), Some("AccessDeniedException"));
        }
        self.client.call("ListKeys", json!({})).await.unwrap();
    }

    pub(crate) async fn audited(&self) -> Vec<AuditEntry> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = sekisho_wire::store::serve_store(far, Arc::new(self.opponent.clone()));
        let (client, root) = (StoreClient::over(near), RootKey::from_bytes(&ROOT_KEY));
        tokio::select! {
            entries = sekisho_enclave::probe::read_audit_log(&client, &root) => entries.unwrap(),
            _ = serving => panic!("the store's connection ended"),
        }
    }

    /// The host's egress: bytes to where the route leads, all of which the opponent sees.
    async fn serve_egress(&self) {
        let path = self.folder.path().join("egress.sock");
        let listener = Address::Unix { path }.listen().await.unwrap();
        let (route, opponent) = (self.route.clone(), self.opponent.clone());
        tokio::spawn(async move {
            while let Ok(mut worker) = listener.accept().await {
                let Ok(Request::Connect(_)) = read_request(&mut worker).await else { continue };
                let (to, opponent) = (route.lock().unwrap().clone(), opponent.clone());
                tokio::spawn(async move {
                    let Ok(mut peer) = UnixStream::connect(to).await else { return };
                    write_response(&mut worker, &Response::Connected).await.unwrap();
                    let (mut up, mut down) = (vec![0; 1 << 14], vec![0; 1 << 14]);
                    loop {
                        let (read, to_peer) = tokio::select! {
                            read = worker.read(&mut up) => (read.unwrap_or(0), true),
                            read = peer.read(&mut down) => (read.unwrap_or(0), false),
                        };
                        let bytes = if to_peer { &up[..read] } else { &down[..read] };
                        opponent.sees(bytes);
                        let carried = match to_peer {
                            true => peer.write_all(bytes).await,
                            false => worker.write_all(bytes).await,
                        };
                        if read == 0 || carried.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
}

impl Joining {
    pub(crate) async fn says(&self, words: &str) {
        for _ in 0..3000 {
            if self.log.text().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{words:?} is not in the log:\n{}", self.log.text());
    }
}

/// What a worker attests.
pub(crate) async fn attested(client: &Client) -> AttestationBinding {
    let answer = client.get("/attestation").await.unwrap().json();
    let document = BASE64.decode(answer["document"].as_str().unwrap()).unwrap();
    let document = sekisho_attestation::UnverifiedDocument::read(&document).unwrap();
    AttestationBinding::from_user_data(&document.user_data.unwrap()).unwrap()
}

/// Whether a key is there.
pub(crate) async fn describes(client: &Client, key: &str) -> bool {
    let described = client.call("DescribeKey", json!({ "KeyId": key })).await;
    described.is_ok_and(|described: Value| described["KeyMetadata"]["KeyId"] == key)
}
