//! What idle connections cost in host and worker.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::fs;
use std::sync::Arc;

use running::{Service, folder, run};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// As many as fit into the hard limit of open files of most machines; SEKISHO_IDLE asks for more.
const CONNECTIONS: usize = 1000;

/// Bytes that one idle connection may take. The relay keeps two sockets and a timer; the worker a
/// TLS session and the buffers of its HTTP connection.
const IN_HOST: usize = 8 * 1024;
const IN_WORKER: usize = 40 * 1024;

/// The worker by itself, in memory.
const WORKER: usize = 64 * 1024 * 1024;

/// Bytes of a process that are in memory.
fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// Waits until a process has nothing more to do, such as a policy that is compiled once it serves.
async fn settled(id: u32) {
    let spent = || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        fields.split_whitespace().skip(11).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..60 {
        let before = spent();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        if spent() == before {
            return;
        }
    }
}

/// A connection over which one request was answered.
async fn connect(connector: &TlsConnector, address: &str) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("the host accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("a TLS connection");
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        answer.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    stream
}

#[tokio::test]
async fn an_idle_connection_holds_little() {
    let connections = match std::env::var("SEKISHO_IDLE") {
        Ok(number) => number.parse().expect("a number of connections"),
        Err(_) => CONNECTIONS,
    };
    sekisho_host::raise_open_files_limit().expect("this process's limit is raised");
    let data = folder();
    let service = Service::start(data.path());
    let output = run(std::process::Command::new("ps")
        .args(["--no-headers", "-o", "pid=,args=", "--ppid"])
        .arg(service.id().to_string()));
    let processes = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = |role: &str| {
        let line = processes.lines().find(|line| line.contains(role)).expect("both run");
        line.trim().split(' ').next().expect("an id").parse::<u32>().expect("a number")
    };
    let (host, worker) = (id("internal-host"), id("internal-worker"));

    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(service.said("/ca")).expect("a certificate");
    roots.add(ca).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let address = service.endpoint().replace("https://", "");

    // What the first connections need is not the price of the next.
    let mut idle = Vec::with_capacity(connections);
    for _ in 0..50 {
        idle.push(connect(&connector, &address).await);
    }
    settled(worker).await;
    let before = (resident(host), resident(worker));
    while idle.len() < connections {
        idle.push(connect(&connector, &address).await);
    }
    let after = (resident(host), resident(worker));
    let each = |before: usize, after: usize| after.saturating_sub(before) / (connections - 50);
    let (in_host, in_worker) = (each(before.0, after.0), each(before.1, after.1));
    println!(
        "{connections} connections: host {} KiB, {in_host} bytes each; worker {} KiB before, {} KiB \
         after, {in_worker} bytes each",
        after.0 / 1024,
        before.1 / 1024,
        after.1 / 1024
    );
    assert!(in_host <= IN_HOST, "{in_host} bytes each in the host");
    assert!(in_worker <= IN_WORKER, "{in_worker} bytes each in the worker");
    assert!(before.1 <= WORKER, "{} bytes in the worker", before.1);

    // They are all still served.
    for stream in &mut idle {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
        stream.flush().await.expect("sent");
    }
    for stream in &mut idle {
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
    }
}
