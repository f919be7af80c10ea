//! Attacks on a service that operators unseal together: the host has the store and the connections, and
//! no holder's private key.

use super::client::Client;
use super::host::{Attack, Opponent, Write};
use super::scene::{REGION, bounds, configuration, nsm};
use super::worker::{Log, Worker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::Signer;
use sekisho_devkit::search::{Haystack, Secret};
use sekisho_enclave::{
    Boot, BootConfiguration, BootCredential, HpkePair, OperatorShare, OperatorShares,
    UnsealProvider,
};
use sekisho_wire::store::Store;
use sekisho_wire::{Address, RecordKey, StoreError};
use serde_json::{Value, json};
use std::time::Duration;

const SLOT: RecordKey = RecordKey(*b"root-key shares ");
const ACCESS_KEY_ID: &str = "AKIASEKISHOOPERATORS";
const SECRET: &str = "dGhlIHNlY3JldCBvZiBhIGNhbGxlcg";

/// A worker that any two of three holders unseal, and its host.
struct Ceremony {
    folder: tempfile::TempDir,
    opponent: Opponent,
    pairs: Vec<HpkePair>,
    client: Client,
    log: Log,
    worker: Option<Worker>,
}

impl Ceremony {
    /// Nothing runs but the host.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opponent = Opponent::start(folder.path()).await;
        let signer = Signer {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET.into(),
            session_token: None,
            region: REGION.into(),
        };
        let client = Client::new(folder.path().join("worker.sock"), opponent.clone(), signer);
        let pairs = (0..3).map(|_| HpkePair::generate().unwrap()).collect();
        Self { folder, opponent, pairs, client, log: Log::default(), worker: None }
    }

    /// Shares were made, and a key under the root key; no worker runs.
    async fn unsealed_before() -> (Self, Vec<Value>, Value) {
        let mut ceremony = Self::new().await;
        ceremony.start().await;
        let shares = ceremony.init().await;
        ceremony.unseal(&shares, [0, 1]).await;
        let made = ceremony.client.call("CreateKey", json!({})).await.unwrap();
        ceremony.stop().await;
        (ceremony, shares, made["KeyMetadata"]["KeyId"].clone())
    }

    fn configuration(&self) -> BootConfiguration {
        let holders = self.pairs.iter().map(|pair| pair.public_key().to_vec()).collect();
        let unseal =
            UnsealProvider::OperatorShares(OperatorShares { holders, threshold: 2, former: None });
        BootConfiguration { unseal, ..configuration() }
    }

    async fn start(&mut self) {
        self.start_as(self.configuration()).await;
    }

    async fn start_as(&mut self, configuration: BootConfiguration) {
        self.log.forget();
        let boot = Boot {
            configuration,
            nsm: nsm(),
            root_key: None,
            root_key_file: None,
            egress: None,
            statements: Vec::new(),
            credentials: vec![BootCredential {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: SECRET.to_owned().into(),
                principal_arn: "arn:aws:iam::111122223333:root".into(),
            }],
            listen: Address::Unix { path: self.folder.path().join("worker.sock") },
            store: Opponent::address(self.folder.path()),
            bounds: bounds(),
            compiler: None,
        };
        let worker = Worker::start(boot, self.log.clone()).await;
        self.worker = Some(worker.expect("it serves, sealed"));
        assert_eq!(self.client.get("/health").await.unwrap().json()["status"], "sealed");
        let sealed = self.client.call("ListKeys", json!({})).await.unwrap_err();
        assert_eq!((sealed.status, sealed.code.as_str()), (503, "ServiceUnavailableException"));
    }

    async fn stop(&mut self) {
        self.worker.take().expect("it runs").stop().await;
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let reply = self.client.send(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        let answer = reply.json();
        match reply.status {
            200 => Ok(answer),
            _ => Err(answer["message"].as_str().unwrap().to_owned()),
        }
    }

    async fn try_init(&self) -> Result<Vec<Value>, String> {
        let answer = self.post("/unseal/init", &json!({ "shares": 3, "threshold": 2 })).await?;
        Ok(answer["encrypted_shares"].as_array().unwrap().clone())
    }

    async fn init(&self) -> Vec<Value> {
        self.try_init().await.unwrap()
    }

    /// The holder at this place gives the share that they were sent.
    async fn give(&self, shares: &[Value], at: usize) -> Result<Value, String> {
        let status = self.client.get("/unseal").await.unwrap().json();
        let key = status["worker_key"].as_str().map(|key| BASE64.decode(key).unwrap());
        let key = key.ok_or_else(|| status["message"].as_str().unwrap().to_owned())?;
        let encrypted = BASE64.decode(shares[at]["encrypted"].as_str().unwrap()).unwrap();
        let share = OperatorShare::open(&self.pairs[at], &encrypted).unwrap();
        let message = share.for_worker(&self.pairs[at], &key).unwrap();
        let body = json!({
            "holder_key_sha256": hex::encode(self.pairs[at].identifier()),
            "message": BASE64.encode(message),
        });
        self.post("/unseal", &body).await
    }

    async fn unseal(&self, shares: &[Value], holders: [usize; 2]) {
        for at in holders {
            self.give(shares, at).await.unwrap();
        }
        for _ in 0..3000 {
            // A connection of the moment in which it is unsealed ends without an answer.
            let answer = self.client.get("/health").await;
            if answer.is_ok_and(|answer| answer.json()["status"] == "ok") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it stays sealed:\n{}", self.log.text());
    }

    /// Everybody behaves: the same worker is unsealed and finds the key, and so does the next one. The
    /// host has heard and stored nothing of it.
    async fn recovers(mut self, shares: &[Value], key: &Value) {
        self.opponent.behave();
        self.unseal(shares, [2, 0]).await;
        let described = self.client.call("DescribeKey", json!({ "KeyId": key })).await.unwrap();
        assert_eq!(described["KeyMetadata"]["KeyId"], *key);
        // Unsealed, it takes no shares.
        let late = self.give(shares, 1).await.unwrap_err();
        assert!(late.contains("unsealed"), "{late}");
        self.stop().await;

        let seen = Haystack::of(self.opponent.seen());
        let stored = Haystack::read(&self.folder.path().join("data")).unwrap();
        let mut secrets = vec![Secret::new("a caller's secret", SECRET.as_bytes())];
        let privates: Vec<_> =
            self.pairs.iter().map(|pair| pair.to_pkcs8().unwrap()[35..83].to_vec()).collect();
        secrets.extend(privates.iter().map(|key| Secret::new("a holder's private key", key)));
        assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host carried");
        assert_eq!(stored.leaks(&secrets), Vec::<&str>::new(), "in what the host stored");
        // The control: what lies in the slot has passed, and lies on the disk.
        let slot = self.opponent.store().slot(SLOT).await.unwrap().unwrap();
        assert!(seen.holds(&slot) && stored.holds(&slot), "the search finds nothing");
    }
}

#[tokio::test]
async fn an_honest_host() {
    let (mut ceremony, shares, key) = Ceremony::unsealed_before().await;
    ceremony.start().await;
    // Nobody makes shares over what is sealed under others.
    let again = ceremony.try_init().await.unwrap_err();
    assert!(again.contains("sekisho init begins new services alone"), "{again}");
    ceremony.recovers(&shares, &key).await;
}

/// The store was emptied once, and a new service begun for the same holders. The host brings the older
/// slot back.
#[tokio::test]
async fn a_host_that_serves_an_older_slot() {
    let (mut ceremony, shares, key) = Ceremony::unsealed_before().await;
    let mut older = Ceremony::new().await;
    older.pairs = std::mem::take(&mut ceremony.pairs);
    older.start().await;
    let their_shares = older.init().await;
    older.stop().await;
    let slot = older.opponent.store().slot(SLOT).await.unwrap();
    ceremony.pairs = older.pairs;

    ceremony.opponent.attack(Attack::default().on_slot(move |_| slot.clone()));
    ceremony.start().await;
    for at in 0..3 {
        let refused = ceremony.give(&shares, at).await.unwrap_err();
        assert!(refused.contains("share of another ceremony"), "{refused}");
    }
    ceremony.stop().await;
    // Also with its own shares there is no service: the journal does not open under that root key.
    ceremony.start().await;
    for at in 0..2 {
        ceremony.give(&their_shares, at).await.unwrap();
    }
    let ended = ceremony.worker.take().expect("it runs").ended().await;
    assert!(ended.is_err(), "it does not serve another root key's journal");
    ceremony.opponent.behave();
    ceremony.start().await;
    ceremony.recovers(&shares, &key).await;
}

#[tokio::test]
async fn a_host_that_withholds_the_slot() {
    let (mut ceremony, shares, key) = Ceremony::unsealed_before().await;
    ceremony.opponent.attack(Attack::default().on_slot(|_| None));
    ceremony.start().await;
    let refused = ceremony.try_init().await.unwrap_err();
    assert!(refused.contains("no new root key is begun"), "{refused}");
    let refused = ceremony.give(&shares, 0).await.unwrap_err();
    assert!(refused.contains("no new root key is begun"), "{refused}");
    ceremony.recovers(&shares, &key).await;
}

#[tokio::test]
async fn a_host_that_damages_the_slot() {
    let (mut ceremony, shares, key) = Ceremony::unsealed_before().await;
    ceremony.opponent.attack(Attack::default().on_slot(|held| {
        held.map(|mut held| {
            *held.last_mut().unwrap() ^= 1;
            held
        })
    }));
    ceremony.start().await;
    ceremony.give(&shares, 0).await.unwrap();
    let refused = ceremony.give(&shares, 1).await.unwrap_err();
    assert!(refused.contains("is damaged"), "{refused}");
    ceremony.recovers(&shares, &key).await;
}

/// The same image, with a holder who is the host's, or with fewer who are needed.
#[tokio::test]
async fn a_host_that_names_other_holders() {
    let (mut ceremony, shares, key) = Ceremony::unsealed_before().await;
    let thief = HpkePair::generate().unwrap().public_key().to_vec();
    let honest = ceremony.configuration();
    let UnsealProvider::OperatorShares(provider) = &honest.unseal else { panic!("shares") };
    let mut other = provider.clone();
    other.holders[2] = thief;
    let more = OperatorShares { threshold: 3, ..provider.clone() };
    for provider in [other, more] {
        let unseal = UnsealProvider::OperatorShares(provider);
        ceremony.start_as(BootConfiguration { unseal, ..honest.clone() }).await;
        let refused = ceremony.give(&shares, 0).await.unwrap_err();
        assert!(refused.contains("is for other holders"), "{refused}");
        let refused = ceremony.post("/unseal/init", &json!({})).await.unwrap_err();
        assert!(refused.contains("is for other holders"), "{refused}");
        ceremony.stop().await;
    }
    ceremony.start().await;
    ceremony.recovers(&shares, &key).await;
}

/// Shares are made once, whatever becomes of the answer.
#[tokio::test]
async fn a_store_that_loses_the_slot_or_its_answer() {
    for what in [
        Write::Refuse(StoreError::Unavailable),
        Write::Refuse(StoreError::Full),
        Write::KeepAndRefuse(StoreError::Unavailable),
    ] {
        let mut ceremony = Ceremony::new().await;
        ceremony.opponent.attack(Attack::default().on_fill(move |_| what));
        ceremony.start().await;
        let refused = ceremony.try_init().await;
        assert!(refused.unwrap_err().contains("the host's store: "));
        ceremony.opponent.behave();
        let shares = ceremony.init().await;
        assert_eq!(ceremony.init().await, shares);
        ceremony.unseal(&shares, [1, 2]).await;
        let made = ceremony.client.call("CreateKey", json!({})).await.unwrap();
        ceremony.stop().await;
        ceremony.start().await;
        ceremony.recovers(&shares, &made["KeyMetadata"]["KeyId"]).await;
    }
}

/// What is in the slot then is not what the worker has put there: another worker's, or the host's own.
#[tokio::test]
async fn a_host_that_fills_the_slot_with_something_else() {
    let (mut other, mut ceremony) = (Ceremony::new().await, Ceremony::new().await);
    other.pairs = std::mem::take(&mut ceremony.pairs);
    other.start().await;
    other.init().await;
    other.stop().await;
    let theirs = other.opponent.store().slot(SLOT).await.unwrap().unwrap();
    ceremony.pairs = other.pairs;
    ceremony.opponent.attack(Attack::default().on_fill(move |ours| {
        ours.clone_from(&theirs);
        Write::Honest
    }));
    ceremony.start().await;
    for _ in ["the first time", "again"] {
        let refused = ceremony.try_init().await.unwrap_err();
        assert!(refused.contains("they are not given out again"), "{refused}");
    }
    ceremony.stop().await;
}

/// A host that makes up a root key, shares of it and a store has no holder to give them.
#[tokio::test]
async fn a_host_that_gives_shares_of_its_own() {
    let mut ceremony = Ceremony::new().await;
    ceremony.start().await;
    let shares = ceremony.init().await;
    let status = ceremony.client.get("/unseal").await.unwrap().json();
    let key = BASE64.decode(status["worker_key"].as_str().unwrap()).unwrap();
    // It has the share, and not the holder's private key.
    let encrypted = BASE64.decode(shares[0]["encrypted"].as_str().unwrap()).unwrap();
    let share = OperatorShare::open(&ceremony.pairs[0], &encrypted).unwrap();
    let thief = HpkePair::generate().unwrap();
    let message = share.for_worker(&thief, &key).unwrap();
    for (holder, words) in [
        (thief.identifier(), "names no holder with this public key"),
        (ceremony.pairs[0].identifier(), "the message does not open"),
    ] {
        let body = json!({
            "holder_key_sha256": hex::encode(holder),
            "message": BASE64.encode(&message),
        });
        let refused = ceremony.post("/unseal", &body).await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    ceremony.unseal(&shares, [0, 1]).await;
    let made = ceremony.client.call("CreateKey", json!({})).await.unwrap();
    ceremony.stop().await;
    ceremony.start().await;
    ceremony.recovers(&shares, &made["KeyMetadata"]["KeyId"]).await;
}
