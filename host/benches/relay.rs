//! A download through the relay beside the same over one TCP connection, in turns, and what idle
//! connections cost.
//!
//! ```text
//! cargo bench -p sekisho-host --bench relay [-- MEBIBYTES CONNECTIONS]
//! ```
//!
//! The worker's part writes as TLS does, some 64 KiB at once. Processor time is that of all three
//! parties together: on a machine with few processors it decides, and it is what noise changes least.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sekisho_host::{Config, raise_open_files_limit, run};
use sekisho_wire::Address;

const CHUNK: usize = 64 * 1024;
const ROUNDS: usize = 7;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let mebibytes = numbers.first().copied().unwrap_or(512);
    let connections = numbers.get(1).copied().unwrap_or(4_000);
    raise_open_files_limit().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let relay = relay(folder.path(), connections + 100);

    let worker = UnixListener::bind(folder.path().join("worker")).unwrap();
    let (hold, held) = mpsc::channel::<()>();
    thread::spawn(move || {
        // The downloads first, then the idle ones.
        for _ in 0..=ROUNDS {
            send(worker.accept().unwrap().0, mebibytes);
        }
        let idle: Vec<_> = (0..connections).map(|_| worker.accept().unwrap()).collect();
        let _ = held.recv();
        drop(idle);
    });
    let direct = TcpListener::bind("127.0.0.1:0").unwrap();
    let directly = direct.local_addr().unwrap();
    thread::spawn(move || {
        loop {
            send(direct.accept().unwrap().0, mebibytes);
        }
    });

    receive(directly);
    receive(relay);
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(receive(directly));
        relayed.push(receive(relay));
    }
    let rate = |(elapsed, _): (Duration, Duration)| mebibytes as f64 / elapsed.as_secs_f64();
    let cost =
        |(_, used): (Duration, Duration)| used.as_secs_f64() * 1e3 * 1024.0 / mebibytes as f64;
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let of = |measured: &[(Duration, Duration)], what: &dyn Fn((Duration, Duration)) -> f64| {
        median(measured.iter().copied().map(what).collect())
    };
    let (direct_rate, relayed_rate) = (of(&direct, &rate), of(&relayed, &rate));
    println!(
        "direct TCP  {direct_rate:7.0} MiB/s  {:6.0} ms processor per GiB",
        of(&direct, &cost)
    );
    println!(
        "relayed     {relayed_rate:7.0} MiB/s  {:6.0} ms processor per GiB  {:.2} of direct",
        of(&relayed, &cost),
        relayed_rate / direct_rate
    );

    let before = resident();
    let idle: Vec<_> = (0..connections).map(|_| TcpStream::connect(relay).unwrap()).collect();
    // Those that wait in the listeners' queues are not yet with the relay.
    thread::sleep(Duration::from_secs(2));
    let grown = resident().saturating_sub(before);
    println!(
        "{connections} idle connections: {} KiB, {} bytes each",
        grown / 1024,
        grown / connections.max(1)
    );
    drop(idle);
    drop(hold);
}

fn relay(folder: &Path, max_connections: usize) -> SocketAddr {
    let mut config = Config::new(
        "127.0.0.1:0".parse().unwrap(),
        Address::Unix { path: folder.join("worker") },
        Address::Unix { path: folder.join("store") },
        folder.join("data"),
    );
    config.max_connections = max_connections;
    let (ready, listening) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ready = |listening: sekisho_host::Listening| ready.send(listening.callers).unwrap();
        runtime.block_on(run(config, ready, std::future::pending())).unwrap();
    });
    listening.recv().unwrap()
}

fn send(mut stream: impl Write, mebibytes: usize) {
    let chunk = vec![7; CHUNK];
    for _ in 0..mebibytes * (1 << 20) / CHUNK {
        if stream.write_all(&chunk).is_err() {
            return;
        }
    }
}

/// How long a download took, and the processor time that went by.
fn receive(from: SocketAddr) -> (Duration, Duration) {
    let (used, started) = (processor_time(), Instant::now());
    let mut stream = TcpStream::connect(from).unwrap();
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).unwrap() > 0 {}
    (started.elapsed(), processor_time() - used)
}

/// Of this process, user and system (proc_pid_stat(5)), in ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
