//! What holds for the first access key, one test for each rule.

use super::*;
use crate::principals::KeyStatus;
use crate::principals::store::{ChangeError, PrincipalStore};
use crate::secret::{RootKey, Subkeys};
use crate::storage::journal::Cadence;
use crate::storage::opponent::Opponent;

const NOW: u64 = 1_700_000_000_000;

async fn journal(opponent: &Opponent) -> Arc<Journal> {
    let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
    Arc::new(Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap())
}

async fn open(opponent: &Opponent, administrator: Option<&HpkePair>) -> FirstKey {
    let administrator = administrator.map(HpkePair::public_key);
    FirstKey::open(journal(opponent).await, administrator, NOW).await.unwrap()
}

fn encrypted(first: &FirstKey) -> Vec<u8> {
    let answer = first.encrypted().unwrap();
    BASE64.decode(answer["encrypted"].as_str().unwrap()).unwrap()
}

/// The access key's id and secret.
fn opened(pair: &HpkePair, encrypted: &[u8]) -> (String, String) {
    let opened = open_first_access_key(pair, encrypted).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    let text = |name: &str| opened["AccessKey"][name].as_str().unwrap().to_owned();
    assert_eq!(text("PrincipalName"), ":root");
    (text("AccessKeyId"), text("SecretAccessKey"))
}

#[tokio::test]
async fn a_new_service_makes_one_that_its_administrator_alone_can_open() {
    let (opponent, pair) = (Opponent::default(), HpkePair::generate().unwrap());
    let first = open(&opponent, Some(&pair)).await;
    let answer = first.encrypted().unwrap();
    assert_eq!(answer["administrator_key_sha256"], hex::encode(pair.identifier()));
    let encrypted = encrypted(&first);
    let (id, secret) = opened(&pair, &encrypted);
    let principals = PrincipalStore::new(journal(&opponent).await);
    let root = principals.by_access_key(&id).await.unwrap().unwrap();
    assert_eq!((root.name.as_str(), root.keys.len()), (":root", 1));
    assert_eq!(root.keys[0].secret.expose(), secret);
    assert!(root.keys[0].is_usable(u64::MAX));

    let other = HpkePair::generate().unwrap();
    assert_eq!(open_first_access_key(&other, &encrypted).unwrap_err(), NotForThisKey);
    for position in (0..110).chain(encrypted.len() - 20..encrypted.len()) {
        let mut changed = encrypted.clone();
        changed[position] ^= 1;
        assert!(open_first_access_key(&pair, &changed).is_err(), "byte {position}");
    }
    // Nothing of it lies with the host in the clear.
    let held = opponent.held();
    for blob in held.records.values().chain(held.entries.values()) {
        assert!(!blob.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert!(!blob.windows(encrypted.len()).any(|window| window == encrypted));
    }
}

#[tokio::test]
async fn a_second_start_finds_it_and_makes_no_other() {
    let (opponent, pair) = (Opponent::default(), HpkePair::generate().unwrap());
    let first = encrypted(&open(&opponent, Some(&pair)).await);
    let entries = opponent.held().entries.len();
    // Also where the configuration names another administrator, or none any more.
    let other = HpkePair::generate().unwrap();
    for administrator in [Some(&pair), Some(&other), None] {
        assert_eq!(encrypted(&open(&opponent, administrator).await), first);
    }
    assert_eq!(opponent.held().entries.len(), entries);
}

#[tokio::test]
async fn a_service_that_has_begun_without_an_administrator_makes_none() {
    let opponent = Opponent::default();
    let principals = PrincipalStore::new(journal(&opponent).await);
    let alice = Principal { name: "alice".into(), created: 7, tags: vec![], keys: vec![] };
    principals.create(alice).await.unwrap();
    let pair = HpkePair::generate().unwrap();
    assert_eq!(open(&opponent, Some(&pair)).await.encrypted(), None);
    assert!(principals.by_name(ROOT).await.unwrap().is_none());
}

#[tokio::test]
async fn once_it_has_signed_it_is_handed_out_no_more() {
    let (opponent, pair) = (Opponent::default(), HpkePair::generate().unwrap());
    let first = open(&opponent, Some(&pair)).await;
    let (id, _) = opened(&pair, &encrypted(&first));
    first.used("AKIASOMEBODYELSE").await;
    assert!(first.encrypted().is_some());
    let kept = opponent.held().records.len();
    first.used(&id).await;
    assert_eq!(first.encrypted(), None);
    assert_eq!(opponent.held().records.len(), kept - 1, "the record is gone");
    // Neither at the next start, which makes no other.
    assert_eq!(open(&opponent, Some(&pair)).await.encrypted(), None);
    let principals = PrincipalStore::new(journal(&opponent).await);
    assert_eq!(principals.by_name(ROOT).await.unwrap().unwrap().keys.len(), 1);
}

#[tokio::test]
async fn it_stays_where_the_store_does_not_delete_it() {
    let (opponent, pair) = (Opponent::default(), HpkePair::generate().unwrap());
    let first = open(&opponent, Some(&pair)).await;
    let (id, _) = opened(&pair, &encrypted(&first));
    opponent.held().full = true;
    first.used(&id).await;
    assert!(first.encrypted().is_some());
    opponent.held().full = false;
    first.used(&id).await;
    assert_eq!(first.encrypted(), None);
}

/// What is lost before the first entry is acknowledged is begun anew; after it, nothing is lost.
#[tokio::test]
async fn a_start_that_is_cut_off_leaves_all_or_nothing() {
    let pair = HpkePair::generate().unwrap();
    for kept in [false, true] {
        let opponent = Opponent::default();
        match kept {
            true => opponent.held().swallow_answer = true,
            false => opponent.held().full = true,
        }
        let journal = journal(&opponent).await;
        let cut = FirstKey::open(journal, Some(pair.public_key()), NOW).await;
        assert!(matches!(cut.err(), Some(FirstKeyError::Journal(_))), "{kept}");
        opponent.held().full = false;
        assert_eq!(opponent.held().entries.len(), usize::from(kept));
        let first = open(&opponent, Some(&pair)).await;
        opened(&pair, &encrypted(&first));
        assert_eq!(opponent.held().entries.len(), 1);
    }
}

#[tokio::test]
async fn the_root_keeps_an_access_key_that_signs() {
    let (opponent, pair) = (Opponent::default(), HpkePair::generate().unwrap());
    let first = open(&opponent, Some(&pair)).await;
    let (id, _) = opened(&pair, &encrypted(&first));
    let root = PrincipalStore::new(journal(&opponent).await);
    let refused = |result| assert!(matches!(result, Err(ChangeError::LastRootKey)));
    refused(root.delete_access_key(ROOT, &id).await);
    refused(root.update_access_key(ROOT, &id, KeyStatus::Inactive).await);
    let ends = root.create_access_key(ROOT, NOW, Some(NOW + 1)).await.unwrap();
    refused(root.delete_access_key(ROOT, &id).await);
    root.delete_access_key(ROOT, &ends.id).await.unwrap();
    root.create_access_key(ROOT, NOW, None).await.unwrap();
    root.delete_access_key(ROOT, &id).await.unwrap();
}
