//! `aws-sdk-kms`: a file is sealed in an envelope and opened again, and errors have their types.
//!
//! The service comes from the environment that `sekisho dev` prints, its authority from
//! `SSL_CERT_FILE`.

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeySpec, KeyUsageType, SigningAlgorithmSpec};
use std::error::Error;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// A data key is used once, so that its nonce may be anything.
const NONCE: [u8; 12] = [0; 12];

struct Envelope {
    wrapped: Blob,
    body: Vec<u8>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let source = std::env::args().nth(1).ok_or("which file?")?;
    let plaintext = std::fs::read(source)?;
    let shared = aws_config::load_from_env().await;
    let once = aws_sdk_kms::config::Builder::from(&shared).retry_config(RetryConfig::disabled());
    let kms = Client::from_conf(once.build());

    let made = kms.create_key().description("files").send().await?;
    let key = made.key_metadata().ok_or("no metadata")?.key_id().to_owned();
    kms.create_alias().alias_name("alias/rust").target_key_id(&key).send().await?;

    let envelope = seal(&kms, "alias/rust", &plaintext).await?;
    assert_ne!(envelope.body, plaintext);
    assert_eq!(open(&kms, &envelope, "letter").await?, plaintext);
    let refused = decrypt(&kms, &envelope, "another").await;
    let refused = refused.map_err(SdkError::into_service_error).expect_err("another context");
    assert!(refused.is_invalid_ciphertext_exception(), "{refused:?}");

    kms.disable_key().key_id(&key).send().await?;
    let refused = decrypt(&kms, &envelope, "letter").await;
    let refused = refused.map_err(SdkError::into_service_error).expect_err("a disabled key");
    assert!(refused.is_disabled_exception(), "{refused:?}");
    let none = kms.describe_key().key_id("alias/none").send().await;
    let none = none.map_err(SdkError::into_service_error).expect_err("no such alias");
    assert!(none.is_not_found_exception(), "{none:?}");

    sign(&kms).await?;
    let mut pages = kms.list_keys().limit(1).into_paginator().items().send();
    let mut found = false;
    while let Some(entry) = pages.next().await {
        found |= entry?.key_id() == Some(key.as_str());
    }
    assert!(found, "{key} is not listed");
    Ok(())
}

async fn seal(kms: &Client, key: &str, plaintext: &[u8]) -> Result<Envelope> {
    let data_key = kms
        .generate_data_key()
        .key_id(key)
        .key_spec(DataKeySpec::Aes256)
        .encryption_context("file", "letter")
        .send()
        .await?;
    let secret = data_key.plaintext().ok_or("no plaintext")?;
    let body = cipher(secret)?.encrypt(&Nonce::from(NONCE), plaintext).map_err(|_| "not sealed")?;
    let wrapped = data_key.ciphertext_blob().ok_or("no ciphertext")?.clone();
    Ok(Envelope { wrapped, body })
}

async fn open(kms: &Client, envelope: &Envelope, file: &str) -> Result<Vec<u8>> {
    let secret = decrypt(kms, envelope, file).await?;
    let opened = cipher(&secret)?.decrypt(&Nonce::from(NONCE), envelope.body.as_slice());
    Ok(opened.map_err(|_| "not opened")?)
}

async fn decrypt(
    kms: &Client,
    envelope: &Envelope,
    file: &str,
) -> Result<Blob, SdkError<DecryptError>> {
    let asked = kms.decrypt().ciphertext_blob(envelope.wrapped.clone());
    let opened = asked.encryption_context("file", file).send().await?;
    Ok(opened.plaintext.unwrap_or_else(|| Blob::new([])))
}

/// Signs with one key, and has the service find what was changed.
async fn sign(kms: &Client) -> Result {
    let made = kms
        .create_key()
        .key_spec(KeySpec::EccNistP256)
        .key_usage(KeyUsageType::SignVerify)
        .send()
        .await?;
    let key = made.key_metadata().ok_or("no metadata")?.key_id();
    let algorithm = SigningAlgorithmSpec::EcdsaSha256;
    let asked = kms.sign().key_id(key).signing_algorithm(algorithm.clone());
    let signed = asked.message(Blob::new("a contract")).send().await?;
    let signature = signed.signature.ok_or("no signature")?;
    let verify = kms.verify().key_id(key).signing_algorithm(algorithm).signature(signature);
    let verified = verify.clone().message(Blob::new("a contract")).send().await?;
    assert!(verified.signature_valid());
    let changed = verify.message(Blob::new("A contract")).send().await;
    let changed = changed.map_err(SdkError::into_service_error).expect_err("another message");
    assert!(changed.is_kms_invalid_signature_exception(), "{changed:?}");
    Ok(())
}

fn cipher(secret: &Blob) -> Result<Aes256Gcm> {
    Ok(Aes256Gcm::new_from_slice(secret.as_ref())?)
}
