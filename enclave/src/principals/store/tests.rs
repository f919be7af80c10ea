//! What holds for principals, one test for each rule.

use super::*;
use crate::secret::{RootKey, Subkeys};
use crate::storage::journal::Cadence;
use crate::storage::opponent::Opponent;

async fn open(opponent: &Opponent) -> PrincipalStore {
    let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
    PrincipalStore::new(Arc::new(
        Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap(),
    ))
}

fn principal(name: &str) -> Principal {
    let tags = vec![("team".into(), "kiosk".into())];
    Principal { name: name.into(), created: 7, tags, keys: Vec::new() }
}

async fn with_alice() -> (Opponent, PrincipalStore) {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    store.create(principal("alice")).await.unwrap();
    (opponent, store)
}

#[tokio::test]
async fn a_principal_and_its_keys_are_there_after_a_restart() {
    let (opponent, store) = with_alice().await;
    let key = store.create_access_key("alice", 8, Some(99)).await.unwrap();
    for store in [store, open(&opponent).await] {
        for _ in ["read", "cached"] {
            let held = store.by_access_key(&key.id).await.unwrap().unwrap();
            assert_eq!((held.name.as_str(), held.tags.len()), ("alice", 1));
            assert_eq!(held.keys[0].secret.expose(), key.secret.expose());
            assert_eq!(held.keys[0].expires, Some(99));
        }
        assert!(store.by_access_key("AKIAUNKNOWN").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    let (_, store) = with_alice().await;
    assert!(matches!(store.create(principal("alice")).await, Err(ChangeError::Exists)));
    store.create(principal("Alice")).await.unwrap();
}

#[tokio::test]
async fn keys_are_rotated_two_at_a_time() {
    let (_, store) = with_alice().await;
    let old = store.create_access_key("alice", 8, None).await.unwrap();
    let new = store.create_access_key("alice", 9, None).await.unwrap();
    let third = store.create_access_key("alice", 10, None).await;
    assert!(matches!(third, Err(ChangeError::TooManyAccessKeys)));

    assert!(store.by_access_key(&old.id).await.unwrap().is_some());
    store.update_access_key("alice", &old.id, KeyStatus::Inactive).await.unwrap();
    let held = store.by_access_key(&old.id).await.unwrap().unwrap();
    let states: Vec<_> = held.keys.iter().map(|key| key.status).collect();
    assert_eq!(states, [KeyStatus::Inactive, KeyStatus::Active]);

    store.delete_access_key("alice", &old.id).await.unwrap();
    assert!(store.by_access_key(&old.id).await.unwrap().is_none());
    assert!(store.by_access_key(&new.id).await.unwrap().is_some());
    store.create_access_key("alice", 11, None).await.unwrap();
}

#[tokio::test]
async fn only_a_principal_without_keys_is_deleted() {
    let (_, store) = with_alice().await;
    let key = store.create_access_key("alice", 8, None).await.unwrap();
    assert!(matches!(store.delete("alice").await, Err(ChangeError::HasAccessKeys)));
    store.delete_access_key("alice", &key.id).await.unwrap();
    store.delete("alice").await.unwrap();
    assert!(store.by_name("alice").await.unwrap().is_none());
    assert!(matches!(store.delete("alice").await, Err(ChangeError::NoSuchPrincipal)));
}

#[tokio::test]
async fn nobody_touches_the_key_of_another() {
    let (_, store) = with_alice().await;
    store.create(principal("bob")).await.unwrap();
    let key = store.create_access_key("alice", 8, None).await.unwrap();
    for name in ["bob", "alice"] {
        let id = if name == "bob" { key.id.as_str() } else { "AKIAUNKNOWN" };
        let updated = store.update_access_key(name, id, KeyStatus::Inactive).await;
        assert!(matches!(updated, Err(ChangeError::NoSuchAccessKey)), "{name}");
        let deleted = store.delete_access_key(name, id).await;
        assert!(matches!(deleted, Err(ChangeError::NoSuchAccessKey)), "{name}");
    }
    let nobody = store.create_access_key("carol", 8, None).await;
    assert!(matches!(nobody, Err(ChangeError::NoSuchPrincipal)));
}

#[tokio::test]
async fn names_are_listed_in_order_and_pages() {
    let (_, store) = with_alice().await;
    for name in ["carol", "bob"] {
        store.create(principal(name)).await.unwrap();
    }
    assert_eq!(store.names(None, 9), ["alice", "bob", "carol"]);
    assert_eq!(store.names(Some("alice"), 1), ["bob"]);
    assert!(store.names(Some("carol"), 9).is_empty());
}

/// The answer to a change got lost: what was cached before it does not count any more.
#[tokio::test]
async fn a_lost_answer_leaves_no_stale_key_behind() {
    let (opponent, store) = with_alice().await;
    let key = store.create_access_key("alice", 8, None).await.unwrap();
    assert!(store.by_access_key(&key.id).await.unwrap().unwrap().keys[0].is_usable(9));
    opponent.held().swallow_answer = true;
    assert!(store.update_access_key("alice", &key.id, KeyStatus::Inactive).await.is_err());
    // The first look finds another record than the index says, and reads the journal on.
    assert!(!store.by_access_key(&key.id).await.unwrap().unwrap().keys[0].is_usable(9));
    store.create(principal("bob")).await.unwrap();
    assert!(!store.by_access_key(&key.id).await.unwrap().unwrap().keys[0].is_usable(9));
}

#[tokio::test]
async fn the_host_sees_neither_names_nor_secrets() {
    let (opponent, store) = with_alice().await;
    let key = store.create_access_key("alice", 8, None).await.unwrap();
    let held = opponent.held();
    let records = held.records.iter().map(|(name, blob)| [name.0.as_slice(), blob].concat());
    let everything: Vec<u8> = records.chain(held.entries.values().cloned()).flatten().collect();
    for secret in ["alice", "kiosk", &key.id, key.secret.expose()] {
        let secret = secret.as_bytes();
        assert!(!everything.windows(secret.len()).any(|window| window == secret));
    }
}
