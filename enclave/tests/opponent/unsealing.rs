//! Attacks on the way to the root key: a KMS that is none, answers that do not fit, and a store that
//! has another wrapped key or none.

use super::client::Client;
use super::host::{Attack, Opponent, Write};
use super::kms::{Asked, Kms, Route};
use super::scene::{REGION, bounds, configuration, nsm};
use super::worker::{Log, Worker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::Signer;
use sekisho_devkit::search::{Haystack, Secret};
use sekisho_enclave::{Boot, BootConfiguration, BootCredential, BootError, JournalError, Pauses};
use sekisho_wire::egress::Refusal;
use sekisho_wire::store::Store;
use sekisho_wire::{Address, RecordKey, StoreError};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;

pub(crate) const SLOT: RecordKey = RecordKey(*b"root-key aws-kms");
const ACCESS_KEY_ID: &str = "AKIASEKISHOACALLERSX";
const SECRET: &str = "dGhlIHNlY3JldCBvZiBhIGNhbGxlcg";

/// A worker that is unsealed by a KMS, and its host.
pub(crate) struct Unsealing {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) opponent: Opponent,
    pub(crate) kms: Kms,
    pub(crate) client: Client,
    pub(crate) log: Log,
    pub(crate) worker: Option<Worker>,
}

impl Unsealing {
    /// Nothing runs but the host and the KMS.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opponent = Opponent::start(folder.path()).await;
        let kms = Kms::start(folder.path(), opponent.clone()).await;
        let signer = Signer {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET.into(),
            session_token: None,
            region: REGION.into(),
        };
        let client = Client::new(folder.path().join("worker.sock"), opponent.clone(), signer);
        Self { folder, opponent, kms, client, log: Log::default(), worker: None }
    }

    /// A worker that was unsealed before and is not running.
    pub(crate) async fn unsealed_before() -> Self {
        let mut unsealing = Self::new().await;
        unsealing.start().await;
        unsealing.is_unsealed().await;
        unsealing.stop().await;
        unsealing
    }

    pub(crate) fn parameters(&self) -> Boot {
        let mut bounds = bounds();
        bounds.unsealing =
            Pauses { first: Duration::from_millis(5), last: Duration::from_millis(50) };
        Boot {
            configuration: BootConfiguration { unseal: self.kms.provider(), ..configuration() },
            nsm: nsm(),
            root_key: None,
            root_key_file: None,
            egress: Some(Kms::egress(self.folder.path())),
            statements: Vec::new(),
            credentials: vec![BootCredential {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: SECRET.to_owned().into(),
                principal_arn: "arn:aws:iam::111122223333:root".into(),
            }],
            listen: Address::Unix { path: self.folder.path().join("worker.sock") },
            store: Opponent::address(self.folder.path()),
            bounds,
            compiler: None,
        }
    }

    /// Starts a worker, which is sealed at first.
    pub(crate) async fn start(&mut self) {
        self.log.forget();
        let worker = Worker::start(self.parameters(), self.log.clone()).await;
        self.worker = Some(worker.expect("it serves, sealed"));
    }

    pub(crate) async fn stop(&mut self) {
        self.worker.take().expect("it runs").stop().await;
    }

    async fn health(&self) -> Value {
        self.client.get("/health").await.unwrap().json()["status"].clone()
    }

    pub(crate) async fn is_unsealed(&self) {
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

    /// Waits for these words in the log, and that the worker says that it is sealed and serves
    /// nothing.
    async fn refuses(&self, words: &str) {
        for _ in 0..3000 {
            if self.log.text().contains(words) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let log = self.log.text();
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
        assert!(!log.contains("MARKER"), "the KMS's words are in the log");
        assert_eq!(self.health().await, "sealed");
        let sealed = self.client.call("ListKeys", json!({})).await.unwrap_err();
        assert_eq!((sealed.status, sealed.code.as_str()), (503, "ServiceUnavailableException"));
    }

    /// Everybody behaves: the same worker is unsealed, makes a key, and so does the next one, who
    /// has the same root key. The host has heard and stored nothing of it.
    pub(crate) async fn recovers(mut self) {
        self.opponent.behave();
        self.kms.behave();
        self.is_unsealed().await;
        let made = self.client.call("CreateKey", json!({})).await.unwrap();
        let key = made["KeyMetadata"]["KeyId"].clone();
        self.stop().await;
        self.start().await;
        self.is_unsealed().await;
        let described = self.client.call("DescribeKey", json!({ "KeyId": key })).await.unwrap();
        assert_eq!(described["KeyMetadata"]["KeyId"], key);
        self.stop().await;

        let keys = self.kms.keys();
        let mut secrets: Vec<_> = keys.iter().map(|key| Secret::new("a data key", key)).collect();
        secrets.push(Secret::new("a caller's secret", SECRET.as_bytes()));
        let seen = Haystack::of(self.opponent.seen());
        assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host carried");
        let stored = Haystack::read(&self.folder.path().join("data")).unwrap();
        assert_eq!(stored.leaks(&secrets), Vec::<&str>::new(), "in what the host stored");
        // The control.
        let wrapped = self.opponent.store().slot(SLOT).await.unwrap().unwrap();
        let (_, sent) = wrapped.split_last().unwrap();
        assert!(seen.holds(sent) && stored.holds(&wrapped), "the search finds nothing");
    }

    /// The KMS's answers to `operation` are bent: at a first start, and where that is Decrypt also at
    /// a later one.
    async fn bent(operation: &'static str, words: &str, bend: fn(&mut Asked)) {
        let mut starts = vec![Self::new().await];
        if operation == "Decrypt" {
            starts.push(Self::unsealed_before().await);
        }
        for mut unsealing in starts {
            unsealing.kms.bend(move |asked| {
                if asked.operation == operation {
                    bend(asked);
                }
            });
            unsealing.start().await;
            unsealing.refuses(words).await;
            unsealing.recovers().await;
        }
    }

    async fn both_bent(words: &str, bend: fn(&mut Asked)) {
        Self::bent("GenerateDataKey", words, bend).await;
        Self::bent("Decrypt", words, bend).await;
    }

    /// A store that has been used, behind which the host bends what the slot holds.
    async fn with_slot(bend: fn(Option<Vec<u8>>) -> Option<Vec<u8>>, words: &str) {
        let mut unsealing = Self::unsealed_before().await;
        unsealing.opponent.attack(Attack::default().on_slot(bend));
        let asked = unsealing.kms.asked().len();
        unsealing.start().await;
        unsealing.refuses(words).await;
        assert_eq!(unsealing.kms.asked().len(), asked, "the KMS was asked");
        unsealing.recovers().await;
    }
}

#[tokio::test]
async fn an_honest_host_and_kms() {
    let mut unsealing = Unsealing::new().await;
    unsealing.start().await;
    unsealing.is_unsealed().await;
    // What was wrapped is decrypted before it is used, also at the first start.
    assert_eq!(unsealing.kms.asked(), ["GenerateDataKey", "Decrypt"]);
    unsealing.recovers().await;
}

#[tokio::test]
async fn another_server_in_the_place_of_the_kms() {
    for route in [Route::Imposter, Route::OtherName] {
        let mut unsealing = Unsealing::new().await;
        unsealing.kms.route(route);
        unsealing.start().await;
        unsealing.refuses("is not the KMS").await;
        assert!(unsealing.kms.asked().is_empty(), "it was asked");
        unsealing.recovers().await;
    }
}

#[tokio::test]
async fn an_egress_that_leads_nowhere() {
    let mut unsealing = Unsealing::new().await;
    unsealing.kms.route(Route::Refuse(Refusal::NotAllowed));
    unsealing.start().await;
    unsealing.refuses("not on the host's list (--egress)").await;
    unsealing.kms.route(Route::Refuse(Refusal::Unreachable));
    unsealing.refuses("the host cannot reach the destination").await;
    unsealing.kms.route(Route::HangUp);
    unsealing.refuses("the host's egress does not answer").await;
    unsealing.recovers().await;
}

#[tokio::test]
async fn a_connection_that_hangs() {
    let mut unsealing = Unsealing::new().await;
    unsealing.kms.route(Route::Silence);
    unsealing.start().await;
    unsealing.refuses("the KMS did not answer in time").await;
    unsealing.recovers().await;
}

#[tokio::test]
async fn an_old_answer_again() {
    let mut unsealing = Unsealing::new().await;
    let first: Arc<Mutex<Option<Value>>> = Arc::default();
    unsealing.kms.bend(move |asked| {
        let envelope = asked.answer["CiphertextForRecipient"].clone();
        let old = first.lock().unwrap().get_or_insert(envelope).clone();
        asked.answer["CiphertextForRecipient"] = old;
    });
    unsealing.start().await;
    unsealing.refuses("not encrypted to the key in the attestation document").await;
    unsealing.recovers().await;
}

#[tokio::test]
async fn an_answer_of_another_key() {
    Unsealing::both_bent("names another key", |asked| {
        asked.envelop(b"a root key that an attacker knows");
        asked.answer["KeyId"] = "arn:aws:kms:eu-central-1:666666666666:key/1234abcd".into();
    })
    .await;
}

#[tokio::test]
async fn another_root_key_than_the_one_that_was_wrapped() {
    let mut unsealing = Unsealing::new().await;
    unsealing.kms.bend(|asked| {
        if asked.operation == "Decrypt" {
            asked.envelop(b"the root key of some attacker...");
        }
    });
    unsealing.start().await;
    unsealing.refuses("decrypts the new root key to something else").await;
    unsealing.recovers().await;
}

/// A ciphertext of the attacker's own under the right key, put into the store while the worker is
/// off: the KMS cannot tell, but the journal can.
#[tokio::test]
async fn another_wrapped_root_key_over_the_same_journal() {
    let mut unsealing = Unsealing::unsealed_before().await;
    let mut other = unsealing.opponent.store().slot(SLOT).await.unwrap().unwrap();
    *other.last_mut().unwrap() = unsealing.kms.another_key();
    unsealing.opponent.attack(Attack::default().on_slot(move |_| Some(other.clone())));
    let worker = Worker::start(unsealing.parameters(), unsealing.log.clone()).await.unwrap();
    let error = worker.ended().await.expect_err("it does not serve");
    let of_first =
        matches!(error, BootError::Journal(JournalError::EntryDoesNotOpen { sequence: 1 }));
    assert!(of_first, "{error:?}");
    unsealing.opponent.behave();
    unsealing.start().await;
    unsealing.recovers().await;
}

#[tokio::test]
async fn an_answer_with_the_key_in_the_clear() {
    Unsealing::both_bent("has a plaintext", |asked| {
        asked.answer["Plaintext"] = BASE64.encode([7; 32]).into();
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off() {
    Unsealing::both_bent("broke off", |asked| asked.cut = Some(200)).await;
}

#[tokio::test]
async fn an_answer_without_end() {
    Unsealing::both_bent("larger than any that makes sense", |asked| {
        asked.answer["Padding"] = "a".repeat(1 << 20).into();
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_none() {
    Unsealing::both_bent("answer is malformed", |asked| asked.answer = json!(["MARKER"])).await;
    Unsealing::bent("Decrypt", "answer is malformed", |asked| asked.envelop(&[7; 31])).await;
    Unsealing::bent("GenerateDataKey", "answer is malformed", |asked| {
        asked.answer["CiphertextBlob"] = BASE64.encode([7; 6145]).into();
    })
    .await;
}

#[tokio::test]
async fn refusals_of_the_kms_each_with_its_line() {
    let mut unsealing = Unsealing::unsealed_before().await;
    let codes = [
        (400, "AccessDeniedException", "does not give the root key to this worker"),
        (400, "DisabledException", "the KMS's key is disabled"),
        (400, "KMSInvalidStateException", "cannot be used in its state"),
        (400, "NotFoundException", "does not know the key"),
        (400, "ExpiredTokenException", "the AWS credentials have expired"),
        (400, "UnrecognizedClientException", "does not take the AWS credentials"),
        (400, "ValidationException", "does not take the attestation document"),
        (400, "InvalidCiphertextException", "the wrapped root key is not of this key"),
        (400, "ThrottlingException", "asks for fewer requests"),
        (500, "KMSInternalException", "the KMS is unavailable"),
        (418, "MARKERException", "refuses with HTTP status 418"),
    ];
    let now = Arc::new(Mutex::new(codes[0]));
    let refusing = now.clone();
    unsealing.kms.bend(move |asked| {
        let (status, code, _) = *refusing.lock().unwrap();
        asked.refuse(status, code);
    });
    unsealing.start().await;
    for refusal in codes {
        *now.lock().unwrap() = refusal;
        unsealing.refuses(refusal.2).await;
    }
    // The registers for the key's policy: at the start, and where the policy refuses.
    let said = unsealing.log.text().matches("register=16").count();
    assert!(said >= 2, "{}", unsealing.log.text());
    unsealing.recovers().await;
}

#[tokio::test]
async fn a_wrapped_key_that_is_gone_while_a_journal_is_there() {
    Unsealing::with_slot(|_| None, "no new root key is begun").await;
}

#[tokio::test]
async fn a_wrapped_key_that_is_damaged() {
    Unsealing::with_slot(
        |held| held.map(|held| held[..held.len() - 2].to_vec()),
        "the wrapped root key in the store is damaged",
    )
    .await;
    Unsealing::with_slot(|_| Some(vec![]), "the wrapped root key in the store is damaged").await;
}

#[tokio::test]
async fn a_wrapped_key_under_another_key() {
    let other: fn(Option<Vec<u8>>) -> Option<Vec<u8>> = |held| {
        held.map(|mut held| {
            let at = held.windows(4).position(|four| four == b"1234").unwrap();
            held[at] = b'9';
            held
        })
    };
    Unsealing::with_slot(other, "wrapped under another key").await;
}

#[tokio::test]
async fn a_store_that_loses_the_answer_or_the_wrapped_key() {
    for what in [
        Write::Refuse(StoreError::Unavailable),
        Write::Refuse(StoreError::Full),
        Write::KeepAndRefuse(StoreError::Unavailable),
    ] {
        let mut unsealing = Unsealing::new().await;
        unsealing.opponent.attack(Attack::default().on_fill(move |_| what));
        unsealing.start().await;
        if !matches!(what, Write::KeepAndRefuse(_)) {
            unsealing.refuses("the host's store: ").await;
        }
        unsealing.recovers().await;
    }
}

/// The first worker's key is in the store when the second wants to put its own there: the second
/// takes the first's.
#[tokio::test]
async fn two_first_starts_at_once() {
    let mut unsealing = Unsealing::new().await;
    let kms = unsealing.kms.clone();
    let before = Arc::new(Mutex::new(None));
    let first = before.clone();
    unsealing.opponent.attack(Attack::default().on_fill(move |wrapped| {
        *wrapped.last_mut().unwrap() = kms.another_key();
        *first.lock().unwrap() = Some(wrapped.clone());
        Write::Honest
    }));
    unsealing.start().await;
    unsealing.is_unsealed().await;
    let held = unsealing.opponent.store().slot(SLOT).await.unwrap();
    assert_eq!(held, *before.lock().unwrap());
    unsealing.recovers().await;
}

/// Whoever held a connection while the worker was sealed connects again.
#[tokio::test]
async fn a_connection_from_before_it_was_unsealed() {
    let mut unsealing = Unsealing::new().await;
    unsealing.kms.bend(|asked| asked.refuse(400, "DisabledException"));
    unsealing.start().await;
    unsealing.refuses("disabled").await;
    let mut before = unsealing.client.connect().await.unwrap();
    unsealing.kms.behave();
    unsealing.is_unsealed().await;
    let ended = tokio::time::timeout(Duration::from_secs(15), before.read_u8()).await;
    assert!(ended.expect("it ends").is_err());
    unsealing.recovers().await;
}
