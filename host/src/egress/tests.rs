//! The egress over its socket, asked by the worker's own side of the protocol.

use super::*;
use sekisho_wire::egress::{EgressError, connect, credentials};
use std::path::Path;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

struct Running {
    address: Address,
    metrics: Arc<Metrics>,
}

async fn start(folder: &Path, allowed: &[String], source: Option<CredentialsSource>) -> Running {
    let address = Address::Unix { path: folder.join("egress.sock") };
    let config = EgressConfig {
        listen: address.clone(),
        allowed: allowed.iter().map(|text| text.parse().unwrap()).collect(),
        credentials: source,
    };
    let metrics = Arc::new(Metrics::default());
    let listener = address.listen().await.unwrap();
    tokio::spawn(Egress::new(config, None, Arc::clone(&metrics)).serve(listener));
    Running { address, metrics }
}

/// Answers each connection with what it says, upside down.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes.reverse();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn bytes_flow_to_a_destination_of_the_list_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (listed, other) = (echo().await, echo().await);
    let running = start(folder.path(), std::slice::from_ref(&listed), None).await;
    let mut stream = connect(&running.address, &listed.parse().unwrap()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "olleh");
    for refused in [other, listed.replace("127.0.0.1", "localhost"), "169.254.169.254:80".into()] {
        let error = connect(&running.address, &refused.parse().unwrap()).await.unwrap_err();
        assert_eq!(error, EgressError::Refused(Refusal::NotAllowed), "{refused}");
    }
    let counted = |exit| running.metrics.egress_requests.of(Asked::Connect).of(exit).get();
    assert_eq!((counted(Exit::Done), counted(Exit::NotAllowed)), (1, 3));
}

#[tokio::test]
async fn a_destination_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let down = "127.0.0.1:1".to_owned();
    let running = start(folder.path(), std::slice::from_ref(&down), None).await;
    let error = connect(&running.address, &down.parse().unwrap()).await.unwrap_err();
    assert_eq!(error, EgressError::Refused(Refusal::Unreachable));
}

#[tokio::test]
async fn credentials_or_why_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[], None).await;
    let none = credentials(&running.address).await.unwrap_err();
    assert_eq!(none, EgressError::Refused(Refusal::NoCredentials));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    let source = CredentialsSource::File { path: path.clone(), profile: "default".into() };
    let running = start(folder.path(), &[], Some(source)).await;
    let unreadable = credentials(&running.address).await.unwrap_err();
    assert_eq!(unreadable, EgressError::Refused(Refusal::CredentialsUnreadable));
    std::fs::write(&path, "[default]\naws_access_key_id=A\naws_secret_access_key=S\n").unwrap();
    assert_eq!(credentials(&running.address).await.unwrap().access_key_id, "A");
}

#[tokio::test]
async fn a_request_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[], None).await;
    for bytes in [&b"\0\0\0\x01\0\0\0\0\0\0\0\0\xff"[..], b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0"] {
        let mut stream = running.address.connect().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let refused = sekisho_wire::codec::decode::<Response>(&answer[12..]).unwrap();
        assert_eq!(refused, Response::Refused(Refusal::Malformed));
    }
}

#[tokio::test]
async fn who_asks_for_nothing_holds_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[], None).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(running.address.connect().await.unwrap());
    }
    // All places are taken until the silent ones have had their time.
    let asked = tokio::time::Instant::now();
    let error = credentials(&running.address).await.unwrap_err();
    assert_eq!(error, EgressError::Refused(Refusal::NoCredentials));
    assert!(asked.elapsed() > REQUEST_TIME / 2);
}
