//! The journal against a host that bends it, one test for each way.

use super::journal::{Cadence, Journal, JournalError, Write};
use super::opponent::{Opponent, alias, key, put};
use super::record::RecordId;
use crate::keys::id::KeyId;
use crate::secret::{RootKey, Subkeys};

fn root(byte: u8) -> crate::secret::JournalKeys {
    Subkeys::derive(&RootKey::from_bytes(&[byte; 32])).journal
}

async fn open(opponent: &Opponent) -> Result<Journal, JournalError> {
    Journal::open(opponent.client(), root(1), Cadence::DEFAULT).await
}

async fn text(journal: &Journal, id: &RecordId) -> String {
    String::from_utf8(journal.get(id).await.unwrap().unwrap().to_vec()).unwrap()
}

/// Three entries: key 1, key 2, then key 1 again.
async fn filled() -> (Opponent, Journal) {
    let opponent = Opponent::default();
    let journal = open(&opponent).await.unwrap();
    put(&journal, key(1), "first").await.unwrap();
    put(&journal, key(2), "second").await.unwrap();
    put(&journal, key(1), "third").await.unwrap();
    (opponent, journal)
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let (opponent, journal) = filled().await;
    let again = open(&opponent).await.unwrap();
    assert_eq!(again.checkpoint(), journal.checkpoint());
    assert_eq!(text(&again, &key(1)).await, "third");
    assert_eq!(text(&again, &key(2)).await, "second");
    assert!(again.get(&key(3)).await.unwrap().is_none());
}

#[tokio::test]
async fn deleted_records_are_gone_and_listings_are_in_order() {
    let (opponent, journal) = filled().await;
    put(&journal, alias("b"), "").await.unwrap();
    put(&journal, alias("a"), "").await.unwrap();
    let deletion = Write { id: key(1), plaintext: None };
    journal.writer().await.unwrap().commit(vec![deletion]).await.unwrap();
    for journal in [journal, open(&opponent).await.unwrap()] {
        let any = RecordId::Key(KeyId::NIL);
        assert_eq!(journal.ids(&any, 9, |id| matches!(id, RecordId::Key(_))), [key(2)]);
        let all = journal.ids(&RecordId::Alias(String::new()), 9, |_| true);
        assert_eq!(all, [alias("a"), alias("b")]);
    }
}

#[tokio::test]
async fn the_host_sees_no_plaintext_and_no_names() {
    let (opponent, journal) = filled().await;
    put(&journal, alias("quite-a-secret-name"), "quite-a-secret-text").await.unwrap();
    let held = opponent.held();
    let records = held.records.iter().map(|(key, blob)| [key.0.as_slice(), blob].concat());
    let everything: Vec<u8> = records.chain(held.entries.values().cloned()).flatten().collect();
    for secret in [&b"quite-a-secret"[..], &[2; 16], b"second"] {
        assert!(!everything.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test]
async fn another_root_key_opens_nothing() {
    let (opponent, _) = filled().await;
    let result = Journal::open(opponent.client(), root(2), Cadence::DEFAULT).await;
    assert!(matches!(result, Err(JournalError::EntryDoesNotOpen { sequence: 1 })));
}

#[tokio::test]
async fn a_changed_entry() {
    let (opponent, _) = filled().await;
    opponent.held().entries.get_mut(&2).unwrap()[40] ^= 1;
    let result = open(&opponent).await;
    assert!(matches!(result, Err(JournalError::EntryDoesNotOpen { sequence: 2 })));
}

#[tokio::test]
async fn reordered_entries() {
    let (opponent, _) = filled().await;
    {
        let mut held = opponent.held();
        let (one, two) = (held.entries[&1].clone(), held.entries[&2].clone());
        held.entries.insert(1, two);
        held.entries.insert(2, one);
    }
    assert!(matches!(open(&opponent).await, Err(JournalError::EntryDoesNotOpen { sequence: 1 })));
}

#[tokio::test]
async fn a_missing_entry() {
    let (opponent, _) = filled().await;
    opponent.held().entries.remove(&2);
    assert!(open(&opponent).await.is_err());
}

/// Two histories of one service, each good by itself, cannot be spliced.
#[tokio::test]
async fn a_fork() {
    let (opponent, _) = filled().await;
    let fork = Opponent::default();
    let other = open(&fork).await.unwrap();
    for number in 1..=3 {
        put(&other, key(number), "other").await.unwrap();
    }
    let spliced = fork.held().entries[&3].clone();
    opponent.held().entries.insert(3, spliced);
    assert!(matches!(open(&opponent).await, Err(JournalError::ChainBroken { sequence: 3 })));
}

#[tokio::test]
async fn a_head_beyond_the_entries() {
    let (opponent, _) = filled().await;
    opponent.held().entries.insert(9, vec![0; 80]);
    assert!(open(&opponent).await.is_err());
}

#[tokio::test]
async fn a_record_of_yesterday() {
    let opponent = Opponent::default();
    let journal = open(&opponent).await.unwrap();
    put(&journal, key(1), "yesterday").await.unwrap();
    let yesterday = opponent.held().records.clone();
    put(&journal, key(1), "today").await.unwrap();
    opponent.held().records = yesterday;
    for journal in [journal, open(&opponent).await.unwrap()] {
        let result = journal.get(&key(1)).await;
        assert!(matches!(result, Err(JournalError::RecordNotCurrent)));
    }
}

#[tokio::test]
async fn swapped_changed_and_dropped_records() {
    let (opponent, journal) = filled().await;
    let good = opponent.held().records.clone();
    let keys: Vec<_> = good.keys().copied().collect();

    let mut swapped = good.clone();
    swapped.insert(keys[0], good[&keys[1]].clone());
    opponent.held().records = swapped;
    let both = [journal.get(&key(1)).await, journal.get(&key(2)).await];
    assert!(both.iter().any(|result| matches!(result, Err(JournalError::RecordNotCurrent))));

    let mut changed = good.clone();
    changed.values_mut().for_each(|blob| blob[50] ^= 1);
    opponent.held().records = changed;
    assert!(matches!(journal.get(&key(1)).await, Err(JournalError::RecordNotCurrent)));

    opponent.held().records.clear();
    assert!(matches!(journal.get(&key(1)).await, Err(JournalError::RecordMissing)));

    opponent.held().records = good;
    assert_eq!(text(&journal, &key(1)).await, "third");
}

/// The commit was kept, its answer lost: the next writer reads on and goes on from there.
#[tokio::test]
async fn a_swallowed_answer() {
    let (opponent, journal) = filled().await;
    opponent.held().swallow_answer = true;
    assert!(put(&journal, key(4), "kept").await.is_err());
    put(&journal, key(5), "next").await.unwrap();
    assert_eq!(text(&journal, &key(4)).await, "kept");
    assert_eq!(text(&open(&opponent).await.unwrap(), &key(5)).await, "next");
}

/// The same for a reader: the record at the host is newer than the index knows.
#[tokio::test]
async fn a_read_after_a_swallowed_answer() {
    let (opponent, journal) = filled().await;
    opponent.held().swallow_answer = true;
    assert!(put(&journal, key(1), "kept").await.is_err());
    assert_eq!(text(&journal, &key(1)).await, "kept");
    opponent.held().swallow_answer = true;
    let deletion = Write { id: key(1), plaintext: None };
    assert!(journal.writer().await.unwrap().commit(vec![deletion]).await.is_err());
    assert!(journal.get(&key(1)).await.unwrap().is_none());
    put(&journal, key(2), "goes on").await.unwrap();
    assert_eq!(text(&open(&opponent).await.unwrap(), &key(2)).await, "goes on");
}

/// A record is read while it is written again and again.
#[tokio::test]
async fn reads_during_changes() {
    let (_opponent, journal) = filled().await;
    let changes = async {
        for round in 0..30 {
            put(&journal, key(1), &format!("{round}")).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..30 {
            text(&journal, &key(1)).await;
        }
    };
    tokio::join!(changes, reads);
}

#[tokio::test]
async fn a_full_disk_that_is_emptied() {
    let (opponent, journal) = filled().await;
    opponent.held().full = true;
    assert!(put(&journal, key(4), "refused").await.is_err());
    opponent.held().full = false;
    assert!(journal.get(&key(4)).await.unwrap().is_none());
    put(&journal, key(4), "taken").await.unwrap();
    assert_eq!(text(&open(&opponent).await.unwrap(), &key(4)).await, "taken");
}

/// A host that forgets the end while the worker runs is noticed by the worker's next write.
#[tokio::test]
async fn a_tail_cut_under_a_running_worker() {
    let (opponent, journal) = filled().await;
    opponent.held().entries.remove(&3);
    assert!(put(&journal, key(4), "lost").await.is_err());
}
