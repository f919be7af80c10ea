//! The shipped binary: killed at any instant, and stopped as it should be.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sekisho_wire::{Address, Commit, RecordKey, Store, StoreClient, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-host"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(["--worker".into(), format!("unix:{}", folder.join("worker").display())])
        .args(["--store".into(), format!("unix:{}", folder.join("store").display())])
        .arg("--data")
        .arg(folder.join("data"))
        .env_remove("RUST_LOG")
        .stderr(Stdio::null());
    command
}

/// Ends the child with the test, however that ends.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client of one stream: it fails at once when the host dies, without an outage's patience.
async fn client(folder: &Path) -> StoreClient {
    let address = Address::Unix { path: folder.join("store") };
    let connected = timeout(Duration::from_secs(20), async {
        loop {
            match address.connect().await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    });
    StoreClient::over(connected.await.unwrap())
}

fn key(sequence: u64) -> RecordKey {
    RecordKey((sequence as u128).to_be_bytes())
}

fn blob(kind: &str, sequence: u64) -> Vec<u8> {
    format!("{kind} {sequence} ").repeat(sequence as usize % 40 + 1).into_bytes()
}

fn commit(sequence: u64) -> Commit {
    Commit {
        sequence,
        entry: blob("entry", sequence),
        puts: vec![(key(sequence), blob("record", sequence))],
        deletes: vec![key(sequence.saturating_sub(10))],
    }
}

/// Keeps eight requests in flight until the host is gone; returns the last acknowledged number.
async fn load<F>(from: u64, request: impl Fn(u64) -> F) -> u64
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let acknowledged = Arc::new(AtomicU64::new(from - 1));
    let mut requests = tokio::task::JoinSet::new();
    for sequence in from.. {
        let (request, acknowledged) = (request(sequence), Arc::clone(&acknowledged));
        requests.spawn(async move {
            let done = request.await.is_ok();
            if done {
                acknowledged.fetch_max(sequence, Ordering::SeqCst);
            }
            done
        });
        if requests.len() >= 8 && !requests.join_next().await.unwrap().unwrap() {
            break;
        }
    }
    while requests.join_next().await.is_some() {}
    acknowledged.load(Ordering::SeqCst)
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_host_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut head, mut tail) = (0, 0);
    for round in 0..20 {
        let mut host = Host(command(folder.path()).spawn().unwrap());
        let store = client(folder.path()).await;

        let now = store.head().await.unwrap();
        assert!(now >= head, "round {round}: head {now} after {head} was acknowledged");
        let mut from = 1;
        while from <= now {
            for (sequence, entry) in store.entries(from, 1000).await.unwrap() {
                assert_eq!((sequence, entry), (from, blob("entry", from)));
                from += 1;
            }
        }
        for sequence in 1..=now {
            let record = store.get(key(sequence)).await.unwrap();
            let deleted = sequence + 10 <= now;
            assert_eq!(record, (!deleted).then(|| blob("record", sequence)));
        }
        let newest = store.audit_tail().await.unwrap().map_or(0, |(sequence, _)| sequence);
        assert!(newest >= tail, "round {round}: tail {newest} after {tail} was acknowledged");
        let mut from = 1;
        while from <= newest {
            for (sequence, record) in store.audit(from, 1000).await.unwrap() {
                assert_eq!((sequence, record), (from, blob("audit", from)));
                from += 1;
            }
        }

        let commits = tokio::spawn(load(now + 1, {
            let store = store.clone();
            move |sequence| {
                let store = store.clone();
                async move { store.commit(commit(sequence)).await }
            }
        }));
        let appends = tokio::spawn(load(newest + 1, {
            let store = store.clone();
            move |sequence| {
                let store = store.clone();
                async move { store.append_audit(sequence, blob("audit", sequence)).await }
            }
        }));
        sleep(Duration::from_millis(5 + round * 37 % 90)).await;
        host.0.kill().unwrap();
        host.0.wait().unwrap();
        (head, tail) = (commits.await.unwrap(), appends.await.unwrap());
    }
    assert!(head > 20 && tail > 20, "the load was none: head {head}, tail {tail}");
}

#[tokio::test]
async fn stopped_by_sigterm_after_its_connections() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Address::Unix { path: folder.path().join("worker") }.listen().await.unwrap();
    let mut host = command(folder.path());
    let mut host = Host(host.env("NO_COLOR", "1").stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(host.0.stderr.take().unwrap()).lines();
    let address: SocketAddr = log
        .find_map(|line| {
            let line = line.unwrap();
            let listen = line.split_once("relaying listen=")?.1;
            Some(listen.split_once(' ')?.0.parse().unwrap())
        })
        .unwrap();
    let (caller, accepted) = tokio::join!(TcpStream::connect(address), worker.accept());
    let (mut caller, mut accepted) = (caller.unwrap(), accepted.unwrap());

    let pid = host.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(log.any(|line| line.unwrap().contains("SIGTERM")));
    caller.write_all(b"last words").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut read = Vec::new();
    timeout(Duration::from_secs(5), accepted.read_to_end(&mut read)).await.unwrap().unwrap();
    assert_eq!(read, b"last words");
    drop(accepted);
    assert_eq!(host.0.wait().unwrap().code(), Some(0));
    assert!(!folder.path().join("store").exists(), "the store's socket is still there");
}

#[test]
fn what_is_wrong_with_the_command_line_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path()).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("sekisho-host --listen 0.0.0.0:8443 --worker vsock:16:8443"));

    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-host"));
    command.args(["--worker", "tcp:1:2", "--store", "unix:s", "--data", "d"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("vsock, hybrid or unix"));
}

/// The hard limit is the test's own choice, so that it does not matter what this machine allows.
#[test]
fn no_more_connections_than_there_are_files_for() {
    let folder = tempfile::tempdir().unwrap();
    let started = command(folder.path());
    let mut limited = Command::new("sh");
    limited
        .args(["-c", r#"ulimit -n 300; exec "$0" "$@""#])
        .arg(started.get_program())
        .args(started.get_args())
        .args(["--max-connections", "1000"])
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped());
    let mut host = Host(limited.spawn().unwrap());
    let lines = BufReader::new(host.0.stderr.take().unwrap()).lines();
    let warning = lines.map(Result::unwrap).find(|line| line.contains("--max-connections"));
    let warning = warning.unwrap();
    for part in ["limit=300", "needed=2100", "possible=100", "LimitNOFILE"] {
        assert!(warning.contains(part), "{warning}");
    }
}
