//! Snapshots and compaction against crashes at each step, and against a host that bends them.

use super::checkpoint::{Checkpoint, Newest};
use super::journal::{Cadence, Journal, JournalError, Write};
use super::opponent::{Compaction, Opponent, alias, key, put};
use super::record::{BlobHash, RecordId};
use crate::secret::{JournalKeys, RootKey, Subkeys};
use sekisho_wire::store::RecordKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Four rows in a chunk, and no snapshot that a test has not asked for.
const CADENCE: Cadence = Cadence { entries: u64::MAX, rows: 4 };
const KEYS: u8 = 10;
/// 10 keys and an alias, four to a chunk.
const CHUNKS: usize = 3;

fn keys() -> JournalKeys {
    Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal
}

async fn open(opponent: &Opponent) -> Result<Journal, JournalError> {
    Journal::open(opponent.client(), keys(), CADENCE).await
}

async fn delete(journal: &Journal, id: RecordId) -> Result<(), JournalError> {
    journal.writer().await?.commit(vec![Write { id, plaintext: None }]).await.map(|_| ())
}

/// Everything but the snapshot's own records.
async fn contents(journal: &Journal) -> BTreeMap<RecordId, String> {
    let mut contents = BTreeMap::new();
    for id in journal.ids(&RecordId::ServiceAuthority, usize::MAX, |_| true) {
        if !id.is_of_snapshot() {
            let text = journal.get(&id).await.unwrap().unwrap();
            contents.insert(id, String::from_utf8(text.to_vec()).unwrap());
        }
    }
    contents
}

async fn reopened_is_the_same(opponent: &Opponent, journal: &Journal) {
    let again = open(opponent).await.unwrap();
    assert_eq!(again.checkpoint(), journal.checkpoint());
    assert_eq!(contents(&again).await, contents(journal).await);
}

async fn filled() -> (Opponent, Journal) {
    let opponent = Opponent::default();
    let journal = open(&opponent).await.unwrap();
    for number in 1..=KEYS {
        put(&journal, key(number), &format!("key {number}")).await.unwrap();
    }
    put(&journal, alias("a"), "an alias").await.unwrap();
    (opponent, journal)
}

async fn with_snapshot() -> (Opponent, Journal) {
    let (opponent, journal) = filled().await;
    journal.snapshot().await.unwrap();
    (opponent, journal)
}

fn name_of(id: &RecordId) -> RecordKey {
    id.storage_key(&keys().record_names)
}

/// The names under which the host has the newest snapshot's chunks.
fn chunks_of(journal: &Journal) -> Vec<RecordKey> {
    let first = RecordId::SnapshotChunk { start: 0, number: 0 };
    journal.ids(&first, usize::MAX, |_| true).iter().map(name_of).collect()
}

fn change(opponent: &Opponent, name: RecordKey) {
    opponent.held().records.get_mut(&name).unwrap()[50] ^= 1;
}

#[tokio::test]
async fn a_boot_reads_the_snapshot_and_the_entries_after_it() {
    let (opponent, journal) = with_snapshot().await;
    let start = u64::from(KEYS) + 1;
    // The entries before are gone, so what is found was found by the snapshot.
    assert_eq!(*opponent.held().entries.keys().next().unwrap(), start + 1);
    assert_eq!(chunks_of(&journal).len(), CHUNKS);
    reopened_is_the_same(&opponent, &journal).await;

    put(&journal, key(3), "changed since").await.unwrap();
    put(&journal, key(77), "new since").await.unwrap();
    delete(&journal, key(4)).await.unwrap();
    delete(&journal, alias("a")).await.unwrap();
    reopened_is_the_same(&opponent, &journal).await;
}

#[tokio::test]
async fn the_next_snapshot_takes_the_place_of_the_one_before() {
    let (opponent, journal) = with_snapshot().await;
    let records = opponent.held().records.len();
    for round in 0..5 {
        put(&journal, key(1), &format!("round {round}")).await.unwrap();
        journal.snapshot().await.unwrap();
        assert_eq!(opponent.held().records.len(), records);
        reopened_is_the_same(&opponent, &journal).await;
    }
}

#[tokio::test]
async fn an_empty_journal_has_a_snapshot_too() {
    let opponent = Opponent::default();
    let journal = open(&opponent).await.unwrap();
    journal.snapshot().await.unwrap();
    reopened_is_the_same(&opponent, &journal).await;
}

/// Changes go on while chunk after chunk is taken, on both sides of the place it has got to.
#[tokio::test]
async fn changes_during_a_snapshot_are_in_the_state_it_gives() {
    for shift in 0..8_u8 {
        let (opponent, journal) = filled().await;
        let changes = async {
            for step in 0..12 {
                let number = (step * 7 + shift) % 14 + 1;
                put(&journal, key(number), &format!("step {step}")).await.unwrap();
                if step % 3 == 0 {
                    delete(&journal, key((number + shift) % 14 + 1)).await.unwrap();
                    put(&journal, alias(&format!("{step}")), "during").await.unwrap();
                }
            }
        };
        let (snapshot, ()) = tokio::join!(journal.snapshot(), changes);
        snapshot.unwrap();
        reopened_is_the_same(&opponent, &journal).await;
    }
}

#[tokio::test]
async fn snapshots_are_made_when_they_are_due() {
    let opponent = Opponent::default();
    let cadence = Cadence { entries: 6, rows: 4 };
    let journal = Arc::new(Journal::open(opponent.client(), keys(), cadence).await.unwrap());
    let made = tokio::spawn(journal.clone().keep_snapshots());
    for number in 0..40 {
        put(&journal, key(number % 8), &format!("{number}")).await.unwrap();
    }
    while opponent.held().entries.len() > 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    made.abort();
    reopened_is_the_same(&opponent, &journal).await;
}

/// A snapshot that fails, is cut off or loses an answer at any of its commits harms nothing, and
/// the next one leaves nothing of it behind.
#[tokio::test]
async fn a_crash_at_every_step() {
    let commits = CHUNKS as u64 + 1;
    for step in 1..=commits {
        for swallow in [false, true] {
            let (opponent, journal) = with_snapshot().await;
            put(&journal, key(1), "since").await.unwrap();
            let records = opponent.held().records.len();
            let at = journal.checkpoint().sequence + step;
            {
                let mut held = opponent.held();
                if swallow {
                    held.swallow_at = at;
                } else {
                    held.refuse_at = at;
                }
            }
            assert!(journal.snapshot().await.is_err(), "step {step}");
            opponent.held().refuse_at = 0;

            // A worker that starts now, and the one that goes on.
            let started = open(&opponent).await.unwrap();
            assert_eq!(contents(&started).await, contents(&journal).await);
            drop(started);
            put(&journal, key(2), "after").await.unwrap();
            journal.snapshot().await.unwrap();
            assert_eq!(opponent.held().records.len(), records, "step {step}");
            reopened_is_the_same(&opponent, &journal).await;
        }
    }
}

#[tokio::test]
async fn another_root_key_does_not_open_the_snapshot() {
    let (opponent, _) = with_snapshot().await;
    let other = Subkeys::derive(&RootKey::from_bytes(&[2; 32])).journal;
    // Its name is another as well, so all that this key sees is a journal without a beginning.
    let result = Journal::open(opponent.client(), other, CADENCE).await;
    assert!(matches!(result, Err(JournalError::EntryMissing { sequence: 1 })));
}

#[tokio::test]
async fn a_changed_manifest() {
    let (opponent, _) = with_snapshot().await;
    change(&opponent, name_of(&RecordId::Snapshot));
    assert!(matches!(open(&opponent).await, Err(JournalError::SnapshotDoesNotOpen)));
}

#[tokio::test]
async fn a_chunk_in_the_manifests_place() {
    let (opponent, journal) = with_snapshot().await;
    let chunk = opponent.held().records[&chunks_of(&journal)[0]].clone();
    opponent.held().records.insert(name_of(&RecordId::Snapshot), chunk);
    assert!(matches!(open(&opponent).await, Err(JournalError::SnapshotDoesNotOpen)));
}

#[tokio::test]
async fn a_hidden_manifest() {
    let (opponent, _) = with_snapshot().await;
    opponent.held().records.remove(&name_of(&RecordId::Snapshot));
    let result = open(&opponent).await;
    assert!(matches!(result, Err(JournalError::EntryMissing { sequence: 1 })));
}

#[tokio::test]
async fn a_hidden_manifest_before_the_whole_history() {
    let (opponent, journal) = filled().await;
    opponent.held().compaction = Compaction::Ignored;
    journal.snapshot().await.unwrap();
    opponent.held().records.remove(&name_of(&RecordId::Snapshot));
    assert!(matches!(open(&opponent).await, Err(JournalError::SnapshotNotCurrent)));
}

#[tokio::test]
async fn a_changed_chunk() {
    let (opponent, journal) = with_snapshot().await;
    let good = opponent.held().records.clone();
    for (number, name) in (0..).zip(chunks_of(&journal)) {
        change(&opponent, name);
        let result = open(&opponent).await;
        assert!(matches!(result, Err(JournalError::ChunkNotCurrent { number: n }) if n == number));
        opponent.held().records = good.clone();
    }
}

#[tokio::test]
async fn a_missing_chunk() {
    let (opponent, journal) = with_snapshot().await;
    opponent.held().records.remove(&chunks_of(&journal)[1]);
    assert!(matches!(open(&opponent).await, Err(JournalError::ChunkMissing { number: 1 })));
}

#[tokio::test]
async fn swapped_chunks() {
    let (opponent, journal) = with_snapshot().await;
    let names = chunks_of(&journal);
    {
        let mut held = opponent.held();
        let (one, two) = (held.records[&names[0]].clone(), held.records[&names[1]].clone());
        held.records.insert(names[0], two);
        held.records.insert(names[1], one);
    }
    assert!(matches!(open(&opponent).await, Err(JournalError::ChunkNotCurrent { number: 0 })));
}

#[tokio::test]
async fn a_chunk_of_the_snapshot_before() {
    let (opponent, journal) = with_snapshot().await;
    let yesterday = opponent.held().records[&chunks_of(&journal)[1]].clone();
    put(&journal, key(5), "today").await.unwrap();
    journal.snapshot().await.unwrap();
    opponent.held().records.insert(chunks_of(&journal)[1], yesterday);
    assert!(matches!(open(&opponent).await, Err(JournalError::ChunkNotCurrent { number: 1 })));
}

/// Yesterday's manifest with yesterday's chunks, before entries that name today's.
#[tokio::test]
async fn an_old_snapshot() {
    for (compaction, dropped) in [(Compaction::Ignored, false), (Compaction::Done, true)] {
        let (opponent, journal) = with_snapshot().await;
        let yesterday = opponent.held().records.clone();
        put(&journal, key(5), "today").await.unwrap();
        opponent.held().compaction = compaction;
        journal.snapshot().await.unwrap();
        opponent.held().records.extend(yesterday);
        match open(&opponent).await {
            Err(JournalError::EntryMissing { .. }) => assert!(dropped),
            Err(JournalError::SnapshotNotCurrent) => assert!(!dropped),
            other => panic!("{:?}", other.err()),
        }
    }
}

/// The whole of yesterday is a journal cut at its end: good by itself, and behind any later
/// checkpoint, as is told to those who hold one.
#[tokio::test]
async fn everything_of_yesterday_is_behind_its_checkpoint() {
    let (opponent, journal) = with_snapshot().await;
    let yesterday = opponent.held().clone();
    put(&journal, key(5), "today").await.unwrap();
    let checkpoint = journal.checkpoint();
    *opponent.held() = yesterday;
    assert!(open(&opponent).await.unwrap().checkpoint().sequence < checkpoint.sequence);
    // The worker that has seen today does not go on from yesterday.
    assert!(put(&journal, key(6), "lost").await.is_err());
}

/// Two histories with one beginning, and the snapshot of the other: taken after they parted, it
/// may know what never happened here.
#[tokio::test]
async fn the_snapshot_of_another_history() {
    for entries_here in [0, 3, 20] {
        let (here, journal) = filled().await;
        let there = Opponent::default();
        *there.held() = here.held().clone();
        let other = open(&there).await.unwrap();
        other.snapshot().await.unwrap();
        for _ in 0..entries_here {
            put(&journal, key(1), "here").await.unwrap();
        }
        let snapshot = there.held().records.clone();
        here.held().records.extend(snapshot);
        assert!(matches!(
            open(&here).await,
            Err(JournalError::Incomplete { .. } | JournalError::SnapshotNotCurrent)
        ));
    }
}

#[tokio::test]
async fn a_journal_cut_before_its_snapshot_was_complete() {
    let (opponent, journal) = with_snapshot().await;
    let manifest = journal.checkpoint().sequence;
    for left in 1..=CHUNKS as u64 + 1 {
        opponent.held().entries.remove(&(manifest + 1 - left));
        let result = open(&opponent).await;
        assert!(matches!(result, Err(JournalError::Incomplete { head, .. }) if head == manifest));
    }
}

#[tokio::test]
async fn entries_from_before_the_snapshot_in_place_of_those_after_it() {
    let (opponent, journal) = filled().await;
    let before = opponent.held().entries.clone();
    journal.snapshot().await.unwrap();
    let start = u64::from(KEYS) + 1;
    for (offset, entry) in (0..).zip(before.into_values()) {
        opponent.held().entries.insert(start + 1 + offset, entry);
    }
    let result = open(&opponent).await;
    assert!(
        matches!(result, Err(JournalError::EntryDoesNotOpen { sequence }) if sequence == start + 1)
    );
}

#[tokio::test]
async fn a_missing_entry_after_the_snapshot() {
    let (opponent, _) = with_snapshot().await;
    let start = u64::from(KEYS) + 1;
    opponent.held().entries.remove(&(start + 1));
    let result = open(&opponent).await;
    assert!(
        matches!(result, Err(JournalError::EntryMissing { sequence }) if sequence == start + 1)
    );
}

#[tokio::test]
async fn a_host_that_does_not_compact() {
    for (compaction, fails) in
        [(Compaction::Refused, true), (Compaction::Ignored, false), (Compaction::Stuck, true)]
    {
        let (opponent, journal) = filled().await;
        opponent.held().compaction = compaction;
        assert_eq!(journal.snapshot().await.is_err(), fails);
        assert!(opponent.held().entries.contains_key(&1));
        reopened_is_the_same(&opponent, &journal).await;

        opponent.held().compaction = Compaction::Done;
        journal.snapshot().await.unwrap();
        assert!(!opponent.held().entries.contains_key(&1));
        reopened_is_the_same(&opponent, &journal).await;
    }
}

/// A host that drops more than it was told is one that has lost entries.
#[tokio::test]
async fn a_host_that_drops_too_much() {
    let (opponent, _) = with_snapshot().await;
    let start = u64::from(KEYS) + 1;
    let late = opponent.held().entries.split_off(&(start + 3));
    opponent.held().entries = late;
    assert!(matches!(open(&opponent).await, Err(JournalError::EntryMissing { .. })));
}

#[tokio::test]
async fn the_audit_logs_newest_block_is_named_by_entries_and_snapshots() {
    let (opponent, journal) = filled().await;
    assert_eq!(journal.audited(), None);
    let newest = Newest::default();
    journal.name_audit_blocks(newest.clone());
    let block = |sequence| Checkpoint { sequence, hash: BlobHash::of(b"block") };
    newest.set(block(7));
    put(&journal, key(1), "changed").await.unwrap();
    assert_eq!(open(&opponent).await.unwrap().audited(), Some(block(7)));
    newest.set(block(9));
    journal.snapshot().await.unwrap();
    put(&journal, key(1), "changed again").await.unwrap();
    assert_eq!(open(&opponent).await.unwrap().audited(), Some(block(9)));
}
