//! Attacks on the audit log: what cannot be recorded is not released, and what was recorded
//! cannot be changed, swapped, dropped or forgotten unseen.

use super::entries::{copy, put_back};
use super::host::{Attack, Write};
use super::scene::{PLAINTEXT, Scene, bounds, refused};
use sekisho_enclave::BootError;
use sekisho_enclave::probe::ReadError;
use sekisho_wire::store::{MAX_AUDIT_RECORD, Page};
use sekisho_wire::{Store, StoreError};
use std::time::Duration;

const DEPENDENCY: &str = "DependencyTimeoutException";
const NOT_RELEASED: &str = "the audit log cannot be written; nothing is released";
const RESUMED: &str = "the audit log is written again; releases resume";

const CHANGED: &str = "does not bear the service's signature";
const NOT_LINKED: &str = "does not follow the block before it";
const LOST: &str = "the host has lost audit blocks that it had acknowledged";
const MALFORMED: &str = "the message to or from the store is malformed";
const UNAVAILABLE: &str = "the store is unavailable";

fn says(error: &dyn std::fmt::Display, words: &str) {
    let said = error.to_string();
    assert!(said.contains(words), "{words:?} is not in {said:?}");
}

/// Blocks that the host treats so: their plaintexts are not released.
async fn bent_append(mut what: impl FnMut() -> Write + Send + 'static, reason: &str) -> Scene {
    let mut bounds = bounds();
    bounds.store.patience = Duration::from_secs(3);
    let scene = Scene::start_with(bounds).await;
    scene.attack(Attack::default().on_append(move |_| what()));
    let refused = refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    assert_eq!(refused.status, 503);
    scene.logged(NOT_RELEASED);
    scene.logged(reason);
    scene
}

/// The host behaves, the same worker releases again, and the log is whole.
async fn resumes(scene: Scene) {
    scene.opponent.behave();
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.logged(RESUMED);
    let entries = scene.audited().await.unwrap();
    let mut ids: Vec<_> = entries.iter().map(|entry| &entry.request_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), entries.len(), "a decision is recorded once");
    scene.recovers_and_restarts().await;
}

#[tokio::test]
async fn a_disk_that_is_full_and_then_is_not() {
    let scene = bent_append(|| Write::Refuse(StoreError::Full), "the store is full").await;
    let before = scene.audited().await.unwrap().len();
    for _ in 0..3 {
        refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    }
    assert_eq!(scene.audited().await.unwrap().len(), before);
    resumes(scene).await;
}

#[tokio::test]
async fn a_log_that_is_not_available() {
    let refuse = || Write::Refuse(StoreError::Unavailable);
    resumes(bent_append(refuse, "the store is unavailable").await).await;
}

#[tokio::test]
async fn a_block_that_is_never_answered() {
    resumes(bent_append(|| Write::Ignore, "the store is unavailable").await).await;
}

#[tokio::test]
async fn a_block_that_is_refused_and_kept() {
    let lie = || Write::KeepAndRefuse(StoreError::Unavailable);
    resumes(bent_append(lie, "the store is unavailable").await).await;
}

#[tokio::test]
async fn a_conflict_of_blocks_that_there_is_not() {
    let lie = || Write::Refuse(StoreError::Conflict { head: 1 << 40 });
    resumes(bent_append(lie, "does not follow the store's head").await).await;
}

#[tokio::test]
async fn a_block_that_is_acknowledged_and_dropped() {
    let mut scene = Scene::start().await;
    scene.attack(Attack::default().on_append(|_| Write::Forget));
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    let (sequence, lost) = scene.opponent.appended().pop().unwrap();
    scene.opponent.behave();
    // The next block would leave a gap. The change is made, and names the block that was dropped.
    refused(scene.try_create_key().await, DEPENDENCY);
    scene.logged(NOT_RELEASED);
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    scene.logged("the host has lost audit blocks that it had acknowledged");
    // So the next worker does not start either, until the block is there.
    scene.stop().await;
    let error = scene.boot().await.expect_err("the worker does not start");
    says(&error, LOST);
    scene.opponent.store().append_audit(sequence, lost).await.unwrap();
    scene.boot().await.unwrap();
    scene.audited().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_block_that_is_changed_before_it_is_kept() {
    let scene = Scene::start().await;
    scene.attack(Attack::default().on_append(|(_, block)| {
        let middle = block.len() / 2;
        block[middle] ^= 1;
        Write::Honest
    }));
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    let (changed, _) = scene.opponent.appended().pop().unwrap();
    scene.opponent.behave();
    scene.serves().await;
    // Who reads the log, notices.
    let error = scene.audited().await.expect_err("the log is not whole");
    says(&error, &format!("audit block {changed} {CHANGED}"));
    scene.recovers().await;
}

/// The log as a host shows it that bends its pages: refused by whoever reads it.
async fn bent_log(bend: impl FnMut(u64, Page) -> Page + Send + 'static) -> ReadError {
    let scene = Scene::shared().await;
    for _ in 0..3 {
        scene.decrypt(&scene.blob).await.unwrap();
    }
    let whole = scene.audited().await.unwrap();
    scene.attack(Attack::default().on_audit(bend));
    let error = scene.audited().await.expect_err("the log is not whole");
    scene.opponent.behave();
    assert_eq!(scene.audited().await.unwrap(), whole);
    scene.recovers().await;
    error
}

#[tokio::test]
async fn a_log_as_it_is() {
    let scene = Scene::start().await;
    scene.attack(Attack::default().on_audit(|_, page| page).on_append(|_| Write::Honest));
    scene.decrypt(&scene.blob).await.unwrap();
    let operations: Vec<_> =
        scene.audited().await.unwrap().into_iter().map(|entry| entry.operation).collect();
    assert_eq!(operations, ["CreateKey", "Encrypt", "Decrypt"]);
    scene.recovers().await;
}

#[tokio::test]
async fn a_block_with_a_flipped_bit() {
    let error = bent_log(|_, mut page| {
        if let Some((_, block)) = page.get_mut(2) {
            let middle = block.len() / 2;
            block[middle] ^= 1;
        }
        page
    })
    .await;
    says(&error, &format!("audit block 3 {CHANGED}"));
}

#[tokio::test]
async fn two_blocks_swapped() {
    let error = bent_log(|_, mut page| {
        if page.len() > 2 {
            let second = std::mem::take(&mut page[1].1);
            page[1].1 = std::mem::replace(&mut page[2].1, second);
        }
        page
    })
    .await;
    says(&error, "where audit block 2 should be stands block 3");
}

#[tokio::test]
async fn a_block_shown_twice() {
    let error = bent_log(|_, mut page| {
        if page.len() > 2 {
            page[2].1 = page[1].1.clone();
        }
        page
    })
    .await;
    says(&error, "where audit block 3 should be stands block 2 again");
}

#[tokio::test]
async fn a_block_dropped_and_the_others_numbered_anew() {
    let error = bent_log(|_, mut page| {
        if page.len() > 2 {
            page.remove(1);
            page.iter_mut().zip(1..).for_each(|((sequence, _), number)| *sequence = number);
        }
        page
    })
    .await;
    says(&error, "where audit block 2 should be stands block 3");
}

#[tokio::test]
async fn a_gap_in_the_log() {
    let error = bent_log(|_, mut page| {
        if page.len() > 2 {
            page.remove(1);
        }
        page
    })
    .await;
    says(&error, MALFORMED);
}

#[tokio::test]
async fn blocks_of_two_histories() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let base = scene.folder.path().join("base");
    scene.opponent.with_folder(|folder| copy(folder, &base)).await;
    let mut histories = Vec::new();
    for _ in 0..2 {
        put_back(&scene.opponent, &base).await;
        scene.boot().await.unwrap();
        scene.decrypt(&scene.blob).await.unwrap();
        scene.decrypt(&scene.blob).await.unwrap();
        let appended = scene.opponent.appended();
        histories.push(appended[appended.len() - 2..].to_vec());
        scene.stop().await;
    }
    let (forked, block) = histories[0][0].clone();
    scene.attack(Attack::default().on_audit(move |_, mut page| {
        page.iter_mut().filter(|(at, _)| *at == forked).for_each(|(_, held)| *held = block.clone());
        page
    }));
    let error = scene.audited().await.expect_err("the log is not whole");
    says(&error, &format!("audit block {} {NOT_LINKED}", forked + 1));
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
}

/// A host that bends the log while a worker starts, which therefore does not; `named` blocks of
/// the log are named by the journal.
async fn bent_at_boot(attack: impl FnOnce(&Scene) -> Attack) -> BootError {
    let mut scene = Scene::start().await;
    for _ in 0..3 {
        scene.decrypt(&scene.blob).await.unwrap();
    }
    // A change names the newest block of the log.
    scene.create_key().await;
    scene.decrypt(&scene.blob).await.unwrap();
    scene.stop().await;
    scene.attack(attack(&scene));
    let error = scene.boot().await.expect_err("the worker does not start");
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.audited().await.unwrap();
    scene.recovers().await;
    error
}

#[tokio::test]
async fn a_log_that_is_gone_at_a_start() {
    let error =
        bent_at_boot(|_| Attack::default().on_audit(|_, _| Vec::new()).on_tail(|_| None)).await;
    says(&error, LOST);
}

#[tokio::test]
async fn a_log_that_is_cut_before_what_the_journal_names() {
    let error = bent_at_boot(|scene| {
        let (sequence, block) = scene.opponent.appended()[1].clone();
        Attack::default()
            .on_audit(move |_, page| page.into_iter().filter(|(at, _)| *at <= sequence).collect())
            .on_tail(move |_| Some((sequence, block.clone())))
    })
    .await;
    says(&error, LOST);
}

/// The host still has the block that the journal names, and hides it from who writes on.
#[tokio::test]
async fn an_end_that_is_before_what_the_journal_names() {
    let error = bent_at_boot(|scene| {
        let earlier = scene.opponent.appended()[1].clone();
        Attack::default().on_tail(move |_| Some(earlier.clone()))
    })
    .await;
    says(&error, LOST);
}

#[tokio::test]
async fn no_end_where_the_journal_names_one() {
    let error = bent_at_boot(|_| Attack::default().on_tail(|_| None)).await;
    says(&error, LOST);
}

#[tokio::test]
async fn an_end_with_another_blocks_number() {
    let error = bent_at_boot(|_| {
        Attack::default().on_tail(|tail| tail.map(|(sequence, block)| (sequence + 1, block)))
    })
    .await;
    says(&error, "is kept as number");
}

#[tokio::test]
async fn an_end_with_a_flipped_bit() {
    let error = bent_at_boot(|_| {
        Attack::default().on_tail(|tail| {
            tail.map(|(sequence, mut block)| {
                let middle = block.len() / 2;
                block[middle] ^= 1;
                (sequence, block)
            })
        })
    })
    .await;
    says(&error, CHANGED);
}

#[tokio::test]
async fn an_end_that_is_larger_than_any_block() {
    let error = bent_at_boot(|_| {
        Attack::default().on_tail(|tail| {
            tail.map(|(sequence, mut block)| {
                block.resize(MAX_AUDIT_RECORD + 1024, 0);
                (sequence, block)
            })
        })
    })
    .await;
    says(&error, UNAVAILABLE);
}

#[tokio::test]
async fn another_block_in_the_place_of_the_named_one() {
    let error = bent_at_boot(|scene| {
        let (_, block) = scene.opponent.appended()[0].clone();
        Attack::default().on_audit(move |_, mut page| {
            page.iter_mut().for_each(|(_, held)| *held = block.clone());
            page
        })
    })
    .await;
    says(&error, "is not the one that the journal names");
}

/// Under a running worker the log's end is another history's: of the same root key, and longer.
#[tokio::test]
async fn an_end_of_another_history_under_a_running_worker() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let base = scene.folder.path().join("base");
    scene.opponent.with_folder(|folder| copy(folder, &base)).await;
    scene.boot().await.unwrap();
    for _ in 0..4 {
        scene.decrypt(&scene.blob).await.unwrap();
    }
    let theirs = scene.opponent.appended();
    scene.stop().await;
    put_back(&scene.opponent, &base).await;
    scene.boot().await.unwrap();
    scene.decrypt(&scene.blob).await.unwrap();
    let before = scene.audited().await.unwrap().len();
    let number = scene.opponent.appended().last().unwrap().0;
    let same_number = theirs.iter().find(|(other, _)| *other == number).unwrap().clone();
    // What this worker has written would be gone.
    let longer = theirs.last().unwrap().clone();
    scene.attack(
        Attack::default()
            .on_append(|_| Write::Refuse(StoreError::Unavailable))
            .on_tail(move |_| Some(longer.clone())),
    );
    for _ in 0..2 {
        refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    }
    scene.logged(NOT_RELEASED);
    scene.logged("does not follow the block before it");
    assert_eq!(scene.audited().await.unwrap().len(), before);
    // The same number, another block.
    let same = same_number;
    scene.attack(
        Attack::default()
            .on_append(|_| Write::Refuse(StoreError::Unavailable))
            .on_tail(move |_| Some(same.clone())),
    );
    refused(scene.decrypt(&scene.blob).await, DEPENDENCY);
    resumes(scene).await;
}
