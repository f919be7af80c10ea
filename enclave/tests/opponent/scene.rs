//! A worker, its host and a caller: what every attack begins and ends with.

use super::client::{Client, Refused};
use super::host::{Attack, Opponent};
use super::worker::{Log, Worker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{Expectation, Timestamp, TrustAnchors, Verifier};
use sekisho_devkit::search::{Haystack, Secret};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options, Signer};
use sekisho_enclave::probe::{self, ReadError, read_audit_log};
use sekisho_enclave::{
    AttestationBinding, AuditEntry, Boot, BootConfiguration, BootCredential, BootError, Bounds,
    Quotas, RootKey, UnsealProvider,
};
use sekisho_nsm::Nsm;
use sekisho_wire::{Address, RecordKey, StoreClient};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

/// What the caller encrypts, and the host must never see.
pub(crate) const PLAINTEXT: &[u8] = b"the plaintext that no host may ever see";
/// Stands in the key's policy.
const POLICY_SECRET: &str = "a-tenant-that-only-this-policy-names";
const ROOT_KEY: [u8; 32] = *b"the root key of this test suite!";
const ACCESS_KEY_ID: &str = "AKIASEKISHOOPPONENTS";
const SECRET_ACCESS_KEY: &str = "b3Bwb25lbnRzL3NlY3JldC9hY2Nlc3Mva2V5";
pub(crate) const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "111122223333";

/// The root of every worker's documents here.
pub(crate) static PKI: LazyLock<DevelopmentPki> =
    LazyLock::new(|| DevelopmentPki::generate(SystemTime::now()));

/// Where and how a worker is started.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) opponent: Opponent,
    pub(crate) client: Client,
    pub(crate) bounds: Bounds,
    /// What every worker of the scene is started with, where a test says nothing else.
    pub(crate) configuration: BootConfiguration,
    log: Log,
    worker: Option<Worker>,
    /// Where the scene came from a pool, to which it goes back.
    shared: Option<InUse>,
    /// The key that everything is done with, and what it has encrypted.
    pub(crate) key: String,
    pub(crate) blob: String,
}

/// Scenes whose worker has survived an attack, for the next one: a start takes longer than most
/// attacks do. When nobody uses one any more, they all end.
static IDLE: Mutex<Vec<Scene>> = Mutex::new(Vec::new());
static IN_USE: Mutex<usize> = Mutex::new(0);

/// One of the scenes in use.
struct InUse;

impl InUse {
    fn begin() -> Self {
        *IN_USE.lock().unwrap() += 1;
        Self
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock().unwrap();
        *in_use -= 1;
        if *in_use == 0 {
            IDLE.lock().unwrap().clear();
        }
    }
}

/// Patience for tests: what takes long is cut short, and nobody looks beside what a test asks for.
pub(crate) fn bounds() -> Bounds {
    let mut bounds = Bounds::default();
    bounds.store.patience = Duration::from_secs(5);
    bounds.watch = Duration::from_secs(24 * 60 * 60);
    bounds
}

pub(crate) fn configuration() -> BootConfiguration {
    BootConfiguration {
        region: REGION.into(),
        other_regions: Vec::new(),
        account: ACCOUNT.into(),
        unseal: UnsealProvider::DevelopmentFile,
        caller_roots: vec![PKI.root_der().to_vec()],
        auditor_key: probe::auditor().unwrap().public_key().to_vec(),
        administrator_key: None,
        names: Vec::new(),
        quotas: Quotas::none(),
        peers: None,
        policy_module_size: None,
    }
}

pub(crate) fn nsm() -> Arc<EmulatedNsm> {
    Arc::new(EmulatedNsm::new(PKI.clone(), &Measurements::of(b"worker"), Options::default()))
}

impl Scene {
    /// An honest host, and a worker that has made a key and encrypted something.
    pub(crate) async fn start() -> Self {
        Self::start_with(bounds()).await
    }

    /// As [`Scene::start`]; the worker may have survived other attacks before. For attacks that
    /// leave nothing behind.
    pub(crate) async fn shared() -> Self {
        let in_use = InUse::begin();
        let idle = IDLE.lock().unwrap().pop();
        let mut scene = match idle {
            Some(scene) => scene,
            None => Self::start().await,
        };
        scene.log.forget();
        scene.shared = Some(in_use);
        scene
    }

    pub(crate) async fn start_with(bounds: Bounds) -> Self {
        Self::start_as(bounds, configuration()).await
    }

    pub(crate) async fn start_as(bounds: Bounds, configuration: BootConfiguration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opponent = Opponent::start(folder.path()).await;
        let signer = Signer {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.into(),
            session_token: None,
            region: REGION.into(),
        };
        let client = Client::new(folder.path().join("worker.sock"), opponent.clone(), signer);
        let (key, blob) = Default::default();
        let log = Log::default();
        let (worker, shared) = (None, None);
        let mut scene = Self {
            folder,
            opponent,
            client,
            bounds,
            configuration,
            log,
            worker,
            shared,
            key,
            blob,
        };
        scene.boot().await.unwrap();
        scene.key = scene.create_key().await;
        scene.blob = scene.encrypt(&scene.key).await.unwrap();
        scene
    }

    pub(crate) fn parameters(&self, nsm: Arc<dyn Nsm>, configuration: BootConfiguration) -> Boot {
        Boot {
            configuration,
            nsm,
            root_key: Some(RootKey::from_bytes(&ROOT_KEY)),
            root_key_file: None,
            egress: None,
            statements: Vec::new(),
            credentials: vec![BootCredential {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
                principal_arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            }],
            listen: Address::Unix { path: self.folder.path().join("worker.sock") },
            store: Opponent::address(self.folder.path()),
            bounds: self.bounds,
            compiler: None,
        }
    }

    /// Starts the worker, in an enclave that has just started.
    pub(crate) async fn boot(&mut self) -> Result<(), BootError> {
        self.boot_with(self.parameters(nsm(), self.configuration.clone())).await
    }

    pub(crate) async fn boot_with(&mut self, boot: Boot) -> Result<(), BootError> {
        assert!(self.worker.is_none(), "the worker runs");
        self.worker = Some(Worker::start(boot, self.log.clone()).await?);
        let (_, ca) = self.attested().await;
        self.client = self.client.trusting(&ca);
        Ok(())
    }

    pub(crate) async fn stop(&mut self) {
        self.worker.take().expect("the worker runs").stop().await;
    }

    /// Waits for a worker that ends by itself, in order.
    pub(crate) async fn ended(&mut self) {
        let worker = self.worker.take().expect("the worker runs");
        worker.ended().await.expect("it ends in order");
    }

    /// That the worker goes on to serve, and nothing has ended it.
    pub(crate) async fn stays(&self) {
        self.serves().await;
        let log = self.log.text();
        assert!(!log.contains("has taken over the store"), "it ends:\n{log}");
    }

    pub(crate) async fn restart(&mut self) -> Result<(), BootError> {
        self.stop().await;
        self.boot().await
    }

    /// What the worker attests, verified; and its authority.
    pub(crate) async fn attested(&self) -> (AttestationBinding, String) {
        let stranger =
            Client::new(self.folder.path().join("worker.sock"), self.opponent.clone(), {
                self.client.signer.clone()
            });
        let nonce = uuid::Uuid::new_v4().into_bytes();
        let path = format!("/attestation?nonce={}", hex::encode(nonce));
        let answer = stranger.get(&path).await.unwrap().json();
        let document = BASE64.decode(answer["document"].as_str().unwrap()).unwrap();
        let anchors = TrustAnchors::from_der([PKI.root_der()]).unwrap();
        let verifier = Verifier::with_backend(anchors, AwsLc);
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        let expectation = Expectation::any_measurement().nonce(nonce);
        let document = verifier.verify(&document, now, &expectation).unwrap();
        let binding = AttestationBinding::from_user_data(document.user_data().unwrap()).unwrap();
        (binding, answer["service_ca"].as_str().unwrap().to_owned())
    }

    pub(crate) fn attack(&self, attack: Attack) {
        self.log.forget();
        self.opponent.attack(attack);
    }

    /// That the worker has logged these words since the attack began.
    pub(crate) fn logged(&self, words: &str) {
        let log = self.log.text();
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
    }

    /// Waits for these words: what the worker logs in its own time.
    pub(crate) async fn will_log(&self, words: &str) {
        for _ in 0..3000 {
            if self.log.text().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.logged(words);
    }

    /// A new key, which the worker has not in memory, and the name of its record.
    pub(crate) async fn fresh_key(&self) -> (String, RecordKey) {
        let key = self.create_key().await;
        let record = self.opponent.commits().last().unwrap().puts[0].0;
        (key, record)
    }

    pub(crate) async fn create_key(&self) -> String {
        self.try_create_key().await.unwrap()
    }

    pub(crate) async fn try_create_key(&self) -> Result<String, Refused> {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "kms:Decrypt",
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": { "kms:EncryptionContext:tenant": POLICY_SECRET },
                    },
                },
            ],
        });
        let created = self.call("CreateKey", json!({ "Policy": policy.to_string() })).await?;
        Ok(created["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, Refused> {
        self.client.call(operation, body).await
    }

    pub(crate) async fn encrypt(&self, key: &str) -> Result<String, Refused> {
        let body = json!({ "KeyId": key, "Plaintext": BASE64.encode(PLAINTEXT) });
        let answer = self.call("Encrypt", body).await?;
        Ok(answer["CiphertextBlob"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn decrypt(&self, blob: &str) -> Result<Vec<u8>, Refused> {
        let answer = self.call("Decrypt", json!({ "CiphertextBlob": blob })).await?;
        Ok(BASE64.decode(answer["Plaintext"].as_str().unwrap()).unwrap())
    }

    /// The decisions in the audit log, as the host shows it.
    pub(crate) async fn audited(&self) -> Result<Vec<AuditEntry>, ReadError> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = sekisho_wire::store::serve_store(far, Arc::new(self.opponent.clone()));
        let (client, root) = (StoreClient::over(near), RootKey::from_bytes(&ROOT_KEY));
        tokio::select! {
            entries = read_audit_log(&client, &root) => entries,
            _ = serving => panic!("the store's connection ended"),
        }
    }

    /// The host behaves again: the same worker, or the one that was started since, does everything
    /// that it should. Ends the scene with a search of all that the host ever got.
    pub(crate) async fn recovers(mut self) {
        self.opponent.behave();
        self.serves().await;
        let Some(in_use) = self.shared.take() else {
            self.stop().await;
            return self.search();
        };
        self.search();
        self.opponent.forget();
        IDLE.lock().unwrap().push(self);
        drop(in_use);
    }

    /// [`Scene::recovers`], and so does the next worker, who reads all that was written.
    pub(crate) async fn recovers_and_restarts(mut self) {
        self.opponent.behave();
        self.serves().await;
        self.restart().await.expect("the next worker starts");
        self.recovers().await;
    }

    /// The control: every kind of operation works.
    pub(crate) async fn serves(&self) {
        assert_eq!(self.decrypt(&self.blob).await.unwrap(), PLAINTEXT);
        let (key, _) = self.fresh_key().await;
        let blob = self.encrypt(&key).await.unwrap();
        assert_eq!(self.decrypt(&blob).await.unwrap(), PLAINTEXT);
        let name = format!("alias/{key}");
        self.call("CreateAlias", json!({ "AliasName": name, "TargetKeyId": key })).await.unwrap();
        let described = self.call("DescribeKey", json!({ "KeyId": name })).await.unwrap();
        assert_eq!(described["KeyMetadata"]["KeyId"], key);
    }

    /// That no secret is in anything that the host got from worker and callers, or has stored.
    fn search(&self) {
        let seen = Haystack::of(self.opponent.seen());
        let stored = Haystack::read(&self.data()).unwrap();
        let pki = PKI.to_pem();
        let private = pki.split("-----BEGIN PRIVATE KEY-----").nth(1).expect("a private key");
        let mut secrets = vec![
            Secret::new("the plaintext", PLAINTEXT),
            Secret::new("a policy's condition", POLICY_SECRET.as_bytes()),
            Secret::new("the root key", &ROOT_KEY),
            Secret::new("the secret access key", SECRET_ACCESS_KEY.as_bytes()),
        ];
        let lines = private.lines().filter(|line| line.len() > 40);
        secrets.extend(lines.map(|line| Secret::new("the PKI's private key", line.as_bytes())));
        assert!(secrets.len() > 4, "the PKI's private key has lines");
        assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host got");
        assert_eq!(stored.leaks(&secrets), Vec::<&str>::new(), "in what the host stored");
        // The control: what was sealed went over the wire, and lies on the disk.
        let commit = self.opponent.commits().pop().unwrap();
        assert!(seen.holds(&commit.entry), "the search finds nothing");
        assert!(stored.holds(&commit.entry[..64]), "the search of the store finds nothing");
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// That a call was refused with this code.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Refused>, code: &str) -> Refused {
    let refused = result.expect_err("it is refused");
    assert_eq!(refused.code, code, "{}", refused.message);
    refused
}
