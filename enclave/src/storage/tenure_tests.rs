//! Two workers at one store: the one that takes over, and the one that was there.

use super::checkpoint::Checkpoint;
use super::journal::{Cadence, Journal, JournalError, Opening};
use super::opponent::{Opponent, key, put};
use super::record::BlobHash;
use super::tenure::Tenure;
use crate::secret::{JournalKeys, RootKey, Subkeys};

fn root() -> JournalKeys {
    Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal
}

async fn open(
    opponent: &Opponent,
    holds: Option<Checkpoint>,
) -> Result<(Journal, Tenure), JournalError> {
    let tenure = Tenure::default();
    let opening = Opening { cadence: Cadence::DEFAULT, tenure: tenure.clone(), holds };
    Ok((Journal::open(opponent.client(), root(), opening).await?, tenure))
}

#[tokio::test]
async fn who_was_there_before_writes_nothing_more_and_what_it_wrote_stays() {
    let opponent = Opponent::default();
    let (old, old_tenure) = open(&opponent, None).await.unwrap();
    assert!(old.take_over().await.unwrap());
    assert!(!old.take_over().await.unwrap(), "once is enough");
    put(&old, key(1), "of before").await.unwrap();

    let (new, new_tenure) = open(&opponent, Some(old.checkpoint())).await.unwrap();
    // Until the new one takes over, the old one goes on, and is read.
    put(&old, key(2), "meanwhile").await.unwrap();
    assert!(new.take_over().await.unwrap());
    assert!(!old_tenure.has_ended());
    let refused = put(&old, key(1), "too late").await.unwrap_err();
    assert!(matches!(refused, JournalError::Superseded), "{refused}");
    assert!(old_tenure.has_ended());
    assert!(matches!(old.writer().await.map(drop), Err(JournalError::Superseded)));
    put(&new, key(3), "of now").await.unwrap();
    assert!(!new_tenure.has_ended());
    for (id, text) in [(key(1), "of before"), (key(2), "meanwhile"), (key(3), "of now")] {
        assert_eq!(new.get(&id).await.unwrap().unwrap().as_slice(), text.as_bytes());
    }
}

#[tokio::test]
async fn a_journal_has_to_hold_what_the_peer_attests() {
    let opponent = Opponent::default();
    let (old, _) = open(&opponent, None).await.unwrap();
    put(&old, key(1), "first").await.unwrap();
    let first = old.checkpoint();
    put(&old, key(2), "second").await.unwrap();
    // Its newest entry, and one before it: the peer has gone on since it attested.
    for held in [first, old.checkpoint()] {
        assert!(open(&opponent, Some(held)).await.is_ok());
    }
    let later = Checkpoint { sequence: 3, ..first };
    let other = Checkpoint { hash: BlobHash::from_bytes([7; 32]), ..first };
    for missing in [later, other] {
        let error = open(&opponent, Some(missing)).await.err().unwrap();
        let sequence = missing.sequence;
        assert!(matches!(error, JournalError::NotThePeers { sequence: at } if at == sequence));
    }
}
