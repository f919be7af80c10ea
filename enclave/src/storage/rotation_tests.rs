//! A new root key, against time and a host that gives what was before.

use super::journal::{Cadence, Journal, JournalError, Sweep, Write};
use super::opponent::{Held, Opponent, alias, key, put};
use super::record::RecordId;
use crate::keys::id::KeyId;
use crate::secret::{JournalKeys, RootKey, SealingKeys};
use zeroize::Zeroizing;

const RECORDS: u128 = 700;

fn root(byte: u8) -> RootKey {
    RootKey::from_bytes(&[byte; 32])
}

/// Generation *n* is of the root key of *n* bytes.
fn generation(number: u8) -> SealingKeys {
    root(number).sealing_keys(number.into())
}

fn keys(generations: &[u8]) -> JournalKeys {
    let sealing = generations.iter().map(|number| generation(*number)).collect();
    JournalKeys::new(root(1).record_names(), sealing)
}

async fn open(opponent: &Opponent, keys: JournalKeys) -> Result<Journal, JournalError> {
    Journal::open(opponent.client(), keys, Cadence { entries: 50, rows: 40 }).await
}

fn id(number: u128) -> RecordId {
    RecordId::Key(KeyId::from_u128(number))
}

fn text(number: u128) -> Vec<u8> {
    format!("text of {number}").into_bytes()
}

async fn filled() -> (Opponent, Journal) {
    let opponent = Opponent::default();
    let journal = open(&opponent, keys(&[1])).await.unwrap();
    let numbers: Vec<u128> = (0..RECORDS).collect();
    for some in numbers.chunks(100) {
        let write = |number: &u128| Write {
            id: id(*number),
            plaintext: Some(Zeroizing::new(text(*number))),
        };
        journal.writer().await.unwrap().commit(some.iter().map(write).collect()).await.unwrap();
    }
    put(&journal, alias("a"), "of an alias").await.unwrap();
    journal.snapshot().await.unwrap();
    put(&journal, key(1), "after the snapshot").await.unwrap();
    (opponent, journal)
}

async fn all_is_there(journal: &Journal) {
    for number in 0..RECORDS {
        assert_eq!(journal.get(&id(number)).await.unwrap().unwrap().as_slice(), text(number));
    }
    assert_eq!(journal.get(&key(1)).await.unwrap().unwrap().as_slice(), b"after the snapshot");
    assert_eq!(journal.get(&alias("a")).await.unwrap().unwrap().as_slice(), b"of an alias");
}

async fn finish(journal: &Journal) {
    let mut sweep = Sweep::default();
    while !journal.reseal(&mut sweep).await.unwrap() {}
    journal.snapshot().await.unwrap();
    journal.forget_former();
}

#[tokio::test]
async fn everything_moves_and_the_former_root_key_is_needed_for_nothing() {
    let (opponent, journal) = filled().await;
    journal.begin(generation(2), 7).await.unwrap();
    assert_eq!((journal.generation().number, journal.generation().since), (2, 7));
    assert_eq!(journal.former_records(), RECORDS as usize + 2);
    put(&journal, id(5), "text of 5").await.unwrap();
    assert_eq!(journal.former_records(), RECORDS as usize + 1);
    all_is_there(&journal).await;
    finish(&journal).await;
    assert_eq!(journal.former_records(), 0);
    all_is_there(&journal).await;
    // Nor is anything left in the store that it opens.
    let again = open(&opponent, keys(&[2])).await.unwrap();
    assert_eq!(again.checkpoint(), journal.checkpoint());
    all_is_there(&again).await;
    put(&again, key(9), "later").await.unwrap();
    // And once more.
    again.begin(generation(3), 8).await.unwrap();
    finish(&again).await;
    let third = open(&opponent, keys(&[3])).await.unwrap();
    all_is_there(&third).await;
    assert_eq!(third.get(&key(9)).await.unwrap().unwrap().as_slice(), b"later");
}

#[tokio::test]
async fn a_worker_that_was_killed_at_any_step_finds_what_is_left() {
    let (opponent, journal) = filled().await;
    journal.begin(generation(2), 7).await.unwrap();
    let mut sweep = Sweep::default();
    let mut left = journal.former_records();
    loop {
        let found = open(&opponent, keys(&[1, 2])).await.unwrap();
        assert_eq!((found.generation().number, found.generation().since), (2, 7));
        assert_eq!(found.former_records(), left);
        all_is_there(&found).await;
        if left == 0 {
            break;
        }
        // The one before is gone; its sweep with it.
        sweep = Sweep::default();
        assert!(!found.reseal(&mut sweep).await.unwrap());
        let now = found.former_records();
        assert!(now < left, "{now} of {left}");
        left = now;
    }
    let last = open(&opponent, keys(&[1, 2])).await.unwrap();
    assert!(last.reseal(&mut Sweep::default()).await.unwrap());
    drop(sweep);
    last.snapshot().await.unwrap();
    // Killed before the former one was dropped from the slot.
    all_is_there(&open(&opponent, keys(&[1, 2])).await.unwrap()).await;
    all_is_there(&open(&opponent, keys(&[2])).await.unwrap()).await;
}

#[tokio::test]
async fn a_lost_answer_to_the_beginning_changes_nothing() {
    let (opponent, journal) = filled().await;
    opponent.held().swallow_answer = true;
    assert!(journal.begin(generation(2), 7).await.is_err());
    put(&journal, id(3), "text of 3").await.unwrap();
    journal.begin(generation(2), 8).await.unwrap();
    // The first had happened.
    assert_eq!((journal.generation().number, journal.generation().since), (2, 7));
    finish(&journal).await;
    all_is_there(&open(&opponent, keys(&[2])).await.unwrap()).await;
}

#[tokio::test]
async fn others_write_meanwhile_and_nothing_of_theirs_is_lost() {
    let (opponent, journal) = filled().await;
    let journal = std::sync::Arc::new(journal);
    journal.begin(generation(2), 7).await.unwrap();
    let writing = {
        let journal = journal.clone();
        tokio::spawn(async move {
            for round in 0..200_u128 {
                let number = round * 37 % RECORDS;
                let newer = format!("newer text of {number}");
                put(&journal, id(number), &newer).await.unwrap();
                assert_eq!(
                    journal.get(&id(number)).await.unwrap().unwrap().as_slice(),
                    newer.as_bytes()
                );
                tokio::task::yield_now().await;
            }
        })
    };
    finish(&journal).await;
    writing.await.unwrap();
    let again = open(&opponent, keys(&[2])).await.unwrap();
    for round in 0..200_u128 {
        let number = round * 37 % RECORDS;
        let found = again.get(&id(number)).await.unwrap().unwrap();
        assert_eq!(found.as_slice(), format!("newer text of {number}").as_bytes());
    }
}

/// The host puts the slot of before back, and leaves the journal.
#[tokio::test]
async fn an_older_root_key_with_a_newer_journal_is_refused_with_its_reason() {
    let (opponent, journal) = filled().await;
    journal.begin(generation(2), 7).await.unwrap();
    let refused = |refused: Result<Journal, JournalError>| match refused.err().unwrap() {
        JournalError::RootKeyOlder { generation: 2, held: 1 } => {}
        other => panic!("{other}"),
    };
    refused(open(&opponent, keys(&[1])).await);
    finish(&journal).await;
    refused(open(&opponent, keys(&[1])).await);
    let error = open(&opponent, keys(&[1])).await.err().unwrap().to_string();
    assert!(error.contains("the host has served an older slot than the journal's"), "{error}");
}

/// The host puts the journal of before back, and leaves the slot.
#[tokio::test]
async fn an_older_journal_with_a_newer_root_key_is_refused_with_its_reason() {
    let (opponent, journal) = filled().await;
    let before = opponent.held().clone();
    journal.begin(generation(2), 7).await.unwrap();
    finish(&journal).await;
    *opponent.held() = before;
    let refused = open(&opponent, keys(&[2])).await.err().unwrap();
    assert!(matches!(refused, JournalError::RootKeyNewer { generation: 1, held: 2 }), "{refused}");
    // And one without a snapshot, or none at all.
    *opponent.held() = Held::default();
    let refused = open(&opponent, keys(&[2])).await.err().unwrap();
    assert!(matches!(refused, JournalError::RootKeyNewer { generation: 1, held: 2 }), "{refused}");
}

/// Whoever has the former root key can seal under it; nobody takes it from them.
#[tokio::test]
async fn an_entry_under_the_former_root_key_after_the_new_one_began_is_refused() {
    let (opponent, journal) = filled().await;
    journal.begin(generation(2), 7).await.unwrap();
    let sequence = journal.checkpoint().sequence + 1;
    // A journal that takes the former root key for the next one too.
    let former = root(1).sealing_keys(2);
    let thief = JournalKeys::new(root(1).record_names(), vec![generation(1), former]);
    let thief = open(&opponent, thief).await.unwrap();
    put(&thief, id(5), "made up").await.unwrap();
    let refused = open(&opponent, keys(&[1, 2])).await.err().unwrap();
    let at = matches!(refused, JournalError::EntryDoesNotOpen { sequence: at } if at == sequence);
    assert!(at, "{refused}");
}

/// Of one record the blob of before, with all else as it is.
#[tokio::test]
async fn a_record_of_the_former_generation_does_not_come_back() {
    let (opponent, journal) = filled().await;
    let before = opponent.held().records.clone();
    journal.begin(generation(2), 7).await.unwrap();
    finish(&journal).await;
    let names = root(1).record_names();
    let name = id(5).storage_key(&names);
    let now = opponent.held().records.insert(name, before[&name].clone()).unwrap();
    assert_ne!(now, before[&name]);
    for journal in [journal, open(&opponent, keys(&[2])).await.unwrap()] {
        let refused = journal.get(&id(5)).await.err().unwrap();
        assert!(matches!(refused, JournalError::RecordNotCurrent), "{refused}");
    }
}

/// What stands behind the snapshot is a hint for the reason, and nothing more.
#[tokio::test]
async fn a_changed_generation_behind_the_snapshot_is_refused() {
    let (opponent, journal) = filled().await;
    journal.begin(generation(2), 7).await.unwrap();
    finish(&journal).await;
    let name = RecordId::Snapshot.storage_key(&root(1).record_names());
    let whole = opponent.held().records[&name].clone();
    let (sealed, _) = whole.split_at(whole.len() - 26);
    let mut later = whole.clone();
    *later.last_mut().unwrap() = 3;
    let mut changed = whole.clone();
    changed[40] ^= 1;
    for (bent, wanted) in [
        (sealed.to_vec(), "which was rotated away"),
        (later, "the host has served an older slot"),
        (changed, "snapshot does not open"),
    ] {
        opponent.held().records.insert(name, bent);
        let refused = open(&opponent, keys(&[2])).await.err().unwrap().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
    opponent.held().records.insert(name, whole);
    all_is_there(&open(&opponent, keys(&[2])).await.unwrap()).await;
}
