//! The host as it is run: relay, drain, store, recording.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod running;

use std::path::PathBuf;
use std::time::Duration;

use running::{Host, SOON, read_all};
use sekisho_host::{Config, HostError, run};
use sekisho_wire::frame::{Frame, HEADER_LENGTH, MAX_FRAME, read_frame, write_frame};
use sekisho_wire::{Address, Commit, RecordKey, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Bytes that repeat nowhere near.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test]
async fn each_half_closes_by_itself() {
    let host = Host::start().await;
    let worker = host.worker().await;

    let (mut caller, mut accepted) = host.connect(&worker).await;
    caller.write_all(b"request").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(read_all(&mut accepted).await, b"request");
    accepted.write_all(b"response").await.unwrap();
    drop(accepted);
    assert_eq!(read_all(&mut caller).await, b"response");

    let (mut caller, mut accepted) = host.connect(&worker).await;
    accepted.write_all(b"greeting").await.unwrap();
    accepted.shutdown().await.unwrap();
    assert_eq!(read_all(&mut caller).await, b"greeting");
    caller.write_all(b"late").await.unwrap();
    drop(caller);
    assert_eq!(read_all(&mut accepted).await, b"late");
    host.stop().await;
}

#[tokio::test]
async fn large_transfers_both_ways_at_once() {
    let host = Host::start().await;
    let worker = host.worker().await;
    let (caller, accepted) = host.connect(&worker).await;
    let (mut caller_reads, mut caller_writes) = caller.into_split();
    let (mut worker_reads, mut worker_writes) = tokio::io::split(accepted);
    let (up, down) = (pattern(20_000_003), pattern(30_000_007));
    let send_up = async {
        caller_writes.write_all(&up).await.unwrap();
        caller_writes.shutdown().await.unwrap();
    };
    let send_down = async {
        worker_writes.write_all(&down).await.unwrap();
        worker_writes.shutdown().await.unwrap();
    };
    let (_, _, got_up, got_down) =
        tokio::join!(send_up, send_down, read_all(&mut worker_reads), read_all(&mut caller_reads));
    assert!(got_up == up && got_down == down);
    host.stop().await;
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_writer_back() {
    let host = Host::start().await;
    let worker = host.worker().await;
    let (mut caller, mut accepted) = host.connect(&worker).await;
    let chunk = pattern(1 << 16);
    let mut sent = 0;
    while let Ok(result) = timeout(Duration::from_millis(300), caller.write(&chunk)).await {
        sent += result.unwrap();
        assert!(sent < 64 << 20, "the relay swallows without bound");
    }
    let mut received = 0;
    let mut buffer = vec![0; 1 << 16];
    while received < sent {
        received += timeout(SOON, accepted.read(&mut buffer)).await.unwrap().unwrap();
    }
    assert_eq!(received, sent);
    host.stop().await;
}

#[tokio::test]
async fn an_answer_is_carried_although_the_request_is_no_longer_read() {
    let host = Host::start().await;
    let worker = host.worker().await;
    for _ in 0..20 {
        let (caller, mut accepted) = host.connect(&worker).await;
        let (reader, mut writer) = caller.into_split();
        let uploading = tokio::spawn(async move {
            let chunk = pattern(1 << 16);
            while writer.write_all(&chunk).await.is_ok() {}
        });
        accepted.read_exact(&mut [0; 100]).await.unwrap();
        accepted.write_all(b"413").await.unwrap();
        drop(accepted);
        assert_eq!(read_all(reader).await, b"413");
        uploading.abort();
    }
    host.stop().await;
}

#[tokio::test]
async fn a_worker_that_starts_late() {
    let host = Host::start().await;
    let caller = TcpStream::connect(host.address).await.unwrap();
    assert_eq!(read_all(caller).await, b"");
    let worker = host.worker().await;
    let (mut caller, accepted) = host.connect(&worker).await;
    caller.write_all(b"now").await.unwrap();
    drop(caller);
    assert_eq!(read_all(accepted).await, b"now");
    host.stop().await;
}

#[tokio::test]
async fn the_connection_limit_makes_the_next_wait() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start_with(folder, |config| config.max_connections = 1).await;
    let worker = host.worker().await;
    let (first, first_accepted) = host.connect(&worker).await;
    let _second = TcpStream::connect(host.address).await.unwrap();
    assert!(timeout(Duration::from_millis(100), worker.accept()).await.is_err());
    drop((first, first_accepted));
    timeout(SOON, worker.accept()).await.unwrap().unwrap();
    host.stop().await;
}

#[tokio::test]
async fn drained() {
    let mut host = Host::start().await;
    let worker = host.worker().await;
    let store = host.store();
    assert_eq!(store.append_audit(1, vec![1]).await, Ok(()));
    let (mut caller, mut accepted) = host.connect(&worker).await;
    host.signal();
    sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(host.address).await.is_err(), "still accepting");
    // The live connection finishes, with the store it needs.
    caller.write_all(b"last").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(read_all(&mut accepted).await, b"last");
    assert_eq!(store.append_audit(2, vec![2]).await, Ok(()));
    drop(accepted);
    assert_eq!(read_all(&mut caller).await, b"");
    timeout(SOON, host.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends() {
    let folder = tempfile::tempdir().unwrap();
    let limit = Duration::from_millis(200);
    let mut host = Host::start_with(folder, |config| config.drain = limit).await;
    let worker = host.worker().await;
    let (caller, _accepted) = host.connect(&worker).await;
    let begun = Instant::now();
    host.signal();
    timeout(SOON, host.running).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() >= limit);
    assert_eq!(read_all(caller).await, b"");
}

#[tokio::test]
async fn the_store_outlives_its_host() {
    let host = Host::start().await;
    let store = host.store();
    let key = RecordKey([1; 16]);
    let commit = Commit {
        sequence: 1,
        entry: b"entry".to_vec(),
        puts: vec![(key, b"record".to_vec())],
        deletes: vec![],
    };
    assert_eq!(store.commit(commit.clone()).await, Ok(()));
    assert_eq!(store.commit(commit).await, Err(StoreError::Conflict { head: 1 }));
    assert_eq!(store.append_audit(1, b"decision".to_vec()).await, Ok(()));

    let folder = host.stop().await;
    let host = Host::start_with(folder, |_| {}).await;
    // The same client: it notices, and dials again.
    let head = match store.head().await {
        Err(StoreError::Unavailable) => store.head().await,
        head => head,
    };
    assert_eq!(head, Ok(1));
    assert_eq!(store.get(key).await, Ok(Some(b"record".to_vec())));
    assert_eq!(store.entries(1, 10).await, Ok(vec![(1, b"entry".to_vec())]));
    assert_eq!(store.audit(1, 10).await, Ok(vec![(1, b"decision".to_vec())]));
    assert_eq!(store.audit_tail().await, Ok(Some((1, b"decision".to_vec()))));
    host.stop().await;
}

/// Of two appends that a worker had on their way when it was killed, the first comes late: the number of the
/// second is free then, and its place behind the next worker's record is not.
#[tokio::test]
async fn late_appends_never_follow_another_workers() {
    let host = Host::start().await;
    let (killed, next) = (host.store(), host.store());
    assert_eq!(killed.audit_tail().await, Ok(None));
    assert_eq!(next.audit_tail().await, Ok(None));
    assert_eq!(next.append_audit(1, b"next".to_vec()).await, Ok(()));
    let late = tokio::join!(killed.append_audit(1, vec![1]), killed.append_audit(2, vec![2]));
    let conflict = Err(StoreError::Conflict { head: 1 });
    assert_eq!(late, (conflict, conflict));
    assert_eq!(next.append_audit(2, b"next".to_vec()).await, Ok(()));
    // Whoever has seen the end goes on from there.
    assert_eq!(killed.append_audit(3, vec![3]).await, Err(StoreError::Conflict { head: 2 }));
    assert_eq!(killed.audit_tail().await, Ok(Some((2, b"next".to_vec()))));
    assert_eq!(killed.append_audit(3, vec![3]).await, Ok(()));
    host.stop().await;
}

#[tokio::test]
async fn appends_in_flight_together_keep_their_order() {
    let host = Host::start().await;
    let store = host.store();
    assert_eq!(store.audit_tail().await, Ok(None));
    let mut appends = tokio::task::JoinSet::new();
    for sequence in 1..=2000 {
        let store = store.clone();
        appends.spawn(async move { store.append_audit(sequence, vec![0; 300]).await });
    }
    while let Some(append) = appends.join_next().await {
        assert_eq!(append.unwrap(), Ok(()));
    }
    assert_eq!(store.audit_tail().await.unwrap().unwrap().0, 2000);
    host.stop().await;
}

#[tokio::test]
async fn hostile_frames_end_their_stream_alone() {
    let host = Host::start().await;
    let honest = host.store();
    assert_eq!(honest.head().await, Ok(0));
    let header = |length: u32| [&length.to_be_bytes()[..], &[0; 8]].concat();
    for bytes in [header(MAX_FRAME as u32 + 1), header(u32::MAX), header(5), vec![0; 3]] {
        let mut stream = host.store_address().connect().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        if bytes.len() < HEADER_LENGTH || bytes == header(5) {
            stream.shutdown().await.unwrap();
        }
        assert_eq!(read_all(stream).await, b"");
    }
    assert_eq!(honest.head().await, Ok(0));
    host.stop().await;
}

#[tokio::test]
async fn malformed_messages_are_refused_one_by_one() {
    let host = Host::start().await;
    let mut stream = host.store_address().connect().await.unwrap();
    for (request_id, body) in [
        vec![],
        vec![0xff],
        b"\x65Erase".to_vec(),
        b"\x64Head\x00".to_vec(),
        b"\xa1\x63Get\x41\x00".to_vec(),
        b"\xa1\x63Get\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        let request_id = request_id as u64;
        write_frame(&mut stream, &Frame { request_id, body }).await.unwrap();
        let answer = timeout(SOON, read_frame(&mut stream)).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.request_id, request_id);
        assert_eq!(answer.body, b"\xa1\x67Refused\x69Malformed");
    }
    let head = Frame { request_id: 99, body: b"\x64Head".to_vec() };
    write_frame(&mut stream, &head).await.unwrap();
    let answer = timeout(SOON, read_frame(&mut stream)).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.body, b"\xa1\x64Head\x00");
    host.stop().await;
}

#[tokio::test]
async fn everything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let host = Host::start_with(folder, |config| {
        config.record_traffic = Some(recording.clone());
    })
    .await;
    let worker = host.worker().await;
    let (mut caller, mut accepted) = host.connect(&worker).await;
    caller.write_all(b"from the caller").await.unwrap();
    caller.shutdown().await.unwrap();
    read_all(&mut accepted).await;
    accepted.write_all(b"from the worker").await.unwrap();
    drop(accepted);
    read_all(caller).await;
    host.store().append_audit(1, b"sealed audit record".to_vec()).await.unwrap();

    let recorded = |kind: &str, direction: &str| {
        let files = std::fs::read_dir(&recording).unwrap().map(|file| file.unwrap().path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let matching = files.filter(|path| {
            name(path).starts_with(kind) && name(path).ends_with(&format!("{direction}.bin"))
        });
        matching.flat_map(|path| std::fs::read(path).unwrap()).collect::<Vec<u8>>()
    };
    assert_eq!(recorded("relay", "to-worker"), b"from the caller");
    assert_eq!(recorded("relay", "from-worker"), b"from the worker");
    let store = recorded("store", "from-worker");
    assert!(store.windows(19).any(|window| window == b"sealed audit record"));
    assert!(recorded("store", "to-worker").ends_with(b"\x64Done"));
    host.stop().await;
}

#[tokio::test]
async fn what_prevents_a_start_is_named() {
    let host = Host::start().await;
    let attempt = |change: fn(&mut Config, &Host)| {
        let mut config = Config::new(
            "127.0.0.1:0".parse().unwrap(),
            Address::Unix { path: host.path("worker") },
            Address::Unix { path: host.path("store-2") },
            host.path("data-2"),
        );
        change(&mut config, &host);
        run(config, |_| panic!("started"), std::future::pending())
    };
    let error = attempt(|config, host| config.data = host.path("data")).await.unwrap_err();
    assert!(matches!(error, HostError::Store { .. }), "{error}");
    let error = attempt(|config, host| config.store_listen = host.store_address()).await;
    assert!(matches!(error, Err(HostError::StoreListen { .. })));
    let error = attempt(|config, host| config.listen = host.address).await;
    assert!(matches!(error, Err(HostError::Listen { .. })));
    host.stop().await;
}
