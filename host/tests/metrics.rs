//! `/metrics` and `/healthz`, scraped over HTTP after known traffic.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod running;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use running::{Host, SOON, read_all};
use sekisho_wire::{Commit, RecordKey, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

async fn start() -> Host {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut sekisho_host::Config)) -> Host {
    Host::start_with(tempfile::tempdir().unwrap(), |config| {
        config.metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(config);
    })
    .await
}

async fn exchange(host: &Host, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.metrics.unwrap()).await.unwrap();
    stream.write_all(request).await.unwrap();
    String::from_utf8(read_all(stream).await).unwrap()
}

async fn get(host: &Host, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n");
    let answer = exchange(host, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A page, read by the rules of the text format: every sample belongs to a family that has a HELP
/// and a TYPE before it, no sample comes twice, and histograms are cumulative and complete.
async fn scrape(host: &Host) -> BTreeMap<String, f64> {
    let (head, body) = get(host, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = None;
    assert!(body.ends_with('\n'));
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.as_deref(), Some(name));
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            let name = series.split('{').next().unwrap();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let family = helped.as_deref().unwrap();
            if kinds[family] == "histogram" {
                let part = name.strip_prefix(family).unwrap();
                assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}");
            } else {
                assert_eq!(name, family, "{line}");
            }
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
                for label in labels.split(',') {
                    let (name, value) = label.split_once('=').unwrap();
                    assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{line}");
                    let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
                    assert!(!value.contains(['"', '\\']), "{line}");
                }
            }
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    for (series, count) in &samples {
        let Some((name, labels)) = series.split_once("_count{") else { continue };
        let labels = labels.strip_suffix('}').unwrap();
        assert_eq!(samples[&format!("{name}_bucket{{{labels},le=\"+Inf\"}}")], *count);
        let buckets = samples
            .iter()
            .filter(|(other, _)| other.starts_with(&format!("{name}_bucket{{{labels},")))
            .map(|(_, value)| *value);
        assert!(buckets.clone().count() > 10 && buckets.max_by(f64::total_cmp) == Some(*count));
    }
    samples
}

#[tokio::test]
async fn known_traffic_is_counted() {
    let host = start().await;
    let before = scrape(&host).await;
    let of = |samples: &BTreeMap<String, f64>, name: &str| {
        *samples.get(&format!("sekisho_host_{name}")).unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(of(&before, "worker_connected"), 0.0);
    assert_eq!(of(&before, "connections_accepted_total"), 0.0);
    assert_eq!(of(&before, "journal_head_sequence"), 0.0);
    assert!(before["process_start_time_seconds"] > 1.7e9);
    let version = format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(of(&before, &version), 1.0);

    // One caller without a worker, then one that sends 1000 bytes and gets 3000.
    read_all(TcpStream::connect(host.address).await.unwrap()).await;
    let worker = host.worker().await;
    let (mut caller, mut accepted) = host.connect(&worker).await;
    caller.write_all(&[1; 1000]).await.unwrap();
    accepted.read_exact(&mut [0; 1000]).await.unwrap();
    accepted.write_all(&[2; 3000]).await.unwrap();
    caller.read_exact(&mut [0; 3000]).await.unwrap();

    let store = host.store();
    let commit = |sequence| Commit {
        sequence,
        entry: vec![0; 100],
        puts: vec![(RecordKey([1; 16]), vec![0; 100])],
        deletes: vec![],
    };
    for sequence in 1..=3 {
        store.commit(commit(sequence)).await.unwrap();
    }
    assert_eq!(store.commit(commit(3)).await, Err(StoreError::Conflict { head: 3 }));
    for sequence in 1..=2 {
        store.append_audit(sequence, vec![0; 500]).await.unwrap();
    }
    store.get(RecordKey([1; 16])).await.unwrap();

    let during = scrape(&host).await;
    for (name, value) in [
        ("connections_accepted_total", 2.0),
        ("connections{phase=\"relaying\"}", 1.0),
        ("connections{phase=\"connecting\"}", 0.0),
        ("connections_ended_total{reason=\"worker_unreachable\"}", 1.0),
        ("connections_ended_total{reason=\"finished\"}", 0.0),
        ("relayed_bytes_total{direction=\"to_worker\"}", 1000.0),
        ("relayed_bytes_total{direction=\"from_worker\"}", 3000.0),
        ("worker_connected", 1.0),
        ("store_calls_total{call=\"commit\",result=\"ok\"}", 3.0),
        ("store_calls_total{call=\"commit\",result=\"conflict\"}", 1.0),
        ("store_calls_total{call=\"append_audit\",result=\"ok\"}", 2.0),
        ("store_calls_total{call=\"get\",result=\"ok\"}", 1.0),
        ("store_call_seconds_count{call=\"commit\"}", 4.0),
        ("audit_records_total", 2.0),
        ("journal_head_sequence", 3.0),
        ("audit_tail_sequence", 2.0),
    ] {
        assert_eq!(of(&during, name), value, "{name}");
    }
    assert!((1.0..=2.0).contains(&of(&during, "sync_seconds_count{log=\"audit\"}")));
    assert!(of(&during, "sync_seconds_sum{log=\"journal\"}") > 0.0);
    assert!(of(&during, "journal_bytes") > of(&before, "audit_bytes"));
    assert!(of(&during, "audit_bytes") >= 1000.0);

    drop((caller, accepted, store));
    // The end of a connection is seen a moment later.
    let after = timeout(SOON, async {
        loop {
            let after = scrape(&host).await;
            let finished = of(&after, "connections_ended_total{reason=\"finished\"}");
            if finished == 1.0 && of(&after, "worker_connected") == 0.0 {
                return after;
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(of(&after.await.unwrap(), "connections{phase=\"relaying\"}"), 0.0);
    host.stop().await;
}

#[tokio::test]
async fn a_restart_begins_where_the_store_ends() {
    let host = start().await;
    host.store().append_audit(1, vec![0; 5]).await.unwrap();
    let commit = Commit { sequence: 1, entry: vec![1], ..Commit::default() };
    host.store().commit(commit).await.unwrap();
    let folder = host.stop().await;
    let host = Host::start_with(folder, |config| {
        config.metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    })
    .await;
    let looked = timeout(SOON, async {
        loop {
            let samples = scrape(&host).await;
            if samples["sekisho_host_audit_tail_sequence"] == 1.0 {
                return samples;
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(looked.await.unwrap()["sekisho_host_journal_head_sequence"], 1.0);
    host.stop().await;
}

#[tokio::test]
async fn the_endpoint_answers_two_paths_and_bounds_the_rest() {
    let host = start().await;
    let (head, body) = get(&host, "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ok\n");
    assert!(get(&host, "/").await.0.starts_with("HTTP/1.1 404 "));
    for (request, status) in [
        (&b"POST /metrics HTTP/1.1\r\n\r\n"[..], "405"),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
    ] {
        let answer = exchange(&host, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let endless = [&b"GET /metrics HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(1400)].concat();
    assert!(exchange(&host, &endless).await.starts_with("HTTP/1.1 400 "));

    // Scrapers that say nothing keep nobody out for long, and the relay not at all.
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(host.metrics.unwrap()).await.unwrap());
    }
    let worker = host.worker().await;
    host.connect(&worker).await;
    scrape(&host).await;
    host.stop().await;
}

#[tokio::test]
async fn silent_connections_end_and_are_counted() {
    let host = start_with(|config| {
        config.idle = Duration::from_millis(3000);
        config.half_closed = Duration::from_millis(1000);
    })
    .await;
    let worker = host.worker().await;
    let (mut idle, mut idle_accepted) = host.connect(&worker).await;
    let (mut half, mut half_accepted) = host.connect(&worker).await;
    half.shutdown().await.unwrap();
    // Both ends of both are told.
    assert_eq!(timeout(SOON, half_accepted.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, half.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, idle.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, idle_accepted.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    let samples = scrape(&host).await;
    assert_eq!(samples["sekisho_host_connections_ended_total{reason=\"idle\"}"], 1.0);
    assert_eq!(samples["sekisho_host_connections_ended_total{reason=\"half_closed\"}"], 1.0);
    host.stop().await;
}

#[tokio::test]
async fn an_address_with_its_share_of_connections_gets_no_more() {
    let host = start_with(|config| config.max_connections_per_address = Some(2)).await;
    let worker = host.worker().await;
    let first = host.connect(&worker).await;
    let _second = host.connect(&worker).await;
    read_all(TcpStream::connect(host.address).await.unwrap()).await;
    let samples = scrape(&host).await;
    assert_eq!(samples["sekisho_host_connections_ended_total{reason=\"refused\"}"], 1.0);
    assert_eq!(samples["sekisho_host_connections_accepted_total"], 3.0);
    drop(first);
    // Its place is free as soon as the host has seen the end.
    timeout(SOON, async {
        loop {
            let mut again = TcpStream::connect(host.address).await.unwrap();
            if timeout(Duration::from_millis(100), again.read(&mut [0; 1])).await.is_err() {
                return;
            }
        }
    })
    .await
    .unwrap();
    host.stop().await;
}
