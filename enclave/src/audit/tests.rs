//! The log against a host that loses, changes and reorders it.

use super::sealer::SealedBlock;
use super::writer::WORTH_A_BLOCK;
use super::*;
use crate::hpke::Fixed;
use crate::probe::{ReadError, auditor, read_audit_log};
use crate::secret::{RootKey, Secret, Subkeys};
use crate::storage::opponent::Opponent;

fn root() -> RootKey {
    RootKey::from_bytes(&[1; 32])
}

fn sealer() -> BlockSealer {
    let seed = Subkeys::derive(&root()).audit_signature;
    BlockSealer::new(auditor().unwrap().public_key(), &seed).unwrap()
}

/// Of a worker by itself.
fn fence() -> Fence {
    Fence { tenure: Tenure::default(), journal: None }
}

async fn open(opponent: &Opponent) -> AuditLog {
    AuditLog::open(opponent.client(), sealer(), None, fence()).await.unwrap()
}

async fn record(log: &AuditLog, request_id: &str) -> Result<(), Unrecorded> {
    let entry = AuditEntry { request_id: request_id.into(), ..AuditEntry::default() };
    let response = Response::of(request_id.into(), Ok(serde_json::json!({})));
    log.record(Outcome { entry, response }).await.map(|_| ())
}

async fn read(opponent: &Opponent) -> Result<Vec<String>, ReadError> {
    let entries = read_audit_log(&opponent.client(), &root()).await?;
    Ok(entries.into_iter().map(|entry| entry.request_id).collect())
}

#[tokio::test]
async fn decisions_of_two_starts_are_read_back_in_order() {
    let opponent = Opponent::default();
    for start in ["a", "b"] {
        let log = open(&opponent).await;
        record(&log, &format!("{start}1")).await.unwrap();
        record(&log, &format!("{start}2")).await.unwrap();
    }
    assert_eq!(read(&opponent).await.unwrap(), ["a1", "a2", "b1", "b2"]);
}

#[tokio::test]
async fn decisions_that_wait_together_share_a_block() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    let (a, b, c) = tokio::join!(record(&log, "a"), record(&log, "b"), record(&log, "c"));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(read(&opponent).await.unwrap().len(), 3);
    assert!(opponent.held().audit.len() < 3);
}

#[tokio::test]
async fn large_decisions_are_spread_over_blocks() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    let large = |id: &str, bytes: usize| {
        let reason = Some("x".repeat(bytes));
        let entry = AuditEntry { request_id: id.into(), reason, ..AuditEntry::default() };
        let response = Response::of(id.into(), Ok(serde_json::json!({})));
        log.record(Outcome { entry, response })
    };
    let half = BLOCK_BYTES / 2;
    let (a, b, c, d) =
        tokio::join!(large("1", half), large("2", half), large("3", 1), large("4", half));
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert!(large("5", BLOCK_BYTES).await.is_err());
    assert_eq!(read(&opponent).await.unwrap(), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn nothing_is_released_while_the_log_cannot_be_written() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "before").await.unwrap();
    opponent.held().full = true;
    assert!(record(&log, "during").await.is_err());
    opponent.held().full = false;
    record(&log, "after").await.unwrap();
    assert_eq!(read(&opponent).await.unwrap(), ["before", "after"]);
}

#[tokio::test]
async fn a_swallowed_answer_is_a_refusal_and_the_log_goes_on() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    opponent.held().swallow_answer = true;
    assert!(record(&log, "swallowed").await.is_err());
    record(&log, "next").await.unwrap();
    assert_eq!(read(&opponent).await.unwrap(), ["swallowed", "next"]);
}

#[tokio::test]
async fn changed_dropped_and_reordered_blocks_show() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    for id in ["1", "2", "3"] {
        record(&log, id).await.unwrap();
    }
    let good = opponent.held().audit.clone();

    let fault = async || match read(&opponent).await {
        Err(ReadError::Log(AuditError::Fault(fault))) => fault,
        other => panic!("{other:?}"),
    };
    opponent.held().audit.get_mut(&2).unwrap()[40] ^= 1;
    assert_eq!(fault().await, AuditFault::BadSignature { sequence: 2 });

    opponent.held().audit = good.clone();
    opponent.held().audit.insert(2, good[&3].clone());
    assert_eq!(fault().await, AuditFault::Gap { expected: 2, found: 3 });

    opponent.held().audit = good.clone();
    opponent.held().audit.insert(3, good[&2].clone());
    assert_eq!(fault().await, AuditFault::Repeated { expected: 3, found: 2 });

    opponent.held().audit = good.clone();
    opponent.held().audit.remove(&2);
    assert!(read(&opponent).await.is_err());

    // Signed, for the same place, but of another history.
    let other = Opponent::default();
    let log = open(&other).await;
    for id in ["1", "2", "3"] {
        record(&log, id).await.unwrap();
    }
    opponent.held().audit = good.clone();
    opponent.held().audit.insert(3, other.held().audit[&3].clone());
    assert_eq!(fault().await, AuditFault::NotLinked { sequence: 3 });
}

/// What the journal names must be there at the next boot, and be the same.
#[tokio::test]
async fn a_log_that_lost_a_named_block_shows() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    record(&log, "2").await.unwrap();
    let named = log.newest().current().unwrap();
    assert_eq!(named.sequence, 2);
    record(&log, "3").await.unwrap();
    drop(log);
    let boot =
        async |named| AuditLog::open(opponent.client(), sealer(), Some(named), fence()).await;
    boot(named).await.unwrap();

    let good = opponent.held().audit.clone();
    opponent.held().audit.get_mut(&2).unwrap()[40] ^= 1;
    let changed = boot(named).await.err();
    assert!(matches!(changed, Some(AuditError::OtherThanNamed { sequence: 2 })), "{changed:?}");
    opponent.held().audit.split_off(&2);
    let cut = boot(named).await.err();
    assert!(matches!(cut, Some(AuditError::CutShort)), "{cut:?}");
    opponent.held().audit.clear();
    assert!(matches!(boot(named).await.err(), Some(AuditError::CutShort)));

    // The end is checked too: by its signature, its number and its predecessor.
    opponent.held().audit = good.clone();
    opponent.held().audit.get_mut(&3).unwrap()[200] ^= 1;
    let changed = boot(named).await.err();
    let expected = AuditFault::BadSignature { sequence: 3 };
    assert!(matches!(changed, Some(AuditError::Fault(fault)) if fault == expected), "{changed:?}");
    opponent.held().audit.insert(3, good[&2].clone());
    let moved = boot(named).await.err();
    let expected = AuditFault::Misnumbered { sequence: 2, record: 3 };
    assert!(matches!(moved, Some(AuditError::Fault(fault)) if fault == expected), "{moved:?}");
}

/// Blocks were sealed under a key of the root once.
#[tokio::test]
async fn a_log_of_the_old_format_is_told() {
    let opponent = Opponent::default();
    opponent.held().audit.insert(1, vec![7; 300]);
    let error = AuditLog::open(opponent.client(), sealer(), None, fence()).await.err().unwrap();
    assert!(error.to_string().contains("sekisho dev --reset"), "{error}");
}

#[tokio::test]
async fn a_log_cut_under_a_running_worker_stops_releases() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    record(&log, "2").await.unwrap();
    opponent.held().audit.remove(&2);
    assert!(record(&log, "3").await.is_err());
    assert!(record(&log, "4").await.is_err());
}

/// Blocks behind a failed one fail with it, and the log goes on from where it really ends.
#[tokio::test]
async fn a_failure_with_blocks_behind_it_loses_and_repeats_nothing() {
    for swallowed in [false, true] {
        let opponent = Opponent::default();
        let log = open(&opponent).await;
        record(&log, "before").await.unwrap();
        opponent.held().full = !swallowed;
        opponent.held().swallow_answer = swallowed;
        let first = tokio::spawn({
            let log = log.clone();
            async move { record(&log, "first").await }
        });
        // Between the first block and the ones that queue up behind it.
        tokio::task::yield_now().await;
        // As many as make a block of their own while another is on its way, and one that waits.
        let behind = (0..=WORTH_A_BLOCK).map(|number| {
            let log = log.clone();
            tokio::spawn(async move { record(&log, &format!("behind {number}")).await })
        });
        let behind: Vec<_> = behind.collect();
        assert!(first.await.unwrap().is_err());
        let mut recorded = Vec::new();
        for one in behind {
            recorded.push(one.await.unwrap().is_ok());
        }
        opponent.held().full = false;
        record(&log, "after").await.unwrap();
        let kept = read(&opponent).await.unwrap();
        assert_eq!(kept.first().map(String::as_str), Some("before"));
        assert_eq!(kept.last().map(String::as_str), Some("after"));
        assert_eq!(kept.contains(&"first".to_owned()), swallowed);
        for (number, recorded) in recorded.into_iter().enumerate() {
            assert!(!recorded || kept.contains(&format!("behind {number}")));
        }
        let mut once = kept.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), kept.len(), "{kept:?}");
    }
}

#[tokio::test]
async fn only_the_auditor_opens_and_nobody_else_signs() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    let bytes = opponent.held().audit[&1].clone();
    let block = AuditBlock::parse(&bytes).unwrap();
    let key = log.signature_key();
    block.verify(&key).unwrap();
    assert_eq!(block.open(&mut auditor().unwrap()).unwrap()[0].request_id, "1");
    let mut other = AuditorPrivateKey::from(crate::hpke::HpkePair::generate().unwrap());
    assert_eq!(block.open(&mut other), Err(Unreadable::OtherAuditor));

    // Whoever knows the auditor's public key can make a block that opens, but not sign it.
    let own = Secret::from_bytes(&[9; 32]);
    let mut forger = BlockSealer::new(auditor().unwrap().public_key(), &own).unwrap();
    let entry = codec::encode(&AuditEntry::default()).unwrap();
    let content = codec::encode(&vec![ByteBuf::from(entry)]).unwrap();
    let forged = forger.seal(1, BlobHash::GENESIS, &content).unwrap().bytes;
    let forged = AuditBlock::parse(&forged).unwrap();
    assert_eq!(forged.open(&mut auditor().unwrap()).unwrap().len(), 1);
    assert_eq!(forged.verify(&key), Err(AuditFault::BadSignature { sequence: 1 }));
}

#[tokio::test]
async fn every_changed_byte_and_every_cut_shows() {
    let opponent = Opponent::default();
    let log = open(&opponent).await;
    record(&log, "1").await.unwrap();
    let good = opponent.held().audit[&1].clone();
    let holds = |bytes: &[u8]| {
        AuditBlock::parse(bytes).is_ok_and(|block| block.verify(&log.signature_key()).is_ok())
    };
    assert!(holds(&good));
    for position in 0..good.len() {
        let mut changed = good.clone();
        changed[position] ^= 1;
        assert!(!holds(&changed), "byte {position}");
        assert!(!holds(&good[..position]), "cut {position}");
    }
    assert!(!holds(&[good.as_slice(), &[0]].concat()));
}

/// No nonce comes twice under a key, and an epoch ends.
#[test]
fn numbers_count_up_within_an_epoch() {
    let mut sealer = sealer();
    let header = |sealed: SealedBlock| {
        let block = AuditBlock::parse(&sealed.bytes).unwrap();
        (block.number(), *block.encapsulated)
    };
    let mut seal = || header(sealer.seal(5, BlobHash::GENESIS, b"").unwrap());
    let ((first, epoch), (second, same)) = (seal(), seal());
    assert_eq!((first, second, epoch), (0, 1, same));
    sealer.begin_with(&mut Fixed(0x22), (1 << 16) - 1);
    let mut seal = || header(sealer.seal(5, BlobHash::GENESIS, b"").unwrap());
    let ((last, old), (first, new)) = (seal(), seal());
    assert_eq!((last, first), (0xffff, 0));
    assert_ne!(old, new);
}

fn documented(name: &str) -> String {
    let document = include_str!("../../../docs/audit.md");
    let block = document.split(&format!("```{name}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().split_whitespace().collect()
}

/// The vector of docs/audit.md, which an independent implementation made again and opened.
#[test]
fn test_vector() {
    let seed = Secret::from_bytes(&[0x44; 32]);
    let mut auditor = auditor().unwrap();
    let mut sealer = BlockSealer::new(auditor.public_key(), &seed).unwrap();
    assert_eq!(sealer.public().to_string(), documented("signature-key"));
    assert_eq!(hex::encode(auditor.public_key()), documented("spki"));
    let entry = AuditEntry {
        time: 1_768_478_400_000,
        request_id: "7f3c2a5e-0000-4000-8000-000000000001".into(),
        operation: "Decrypt".into(),
        principal: "arn:aws:iam::111122223333:user/alice".into(),
        access_key_id: "AKIAEXAMPLE".into(),
        encryption_context: vec![("purpose".into(), "kiosk".into())],
        error: Some("AccessDeniedException".into()),
        reason: Some("no statement allows it".into()),
        ..AuditEntry::default()
    };
    let entry = ByteBuf::from(codec::encode(&entry).unwrap());
    sealer.begin_with(&mut Fixed(0x22), 7);
    let previous = BlobHash::from_bytes([0x55; 32]);
    let sealed = sealer.seal(42, previous, &codec::encode(&vec![entry]).unwrap()).unwrap();
    assert_eq!(hex::encode(&sealed.bytes), documented("block"));
    assert_eq!(hex::encode(sealed.hash.as_bytes()), documented("hash"));
    let block = AuditBlock::parse(&sealed.bytes).unwrap();
    block.verify(&sealer.public()).unwrap();
    assert_eq!((block.sequence(), block.previous()), (42, &[0x55; 32]));
    let opened = block.open(&mut auditor).unwrap();
    assert_eq!(opened[0].reason.as_deref(), Some("no statement allows it"));
}
