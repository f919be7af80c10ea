//! What holds for keys over time and over restarts, one test for each rule.

use super::Key;
use super::arn::Place;
use super::grants::{Grant, GrantTerms};
use super::id::KeyId;
use super::import::{NewMaterial, Terms};
use super::material::{KeyMaterial, RotationType};
use super::modules::Modules;
use super::policy::default_document;
use super::rotation::{DAY, Rotation};
use super::schedule::Done;
use super::spec::{KeySpec, KeyUsage};
use super::state::KeyState;
use super::store::{KeyStore, StoreFault};
use super::usage::LastUsage;
use crate::secret::{RootKey, Subkeys};
use crate::storage::journal::{Cadence, Journal};
use crate::storage::opponent::Opponent;
use crate::storage::record::RecordId;
use sekisho_policy_engine::{Engine, Limits};
use std::sync::{Arc, OnceLock};

pub(super) fn modules() -> Modules {
    // Compiling takes seconds.
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    Modules::stock(ENGINE.get_or_init(|| Engine::new(Limits::default()).unwrap())).unwrap()
}

pub(super) async fn open(opponent: &Opponent) -> KeyStore {
    let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
    let journal = Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap();
    let place = Place { region: "eu-central-1".into(), account: "111122223333".into() };
    let modules = modules();
    let default = modules.configure(&default_document(&place.root_arn())).unwrap();
    KeyStore::new(Arc::new(journal), modules, place, Arc::new(default))
}

pub(super) async fn make(store: &KeyStore) -> KeyId {
    let material = KeyMaterial::generate(0).unwrap();
    let key = Key::symmetric(KeyId::generate(false), 0, String::new(), Vec::new(), material);
    let document = default_document(&store.place.root_arn());
    let policy = store.modules.configure(&document).unwrap();
    store.create(key, policy).await.unwrap().key.id
}

pub(super) async fn set(store: &KeyStore, id: KeyId, state: KeyState) {
    let set = |key: &mut Key| {
        key.state = state;
        Ok::<_, StoreFault>(())
    };
    store.change(id, set).await.unwrap();
}

#[tokio::test]
async fn the_last_use_of_a_key_is_kept_once_it_is_written() {
    let usage = |time| LastUsage {
        operation: "Decrypt".into(),
        time,
        request_id: format!("request {time}"),
    };
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let (used, unused) = (make(&store).await, make(&store).await);
    let entries = store.journal.checkpoint().sequence;
    store.note_usage(&[used], &usage(8));
    // A request that began before and ended after.
    store.note_usage(&[used], &usage(7));
    assert_eq!(store.last_usage(used).await.unwrap(), Some(usage(8)));
    assert_eq!(store.journal.checkpoint().sequence, entries, "a use writes nothing");
    assert_eq!(store.tracking_since(5).await.unwrap(), 5);

    // Not written: forgotten with the worker.
    assert_eq!(open(&opponent).await.last_usage(used).await.unwrap(), None);
    store.store_usages(5).await.unwrap();
    assert_eq!(store.journal.checkpoint().sequence, entries + 1);
    store.store_usages(5).await.unwrap();
    assert_eq!(store.journal.checkpoint().sequence, entries + 1, "there is nothing new");
    let store = open(&opponent).await;
    assert_eq!(store.last_usage(used).await.unwrap(), Some(usage(8)));
    assert_eq!(store.last_usage(unused).await.unwrap(), None);
    assert_eq!(store.tracking_since(1000).await.unwrap(), 5);

    // It goes with the key, also where a use is noted while the key goes.
    set(&store, used, KeyState::PendingDeletion { deletion: 1000 }).await;
    store.note_usage(&[used], &usage(999));
    store.do_next_due(1000).await.unwrap().unwrap();
    store.store_usages(5).await.unwrap();
    assert!(!store.journal.contains(&RecordId::LastUsage(used)));
}

#[tokio::test]
async fn a_key_goes_with_its_aliases_when_its_window_ends_and_only_once() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let (going, staying) = (make(&store).await, make(&store).await);
    store.create_alias("alias/going", going, 1).await.unwrap();
    store.create_alias("alias/staying", staying, 1).await.unwrap();
    set(&store, going, KeyState::PendingDeletion { deletion: 1000 }).await;
    assert_eq!(store.next_due(), Some(1000));
    assert_eq!(store.do_next_due(999).await.unwrap(), None);
    drop(store);

    // The window ended while nothing ran.
    let store = open(&opponent).await;
    assert!(store.by_id(going).await.unwrap().is_some());
    let arn = store.place.key_arn(going);
    assert_eq!(store.do_next_due(5000).await.unwrap(), Some(Done::Deleted { arn }));
    assert_eq!(store.do_next_due(5000).await.unwrap(), None);
    for store in [store, open(&opponent).await] {
        assert_eq!(store.next_due(), None);
        assert!(store.by_id(going).await.unwrap().is_none());
        assert!(store.alias("alias/going").await.unwrap().is_none());
        assert_eq!(store.key_ids(None, 9), [staying]);
        assert_eq!(store.alias_names(None, 9), ["alias/staying"]);
    }
}

#[tokio::test]
async fn a_cancelled_deletion_never_comes() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = make(&store).await;
    set(&store, id, KeyState::PendingDeletion { deletion: 1000 }).await;
    set(&store, id, KeyState::Disabled).await;
    for store in [store, open(&opponent).await] {
        assert_eq!(store.next_due(), None);
        assert_eq!(store.do_next_due(u64::MAX).await.unwrap(), None);
        assert_eq!(store.by_id(id).await.unwrap().unwrap().key.state, KeyState::Disabled);
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_not_done_again() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = make(&store).await;
    set(&store, id, KeyState::PendingDeletion { deletion: 1000 }).await;
    opponent.held().swallow_answer = true;
    assert!(store.do_next_due(1000).await.is_err());
    assert_eq!(store.do_next_due(1000).await.unwrap(), None);
    assert!(store.by_id(id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_due_first_is_done_first() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    for deletion in [3000, 1000, 2000] {
        let id = make(&store).await;
        set(&store, id, KeyState::PendingDeletion { deletion }).await;
    }
    for left in [Some(2000), Some(3000), None] {
        assert!(store.do_next_due(9000).await.unwrap().is_some());
        assert_eq!(store.next_due(), left);
    }
}

#[tokio::test]
async fn a_key_whose_record_is_gone_keeps_nothing_else_waiting() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let (missing, other) = (make(&store).await, make(&store).await);
    set(&store, missing, KeyState::PendingDeletion { deletion: 1000 }).await;
    set(&store, other, KeyState::PendingDeletion { deletion: 2000 }).await;
    let names = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal.record_names;
    let record = RecordId::Key(missing).storage_key(&names);
    let kept = opponent.held().records.remove(&record).unwrap();
    let store = open(&opponent).await;
    let arn = store.place.key_arn(other);
    assert_eq!(store.do_next_due(9000).await.unwrap(), Some(Done::Deleted { arn }));
    assert!(store.do_next_due(9000).await.is_err());
    opponent.held().records.insert(record, kept);
    let arn = store.place.key_arn(missing);
    assert_eq!(store.do_next_due(9000).await.unwrap(), Some(Done::Deleted { arn }));
}

async fn rotate_every_90_days(store: &KeyStore, id: KeyId, now: u64) {
    let on = |key: &mut Key| {
        key.rotation = Some(Rotation::every(90, now));
        Ok::<_, StoreFault>(())
    };
    store.change(id, on).await.unwrap();
}

async fn materials(store: &KeyStore, id: KeyId) -> Vec<String> {
    let held = store.by_id(id).await.unwrap().unwrap();
    held.key.materials().iter().map(|material| material.id().to_string()).collect()
}

#[tokio::test]
async fn a_key_rotates_by_itself_and_keeps_its_old_material() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = make(&store).await;
    rotate_every_90_days(&store, id, 0).await;
    let before = materials(&store, id).await;
    assert_eq!(store.next_due(), Some(90 * DAY));
    assert_eq!(store.do_next_due(90 * DAY - 1).await.unwrap(), None);
    drop(store);

    let store = open(&opponent).await;
    let arn = store.place.key_arn(id);
    let late = 90 * DAY + 5;
    assert_eq!(store.do_next_due(late).await.unwrap(), Some(Done::Rotated { arn }));
    assert_eq!(store.do_next_due(late).await.unwrap(), None);
    assert_eq!(store.next_due(), Some(180 * DAY));
    let after = materials(&store, id).await;
    assert_eq!((after.len(), &after[0]), (2, &before[0]));
    let restarted = open(&opponent).await;
    assert_eq!(materials(&restarted, id).await, after);
    let held = restarted.by_id(id).await.unwrap().unwrap();
    assert_eq!(held.key.materials()[1].rotation, Some(RotationType::Automatic));
    assert_eq!(held.key.materials()[1].created, late);
}

#[tokio::test]
async fn a_disabled_key_rotates_when_it_is_enabled_again() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = make(&store).await;
    rotate_every_90_days(&store, id, 0).await;
    set(&store, id, KeyState::Disabled).await;
    assert_eq!(store.do_next_due(100 * DAY).await.unwrap(), None);
    set(&store, id, KeyState::Enabled).await;
    assert!(store.do_next_due(300 * DAY).await.unwrap().is_some());
    // Once, however many periods went by.
    assert_eq!(store.next_due(), Some(390 * DAY));
    assert_eq!(materials(&store, id).await.len(), 2);
}

#[tokio::test]
async fn a_key_goes_with_what_names_its_grants() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let (going, staying) = (make(&store).await, make(&store).await);
    for (id, number) in [(going, "1"), (staying, "2"), (going, "3")] {
        let retiring = Some("bob".to_owned());
        let (name, constraint, operations) = (None, None, vec!["Decrypt".to_owned()]);
        let terms = GrantTerms { name, grantee: "alice".into(), retiring, operations, constraint };
        let grant = Grant { id: number.into(), created: 0, terms };
        let give = |key: &mut Key| {
            key.grants.push(grant);
            Ok::<_, StoreFault>(())
        };
        store.change(id, give).await.unwrap();
    }
    let retirable = |store: &KeyStore| {
        let mut found = store.retirable("bob", None, 9);
        found.sort_by(|one, other| one.1.cmp(&other.1));
        found.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_eq!(retirable(&store), ["1", "2", "3"]);
    assert!(store.retirable("bo", None, 9).is_empty());
    let all = store.retirable("bob", None, 9);
    assert_eq!(store.retirable("bob", all.first(), 1), all[1..2]);
    let end = |key: &mut Key| {
        key.grants.retain(|grant| grant.id != "1");
        Ok::<_, StoreFault>(())
    };
    store.change(going, end).await.unwrap();
    assert_eq!(retirable(&open(&opponent).await), ["2", "3"]);
    set(&store, going, KeyState::PendingDeletion { deletion: 1000 }).await;
    store.do_next_due(1000).await.unwrap().unwrap();
    assert_eq!(retirable(&open(&opponent).await), ["2"]);
}

/// A key with imported material, which expires at `valid_to`.
async fn imported(store: &KeyStore, valid_to: u64) -> KeyId {
    let (id, kind) =
        (KeyId::generate(false), (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt));
    let key = Key::external(id, 0, String::new(), Vec::new(), kind);
    let document = default_document(&store.place.root_arn());
    let policy = store.modules.configure(&document).unwrap();
    store.create(key, policy).await.unwrap();
    import(store, id, valid_to).await;
    id
}

async fn import(store: &KeyStore, id: KeyId, valid_to: u64) {
    let import = |key: &mut Key| {
        let material = NewMaterial::read(id, key.spec, key.usage, &[7; 32]).unwrap();
        let terms = Terms { valid_to: Some(valid_to), ..Terms::default() };
        key.import(material, terms, 0).unwrap();
        Ok::<_, StoreFault>(())
    };
    store.change(id, import).await.unwrap();
}

#[tokio::test]
async fn imported_material_expires_once_and_after_a_restart() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let (first, second) = (imported(&store, 1000).await, imported(&store, 2000).await);
    assert_eq!(store.next_due(), Some(1000));
    assert_eq!(store.do_next_due(999).await.unwrap(), None);
    drop(store);

    let store = open(&opponent).await;
    for (id, left) in [(first, Some(2000)), (second, None)] {
        let arn = store.place.key_arn(id);
        assert_eq!(store.do_next_due(5000).await.unwrap(), Some(Done::Expired { arn }));
        assert_eq!(store.next_due(), left);
    }
    assert_eq!(store.do_next_due(5000).await.unwrap(), None);
    for store in [store, open(&opponent).await] {
        for id in [first, second] {
            let held = store.by_id(id).await.unwrap().unwrap();
            assert_eq!(held.key.state, KeyState::PendingImport);
            assert!(held.key.materials()[0].secret().is_none());
        }
        assert_eq!(store.do_next_due(u64::MAX).await.unwrap(), None);
    }
}

#[tokio::test]
async fn material_that_came_again_in_time_stays() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = imported(&store, 1000).await;
    import(&store, id, 3000).await;
    assert_eq!(store.next_due(), Some(3000));
    assert_eq!(store.do_next_due(2999).await.unwrap(), None);
    set(&store, id, KeyState::Disabled).await;
    assert_eq!(store.next_due(), Some(3000));
    // The key goes before its material does, or after it.
    set(&store, id, KeyState::PendingDeletion { deletion: 2000 }).await;
    assert_eq!(store.next_due(), Some(2000));
    set(&store, id, KeyState::PendingDeletion { deletion: 4000 }).await;
    let arn = store.place.key_arn(id);
    let expired = Some(Done::Expired { arn: arn.clone() });
    assert_eq!(store.do_next_due(3000).await.unwrap(), expired);
    assert_eq!(store.next_due(), Some(4000));
    assert_eq!(store.do_next_due(4000).await.unwrap(), Some(Done::Deleted { arn }));
    assert_eq!(store.next_due(), None);
}

#[tokio::test]
async fn an_expiry_whose_answer_was_lost_is_not_done_again() {
    let opponent = Opponent::default();
    let store = open(&opponent).await;
    let id = imported(&store, 1000).await;
    opponent.held().swallow_answer = true;
    assert!(store.do_next_due(1000).await.is_err());
    assert_eq!(store.do_next_due(1000).await.unwrap(), None);
    let held = store.by_id(id).await.unwrap().unwrap();
    assert_eq!(held.key.state, KeyState::PendingImport);
}
