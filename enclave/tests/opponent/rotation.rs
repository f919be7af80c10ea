//! A new root key, and a host that gives what was before it: the slot, the journal, or both halves
//! mixed.

use super::fleet::{Fleet, IMAGE, ROOT_KEY, is_unsealed};
use super::host::{Attack, Write};
use super::unsealing::{SLOT, Unsealing};
use super::worker::{Log, Worker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::search::{Haystack, Secret};
use sekisho_enclave::{Boot, BootError, JournalError, RootKey, RootKeyFile};
use sekisho_wire::StoreError;
use sekisho_wire::store::Store;
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::client::Client;

/// Has the root key rotated, and waits until nothing is left of the one before.
async fn rotate(client: &Client) {
    let before = status(client).await["Generation"].as_u64().unwrap();
    client.call("Sekisho.RotateRootKey", json!({})).await.unwrap();
    rotated(client, before + 1).await;
}

async fn rotated(client: &Client, generation: u64) {
    for _ in 0..3000 {
        let status = status(client).await;
        assert_eq!(status["Generation"], generation);
        if status["Rotating"] == false {
            assert_eq!(status["RecordsLeft"], 0);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come to an end");
}

async fn status(client: &Client) -> Value {
    client.call("Sekisho.GetRootKeyStatus", json!({})).await.unwrap()
}

async fn encrypted(client: &Client) -> Value {
    let made = client.call("CreateKey", json!({})).await.unwrap();
    let body = json!({
        "KeyId": made["KeyMetadata"]["KeyId"], "Plaintext": BASE64.encode(b"of before"),
    });
    client.call("Encrypt", body).await.unwrap()["CiphertextBlob"].clone()
}

async fn decrypts(client: &Client, blob: &Value) {
    let decrypted = client.call("Decrypt", json!({ "CiphertextBlob": blob })).await.unwrap();
    assert_eq!(decrypted["Plaintext"], BASE64.encode(b"of before"));
}

impl Unsealing {
    async fn slot(&self) -> Vec<u8> {
        self.opponent.store().slot(SLOT).await.unwrap().unwrap()
    }

    /// With this in the slot it is unsealed, and ends at its journal with these words.
    async fn ends_with_slot(&self, slot: Vec<u8>) -> BootError {
        self.opponent.attack(Attack::default().on_slot(move |_| Some(slot.clone())));
        let worker = Worker::start(self.parameters(), self.log.clone()).await.unwrap();
        let error = worker.ended().await.expect_err("it does not serve");
        self.opponent.behave();
        error
    }
}

#[tokio::test]
async fn a_rotation_with_a_kms_and_starts_after_it() {
    let mut unsealing = Unsealing::unsealed_before().await;
    unsealing.start().await;
    unsealing.is_unsealed().await;
    let blob = encrypted(&unsealing.client).await;
    for _ in 0..2 {
        rotate(&unsealing.client).await;
        decrypts(&unsealing.client, &blob).await;
        unsealing.stop().await;
        unsealing.start().await;
        unsealing.is_unsealed().await;
        decrypts(&unsealing.client, &blob).await;
    }
    assert_eq!(status(&unsealing.client).await["Generation"], 3);
    let asked = unsealing.kms.asked();
    let made = asked.iter().filter(|operation| *operation == "GenerateDataKey").count();
    assert_eq!(made, 3, "{asked:?}");
    unsealing.recovers().await;
}

/// The wrapped root key of before the rotation, with the journal of after it.
#[tokio::test]
async fn an_older_slot_with_a_newer_journal() {
    let mut unsealing = Unsealing::unsealed_before().await;
    let older = unsealing.slot().await;
    unsealing.start().await;
    unsealing.is_unsealed().await;
    rotate(&unsealing.client).await;
    unsealing.stop().await;
    let error = unsealing.ends_with_slot(older).await;
    let wanted = JournalError::RootKeyOlder { generation: 2, held: 1 }.to_string();
    assert_eq!(error.to_string(), wanted);
    unsealing.start().await;
    unsealing.recovers().await;
}

/// The journal of before it, with the slot of after it: yesterday's journal alone is no store.
#[tokio::test]
async fn an_older_journal_with_a_newer_slot() {
    let mut unsealing = Unsealing::unsealed_before().await;
    let (older, data) = (tempfile::tempdir().unwrap(), "journal.redb");
    let kept = older.path().join(data);
    unsealing
        .opponent
        .with_folder(|folder| {
            std::fs::copy(folder.join(data), &kept).unwrap();
        })
        .await;
    unsealing.start().await;
    unsealing.is_unsealed().await;
    rotate(&unsealing.client).await;
    unsealing.stop().await;
    let newer = unsealing.slot().await;
    let now = older.path().join("now");
    let exchange = |folder: &std::path::Path| {
        std::fs::copy(folder.join(data), &now).unwrap();
        std::fs::copy(&kept, folder.join(data)).unwrap();
    };
    unsealing.opponent.with_folder(exchange).await;
    let error = unsealing.ends_with_slot(newer).await;
    let wanted = JournalError::RootKeyNewer { generation: 1, held: 2 }.to_string();
    assert_eq!(error.to_string(), wanted);
    let back = |folder: &std::path::Path| {
        std::fs::copy(&now, folder.join(data)).unwrap();
    };
    unsealing.opponent.with_folder(back).await;
    unsealing.start().await;
    unsealing.recovers().await;
}

/// The KMS fails after the next root key was asked for: the one there is goes on, and a later
/// attempt succeeds.
#[tokio::test]
async fn a_kms_that_fails_in_a_rotation() {
    let mut unsealing = Unsealing::unsealed_before().await;
    unsealing.start().await;
    unsealing.is_unsealed().await;
    let blob = encrypted(&unsealing.client).await;
    let slot = unsealing.slot().await;
    unsealing.kms.bend(|asked| {
        if asked.operation == "Decrypt" {
            asked.envelop(b"the root key of some attacker...");
        }
    });
    let refused = unsealing.client.call("Sekisho.RotateRootKey", json!({})).await;
    refused.expect_err("it has no next root key");
    assert!(unsealing.log.text().contains("decrypts the new root key to something else"));
    assert_eq!(unsealing.slot().await, slot);
    assert_eq!(status(&unsealing.client).await["Generation"], 1);
    unsealing.kms.behave();
    rotate(&unsealing.client).await;
    decrypts(&unsealing.client, &blob).await;
    unsealing.recovers().await;
}

/// In memory; the test reads it.
#[derive(Default)]
struct File(Mutex<Option<[u8; 32]>>);

impl RootKeyFile for File {
    fn replace(&self, root: &[u8; 32]) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(*root);
        Ok(())
    }
}

/// A worker that joins after a rotation gets what it needs, and says that it cannot rotate itself.
#[tokio::test]
async fn a_peer_joins_after_a_rotation() {
    let file = Arc::new(File::default());
    let mut fleet = Fleet::start_with(Some(file.clone())).await;
    let blob = encrypted(&fleet.client).await;
    rotate(&fleet.client).await;
    let joining = fleet.join(IMAGE, |_| {}).await;
    is_unsealed(&joining.client, &joining.log).await;
    fleet.giving.take().unwrap().ended().await.expect("it ends in order");
    decrypts(&joining.client, &blob).await;
    assert_eq!(status(&joining.client).await["Generation"], 2);
    let refused = joining.client.call("Sekisho.RotateRootKey", json!({})).await;
    let refused = refused.expect_err("it has no provider");
    assert_eq!(refused.code, "UnsupportedOperationException");
    joining.worker.stop().await;
    let newest = file.0.lock().unwrap().expect("it was replaced");
    assert_ne!(newest, ROOT_KEY);
    let seen = Haystack::of(fleet.opponent.seen());
    let secrets = [Secret::new("a root key", &ROOT_KEY), Secret::new("the next", &newest)];
    assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host carried");
}

/// A policy that makes a key's record long, so that some keys fill an entry.
fn long_policy() -> String {
    let statement = |number: usize| {
        json!({
            "Sid": format!("Statement{number:04}{}", "x".repeat(200)),
            "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
            "Action": "kms:*",
            "Resource": "*",
        })
    };
    let statements: Vec<Value> = (0..80).map(statement).collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// A worker joins while half of the records are sealed anew: it gets both root keys, serves every
/// key, and brings the rotation to its end, which the other has not.
#[tokio::test]
async fn a_peer_joins_in_the_middle_of_a_rotation() {
    let file = Arc::new(File::default());
    let mut fleet = Fleet::start_with(Some(file.clone())).await;
    let policy = long_policy();
    let mut blobs = Vec::new();
    for _ in 0..60 {
        let made = fleet.client.call("CreateKey", json!({ "Policy": policy })).await.unwrap();
        let key = &made["KeyMetadata"]["KeyId"];
        let body = json!({ "KeyId": key, "Plaintext": BASE64.encode(b"of before") });
        let encrypted = fleet.client.call("Encrypt", body).await.unwrap();
        blobs.push(encrypted["CiphertextBlob"].clone());
    }

    // The first entry with many records is kept, and no other.
    let mut kept = false;
    fleet.opponent.attack(Attack::default().on_commit(move |commit| match commit.puts.len() {
        0..8 => Write::Honest,
        _ if !std::mem::replace(&mut kept, true) => Write::Honest,
        _ => Write::Refuse(StoreError::Full),
    }));
    fleet.client.call("Sekisho.RotateRootKey", json!({})).await.unwrap();
    let halfway = |status: &Value| {
        let left = status["RecordsLeft"].as_u64().unwrap();
        (8..blobs.len() as u64 - 8).contains(&left)
    };
    let mut standing = status(&fleet.client).await;
    for _ in 0..3000 {
        if halfway(&standing) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        standing = status(&fleet.client).await;
    }
    assert!(halfway(&standing), "{standing}\n{}", fleet.log.text());

    let joining = fleet.join(IMAGE, |_| {}).await;
    is_unsealed(&joining.client, &joining.log).await;
    fleet.giving.take().unwrap().ended().await.expect("it ends in order");
    let standing = status(&joining.client).await;
    assert_eq!((&standing["Generation"], &standing["Rotating"]), (&json!(2), &json!(true)));
    assert!(halfway(&standing), "{standing}");
    for blob in &blobs {
        decrypts(&joining.client, blob).await;
    }
    // Another is refused meanwhile, as with the worker that began.
    let refused = joining.client.call("Sekisho.RotateRootKey", json!({})).await;
    refused.expect_err("one is under way");

    fleet.opponent.behave();
    rotated(&joining.client, 2).await;
    for blob in &blobs {
        decrypts(&joining.client, blob).await;
    }
    joining.worker.stop().await;

    // Who starts with the new root key alone finds everything, and nothing of the one before.
    let newest = file.0.lock().unwrap().expect("it was replaced");
    let boot = fleet.boot(fleet.giving_configuration(), "giving.sock", IMAGE);
    let boot = Boot { root_key: Some(RootKey::from_bytes(&newest)), egress: None, ..boot };
    let log = Log::default();
    let next = Worker::start(boot, log.clone()).await.expect("it starts");
    for blob in &blobs {
        decrypts(&fleet.client, blob).await;
    }
    assert_eq!(status(&fleet.client).await["Generation"], 2);
    next.stop().await;
    let seen = Haystack::of(fleet.opponent.seen());
    let secrets = [Secret::new("a root key", &ROOT_KEY), Secret::new("the next", &newest)];
    assert_eq!(seen.leaks(&secrets), Vec::<&str>::new(), "in what the host carried");
}
