//! Attacks on snapshots of the journal, and on the dropping of the entries before them.

use super::host::{Attack, Write};
use super::scene::{Scene, bounds};
use sekisho_enclave::{BootError, Cadence, JournalError};
use sekisho_wire::store::Page;
use sekisho_wire::{Commit, RecordKey, Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A worker that makes a snapshot after every few changes, in several chunks.
async fn scene() -> Scene {
    let mut bounds = bounds();
    bounds.snapshots = Cadence { entries: 10, rows: 4 };
    Scene::start_with(bounds).await
}

/// Makes keys until there is another snapshot, before which the store has no entries any more.
async fn snapshot(scene: &Scene) {
    let before = oldest(scene).await;
    for _ in 0..200 {
        if oldest(scene).await > before {
            return;
        }
        scene.create_key().await;
    }
    panic!("no snapshot was made");
}

async fn oldest(scene: &Scene) -> u64 {
    scene.opponent.store().entries(1, 1).await.unwrap()[0].0
}

/// A stopped worker whose journal has a snapshot, and the names of the snapshot's records in the
/// order in which a start asks for them: the manifest, then the chunks.
async fn snapshotted() -> (Scene, Vec<RecordKey>) {
    let mut scene = scene().await;
    snapshot(&scene).await;
    scene.stop().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = asked.clone();
    scene.attack(Attack::default().on_get(move |name, held| {
        asking.lock().unwrap().push(name);
        held
    }));
    scene.boot().await.unwrap();
    scene.stop().await;
    scene.opponent.behave();
    let asked = asked.lock().unwrap().clone();
    // The last one is the service's authority.
    assert!(asked.len() >= 4, "a manifest, two chunks and an authority: {}", asked.len());
    (scene, asked)
}

/// A start under this attack, and afterwards without it.
async fn refused(mut scene: Scene, attack: Attack) -> JournalError {
    scene.attack(attack);
    let error = scene.boot().await.expect_err("the worker does not start");
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
    match error {
        BootError::Journal(error) => error,
        other => panic!("{other:?}"),
    }
}

async fn bent(number: usize, bend: fn(Option<Vec<u8>>) -> Option<Vec<u8>>) -> JournalError {
    let (scene, names) = snapshotted().await;
    let bent = names[number];
    refused(
        scene,
        Attack::default().on_get(move |name, held| if name == bent { bend(held) } else { held }),
    )
    .await
}

fn flipped(record: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut record = record.unwrap();
    record[70] ^= 1;
    Some(record)
}

#[tokio::test]
async fn a_snapshot_as_it_is() {
    let (mut scene, _) = snapshotted().await;
    scene.boot().await.unwrap();
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_manifest_with_a_flipped_bit() {
    let error = bent(0, flipped).await;
    assert!(matches!(error, JournalError::SnapshotDoesNotOpen), "{error:?}");
}

#[tokio::test]
async fn a_manifest_that_is_gone() {
    let error = bent(0, |_| None).await;
    assert!(matches!(error, JournalError::EntryMissing { sequence: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_chunk_with_a_flipped_bit() {
    let error = bent(1, flipped).await;
    assert!(matches!(error, JournalError::ChunkNotCurrent { number: 0 }), "{error:?}");
}

#[tokio::test]
async fn a_chunk_that_is_gone() {
    let error = bent(2, |_| None).await;
    assert!(matches!(error, JournalError::ChunkMissing { number: 1 }), "{error:?}");
}

#[tokio::test]
async fn two_chunks_swapped() {
    let (scene, names) = snapshotted().await;
    let (one, other) = (names[1], names[2]);
    let store = scene.opponent.store();
    let held = |name| async move { store.clone().get(name).await.unwrap() };
    let (first, second) = (held.clone()(one).await, held(other).await);
    let attack = Attack::default().on_get(move |name, held| match name {
        name if name == one => second.clone(),
        name if name == other => first.clone(),
        _ => held,
    });
    let error = refused(scene, attack).await;
    assert!(matches!(error, JournalError::ChunkNotCurrent { number: 0 }), "{error:?}");
}

/// Two snapshots; the manifest of the first, and all commits.
async fn twice() -> (Scene, (RecordKey, Vec<u8>), Vec<Commit>) {
    let mut scene = scene().await;
    let (first, manifest) = {
        snapshot(&scene).await;
        let asked = Arc::new(Mutex::new(None));
        let asking = asked.clone();
        scene.stop().await;
        scene.attack(Attack::default().on_get(move |name, held| {
            asking.lock().unwrap().get_or_insert((name, held.clone().unwrap_or_default()));
            held
        }));
        scene.boot().await.unwrap();
        scene.opponent.behave();
        asked.lock().unwrap().clone().unwrap()
    };
    snapshot(&scene).await;
    scene.stop().await;
    let commits = scene.opponent.commits();
    (scene, (first, manifest), commits)
}

#[tokio::test]
async fn the_manifest_before_the_current_one() {
    let (scene, (manifest, old), _) = twice().await;
    let attack = Attack::default()
        .on_get(move |name, held| if name == manifest { Some(old.clone()) } else { held });
    let error = refused(scene, attack).await;
    assert!(matches!(error, JournalError::ChunkMissing { number: 0 }), "{error:?}");
}

/// Every record that was ever written.
fn kept(commits: &[Commit]) -> HashMap<RecordKey, Vec<u8>> {
    commits.iter().flat_map(|commit| commit.puts.clone()).collect()
}

#[tokio::test]
async fn the_snapshot_before_the_current_one() {
    let (scene, (manifest, old), commits) = twice().await;
    let kept = kept(&commits);
    let attack = Attack::default().on_get(move |name, held| {
        if name == manifest { Some(old.clone()) } else { held.or_else(|| kept.get(&name).cloned()) }
    });
    let error = refused(scene, attack).await;
    assert!(matches!(error, JournalError::EntryMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn the_snapshot_before_the_current_one_with_all_entries() {
    let (scene, (manifest, old), commits) = twice().await;
    let kept = kept(&commits);
    let entries: Page = commits.into_iter().map(|commit| (commit.sequence, commit.entry)).collect();
    let attack = Attack::default()
        .on_get(move |name, held| {
            let old = || Some(old.clone());
            if name == manifest { old() } else { held.or_else(|| kept.get(&name).cloned()) }
        })
        .on_entries(move |from, _| {
            entries.iter().filter(|(sequence, _)| *sequence >= from).cloned().collect()
        });
    let error = refused(scene, attack).await;
    assert!(matches!(error, JournalError::SnapshotNotCurrent), "{error:?}");
}

#[tokio::test]
async fn entries_after_the_snapshot_cut_off() {
    let (scene, _) = snapshotted().await;
    let cut = oldest(&scene).await;
    let attack = Attack::default().on_entries(move |_, page| {
        page.into_iter().filter(|(sequence, _)| *sequence <= cut).collect()
    });
    let error = refused(scene, attack).await;
    assert!(matches!(error, JournalError::Incomplete { .. }), "{error:?}");
}

/// A host that treats the wish to drop old entries so: the worker serves on, and asks again.
async fn bent_compaction(what: Write, words: &str) {
    let scene = scene().await;
    scene.attack(Attack::default().on_compact(move || what));
    for _ in 0..14 {
        scene.create_key().await;
    }
    scene.will_log("snapshot of the journal").await;
    scene.will_log(words).await;
    assert_eq!(oldest(&scene).await, 1);
    scene.serves().await;
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn old_entries_that_are_not_dropped() {
    let refuse = Write::Refuse(StoreError::Unavailable);
    bent_compaction(refuse, "no snapshot of the journal; another attempt follows").await;
}

#[tokio::test]
async fn old_entries_that_are_said_to_be_dropped() {
    // No harm: who keeps more than it was told to has more to lie with, and no lie that works.
    bent_compaction(Write::Forget, "snapshot of the journal").await;
}
