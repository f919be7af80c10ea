//! Attacks on the journal: on its entries at a start, on its end, and on all of it.

use super::host::{Attack, Opponent, Write};
use super::scene::{Scene, refused};
use sekisho_enclave::{BootError, JournalError};
use sekisho_wire::StoreError;
use sekisho_wire::store::Page;
use serde_json::json;
use std::path::Path;

const DEPENDENCY: &str = "DependencyTimeoutException";

/// A journal of some entries, a host that bends what it reads from it, and a worker that
/// therefore does not start.
async fn bent_entries(bend: impl FnMut(u64, Page) -> Page + Send + 'static) -> (Scene, BootError) {
    let mut scene = Scene::start().await;
    scene.create_key().await;
    scene.stop().await;
    scene.attack(Attack::default().on_entries(bend));
    let error = scene.boot().await.expect_err("the worker does not start");
    scene.opponent.behave();
    scene.boot().await.unwrap();
    (scene, error)
}

macro_rules! assert_refused {
    ($error:expr, $pattern:pat) => {
        let error = $error;
        assert!(matches!(error, BootError::Journal($pattern)), "{error:?}");
    };
}

#[tokio::test]
async fn entries_as_they_are() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    scene.attack(Attack::default().on_entries(|_, page| page));
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_with_a_flipped_bit() {
    let (scene, error) = bent_entries(|_, mut page| {
        if let Some((_, entry)) = page.get_mut(1) {
            entry[40] ^= 4;
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::EntryDoesNotOpen { sequence: 2 });
    scene.recovers().await;
}

#[tokio::test]
async fn two_entries_reordered() {
    let (scene, error) = bent_entries(|_, mut page| {
        if page.len() > 2 {
            let first = std::mem::take(&mut page[1].1);
            page[1].1 = std::mem::replace(&mut page[2].1, first);
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::EntryDoesNotOpen { sequence: 2 });
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_replayed_in_the_place_of_the_next() {
    let (scene, error) = bent_entries(|_, mut page| {
        if page.len() > 2 {
            page[2].1 = page[1].1.clone();
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::EntryDoesNotOpen { sequence: 3 });
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_dropped_from_the_middle() {
    let (scene, error) = bent_entries(|_, mut page| {
        if page.len() > 2 {
            page.remove(1);
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::Store(StoreError::Malformed));
    scene.recovers().await;
}

#[tokio::test]
async fn entries_dropped_from_the_beginning() {
    let (scene, error) = bent_entries(|from, mut page| {
        if from == 1 {
            page.remove(0);
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::EntryMissing { sequence: 1 });
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_duplicated() {
    let (scene, error) = bent_entries(|_, mut page| {
        if let Some(first) = page.first().cloned() {
            page.insert(0, first);
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::Store(StoreError::Malformed));
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_of_no_bytes() {
    let (scene, error) = bent_entries(|_, mut page| {
        page.iter_mut().for_each(|(_, entry)| entry.clear());
        page
    })
    .await;
    assert_refused!(error, JournalError::EntryDoesNotOpen { sequence: 1 });
    scene.recovers().await;
}

#[tokio::test]
async fn an_entry_of_before_what_was_asked_for() {
    let (scene, error) = bent_entries(|from, mut page| {
        for (sequence, _) in &mut page {
            *sequence = sequence.saturating_sub(from);
        }
        page
    })
    .await;
    assert_refused!(error, JournalError::Store(StoreError::Malformed));
    scene.recovers().await;
}

#[tokio::test]
async fn more_entries_than_a_page_may_have() {
    let (scene, error) = bent_entries(|from, _| {
        (from..from + 5000).map(|sequence| (sequence, vec![0; 8])).collect()
    })
    .await;
    assert_refused!(error, JournalError::Store(StoreError::Malformed));
    scene.recovers().await;
}

#[tokio::test]
async fn entries_that_end_before_the_head() {
    let (scene, error) = bent_entries(|from, mut page| {
        page.truncate(if from == 1 { 2 } else { 0 });
        page
    })
    .await;
    assert_refused!(error, JournalError::Incomplete { reached: 2, head: 3.. });
    scene.recovers().await;
}

#[tokio::test]
async fn a_head_that_is_too_high() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    scene.attack(Attack::default().on_head(|head| head + 1));
    let error = scene.boot().await.expect_err("the worker does not start");
    assert_refused!(error, JournalError::Incomplete { .. });
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_head_that_is_too_low() {
    let mut scene = Scene::start().await;
    // A stop writes when keys were used; the next one has nothing to write.
    scene.restart().await.unwrap();
    let (before, _) = scene.attested().await;
    scene.stop().await;
    scene.attack(Attack::default().on_head(|_| 1));
    // What the host says is only a lower bound: the entries count.
    scene.boot().await.unwrap();
    let (after, _) = scene.attested().await;
    // Behind all of them stands the one with which the worker begins.
    assert_eq!(after.journal_sequence, before.journal_sequence + 1);
    scene.recovers().await;
}

/// Copies a store that is closed.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Puts a copy in the place of the store.
pub(crate) async fn put_back(opponent: &Opponent, from: &Path) {
    opponent
        .with_folder(|folder| {
            std::fs::remove_dir_all(folder).unwrap();
            copy(from, folder);
        })
        .await;
}

#[tokio::test]
async fn the_whole_store_rolled_back_to_yesterday() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let yesterday = scene.folder.path().join("yesterday");
    scene.opponent.with_folder(|folder| copy(folder, &yesterday)).await;
    scene.boot().await.unwrap();
    let key = scene.create_key().await;
    let (today, _) = scene.attested().await;
    scene.stop().await;
    put_back(&scene.opponent, &yesterday).await;
    scene.boot().await.unwrap();
    // Everything that the host gives is genuine, so the worker starts. Whoever has seen an
    // attestation since knows: the journal cannot have become shorter.
    let (rolled_back, _) = scene.attested().await;
    assert!(rolled_back.journal_sequence < today.journal_sequence);
    refused(scene.encrypt(&key).await, "NotFoundException");
    scene.recovers().await;
}

#[tokio::test]
async fn the_journals_end_cut_off() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let yesterday = scene.folder.path().join("yesterday");
    scene.opponent.with_folder(|folder| copy(folder, &yesterday)).await;
    scene.boot().await.unwrap();
    scene.create_key().await;
    let (today, _) = scene.attested().await;
    scene.stop().await;
    // The journal of yesterday, and the audit log of today.
    let cut = |folder: &Path| {
        std::fs::copy(yesterday.join("journal.redb"), folder.join("journal.redb")).unwrap();
    };
    scene.opponent.with_folder(cut).await;
    scene.boot().await.unwrap();
    let (cut, _) = scene.attested().await;
    assert!(cut.journal_sequence < today.journal_sequence);
    scene.recovers().await;
}

#[tokio::test]
async fn the_store_rolled_back_under_a_running_worker() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let yesterday = scene.folder.path().join("yesterday");
    let today = scene.folder.path().join("today");
    scene.opponent.with_folder(|folder| copy(folder, &yesterday)).await;
    scene.boot().await.unwrap();
    let (key, _) = scene.fresh_key().await;
    let blob = scene.encrypt(&key).await.unwrap();
    scene.attack(Attack::default());
    scene
        .opponent
        .with_folder(|folder| {
            copy(folder, &today);
            std::fs::remove_dir_all(folder).unwrap();
            copy(&yesterday, folder);
        })
        .await;
    // Nothing can be changed and nothing is released: neither chain follows what is there.
    refused(scene.try_create_key().await, DEPENDENCY);
    scene.logged("does not follow the store's head");
    for _ in 0..2 {
        refused(scene.decrypt(&blob).await, DEPENDENCY);
    }
    scene.logged("the audit log cannot be written; nothing is released");
    scene.logged("the host has lost audit blocks that it had acknowledged");
    put_back(&scene.opponent, &today).await;
    assert_eq!(scene.decrypt(&blob).await.unwrap(), super::scene::PLAINTEXT);
    scene.logged("releases resume");
    scene.recovers().await;
}

#[tokio::test]
async fn two_workers_on_two_copies() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let base = scene.folder.path().join("base");
    scene.opponent.with_folder(|folder| copy(folder, &base)).await;

    // One history …
    scene.boot().await.unwrap();
    let (fork, _) = scene.attested().await;
    scene.create_key().await;
    let first = scene.opponent.commits().last().unwrap().clone();
    scene.create_key().await;
    let (one, _) = scene.attested().await;
    scene.stop().await;
    // … and another.
    put_back(&scene.opponent, &base).await;
    scene.boot().await.unwrap();
    scene.create_key().await;
    scene.create_key().await;
    let (other, _) = scene.attested().await;
    scene.stop().await;

    // Each is whole. Two attestations of the same number tell them apart.
    assert_eq!(one.journal_sequence, other.journal_sequence);
    assert_ne!(one.journal_hash, other.journal_hash);
    assert_eq!(first.sequence, fork.journal_sequence + 1);
    // A mixture is no history.
    scene.attack(Attack::default().on_entries(move |_, mut page| {
        for (sequence, entry) in &mut page {
            if *sequence == first.sequence {
                *entry = first.entry.clone();
            }
        }
        page
    }));
    let error = scene.boot().await.expect_err("the worker does not start");
    // Each worker began with an entry of its own, before this one.
    let at = fork.journal_sequence + 1;
    let broken = matches!(error, BootError::Journal(JournalError::ChainBroken { sequence }) if sequence == at);
    assert!(broken, "{error:?}");
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_store_that_is_said_to_be_empty() {
    let mut scene = Scene::start().await;
    let (before, _) = scene.attested().await;
    let trusting = scene.client.clone();
    scene.stop().await;
    let kept = scene.folder.path().join("kept");
    scene
        .opponent
        .with_folder(|folder| {
            copy(folder, &kept);
            std::fs::remove_dir_all(folder).unwrap();
        })
        .await;
    // A first start, as far as the worker can know. It has another authority then, so that no
    // client of the service talks to it.
    scene.boot().await.unwrap();
    let (empty, _) = scene.attested().await;
    assert!(empty.journal_sequence < before.journal_sequence);
    assert_ne!(empty.service_ca_sha256, before.service_ca_sha256);
    let refused = trusting.connect().await.map(drop).expect_err("it trusts another authority");
    assert!(
        refused.to_string().contains("UnknownIssuer")
            || refused.to_string().contains("BadSignature"),
        "{refused}"
    );
    scene.stop().await;
    put_back(&scene.opponent, &kept).await;
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_commit_whose_entry_is_changed_before_it_is_kept() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let before = scene.folder.path().join("before");
    scene.opponent.with_folder(|folder| copy(folder, &before)).await;
    scene.boot().await.unwrap();
    scene.attack(Attack::default().on_commit(|commit| {
        commit.entry[50] ^= 1;
        Write::Honest
    }));
    scene.create_key().await;
    let changed = scene.opponent.commits().last().unwrap().sequence;
    scene.stop().await;
    scene.opponent.behave();
    let error = scene.boot().await.expect_err("the worker does not start");
    let at = matches!(error, BootError::Journal(JournalError::EntryDoesNotOpen { sequence }) if sequence == changed);
    assert!(at, "{error:?}");
    put_back(&scene.opponent, &before).await;
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn entries_of_another_service() {
    let other = Scene::start().await;
    let theirs: Page = (1..).zip(other.opponent.commits().into_iter().map(|c| c.entry)).collect();
    let (scene, error) = bent_entries(move |from, page| {
        let mut bent = page.clone();
        for ((_, entry), (_, theirs)) in bent.iter_mut().zip(&theirs).skip(1) {
            if from == 1 {
                *entry = theirs.clone();
            }
        }
        bent
    })
    .await;
    // Under the same root key, as here, they open; they do not follow.
    assert_refused!(error, JournalError::ChainBroken { sequence: 2 });
    let _ = other.call("ListKeys", json!({})).await.unwrap();
    scene.recovers().await;
}
