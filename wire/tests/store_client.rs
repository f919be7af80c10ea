//! The worker's client of the store against a host that does as it likes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use sekisho_wire::call::Limits;
use sekisho_wire::codec::encode;
use sekisho_wire::frame::{Frame, read_frame, write_frame};
use sekisho_wire::store::{MAX_AUDIT_RECORD, MAX_BLOB};
use sekisho_wire::{Address, Commit, RecordKey, Store, StoreClient, StoreError};
use serde::Serialize;
use serde_bytes::ByteBuf;
use tokio::io::duplex;
use tokio::time::{Instant, timeout};

/// The host's answers as it would write them, with shapes that ours cannot make.
#[derive(Clone, Serialize)]
enum Answer {
    Head(u64),
    Done,
    Record(Option<ByteBuf>),
    Page(Vec<(u64, ByteBuf)>),
    Refused(Refusal),
    Surprise,
}

#[derive(Clone, Serialize)]
enum Refusal {
    Conflict { head: u64 },
    Full,
}

/// A client whose every request gets these bytes for an answer.
fn client_of_bytes(answer: Vec<u8>) -> StoreClient {
    let (near, mut far) = duplex(1 << 16);
    tokio::spawn(async move {
        while let Ok(Some(request)) = read_frame(&mut far).await {
            let frame = Frame { request_id: request.request_id, body: answer.clone() };
            if write_frame(&mut far, &frame).await.is_err() {
                break;
            }
        }
    });
    StoreClient::over(near)
}

fn client_of(answer: &Answer) -> StoreClient {
    client_of_bytes(encode(answer).unwrap())
}

fn page(sequences: &[u64]) -> Answer {
    Answer::Page(sequences.iter().map(|sequence| (*sequence, ByteBuf::new())).collect())
}

#[tokio::test]
async fn each_answer_in_its_place() {
    assert_eq!(client_of(&Answer::Head(7)).head().await, Ok(7));
    assert_eq!(client_of(&Answer::Done).commit(Commit::default()).await, Ok(()));
    assert_eq!(client_of(&Answer::Done).append_audit(1, vec![]).await, Ok(()));
    let key = RecordKey([0; 16]);
    assert_eq!(client_of(&Answer::Record(None)).get(key).await, Ok(None));
    let record = Answer::Record(Some(ByteBuf::from(vec![1, 2])));
    assert_eq!(client_of(&record).get(key).await, Ok(Some(vec![1, 2])));
    assert_eq!(client_of(&page(&[])).audit_tail().await, Ok(None));
    assert_eq!(client_of(&page(&[9])).audit_tail().await, Ok(Some((9, vec![]))));
}

#[tokio::test]
async fn a_refusal_keeps_its_reason() {
    let conflict = client_of(&Answer::Refused(Refusal::Conflict { head: 3 }));
    assert_eq!(conflict.commit(Commit::default()).await, Err(StoreError::Conflict { head: 3 }));
    let full = client_of(&Answer::Refused(Refusal::Full));
    assert_eq!(full.append_audit(1, vec![]).await, Err(StoreError::Full));
}

#[tokio::test]
async fn the_wrong_kind_of_answer() {
    for answer in [Answer::Surprise, Answer::Done] {
        let client = client_of(&answer);
        assert_eq!(client.head().await, Err(StoreError::Malformed));
        assert_eq!(client.get(RecordKey([0; 16])).await, Err(StoreError::Malformed));
        assert_eq!(client.entries(1, 10).await, Err(StoreError::Malformed));
        assert_eq!(client.audit(1, 10).await, Err(StoreError::Malformed));
        assert_eq!(client.audit_tail().await, Err(StoreError::Malformed));
    }
    let client = client_of(&Answer::Head(1));
    assert_eq!(client.commit(Commit::default()).await, Err(StoreError::Malformed));
    assert_eq!(client.append_audit(1, vec![]).await, Err(StoreError::Malformed));
}

#[tokio::test]
async fn bytes_that_are_no_message() {
    for bytes in [vec![], vec![0xff; 100], vec![0x9b, 255, 255, 255, 255, 255, 255, 255, 255]] {
        assert_eq!(client_of_bytes(bytes).head().await, Err(StoreError::Malformed));
    }
}

#[tokio::test]
async fn pages_that_were_not_asked_for() {
    for (sequences, good) in [
        (&[][..], true),
        (&[5, 6, 7], true),
        (&[6, 7], true),
        (&[4, 5], false),
        (&[5, 7], false),
        (&[6, 5], false),
        (&[5, 5], false),
        (&[5, 6, 7, 8], false),
        (&[u64::MAX], true),
        (&[u64::MAX, 0], false),
    ] {
        let answer = client_of(&page(sequences)).entries(5, 3).await;
        assert_eq!(answer.is_ok(), good, "{sequences:?}");
        let answer = client_of(&page(sequences)).audit(5, 3).await;
        assert_eq!(answer.is_ok(), good, "{sequences:?}");
    }
    assert_eq!(client_of(&page(&[1, 2])).audit_tail().await, Err(StoreError::Malformed));
}

#[tokio::test]
async fn too_large_is_not_sent() {
    let (near, mut far) = duplex(64);
    let client = StoreClient::over(near);
    let commit = Commit { entry: vec![0; MAX_BLOB + 1], ..Commit::default() };
    assert_eq!(client.commit(commit).await, Err(StoreError::TooLarge));
    let record = vec![0; MAX_AUDIT_RECORD + 1];
    assert_eq!(client.append_audit(1, record).await, Err(StoreError::TooLarge));
    drop(client);
    assert!(matches!(read_frame(&mut far).await, Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers() {
    let (near, _far) = duplex(1 << 16);
    assert_eq!(StoreClient::over(near).head().await, Err(StoreError::Unavailable));
}

#[tokio::test]
async fn an_outage_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix { path: folder.path().join("s") };
    let client = StoreClient::dial(address.clone());

    // Nobody there: an error after a bounded wait.
    let begun = Instant::now();
    assert_eq!(client.head().await, Err(StoreError::Unavailable));
    assert!(begun.elapsed() < Duration::from_secs(5));

    // The host starts while a call waits.
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.head().await }
    });
    let listener = address.listen().await.unwrap();
    let mut stream = listener.accept().await.unwrap();
    let request = read_frame(&mut stream).await.unwrap().unwrap();
    let body = encode(&Answer::Head(1)).unwrap();
    write_frame(&mut stream, &Frame { body, ..request }).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(1));

    // It takes an append, and dies before it answers.
    let appending = tokio::spawn({
        let client = client.clone();
        async move { client.append_audit(1, vec![1]).await }
    });
    let append = read_frame(&mut stream).await.unwrap().unwrap();
    drop(stream);
    assert_eq!(appending.await.unwrap(), Err(StoreError::Unavailable));

    // The next call dials again; the append is not repeated.
    let next = tokio::spawn(async move { client.audit_tail().await });
    let mut stream = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
    let request = read_frame(&mut stream).await.unwrap().unwrap();
    assert_ne!(request.body, append.body);
    let body = encode(&page(&[])).unwrap();
    write_frame(&mut stream, &Frame { body, ..request }).await.unwrap();
    assert_eq!(next.await.unwrap(), Ok(None));
}

#[tokio::test]
async fn patience_is_the_callers_choice() {
    let (near, _far) = duplex(1 << 16);
    let limits = Limits { patience: Duration::from_millis(30), ..Limits::default() };
    let client = StoreClient::over_with(near, limits);
    let begun = Instant::now();
    assert_eq!(client.head().await, Err(StoreError::Unavailable));
    assert!(begun.elapsed() < Duration::from_secs(3));
}
