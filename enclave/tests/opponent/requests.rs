//! Requests that are not what they should be: by size, by shape, by time.

use super::client::{read_reply, request};
use super::scene::{PKI, REGION, Scene, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Forgery, Measurements, Options};
use sekisho_nsm::{AttestationRequest, Nsm};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;

/// A request that is answered with this status, and that creates nothing.
async fn unobeyed(bytes: impl FnOnce(&Scene) -> Vec<u8>, status: u16) -> Option<Value> {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let reply = scene.client.send(&bytes(&scene)).await.unwrap();
    assert_eq!(reply.status, status, "{}", reply.head);
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
    serde_json::from_slice(&reply.body).ok()
}

/// A signed CreateKey, changed on its way by someone who could.
async fn changed(change: impl FnOnce(String) -> String, status: u16) -> Option<Value> {
    unobeyed(
        |scene| {
            let bytes = scene.client.signed("CreateKey", &json!({ "Description": "mine" }));
            change(String::from_utf8(bytes).unwrap()).into_bytes()
        },
        status,
    )
    .await
}

#[tokio::test]
async fn a_header_of_seventy_kilobytes() {
    changed(|text| text.replace("host:", &format!("x-fill: {}\r\nhost:", "y".repeat(70_000))), 431)
        .await;
}

#[tokio::test]
async fn a_thousand_headers() {
    changed(|text| text.replace("host:", &format!("{}host:", "x-a: b\r\n".repeat(1000))), 431)
        .await;
}

#[tokio::test]
async fn a_body_of_a_megabyte() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let body = json!({ "Description": "z".repeat(1_000_000) });
    let mut connection = scene.client.connect().await.unwrap();
    connection.write_all(&scene.client.signed("CreateKey", &body)).await.expect("it is taken in");
    let reply = read_reply(&mut connection).await.unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["__type"], "RequestEntityTooLargeException");
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

#[tokio::test]
async fn a_body_without_an_end() {
    let answer = changed(
        |text| {
            let (head, _) = text.split_once("content-length").unwrap();
            let chunk = format!("8000\r\n{}\r\n", "c".repeat(0x8000));
            format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(17))
        },
        413,
    )
    .await;
    assert_eq!(answer.unwrap()["__type"], "RequestEntityTooLargeException");
}

#[tokio::test]
async fn two_lengths() {
    changed(|text| text.replace("content-length", "content-length: 0\r\ncontent-length"), 400)
        .await;
}

#[tokio::test]
async fn a_length_with_a_sign() {
    changed(|text| text.replace("content-length: ", "content-length: +"), 400).await;
}

#[tokio::test]
async fn an_encoding_that_does_not_end_in_chunked() {
    let bent = "transfer-encoding: chunked, identity\r\ncontent-length";
    changed(|text| text.replace("content-length", bent), 400).await;
}

#[tokio::test]
async fn a_space_before_the_colon() {
    changed(|text| text.replace("content-length:", "content-length :"), 400).await;
}

/// A length and chunks, and behind what the chunks say a second request, in the body as the
/// length says. The chunks count, and nothing behind them is read.
#[tokio::test]
async fn a_request_hidden_behind_a_length_and_chunks() {
    let scene = Scene::shared().await;
    let before = scene.opponent.commits().len();
    let hidden = "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: TrentService.CreateKey\r\n\
                  content-length: 2\r\n\r\n{}";
    let signed = String::from_utf8(scene.client.signed("ListKeys", &json!({}))).unwrap();
    let (head, body) = signed.split_once("content-length: 2\r\n\r\n").unwrap();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = chunked.len() + hidden.len();
    let bytes = format!(
        "{head}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}{hidden}"
    );
    let mut connection = scene.client.connect().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut connection, bytes.as_bytes()).await.unwrap();
    tokio::io::AsyncWriteExt::flush(&mut connection).await.unwrap();
    let first = super::client::read_reply(&mut connection).await.unwrap();
    assert_eq!(first.status, 200);
    assert!(first.json()["Keys"].is_array());
    super::client::read_reply(&mut connection).await.expect_err("the connection ends there");
    assert_eq!(scene.opponent.commits().len(), before);
    scene.recovers().await;
}

#[tokio::test]
async fn another_body_than_the_signed_one() {
    let answer = changed(|text| text.replace("mine", "hers"), 400).await.unwrap();
    assert_eq!(answer["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn another_operation_than_the_signed_one() {
    let answer =
        changed(|text| text.replace("TrentService.CreateKey", "TrentService.ListKeys"), 400);
    assert_eq!(answer.await.unwrap()["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn two_operations() {
    let twice = "x-amz-target: TrentService.ListKeys\r\nx-amz-target: TrentService.CreateKey";
    let answer = changed(|text| text.replace("x-amz-target: TrentService.CreateKey", twice), 400);
    assert_eq!(answer.await.unwrap()["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn no_signature() {
    let answer = unobeyed(
        |_| {
            let headers = [("host", "localhost"), ("x-amz-target", "TrentService.CreateKey")];
            let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            request(&owned, b"{}")
        },
        400,
    )
    .await;
    assert_eq!(answer.unwrap()["__type"], "MissingAuthenticationTokenException");
}

/// A request signed at another time than the worker's, by so many minutes.
async fn at_another_time(minutes: i64) -> Result<Value, super::client::Refused> {
    let scene = Scene::shared().await;
    let at = OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
    let request = scene.client.signed_at("ListKeys", &json!({}), at);
    let answer = scene.client.send(&request).await.unwrap().answer();
    scene.recovers().await;
    answer
}

#[tokio::test]
async fn a_request_of_sixteen_minutes_ago() {
    let refused = refused(at_another_time(-16).await, "InvalidSignatureException");
    assert!(refused.message.starts_with("Signature expired"), "{}", refused.message);
}

#[tokio::test]
async fn a_request_from_sixteen_minutes_ahead() {
    let refused = refused(at_another_time(16).await, "InvalidSignatureException");
    assert!(refused.message.starts_with("Signature not yet current"), "{}", refused.message);
}

#[tokio::test]
async fn requests_of_fourteen_minutes_around() {
    at_another_time(-14).await.unwrap();
    at_another_time(14).await.unwrap();
}

#[tokio::test]
async fn a_signature_for_another_region() {
    let mut scene = Scene::shared().await;
    scene.client.signer.region = "us-east-1".into();
    let answer = scene.call("ListKeys", json!({})).await;
    refused(answer, "InvalidSignatureException");
    scene.client.signer.region = REGION.into();
    scene.recovers().await;
}

/// A document of a caller's whose enclave has this clock, or that was forged.
async fn with_document(
    shift: i64,
    forgery: Option<Forgery>,
    pki: &DevelopmentPki,
) -> Option<String> {
    let scene = Scene::shared().await;
    let clock = move || {
        let by = Duration::from_secs(shift.unsigned_abs());
        let now = SystemTime::now();
        if shift < 0 { now - by } else { now + by }
    };
    let options = Options { clock: Box::new(clock), ..Options::default() };
    let nsm = EmulatedNsm::new(pki.clone(), &Measurements::of(b"caller"), options);
    let key = p384_public_key();
    let request = AttestationRequest { public_key: Some(key), user_data: None, nonce: None };
    let document = match forgery {
        Some(forgery) => nsm.forge(request, forgery),
        None => nsm.attestation(request).unwrap(),
    };
    let answer = scene
        .call(
            "Decrypt",
            json!({
                "CiphertextBlob": scene.blob,
                "Recipient": {
                    "KeyEncryptionAlgorithm": "HPKE_P384_HKDF_SHA384_AES_256_GCM",
                    "AttestationDocument": BASE64.encode(document),
                },
            }),
        )
        .await;
    scene.recovers().await;
    match answer {
        Ok(answer) => {
            assert!(answer["CiphertextForRecipient"].is_string(), "{answer}");
            assert!(answer.get("Plaintext").is_none_or(Value::is_null), "{answer}");
            None
        }
        Err(refused) => {
            assert_eq!(refused.code, "ValidationException");
            Some(refused.message)
        }
    }
}

/// DER SubjectPublicKeyInfo of a P-384 key that nobody holds.
fn p384_public_key() -> Vec<u8> {
    use rcgen::PublicKeyData;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    key.subject_public_key_info()
}

#[tokio::test]
async fn a_document_of_now() {
    assert_eq!(with_document(0, None, &PKI).await, None);
}

#[tokio::test]
async fn a_document_of_six_minutes_ago() {
    let message = with_document(-360, None, &PKI).await.expect("it is refused");
    assert!(message.contains("old"), "{message}");
}

#[tokio::test]
async fn a_document_from_two_minutes_ahead() {
    let message = with_document(120, None, &PKI).await.expect("it is refused");
    assert!(message.contains("not-yet-valid"), "{message}");
}

#[tokio::test]
async fn a_document_under_a_root_of_the_hosts_own() {
    let own = DevelopmentPki::generate(SystemTime::now());
    let message = with_document(0, None, &own).await.expect("it is refused");
    assert!(message.contains("root"), "{message}");
}

#[tokio::test]
async fn a_document_with_a_changed_measurement() {
    let forgery = Some(Forgery::ChangedMeasurement);
    let message = with_document(0, forgery, &PKI).await.expect("it is refused");
    assert!(message.contains("signature"), "{message}");
}
