//! Attacks on imported material that is to go at its time.

use super::host::{Attack, Write};
use super::scene::{PLAINTEXT, Scene, refused};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_wire::StoreError;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A key whose material is good for so many seconds.
async fn imported(scene: &Scene, seconds: u64) -> String {
    let created = scene.call("CreateKey", json!({ "Origin": "EXTERNAL" })).await.unwrap();
    let key = created["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let wanted = json!({
        "KeyId": key,
        "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048",
    });
    let parameters = scene.call("GetParametersForImport", wanted).await.unwrap();
    let public_key = BASE64.decode(parameters["PublicKey"].as_str().unwrap()).unwrap();
    let wrapping = PublicEncryptingKey::from_der(&public_key).unwrap();
    let wrapping = OaepPublicEncryptingKey::new(wrapping).unwrap();
    let mut room = vec![0; wrapping.ciphertext_size()];
    let wrapped = wrapping.encrypt(&OAEP_SHA256_MGF1SHA256, &[0x5e; 32], &mut room, None).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let import = json!({
        "KeyId": key,
        "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": BASE64.encode(wrapped),
        "ValidTo": now + seconds,
    });
    scene.call("ImportKeyMaterial", import).await.unwrap();
    key
}

async fn state(scene: &Scene, key: &str) -> String {
    let described = scene.call("DescribeKey", json!({ "KeyId": key })).await.unwrap();
    described["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned()
}

/// A host cannot keep material in use by refusing to store that it is gone.
#[tokio::test]
async fn an_expiry_that_the_host_does_not_store() {
    let scene = Scene::start().await;
    let key = imported(&scene, 5).await;
    let blob = scene.encrypt(&key).await.unwrap();
    assert_eq!(scene.decrypt(&blob).await.unwrap(), PLAINTEXT);
    scene.attack(Attack::default().on_commit(|_| Write::Refuse(StoreError::Full)));
    scene.will_log("a key is due, and nothing could be done").await;
    refused(scene.decrypt(&blob).await, "KMSInvalidStateException");
    refused(scene.encrypt(&key).await, "KMSInvalidStateException");
    assert_eq!(state(&scene, &key).await, "PendingImport");

    // It is done when the host behaves, and once.
    scene.opponent.behave();
    let expired = || async {
        let audited = scene.audited().await.unwrap();
        audited.iter().filter(|entry| entry.operation == "DeleteExpiredKeyMaterial").count()
    };
    for _ in 0..300 {
        if expired().await > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(expired().await, 1);
    assert_eq!(state(&scene, &key).await, "PendingImport");
    refused(scene.decrypt(&blob).await, "KMSInvalidStateException");
    scene.recovers_and_restarts().await;
}
