//! The KMS that wraps a root key, and the host's egress before it, both as the test wants them.

use super::host::Opponent;
use super::scene::{PKI, REGION};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sekisho_attestation::backend::AwsLc;
use sekisho_attestation::{Expectation, Timestamp, TrustAnchors, Verifier};
use sekisho_enclave::probe::parsers;
use sekisho_enclave::{AwsKms, UnsealProvider};
use sekisho_wire::Address;
use sekisho_wire::egress::{
    AwsCredentials, Refusal, Request, Response, read_request, write_response,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

pub(crate) const KEY: &str =
    "arn:aws:kms:eu-central-1:999999999999:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const NAME: &str = "kms.example";
const ACCESS_KEY_ID: &str = "AKIASEKISHOUNSEALING";
const SECRET: &str = "dW5zZWFsaW5nL3NlY3JldC9vZi90aGUvaG9zdA";

/// One request that the KMS got and believes, and what it answers if nothing is bent.
pub(crate) struct Asked {
    /// `GenerateDataKey` or `Decrypt`.
    pub(crate) operation: String,
    /// The public key in the document.
    pub(crate) public_key: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// Bytes of the answer after which the connection ends.
    pub(crate) cut: Option<usize>,
}

impl Asked {
    /// Answers with an error of AWS's.
    pub(crate) fn refuse(&mut self, status: u16, code: &str) {
        self.status = status;
        self.answer = json!({ "__type": code, "message": "MARKER in the words of the KMS" });
    }

    /// Encrypts something else to the worker's key.
    pub(crate) fn envelop(&mut self, content: &[u8]) {
        let envelope = parsers::envelop(&self.public_key, content).unwrap();
        self.answer["CiphertextForRecipient"] = BASE64.encode(envelope).into();
    }
}

/// What the host does with a wish to connect.
#[derive(Clone, Copy)]
pub(crate) enum Route {
    Honest,
    /// To a server with a certificate of its own, for the same name.
    Imposter,
    /// To a server with a certificate of the right authority for another name.
    OtherName,
    Refuse(Refusal),
    HangUp,
    /// Connected, and then nothing.
    Silence,
}

type Bend = Box<dyn FnMut(&mut Asked) + Send>;

/// Clones are one.
#[derive(Clone)]
pub(crate) struct Kms(Arc<Inner>);

struct Inner {
    opponent: Opponent,
    root: Vec<u8>,
    honest: Arc<ServerConfig>,
    imposter: Arc<ServerConfig>,
    other_name: Arc<ServerConfig>,
    route: Mutex<Route>,
    bend: Mutex<Option<Bend>>,
    /// The data keys that it has made; a ciphertext is a number.
    keys: Mutex<Vec<[u8; 32]>>,
    asked: Mutex<Vec<String>>,
}

fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.der().to_vec(), Issuer::new(parameters, key))
}

fn server(issuer: &Issuer<'static, KeyPair>, name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        );
    Arc::new(config.unwrap())
}

impl Kms {
    /// Behind an egress below `folder`, of which the opponent sees every byte.
    pub(crate) async fn start(folder: &Path, opponent: Opponent) -> Self {
        let (root, issuer) = authority();
        let (_, others) = authority();
        let kms = Self(Arc::new(Inner {
            opponent,
            root,
            honest: server(&issuer, NAME),
            imposter: server(&others, NAME),
            other_name: server(&issuer, "kms.another.example"),
            route: Mutex::new(Route::Honest),
            bend: Mutex::default(),
            keys: Mutex::default(),
            asked: Mutex::default(),
        }));
        let listener = Self::egress(folder).listen().await.unwrap();
        let answering = kms.clone();
        tokio::spawn(async move {
            while let Ok(stream) = listener.accept().await {
                let kms = answering.clone();
                tokio::spawn(async move { kms.egress_request(stream).await });
            }
        });
        kms
    }

    pub(crate) fn egress(folder: &Path) -> Address {
        Address::Unix { path: folder.join("egress.sock") }
    }

    pub(crate) fn provider(&self) -> UnsealProvider {
        UnsealProvider::AwsKms(AwsKms {
            key: KEY.parse().unwrap(),
            endpoint: format!("{NAME}:8443").parse().unwrap(),
            roots: vec![self.0.root.clone()],
        })
    }

    pub(crate) fn route(&self, route: Route) {
        *self.0.route.lock().unwrap() = route;
    }

    pub(crate) fn bend(&self, bend: impl FnMut(&mut Asked) + Send + 'static) {
        *self.0.bend.lock().unwrap() = Some(Box::new(bend));
    }

    pub(crate) fn behave(&self) {
        self.route(Route::Honest);
        *self.0.bend.lock().unwrap() = None;
    }

    /// The operations that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(crate) fn keys(&self) -> Vec<[u8; 32]> {
        self.0.keys.lock().unwrap().clone()
    }

    /// A data key as another worker would have had one made: its ciphertext.
    pub(crate) fn another_key(&self) -> u8 {
        self.make_key().0
    }

    fn make_key(&self) -> (u8, [u8; 32]) {
        let key = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()];
        let key: [u8; 32] = key.concat().try_into().unwrap();
        let mut keys = self.0.keys.lock().unwrap();
        keys.push(key);
        (u8::try_from(keys.len()).unwrap(), key)
    }

    async fn egress_request(&self, mut stream: sekisho_wire::Stream) {
        match read_request(&mut stream).await {
            Ok(Request::Credentials) => {
                let credentials = AwsCredentials {
                    access_key_id: ACCESS_KEY_ID.into(),
                    secret_access_key: SECRET.into(),
                    session_token: None,
                };
                let _ = write_response(&mut stream, &Response::Credentials(credentials)).await;
            }
            Ok(Request::Connect(destination)) => {
                assert_eq!(destination.to_string(), format!("{NAME}:8443"));
                let route = *self.0.route.lock().unwrap();
                let config = match route {
                    Route::Honest | Route::Silence => self.0.honest.clone(),
                    Route::Imposter => self.0.imposter.clone(),
                    Route::OtherName => self.0.other_name.clone(),
                    Route::Refuse(refusal) => {
                        let _ = write_response(&mut stream, &Response::Refused(refusal)).await;
                        return;
                    }
                    Route::HangUp => return,
                };
                let _ = write_response(&mut stream, &Response::Connected).await;
                if matches!(route, Route::Silence) {
                    return std::future::pending().await;
                }
                self.carry(stream, config).await;
            }
            Err(_) => {}
        }
    }

    /// Bytes between the worker and the KMS, all of which the host sees.
    async fn carry(&self, mut worker: sekisho_wire::Stream, config: Arc<ServerConfig>) {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let serving = async {
            if let Ok(stream) = TlsAcceptor::from(config).accept(far).await {
                self.serve(stream).await;
            }
        };
        let carrying = async {
            let (mut up, mut down) = (vec![0; 1 << 14], vec![0; 1 << 14]);
            loop {
                let (read, to_kms) = tokio::select! {
                    read = worker.read(&mut up) => (read.unwrap_or(0), true),
                    read = near.read(&mut down) => (read.unwrap_or(0), false),
                };
                let bytes = if to_kms { &up[..read] } else { &down[..read] };
                self.0.opponent.sees(bytes);
                let carried = match to_kms {
                    true => near.write_all(bytes).await,
                    false => worker.write_all(bytes).await,
                };
                if read == 0 || carried.is_err() {
                    // Both ends learn of it.
                    let _ = worker.shutdown().await;
                    return;
                }
            }
        };
        tokio::join!(serving, carrying);
    }

    async fn serve(&self, mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let headers: Vec<(String, String)> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let header =
            |name: &str| headers.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let mut body = vec![0; header("content-length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let target = header("x-amz-target");
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        assert_eq!(parsers::REGION, REGION);
        assert!(parsers::signature(&target, headers, &body, SECRET, now), "it is signed");

        let mut asked = self.answer(&target, &serde_json::from_slice(&body).unwrap());
        self.0.asked.lock().unwrap().push(asked.operation.clone());
        if let Some(bend) = &mut *self.0.bend.lock().unwrap() {
            bend(&mut asked);
        }
        let (status, body) = (asked.status, asked.answer.to_string());
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} Some\r\ncontent-length: {length}\r\n\r\n{body}");
        let end = asked.cut.unwrap_or(answer.len());
        let _ = stream.write_all(&answer.as_bytes()[..end]).await;
        let _ = stream.flush().await;
        let _ = stream.shutdown().await;
    }

    /// What AWS KMS does: believes the document, checks the context, encrypts to the document's key.
    fn answer(&self, target: &str, input: &Value) -> Asked {
        assert_eq!(input["KeyId"], KEY);
        let context = json!({ "sekisho-purpose": "root-key", "sekisho-account": "111122223333" });
        assert_eq!(input["EncryptionContext"], context);
        let recipient = &input["Recipient"];
        assert_eq!(recipient["KeyEncryptionAlgorithm"], "RSAES_OAEP_SHA_256");
        let document = BASE64.decode(recipient["AttestationDocument"].as_str().unwrap()).unwrap();
        let anchors = TrustAnchors::from_der([PKI.root_der()]).unwrap();
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        let document = Verifier::with_backend(anchors, AwsLc)
            .verify(&document, now, &Expectation::any_measurement())
            .unwrap();
        let public_key = document.public_key().unwrap().to_vec();
        let operation = target.strip_prefix("TrentService.").unwrap().to_owned();
        let (answer, key) = match operation.as_str() {
            "GenerateDataKey" => {
                assert_eq!(input["KeySpec"], "AES_256");
                let (ciphertext, key) = self.make_key();
                (json!({ "KeyId": KEY, "CiphertextBlob": BASE64.encode([ciphertext]) }), key)
            }
            "Decrypt" => {
                let ciphertext = BASE64.decode(input["CiphertextBlob"].as_str().unwrap()).unwrap();
                let key = self.keys()[usize::from(ciphertext[0]) - 1];
                (json!({ "KeyId": KEY, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }), key)
            }
            other => panic!("{other}"),
        };
        let mut asked = Asked { operation, public_key, status: 200, answer, cut: None };
        asked.envelop(&key);
        asked
    }
}
