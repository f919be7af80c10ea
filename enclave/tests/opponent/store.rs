//! Attacks on records, and on the commits that write them.

use super::host::{Attack, Write};
use super::scene::{PLAINTEXT, Scene, bounds, refused};
use sekisho_wire::StoreError;
use sekisho_wire::store::MAX_BLOB;
use serde_json::json;
use std::time::Duration;

const INTERNAL: &str = "KMSInternalException";
const DEPENDENCY: &str = "DependencyTimeoutException";
const NOT_AS_LEFT: &str = "the host's storage is not as it was left";
const NOT_CURRENT: &str = "the store served a record that is not the current one";

/// A fresh key's record, bent: it cannot be used, until the host gives the record itself.
async fn bent_record(bend: fn(Vec<u8>) -> Option<Vec<u8>>, code: &str, reason: &str) {
    let scene = Scene::shared().await;
    let (key, record) = scene.fresh_key().await;
    scene.attack(Attack::default().on_get(
        move |name, held| {
            if name == record { held.and_then(bend) } else { held }
        },
    ));
    refused(scene.encrypt(&key).await, code);
    scene.logged(reason);
    // The key that is in memory does not suffer.
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.opponent.behave();
    scene.encrypt(&key).await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn no_attack_at_all() {
    let scene = Scene::shared().await;
    let (key, _) = scene.fresh_key().await;
    scene.attack(Attack::default().on_get(|_, held| held));
    scene.encrypt(&key).await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_record_with_its_first_bit_flipped() {
    let bend = |mut record: Vec<u8>| {
        record[0] ^= 0x80;
        Some(record)
    };
    bent_record(bend, INTERNAL, NOT_CURRENT).await;
}

#[tokio::test]
async fn a_record_with_its_last_bit_flipped() {
    let bend = |mut record: Vec<u8>| {
        *record.last_mut().unwrap() ^= 1;
        Some(record)
    };
    bent_record(bend, INTERNAL, NOT_CURRENT).await;
}

#[tokio::test]
async fn a_record_cut_short() {
    let bend = |mut record: Vec<u8>| {
        record.truncate(record.len() / 2);
        Some(record)
    };
    bent_record(bend, INTERNAL, NOT_CURRENT).await;
}

#[tokio::test]
async fn a_record_with_more_behind_it() {
    let bend = |mut record: Vec<u8>| {
        record.push(0);
        Some(record)
    };
    bent_record(bend, INTERNAL, NOT_CURRENT).await;
}

#[tokio::test]
async fn a_record_of_no_bytes() {
    bent_record(|_| Some(Vec::new()), INTERNAL, NOT_CURRENT).await;
}

#[tokio::test]
async fn a_record_that_is_dropped() {
    let reason = "the store does not have a record that the journal names";
    bent_record(|_| None, INTERNAL, reason).await;
}

#[tokio::test]
async fn a_record_that_is_larger_than_any() {
    let bend = |mut record: Vec<u8>| {
        record.resize(MAX_BLOB + 1024, 0);
        Some(record)
    };
    bent_record(bend, DEPENDENCY, "more than the request can need").await;
}

#[tokio::test]
async fn the_records_of_two_keys_swapped() {
    let scene = Scene::shared().await;
    let (one, first) = scene.fresh_key().await;
    let (other, second) = scene.fresh_key().await;
    let of = |record| {
        let commits = scene.opponent.commits();
        let puts = commits.iter().flat_map(|commit| commit.puts.clone());
        puts.rev().find(|(name, _)| *name == record).unwrap().1
    };
    let (first_held, second_held) = (of(first), of(second));
    scene.attack(Attack::default().on_get(move |name, held| {
        if name == first {
            Some(second_held.clone())
        } else if name == second {
            Some(first_held.clone())
        } else {
            held
        }
    }));
    for key in [&one, &other] {
        refused(scene.encrypt(key).await, INTERNAL);
        scene.logged(NOT_AS_LEFT);
        scene.logged(NOT_CURRENT);
    }
    scene.recovers().await;
}

#[tokio::test]
async fn a_key_as_it_was_before_its_policy_changed() {
    let scene = Scene::shared().await;
    let (key, record) = scene.fresh_key().await;
    let yesterday = scene.opponent.commits().last().unwrap().puts[0].1.clone();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" },
            { "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*" },
        ],
    });
    let put = json!({ "KeyId": key, "Policy": policy.to_string() });
    scene.call("PutKeyPolicy", put).await.unwrap();
    scene.attack(
        Attack::default().on_get(
            move |name, held| {
                if name == record { Some(yesterday.clone()) } else { held }
            },
        ),
    );
    // The old policy would allow it.
    refused(scene.encrypt(&key).await, INTERNAL);
    scene.logged(NOT_CURRENT);
    scene.opponent.behave();
    refused(scene.encrypt(&key).await, "AccessDeniedException");
    scene.recovers().await;
}

#[tokio::test]
async fn an_alias_that_leads_to_another_key() {
    let scene = Scene::start().await;
    let (one, _) = scene.fresh_key().await;
    let (other, _) = scene.fresh_key().await;
    for (name, key) in [("alias/one", &one), ("alias/other", &other)] {
        let body = json!({ "AliasName": name, "TargetKeyId": key });
        scene.call("CreateAlias", body).await.unwrap();
    }
    let commits = scene.opponent.commits();
    let [.., first, second] = commits.as_slice() else { panic!("two aliases") };
    // A commit of an alias writes the alias first, then its key.
    let (wanted, served) = (first.puts[0].0, second.puts[0].1.clone());
    scene.attack(
        Attack::default().on_get(
            move |name, held| {
                if name == wanted { Some(served.clone()) } else { held }
            },
        ),
    );
    refused(scene.encrypt("alias/one").await, INTERNAL);
    scene.logged(NOT_CURRENT);
    scene.encrypt("alias/other").await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn an_access_key_as_it_was_before_it_was_disabled() {
    let scene = Scene::start().await;
    let (user, key) = user(&scene).await;
    let before = scene.opponent.commits();
    let of_key = before.last().unwrap().puts.clone();
    let disable = json!({ "PrincipalName": "eve", "AccessKeyId": key, "Status": "Inactive" });
    scene.call("Sekisho.UpdateAccessKey", disable).await.unwrap();
    refused(user.call("ListKeys", json!({})).await, "UnrecognizedClientException");
    let enable = json!({ "PrincipalName": "eve", "AccessKeyId": key, "Status": "Active" });
    let disable = json!({ "PrincipalName": "eve", "AccessKeyId": key, "Status": "Inactive" });
    // A new version, so that the worker has to ask for it.
    scene.call("Sekisho.UpdateAccessKey", enable).await.unwrap();
    scene.call("Sekisho.UpdateAccessKey", disable).await.unwrap();
    scene.attack(Attack::default().on_get(move |name, held| {
        let old = of_key.iter().find(|(known, _)| *known == name);
        old.map_or(held, |(_, old)| Some(old.clone()))
    }));
    refused(user.call("ListKeys", json!({})).await, INTERNAL);
    scene.logged(NOT_CURRENT);
    scene.opponent.behave();
    refused(user.call("ListKeys", json!({})).await, "UnrecognizedClientException");
    scene.recovers().await;
}

/// Whoever changes something reads what it is now, with the journal's lock in hand.
#[tokio::test]
async fn a_record_that_is_dropped_under_who_changes_it() {
    let scene = Scene::start().await;
    let (_, key) = user(&scene).await;
    let update = json!({ "PrincipalName": "eve", "AccessKeyId": key, "Status": "Inactive" });
    scene.attack(Attack::default().on_get(|_, _| None));
    let update_once = scene.call("Sekisho.UpdateAccessKey", update.clone());
    let answer = tokio::time::timeout(Duration::from_secs(30), update_once).await;
    refused(answer.expect("an answer"), INTERNAL);
    scene.logged("the store does not have a record that the journal names");
    scene.opponent.behave();
    scene.call("Sekisho.UpdateAccessKey", update).await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn an_access_key_that_the_host_does_not_delete() {
    let scene = Scene::start().await;
    let (user, key) = user(&scene).await;
    // Allowed or not, the caller is known.
    refused(user.call("ListKeys", json!({})).await, "AccessDeniedException");
    scene.attack(Attack::default().on_commit(|commit| {
        commit.deletes.clear();
        Write::Honest
    }));
    let delete = json!({ "PrincipalName": "eve", "AccessKeyId": key });
    scene.call("Sekisho.DeleteAccessKey", delete).await.unwrap();
    refused(user.call("ListKeys", json!({})).await, "UnrecognizedClientException");
    scene.recovers().await;
}

/// A principal `eve` with an access key, and a client that signs with it.
async fn user(scene: &Scene) -> (super::client::Client, String) {
    let name = json!({ "PrincipalName": "eve" });
    scene.call("Sekisho.CreatePrincipal", name.clone()).await.unwrap();
    let made = scene.call("Sekisho.CreateAccessKey", name).await.unwrap();
    let text = |name: &str| made["AccessKey"][name].as_str().unwrap().to_owned();
    let mut user = scene.client.clone();
    user.signer.access_key_id = text("AccessKeyId");
    user.signer.secret_access_key = text("SecretAccessKey");
    (user, text("AccessKeyId"))
}

/// A CreateKey whose commit the host treats so is refused; afterwards the worker goes on.
async fn bent_commit(mut what: impl FnMut() -> Write + Send + 'static, reason: &str) -> Scene {
    let mut bounds = bounds();
    bounds.store.patience = Duration::from_secs(3);
    let scene = Scene::start_with(bounds).await;
    scene.attack(Attack::default().on_commit(move |_| what()));
    refused(scene.try_create_key().await, DEPENDENCY);
    scene.logged(reason);
    scene
}

async fn keys(scene: &Scene) -> usize {
    scene.call("ListKeys", json!({})).await.unwrap()["Keys"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_commit_that_is_refused() {
    let scene = bent_commit(|| Write::Refuse(StoreError::Full), "the store is full").await;
    assert_eq!(keys(&scene).await, 1);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_commit_that_is_refused_and_kept() {
    let lie = || Write::KeepAndRefuse(StoreError::Full);
    let scene = bent_commit(lie, "the store is full").await;
    scene.opponent.behave();
    // The next change finds what was kept, and follows it: nothing is overwritten or lost.
    let sequence = scene.opponent.commits().last().unwrap().sequence;
    scene.create_key().await;
    assert_eq!(scene.opponent.commits().last().unwrap().sequence, sequence + 1);
    assert_eq!(keys(&scene).await, 3);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_conflict_that_there_is_not() {
    let lie = || Write::Refuse(StoreError::Conflict { head: 1 << 40 });
    let scene = bent_commit(lie, "does not follow the store's head").await;
    assert_eq!(keys(&scene).await, 1);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_conflict_with_a_commit_that_was_kept() {
    let lie = || Write::KeepAndRefuse(StoreError::Conflict { head: 0 });
    let scene = bent_commit(lie, "does not follow the store's head").await;
    scene.opponent.behave();
    scene.create_key().await;
    assert_eq!(keys(&scene).await, 3);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_commit_that_is_never_answered() {
    let scene = bent_commit(|| Write::Ignore, "giving the stream up").await;
    assert_eq!(keys(&scene).await, 1);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_commit_that_is_acknowledged_and_dropped() {
    let mut scene = Scene::start().await;
    let (before, _) = scene.attested().await;
    scene.attack(Attack::default().on_commit(|_| Write::Forget));
    let lost = scene.create_key().await;
    let (attested, _) = scene.attested().await;
    assert_eq!(attested.journal_sequence, before.journal_sequence + 1);
    scene.opponent.behave();
    // It shows at the first use, and at the next change.
    refused(scene.encrypt(&lost).await, INTERNAL);
    scene.logged("the store does not have a record that the journal names");
    refused(scene.try_create_key().await, DEPENDENCY);
    scene.logged("does not follow the store's head");
    // This worker changes nothing any more. The next one begins with an entry of its own, and whoever
    // has seen an attestation in between sees that the journal has become another.
    scene.restart().await.unwrap();
    let (after, _) = scene.attested().await;
    assert_eq!(after.journal_sequence, attested.journal_sequence);
    assert_ne!(after.journal_hash, attested.journal_hash);
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_store_that_hangs_up_on_everyone() {
    let scene = Scene::start().await;
    let (key, _) = scene.fresh_key().await;
    let hang_up = Attack::default().on_frame(|_| super::host::Sent::Last(Vec::new()));
    scene.attack(hang_up.accepts_nobody());
    for _ in 0..2 {
        refused(scene.encrypt(&key).await, DEPENDENCY);
    }
    scene.logged("the store is unavailable");
    scene.logged("the connection to the store is lost");
    scene.recovers_and_restarts().await;
}
