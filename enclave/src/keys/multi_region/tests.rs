//! What holds for keys of several Regions over time and over restarts, one test for each rule.

use super::super::grants::{Grant, GrantTerms};
use super::super::material::KeyMaterial;
use super::super::policy::default_document;
use super::super::rotation::{DAY, Rotation};
use super::super::schedule::Done;
use super::super::tests::{make, modules, open, set};
use super::*;
use crate::secret::{RootKey, Subkeys};
use crate::storage::opponent::Opponent;
use crate::storage::record::RecordId;

const ELSEWHERE: &str = "us-east-1";
const THIRD: &str = "ap-southeast-2";

/// A primary key in the home Region.
async fn make_primary(store: &KeyStore) -> KeyId {
    let material = KeyMaterial::generate(0).unwrap();
    let regions = Some(MultiRegion::primary(&store.place.region));
    let key = Key::symmetric(KeyId::generate(true), 0, String::new(), Vec::new(), material);
    let policy = store.modules.configure(&default_document(&store.place.root_arn())).unwrap();
    store.create(key.with_regions(regions), policy).await.unwrap().key.id
}

async fn replicate(store: &KeyStore, id: KeyId, region: &str) {
    let there = store.in_region(region);
    let document = default_document(&store.place.root_arn());
    let policy = store.modules.configure(&document).unwrap();
    let add = |family: &mut Family| {
        let replica = family.own().replica(region, 7, "a replica".into(), Vec::new());
        family.add(region);
        Ok::<_, StoreFault>(there.localized(vec![key_write(&replica, &policy, &[])?]))
    };
    store.change_family(id, add).await.unwrap();
}

async fn promote(store: &KeyStore, id: KeyId, region: &str) {
    let promote = |family: &mut Family| {
        family.promote(region);
        Ok::<_, StoreFault>(Vec::new())
    };
    store.change_family(id, promote).await.unwrap();
}

async fn key(store: &KeyStore, id: KeyId) -> Key {
    store.by_id(id).await.unwrap().unwrap().key.clone()
}

fn materials(key: &Key) -> Vec<String> {
    key.materials().iter().map(|material| material.id().to_string()).collect()
}

fn regions(key: &Key) -> (String, Vec<String>) {
    let multi_region = key.multi_region.clone().unwrap();
    (multi_region.primary, multi_region.replicas)
}

#[tokio::test]
async fn a_key_and_an_alias_are_of_one_region() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let there = home.in_region(ELSEWHERE);
    let (here, other) = (make(&home).await, make(&there).await);
    for (store, id) in [(&home, here), (&there, other)] {
        store.create_alias("alias/same", id, 1).await.unwrap();
        let retiring = Some("bob".to_owned());
        let (name, constraint, operations) = (None, None, Vec::new());
        let terms = GrantTerms { name, grantee: "alice".into(), retiring, operations, constraint };
        let give = |key: &mut Key| {
            key.grants.push(Grant { id: "1".into(), created: 0, terms });
            Ok::<_, StoreFault>(())
        };
        store.change(id, give).await.unwrap();
    }
    // A snapshot has all Regions' records too.
    home.journal.snapshot().await.unwrap();
    let reopened = open(&opponent).await;
    let third = reopened.in_region(THIRD);
    for (store, id, elsewhere) in
        [(&reopened, here, other), (&reopened.in_region(ELSEWHERE), other, here)]
    {
        assert_eq!(store.key_ids(None, 9), [id]);
        assert_eq!(store.alias_names(None, 9), ["alias/same"]);
        assert_eq!(store.alias("alias/same").await.unwrap().unwrap().target, id.to_string());
        assert_eq!(store.retirable("bob", None, 9), [(id, "1".to_owned())]);
        assert!(store.by_id(elsewhere).await.unwrap().is_none());
        let held = store.by_id(id).await.unwrap().unwrap();
        assert_eq!(held.arn, store.place.key_arn(id));
    }
    assert!(third.key_ids(None, 9).is_empty() && third.alias_names(None, 9).is_empty());
    reopened.in_region(ELSEWHERE).delete_alias("alias/same", other).await.unwrap();
    assert_eq!(reopened.alias_names(None, 9), ["alias/same"]);
}

/// The names of the home Region's records are those of journals from before there were others.
#[tokio::test]
async fn records_of_the_home_region_have_the_names_they_always_had() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let (here, other) = (make(&home).await, make(&home.in_region(ELSEWHERE)).await);
    let names = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal.record_names;
    let holds = |id: RecordId| opponent.held().records.contains_key(&id.storage_key(&names));
    assert!(holds(RecordId::Key(here)) && !holds(RecordId::Key(other)));
    let record = Box::new(RecordId::Key(other));
    assert!(holds(RecordId::In { region: ELSEWHERE.into(), record }));
}

#[tokio::test]
async fn regions_in_another_order_are_noticed() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    assert!(home.is_at_home());
    make(&home).await;
    make(&home.in_region(ELSEWHERE)).await;
    assert!(home.is_at_home() && home.in_region(ELSEWHERE).is_at_home());
    let journal = home.journal.clone();
    let place = home.place.in_region(ELSEWHERE);
    let swapped = KeyStore::new(journal, modules(), place, home.default_policy.clone());
    assert!(!swapped.is_at_home());
}

#[tokio::test]
async fn a_replica_has_what_related_keys_share_and_nothing_else() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let id = make_primary(&home).await;
    home.create_alias("alias/primary", id, 1).await.unwrap();
    home.change(id, |key| {
        key.rotate(KeyMaterial::generate(1)?);
        key.description = "a primary key".into();
        key.tags.push(("Purpose".into(), "Test".into()));
        Ok::<_, StoreFault>(())
    })
    .await
    .unwrap();
    replicate(&home, id, ELSEWHERE).await;
    replicate(&home, id, THIRD).await;
    set(&home, id, KeyState::Disabled).await;
    let home = open(&opponent).await;
    let primary = key(&home, id).await;
    assert!(primary.is_primary() && primary.has_replicas());
    for region in [ELSEWHERE, THIRD] {
        let there = home.in_region(region);
        let replica = key(&there, id).await;
        assert!(replica.is_replica() && !replica.has_replicas());
        assert_eq!(materials(&replica), materials(&primary));
        assert_eq!(regions(&replica), regions(&primary));
        assert_eq!((replica.created, replica.state), (7, KeyState::Enabled));
        assert_eq!((replica.description.as_str(), replica.tags.len()), ("a replica", 0));
        assert!(there.alias_names(None, 9).is_empty());
        assert_eq!(there.key_ids(None, 9), [id]);
    }
    assert_eq!(
        regions(&primary),
        (home.place.region.clone(), vec![THIRD.into(), ELSEWHERE.into()])
    );
}

#[tokio::test]
async fn related_keys_rotate_together_when_the_primary_key_does() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let id = make_primary(&home).await;
    replicate(&home, id, ELSEWHERE).await;
    let on = |key: &mut Key| {
        key.rotation = Some(Rotation::every(90, 0));
        Ok::<_, StoreFault>(())
    };
    home.change(id, on).await.unwrap();
    replicate(&home, id, THIRD).await;
    let home = open(&opponent).await;
    let arn = home.place.key_arn(id);
    assert_eq!(home.next_due(), Some(90 * DAY));
    assert_eq!(home.do_next_due(90 * DAY).await.unwrap(), Some(Done::Rotated { arn }));
    assert_eq!(home.do_next_due(90 * DAY).await.unwrap(), None);

    promote(&home, id, ELSEWHERE).await;
    let home = open(&opponent).await;
    let there = home.in_region(ELSEWHERE);
    assert_eq!(home.next_due(), Some(180 * DAY));
    let arn = there.place.key_arn(id);
    assert_eq!(home.do_next_due(180 * DAY).await.unwrap(), Some(Done::Rotated { arn }));
    let primary = key(&there, id).await;
    assert!(primary.is_primary());
    assert_eq!(primary.materials().len(), 3);
    for store in [&home, &home.in_region(THIRD)] {
        let replica = key(store, id).await;
        assert!(replica.is_replica());
        assert_eq!(materials(&replica), materials(&primary));
        assert_eq!(replica.rotation, primary.rotation);
        assert_eq!(regions(&replica), regions(&primary));
    }
    assert_eq!(home.next_due(), Some(270 * DAY));
}

#[tokio::test]
async fn a_primary_key_waits_for_its_last_replica_and_then_for_its_window() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let id = make_primary(&home).await;
    replicate(&home, id, ELSEWHERE).await;
    replicate(&home, id, THIRD).await;
    set(&home, id, KeyState::PendingReplicaDeletion { window: 7 }).await;
    assert_eq!(home.next_due(), None);
    for (region, days) in [(ELSEWHERE, 8), (THIRD, 9)] {
        let there = home.in_region(region);
        set(&there, id, KeyState::PendingDeletion { deletion: days * DAY }).await;
    }
    let home = open(&opponent).await;
    assert_eq!(home.next_due(), Some(8 * DAY));
    let arn = home.in_region(ELSEWHERE).place.key_arn(id);
    assert_eq!(home.do_next_due(8 * DAY).await.unwrap(), Some(Done::Deleted { arn }));
    let primary = key(&home, id).await;
    assert_eq!(primary.state, KeyState::PendingReplicaDeletion { window: 7 });
    assert_eq!(regions(&primary).1, [THIRD]);
    assert_eq!(regions(&key(&home.in_region(THIRD), id).await).1, [THIRD]);
    assert!(home.do_next_due(9 * DAY).await.unwrap().is_some());
    let home = open(&opponent).await;
    let state = KeyState::PendingDeletion { deletion: 16 * DAY };
    assert_eq!(key(&home, id).await.state, state);
    assert_eq!(home.next_due(), Some(16 * DAY));
    let arn = home.place.key_arn(id);
    assert_eq!(home.do_next_due(16 * DAY).await.unwrap(), Some(Done::Deleted { arn }));
    for region in [home.place.region.as_str(), ELSEWHERE, THIRD] {
        assert!(open(&opponent).await.in_region(region).key_ids(None, 9).is_empty(), "{region}");
    }
}

#[tokio::test]
async fn a_replica_whose_record_is_gone_keeps_nothing_else_waiting() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let (id, other) = (make_primary(&home).await, make(&home).await);
    replicate(&home, id, ELSEWHERE).await;
    let names = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal.record_names;
    let record = home.in_region(ELSEWHERE).local(RecordId::Key(id)).storage_key(&names);
    let kept = opponent.held().records.remove(&record).unwrap();
    let home = open(&opponent).await;
    let rotate = |key: &mut Key| {
        key.rotate(KeyMaterial::generate(1)?);
        Ok::<_, StoreFault>(())
    };
    assert!(home.change(id, rotate).await.is_err());
    set(&home, other, KeyState::Disabled).await;
    assert_eq!(key(&home, id).await.materials().len(), 1);
    opponent.held().records.insert(record, kept);
    home.change(id, rotate).await.unwrap();
    assert_eq!(key(&home.in_region(ELSEWHERE), id).await.materials().len(), 2);
}

#[tokio::test]
async fn a_deleted_replica_can_be_made_again() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let id = make_primary(&home).await;
    replicate(&home, id, ELSEWHERE).await;
    let there = home.in_region(ELSEWHERE);
    there.create_alias("alias/replica", id, 1).await.unwrap();
    set(&there, id, KeyState::PendingDeletion { deletion: 1000 }).await;
    home.do_next_due(1000).await.unwrap().unwrap();
    assert!(there.by_id(id).await.unwrap().is_none());
    assert!(there.alias("alias/replica").await.unwrap().is_none());
    let primary = key(&home, id).await;
    assert_eq!((primary.state, primary.has_replicas()), (KeyState::Enabled, false));
    replicate(&home, id, ELSEWHERE).await;
    assert_eq!(materials(&key(&there, id).await), materials(&primary));
}

#[tokio::test]
async fn a_change_of_related_keys_is_one_entry_or_none() {
    let opponent = Opponent::default();
    let home = open(&opponent).await;
    let id = make_primary(&home).await;
    replicate(&home, id, ELSEWHERE).await;
    let there = home.in_region(ELSEWHERE);
    let before = home.journal.checkpoint().sequence;
    let rotate = |key: &mut Key| {
        key.rotate(KeyMaterial::generate(1)?);
        Ok::<_, StoreFault>(())
    };
    home.change(id, rotate).await.unwrap();
    assert_eq!(home.journal.checkpoint().sequence, before + 1);
    opponent.held().refuse_at = before + 2;
    assert!(home.change(id, rotate).await.is_err());
    opponent.held().refuse_at = 0;
    for store in [&home, &there] {
        assert_eq!(key(store, id).await.materials().len(), 2);
    }
    // What is not shared is no change of the others.
    let version = there.journal.version(&there.local(RecordId::Key(id)));
    set(&home, id, KeyState::Disabled).await;
    assert_eq!(there.journal.version(&there.local(RecordId::Key(id))), version);
}
