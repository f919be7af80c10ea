//! A worker that joins another: what it takes, what becomes of the one that was there, and those who
//! get nothing.

use super::client::{Connection, Reply, read_reply};
use super::fleet::{
    Fleet, IMAGE, NEXT_IMAGE, Operator, ROOT_KEY, attested, describes, is_unsealed, nsm_of, signed,
    statement,
};
use super::scene::PKI;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::DevelopmentPki;
use sekisho_devkit::search::{Haystack, Secret};
use sekisho_enclave::{Peer, UnsealProvider, UpgradeStatement};
use sekisho_nsm::{AttestationRequest, Nsm};
use sekisho_wire::codec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::SystemTime;
use tokio::io::AsyncWriteExt;

/// The one that joins takes over: the other answers nothing more and ends, and all that it had
/// acknowledged is there.
#[tokio::test]
async fn the_worker_that_joins_takes_over_and_nothing_is_lost() {
    let mut fleet = Fleet::start().await;
    let made = fleet.client.call("CreateKey", json!({})).await.unwrap();
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let body = json!({ "KeyId": key, "Plaintext": BASE64.encode(b"of before") });
    let blob = fleet.client.call("Encrypt", body).await.unwrap()["CiphertextBlob"].clone();

    // Somebody goes on making keys until the worker answers no more.
    let client = fleet.client.clone();
    let writing = tokio::spawn(async move {
        let mut made = Vec::new();
        while let Ok(reply) = client.send(&client.signed("CreateKey", &json!({}))).await {
            match reply.answer() {
                Ok(answer) => {
                    made.push(answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned())
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
        made
    });
    let joining = fleet.join(IMAGE, |_| {}).await;
    is_unsealed(&joining.client, &joining.log).await;
    // A change by the one that joined, which the other must never contradict.
    joining.client.call("DisableKey", json!({ "KeyId": key })).await.unwrap();
    fleet.giving.take().unwrap().ended().await.expect("it ends in order");
    assert!(fleet.log.text().contains("has taken over the store"), "{}", fleet.log.text());
    let made = writing.await.unwrap();
    assert!(!made.is_empty(), "nobody wrote");
    for key in &made {
        assert!(describes(&joining.client, key).await, "{key} was acknowledged and is gone");
    }
    joining.client.call("EnableKey", json!({ "KeyId": key })).await.unwrap();
    let decrypted = joining.client.call("Decrypt", json!({ "CiphertextBlob": blob })).await;
    assert_eq!(decrypted.unwrap()["Plaintext"], BASE64.encode(b"of before"));

    // The same service, and another unseal provider in what it attests.
    let binding = attested(&joining.client).await;
    assert_eq!(binding.service_ca_sha256, fleet.service_ca_sha256);
    assert_eq!(binding.unseal, "peer");
    joining.worker.stop().await;
    let entries = fleet.audited().await;
    let joined: Vec<_> = entries.iter().filter(|entry| entry.operation == "JoinPeer").collect();
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].error, None);
    assert!(joined[0].attestation.as_ref().unwrap().pcrs.iter().any(|(index, _)| *index == 16));
    assert_eq!(entries.iter().filter(|entry| entry.operation == "TakeOver").count(), 2);

    let secrets = [Secret::new("the root key", &ROOT_KEY)];
    let seen = Haystack::of(fleet.opponent.seen());
    assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host carried");
    let commit = fleet.opponent.commits().pop().unwrap();
    assert!(seen.holds(&commit.entry), "the search finds nothing");
}

/// A new image, which no configuration names, allowed by two of three operators; and from it the next
/// one of the same image.
#[tokio::test]
async fn an_image_that_enough_operators_allow() {
    let mut fleet = Fleet::start().await;
    let [one, _, three] = &fleet.operators;
    let allowed = signed(&statement(), &[three, one]);
    let statements = vec![allowed.clone()];
    let joining = fleet.join(NEXT_IMAGE, |boot| boot.statements = statements).await;
    is_unsealed(&joining.client, &joining.log).await;
    fleet.giving.take().unwrap().ended().await.expect("it ends in order");
    let entries = fleet.audited().await;
    let joined = entries.iter().find(|entry| entry.operation == "JoinPeer").unwrap();
    let id = ("upgrade-statement".to_owned(), hex::encode([7; 16]));
    assert_eq!(joined.encryption_context, [id]);

    *fleet.route.lock().unwrap() = fleet.folder.path().join("joining.sock");
    let log = super::worker::Log::default();
    let mut boot = fleet.boot(fleet.joining_configuration(), "giving.sock", NEXT_IMAGE);
    boot.statements = vec![allowed];
    let next = super::worker::Worker::start(boot, log.clone()).await.unwrap();
    is_unsealed(&fleet.client, &log).await;
    joining.worker.ended().await.expect("it ends in order");
    fleet.client.call("ListKeys", json!({})).await.unwrap();
    next.stop().await;
}

#[tokio::test]
async fn statements_that_allow_nothing() {
    let fleet = Fleet::start().await;
    let [one, two, _] = &fleet.operators;
    let other = Operator::new();
    let of = |change: fn(&mut UpgradeStatement)| {
        let mut changed = statement();
        change(&mut changed);
        vec![signed(&changed, &[one, two])]
    };
    let mut forged = signed(&statement(), &[one, two]);
    forged.signatures[1].signature = forged.signatures[0].signature.clone();
    for (statements, rule, reason) in [
        (vec![], "not-listed", "not on the list"),
        (vec![signed(&statement(), &[one])], "too-few-signatures", "1 of 2"),
        (vec![signed(&statement(), &[one, one])], "too-few-signatures", "1 of 2"),
        (vec![signed(&statement(), &[one, &other])], "too-few-signatures", "1 of 2"),
        (
            of(|s| s.account = "222233334444".into()),
            "statement-of-another-account",
            "another account",
        ),
        (of(|s| s.expires -= 7200), "statement-expired", "has expired"),
        (
            of(|s| s.measurement = super::fleet::measurement(b"something else")),
            "other-measurement",
            "another measurement",
        ),
        (vec![forged], "(statement)", "a signature under it is wrong"),
    ] {
        fleet.refuses(NEXT_IMAGE, |boot| boot.statements = statements, rule, Some(reason)).await;
    }
    fleet.giving.unwrap().stop().await;
}

#[tokio::test]
async fn documents_that_prove_nothing() {
    let fleet = Fleet::start().await;
    let debug = nsm_of(&PKI, IMAGE, true);
    fleet.refuses(IMAGE, |boot| boot.nsm = debug, "(document)", Some("debug enclave")).await;
    // As a document of the development root is where AWS's root is configured.
    let others = DevelopmentPki::generate(SystemTime::now());
    let other = nsm_of(&others, IMAGE, false);
    fleet.refuses(IMAGE, |boot| boot.nsm = other, "(document)", Some("its document")).await;
    fleet.giving.unwrap().stop().await;
}

/// The host chooses how the joining worker is configured.
#[tokio::test]
async fn a_configuration_of_the_hosts_own() {
    let fleet = Fleet::start().await;
    let others = DevelopmentPki::generate(SystemTime::now()).root_der().to_vec();
    fleet
        .refuses(
            IMAGE,
            |boot| boot.configuration.caller_roots.push(others),
            "(differs)",
            Some("roots for callers' documents"),
        )
        .await;
    fleet
        .refuses(
            IMAGE,
            |boot| boot.configuration.account = "222233334444".into(),
            "(other-account)",
            Some("another account"),
        )
        .await;
    fleet
        .refuses(
            IMAGE,
            |boot| boot.configuration.region = "eu-west-1".into(),
            "(other-regions)",
            Some("other Regions"),
        )
        .await;
    fleet
        .refuses(
            IMAGE,
            |boot| {
                let peers = boot.configuration.peers.as_mut().unwrap();
                peers.operators_needed = 1;
            },
            "(differs)",
            Some("peers or operators"),
        )
        .await;
    fleet.giving.unwrap().stop().await;
}

/// The egress leads to another service of the same image and account: the joining worker does not
/// take its root key.
#[tokio::test]
async fn a_swapped_peer() {
    let (fleet, other) = (Fleet::start().await, Fleet::start().await);
    *fleet.route.lock().unwrap() = other.route.lock().unwrap().clone();
    fleet.refuses(IMAGE, |_| {}, "wants to join another service", None).await;
    assert!(other.audited().await.iter().all(|entry| entry.operation != "JoinPeer"));

    // And if it believed it, that one would not give it.
    let pinned = other.service_ca_sha256;
    let change = |boot: &mut sekisho_enclave::Boot| {
        boot.configuration.unseal = UnsealProvider::Peer(Peer {
            endpoint: "peer.example:8443".parse().unwrap(),
            service_ca_sha256: pinned,
        });
    };
    *fleet.route.lock().unwrap() = fleet.folder.path().join("giving.sock");
    fleet.refuses(IMAGE, change, "another service", None).await;
    fleet.giving.unwrap().stop().await;
    other.giving.unwrap().stop().await;
}

/// The store is empty, or another one: the root key would begin a second history.
#[tokio::test]
async fn another_store_than_the_peers() {
    let (fleet, other) = (Fleet::start().await, Fleet::start().await);
    let empty = super::host::Opponent::start(&fleet.folder.path().join("empty")).await;
    let store = super::host::Opponent::address(&fleet.folder.path().join("empty"));
    fleet.refuses(IMAGE, |boot| boot.store = store, "the store has no journal", None).await;
    drop(empty);

    // Under the same root key, as an older copy is.
    let store = super::host::Opponent::address(other.folder.path());
    fleet.client.call("CreateKey", json!({})).await.unwrap();
    other.giving.unwrap().stop().await;
    let joining = fleet.join(IMAGE, |boot| boot.store = store).await;
    let error = joining.worker.ended().await.expect_err("it does not serve");
    assert!(error.to_string().contains("another store than the peer's"), "{error}");
    fleet.client.call("ListKeys", json!({})).await.unwrap();
    fleet.giving.unwrap().stop().await;
}

/// The protocol without a worker: what a joining worker would never send.
struct Stranger {
    connection: Connection,
}

impl Stranger {
    async fn connect(fleet: &Fleet) -> Self {
        Self { connection: fleet.client.connect().await.unwrap() }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        self.connection.flush().await.unwrap();
        read_reply(&mut self.connection).await.unwrap()
    }

    /// The giving worker's document and nonce.
    async fn challenge(&mut self) -> (Vec<u8>, Vec<u8>) {
        let reply = self.post("/peer/challenge", &json!({ "nonce": "ab".repeat(32) })).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
        (BASE64.decode(text("document")).unwrap(), hex::decode(text("nonce")).unwrap())
    }

    async fn join(&mut self, handed_in: &Value) -> (u16, String) {
        let reply = self.post("/peer/join", handed_in).await;
        let rule = reply.json()["rule"].as_str().unwrap_or_default().to_owned();
        (reply.status, rule)
    }
}

/// What a joining worker with this configuration hands in.
fn handed_in(fleet: &Fleet, giving: &[u8], nonce: &[u8]) -> Value {
    let encoded = codec::encode(&fleet.joining_configuration()).unwrap();
    let nsm = nsm_of(&PKI, IMAGE, false);
    nsm.extend_pcr(16, &sha2::Sha384::digest(&encoded)).unwrap();
    nsm.lock_pcr(16).unwrap();
    let document = nsm.attestation(AttestationRequest {
        public_key: Some(Operator::new().key()),
        user_data: Some([b"sekisho v1 peer joins".as_slice(), &Sha256::digest(giving)].concat()),
        nonce: Some(nonce.to_vec()),
    });
    json!({
        "document": BASE64.encode(document.unwrap()),
        "configuration": BASE64.encode(encoded),
        "statements": [],
    })
}

#[tokio::test]
async fn a_stale_nonce_and_a_document_for_another_exchange() {
    let fleet = Fleet::start().await;
    let mut stranger = Stranger::connect(&fleet).await;
    let (giving, nonce) = stranger.challenge().await;
    let good = handed_in(&fleet, &giving, &nonce);
    assert_eq!(stranger.join(&good).await, (200, String::new()), "the control");
    // A nonce counts once.
    assert_eq!(stranger.join(&good).await, (403, "stale-nonce".into()));
    // What was handed in before, after a new challenge, and on another connection.
    let _ = stranger.challenge().await;
    assert_eq!(stranger.join(&good).await, (403, "document".into()));
    let mut other = Stranger::connect(&fleet).await;
    assert_eq!(other.join(&good).await, (403, "stale-nonce".into()));
    let (_, theirs) = other.challenge().await;
    // The right nonce, in a document that was made for what another connection was told.
    let swapped = handed_in(&fleet, &giving, &theirs);
    let at_once = other.join(&swapped).await;
    assert_eq!(at_once, (403, "made-for-another".into()));
    // Another configuration than the one in PCR16.
    let (giving, nonce) = other.challenge().await;
    let mut lying = handed_in(&fleet, &giving, &nonce);
    lying["configuration"] = BASE64.encode(b"\xa0").into();
    assert_eq!(other.join(&lying).await, (403, "other-configuration".into()));
    drop((stranger, other));
    fleet.giving.unwrap().stop().await;
}

#[tokio::test]
async fn strangers_are_bounded() {
    let fleet = Fleet::start().await;
    let mut stranger = Stranger::connect(&fleet).await;
    assert_eq!(stranger.post("/peer/join", &json!([])).await.status, 400);
    let nonsense = json!({ "document": "AA==", "configuration": "AA==" });
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(stranger.join(&nonsense).await.0);
    }
    assert!(statuses.contains(&403) && statuses.contains(&429), "{statuses:?}");
    let large = json!({ "document": "A".repeat(1 << 18) });
    assert_eq!(stranger.post("/peer/join", &large).await.status, 413);
    let mut challenges = Vec::new();
    let mut other = Stranger::connect(&fleet).await;
    for _ in 0..8 {
        challenges.push(other.post("/peer/challenge", &json!({ "nonce": "ab".repeat(32) })).await);
    }
    assert!(challenges.iter().any(|reply| reply.status == 429), "no bound on documents");
    assert_eq!(other.post("/peer/challenge", &json!({ "nonce": "ab" })).await.status, 400);
    fleet.client.call("ListKeys", json!({})).await.unwrap();
    drop((stranger, other));
    fleet.giving.unwrap().stop().await;
}

/// A service without peers, and a sealed one.
#[tokio::test]
async fn who_gives_nothing() {
    let scene = super::scene::Scene::start().await;
    let mut connection = scene.client.connect().await.unwrap();
    let body = r#"{"nonce":"00"}"#;
    let head = format!(
        "POST /peer/challenge HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut connection).await.unwrap().status, 404);
    drop(connection);
    scene.recovers().await;

    let fleet = Fleet::start().await;
    *fleet.route.lock().unwrap() = fleet.folder.path().join("joining.sock");
    let joining = fleet.join(IMAGE, |_| {}).await;
    joining.says("sealed itself").await;
    joining.worker.stop().await;
    fleet.giving.unwrap().stop().await;
}
