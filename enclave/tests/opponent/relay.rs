//! Attacks by the relay, which carries bytes that it cannot read.

use super::client::{Client, Reply, read_reply};
use super::scene::{PLAINTEXT, Scene, bounds};
use rustls::pki_types::ServerName;
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The content type of everything that is encrypted (RFC 8446 §5.2).
const APPLICATION_DATA: u8 = 23;
/// Of the records that a caller sends, encrypted ones: the first is its Finished.
const FIRST_OF_REQUEST: usize = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Toward {
    Worker,
    Caller,
}

/// Reads one TLS record with its header; none at the end.
async fn read_record(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).await.ok()?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..]).await.ok()?;
    Some(record)
}

/// A connection through a relay that gives each record to the test, with its number among the
/// encrypted ones of its direction, and sends on what the test makes of it.
async fn through(
    client: &Client,
    bend: impl FnMut(Toward, usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> io::Result<TlsStream<DuplexStream>> {
    let (near, far) = duplex(1 << 16);
    let (mut from_caller, mut to_caller) = split(far);
    let (mut from_worker, mut to_worker) = split(client.carry().await);
    let bend = Arc::new(Mutex::new(bend));
    let bends = bend.clone();
    tokio::spawn(async move {
        let carry = |toward, number, record| (bends.lock().unwrap())(toward, number, record);
        pass(&mut from_caller, &mut to_worker, |n, record| carry(Toward::Worker, n, record)).await;
    });
    tokio::spawn(async move {
        let carry = |toward, number, record| (bend.lock().unwrap())(toward, number, record);
        pass(&mut from_worker, &mut to_caller, |n, record| carry(Toward::Caller, n, record)).await;
    });
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(client.tls.clone()).connect(name, near).await
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut bend: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>,
) {
    let mut encrypted = 0;
    while let Some(record) = read_record(from).await {
        let number = encrypted;
        encrypted += usize::from(record[0] == APPLICATION_DATA);
        let number = if record[0] == APPLICATION_DATA { number } else { usize::MAX };
        for record in bend(number, record) {
            if to.write_all(&record).await.is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown().await;
}

/// A CreateKey in three records through a relay, and what came back.
async fn create_key_through(
    scene: &Scene,
    bend: impl FnMut(Toward, usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> io::Result<Reply> {
    let mut connection = through(&scene.client, bend).await?;
    let request = scene.client.signed("CreateKey", &json!({}));
    for part in request.chunks(request.len().div_ceil(3)) {
        // The worker may have hung up by then.
        let _ = connection.write_all(part).await;
        let _ = connection.flush().await;
    }
    read_reply(&mut connection).await
}

/// A relay that does this to the records of a request: the worker ends the connection with an
/// alert, and has not obeyed.
async fn bent_request(bend: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let mut bend = bend;
    let refused = create_key_through(&scene, move |toward, number, record| match toward {
        Toward::Worker if number != usize::MAX && number >= FIRST_OF_REQUEST => {
            bend(number, record)
        }
        _ => vec![record],
    })
    .await
    .expect_err("the worker does not answer");
    assert!(refused.to_string().contains("BadRecordMac"), "{refused}");
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

#[tokio::test]
async fn records_as_they_are() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let reply = create_key_through(&scene, |_, _, record| vec![record]).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(scene.opponent.commits().len(), before + 1);
    scene.recovers().await;
}

#[tokio::test]
async fn a_record_cut_into_single_bytes() {
    let scene = Scene::shared().await;
    // Slow, and allowed: TCP promises nothing else.
    let bytes = |record: Vec<u8>| record.into_iter().map(|byte| vec![byte]).collect();
    let reply = create_key_through(&scene, move |_, _, record| bytes(record)).await.unwrap();
    assert_eq!(reply.status, 200);
    scene.recovers().await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_request() {
    bent_request(|_, mut record| {
        let middle = record.len() / 2;
        record[middle] ^= 1;
        vec![record]
    })
    .await;
}

#[tokio::test]
async fn a_record_replayed() {
    bent_request(|_, record| vec![record.clone(), record]).await;
}

#[tokio::test]
async fn a_record_dropped() {
    let bend = |number, record| if number == FIRST_OF_REQUEST { vec![] } else { vec![record] };
    bent_request(bend).await;
}

#[tokio::test]
async fn two_records_reordered() {
    let mut held = None;
    bent_request(move |_, record| match held.take() {
        None => {
            held = Some(record);
            vec![]
        }
        Some(first) => vec![record, first],
    })
    .await;
}

#[tokio::test]
async fn a_flipped_bit_in_an_answer() {
    let scene = Scene::shared().await;
    let mut asked = false;
    let mut connection = through(&scene.client, move |toward, number, mut record| {
        asked |= toward == Toward::Worker && number == FIRST_OF_REQUEST;
        if toward == Toward::Caller && asked {
            *record.last_mut().unwrap() ^= 1;
        }
        vec![record]
    })
    .await
    .unwrap();
    let body = json!({ "CiphertextBlob": scene.blob });
    connection.write_all(&scene.client.signed("Decrypt", &body)).await.unwrap();
    let refused = read_reply(&mut connection).await.expect_err("the caller does not believe it");
    assert!(refused.to_string().contains("cannot decrypt peer's message"), "{refused}");
    scene.recovers().await;
}

#[tokio::test]
async fn a_request_cut_off_without_a_farewell() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    // The last third never comes, and the stream ends as if the caller had gone.
    let mut connection = through(&scene.client, |_, _, record| vec![record]).await.unwrap();
    let request = scene.client.signed("CreateKey", &json!({ "Description": "x".repeat(600) }));
    connection.write_all(&request[..request.len() - 100]).await.unwrap();
    connection.flush().await.unwrap();
    let (mut raw, _) = connection.into_inner();
    raw.shutdown().await.unwrap();
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).await.unwrap();
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

#[tokio::test]
async fn a_session_recorded_and_played_again() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let recording = Arc::new(Mutex::new(Vec::new()));
    let tape = recording.clone();
    let reply = create_key_through(&scene, move |toward, _, record| {
        if toward == Toward::Worker {
            tape.lock().unwrap().extend_from_slice(&record);
        }
        vec![record]
    })
    .await
    .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(scene.opponent.commits().len(), before + 1);
    scene.attack(Default::default());
    let recording = recording.lock().unwrap().clone();
    let mut again = scene.client.carry().await;
    again.write_all(&recording).await.unwrap();
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer).await;
    scene.will_log("a TLS handshake failed").await;
    assert_eq!(scene.opponent.commits().len(), before + 1);
    scene.recovers().await;
}

#[tokio::test]
async fn a_handshake_cut_short() {
    let scene = Scene::shared().await;
    scene.attack(Default::default());
    let mut stream = scene.client.carry().await;
    // The beginning of a ClientHello.
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    stream.shutdown().await.unwrap();
    scene.will_log("a TLS handshake failed").await;
    scene.recovers().await;
}

#[tokio::test]
async fn a_request_without_tls() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    scene.attack(Default::default());
    let mut stream = scene.client.carry().await;
    stream.write_all(&scene.client.signed("CreateKey", &json!({}))).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    scene.will_log("a TLS handshake failed").await;
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

#[tokio::test]
async fn two_callers_streams_exchanged() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    // After the handshakes, the second caller's records go into the first one's connection.
    let taken = Arc::new(Mutex::new(Vec::new()));
    let given = taken.clone();
    let mut second = through(&scene.client, move |toward, number, record| {
        if toward == Toward::Worker && number == FIRST_OF_REQUEST {
            taken.lock().unwrap().push(record);
            return vec![];
        }
        vec![record]
    })
    .await
    .unwrap();
    second.write_all(&scene.client.signed("CreateKey", &json!({}))).await.unwrap();
    second.flush().await.unwrap();
    while given.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let record = given.lock().unwrap().pop().unwrap();
    let mut record = Some(record);
    let refused = create_key_through(&scene, move |toward, number, own| {
        if toward == Toward::Worker && number == FIRST_OF_REQUEST {
            return vec![record.take().unwrap()];
        }
        vec![own]
    })
    .await
    .expect_err("the worker does not answer");
    assert!(refused.to_string().contains("BadRecordMac"), "{refused}");
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

/// A worker that is soon tired of waiting, and serves few at once.
async fn impatient(connections: usize) -> Scene {
    let mut bounds = bounds();
    bounds.handshake_time = Duration::from_secs(2);
    bounds.header_time = Duration::from_secs(2);
    bounds.body_time = Duration::from_secs(2);
    bounds.connections = connections;
    Scene::start_with(bounds).await
}

/// As many connections as there are places, each held open after `opening` was sent: another
/// caller is served nevertheless, when the worker has given them up.
async fn flood(
    connections: Vec<impl AsyncRead + AsyncWrite + Unpin>,
    opening: &[u8],
    scene: Scene,
) {
    let mut held = Vec::new();
    for mut connection in connections {
        connection.write_all(opening).await.unwrap();
        connection.flush().await.unwrap();
        held.push(connection);
    }
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    drop(held);
    scene.recovers().await;
}

const PLACES: usize = 4;

#[tokio::test]
async fn a_flood_of_connections_without_a_handshake() {
    let scene = impatient(PLACES).await;
    scene.attack(Default::default());
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(scene.client.carry().await);
    }
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.logged("a TLS handshake took too long");
    scene.recovers().await;
}

#[tokio::test]
async fn a_flood_of_connections_without_a_request() {
    let scene = impatient(PLACES).await;
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(scene.client.connect().await.unwrap());
    }
    flood(silent, b"", scene).await;
}

#[tokio::test]
async fn a_flood_of_connections_with_one_letter() {
    let scene = impatient(PLACES).await;
    let mut slow = Vec::new();
    for _ in 0..PLACES {
        slow.push(scene.client.connect().await.unwrap());
    }
    // It begins both POST and the preface of HTTP/2.
    flood(slow, b"P", scene).await;
}

#[tokio::test]
async fn a_flood_of_headers_that_do_not_end() {
    let scene = impatient(PLACES).await;
    let mut slow = Vec::new();
    for _ in 0..PLACES {
        slow.push(scene.client.connect().await.unwrap());
    }
    flood(slow, b"POST / HTTP/1.1\r\nhost: localhost\r\nx-slow: ", scene).await;
}

#[tokio::test]
async fn a_flood_of_http_2_connections_without_a_preface() {
    let scene = impatient(PLACES).await;
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(scene.client.speaking("h2").connect().await.unwrap());
    }
    flood(silent, b"", scene).await;
}

#[tokio::test]
async fn a_flood_of_http_2_connections_without_a_request() {
    let scene = impatient(PLACES).await;
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(scene.client.speaking("h2").connect().await.unwrap());
    }
    // The preface, and SETTINGS without settings (RFC 9113 §3.4).
    flood(silent, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", scene).await;
}

#[tokio::test]
async fn a_body_that_does_not_come() {
    let scene = impatient(64).await;
    let before = scene.opponent.commits().len();
    let request = scene.client.signed("CreateKey", &json!({ "Description": "slow" }));
    let mut connection = scene.client.connect().await.unwrap();
    connection.write_all(&request[..request.len() - 1]).await.unwrap();
    connection.flush().await.unwrap();
    let refused = read_reply(&mut connection).await.unwrap().answer().unwrap_err();
    assert_eq!(refused.code, "ValidationException");
    assert!(refused.message.contains("took too long"), "{}", refused.message);
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}
