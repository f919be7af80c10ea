//! Attacks on a start: what the host chooses, and what it gives.

use super::host::Attack;
use super::scene::{Scene, configuration, nsm, refused};
use sekisho_enclave::{
    BOOT_CONFIGURATION_PCR, BootError, InvalidConfiguration, JournalError, MeasureError, RootKey,
    TlsError,
};
use sekisho_nsm::Nsm;
use sekisho_wire::{Address, StoreError};
use serde_json::json;

#[tokio::test]
async fn another_configuration_in_the_same_enclave() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let module = nsm();
    scene.boot_with(scene.parameters(module.clone(), configuration())).await.unwrap();
    scene.stop().await;
    let mut other = configuration();
    other.account = "999999999999".into();
    let error = scene.boot_with(scene.parameters(module.clone(), other)).await;
    let error = error.expect_err("the worker does not start");
    assert!(matches!(error, BootError::Measure(MeasureError::OtherConfiguration)), "{error:?}");
    // The same one may start again.
    scene.boot_with(scene.parameters(module, configuration())).await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn another_configuration_in_an_enclave_of_its_own() {
    let mut scene = Scene::start().await;
    let (before, _) = scene.attested().await;
    scene.stop().await;
    let mut other = configuration();
    other
        .caller_roots
        .push(sekisho_attestation::TrustAnchors::aws_nitro().iter().next().unwrap().to_vec());
    scene.boot_with(scene.parameters(nsm(), other)).await.unwrap();
    // It starts, and says so: whoever expects the register's value refuses it.
    let (after, _) = scene.attested().await;
    assert_ne!(after.boot_configuration_sha384, before.boot_configuration_sha384);
    scene.recovers().await;
}

#[tokio::test]
async fn a_register_that_was_extended_before_the_start() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let module = nsm();
    module.extend_pcr(BOOT_CONFIGURATION_PCR, &[1; 48]).unwrap();
    let error = scene.boot_with(scene.parameters(module, configuration())).await;
    let error = error.expect_err("the worker does not start");
    assert!(matches!(error, BootError::Measure(MeasureError::OtherConfiguration)), "{error:?}");
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_register_that_was_locked_before_the_start() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let module = nsm();
    module.lock_pcr(BOOT_CONFIGURATION_PCR).unwrap();
    let error = scene.boot_with(scene.parameters(module, configuration())).await;
    let error = error.expect_err("the worker does not start");
    assert!(matches!(error, BootError::Measure(MeasureError::OtherConfiguration)), "{error:?}");
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_configuration_without_roots_for_callers() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let mut other = configuration();
    other.caller_roots.clear();
    let error = scene.boot_with(scene.parameters(nsm(), other)).await;
    let error = error.expect_err("the worker does not start");
    assert!(
        matches!(error, BootError::Configuration(InvalidConfiguration::NoCallerRoots)),
        "{error:?}"
    );
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_root_for_callers_that_is_no_certificate() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let mut other = configuration();
    other.caller_roots.push(vec![0x30; 300]);
    let error = scene.boot_with(scene.parameters(nsm(), other)).await;
    let error = error.expect_err("the worker does not start");
    assert!(matches!(error, BootError::Anchors(_)), "{error:?}");
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn another_root_key() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let mut boot = scene.parameters(nsm(), configuration());
    boot.root_key = Some(RootKey::from_bytes(&[9; 32]));
    let error = scene.boot_with(boot).await.expect_err("the worker does not start");
    let of_first = |error: &BootError| {
        matches!(error, BootError::Journal(JournalError::EntryDoesNotOpen { sequence: 1 }))
    };
    assert!(of_first(&error), "{error:?}");
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn no_root_key() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let mut boot = scene.parameters(nsm(), configuration());
    boot.root_key = None;
    scene.boot_with(boot).await.unwrap();
    let sealed = refused(scene.decrypt(&scene.blob).await, "ServiceUnavailableException");
    assert_eq!(sealed.status, 503);
    assert_eq!(scene.client.get("/health").await.unwrap().json(), json!({ "status": "sealed" }));
    let (attested, _) = scene.attested().await;
    assert_eq!(attested.journal_sequence, 0);
    scene.restart().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_store_that_is_not_there() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let mut boot = scene.parameters(nsm(), configuration());
    boot.store = Address::Unix { path: scene.folder.path().join("nowhere") };
    let error = scene.boot_with(boot).await.expect_err("the worker does not start");
    assert!(
        matches!(error, BootError::Journal(JournalError::Store(StoreError::Unavailable))),
        "{error:?}"
    );
    scene.boot().await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn a_store_that_hangs_up_at_the_start() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    scene.attack(Attack::default().accepts_nobody());
    let error = scene.boot().await.expect_err("the worker does not start");
    assert!(
        matches!(error, BootError::Journal(JournalError::Store(StoreError::Unavailable))),
        "{error:?}"
    );
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
}

/// The record of the service's authority is the first that a service writes.
async fn bent_authority(bend: fn(Option<Vec<u8>>) -> Option<Vec<u8>>) -> BootError {
    let mut scene = Scene::start().await;
    let (authority, _) = scene.opponent.commits()[0].puts[0].clone();
    scene.stop().await;
    scene.attack(Attack::default().on_get(
        move |name, held| {
            if name == authority { bend(held) } else { held }
        },
    ));
    let error = scene.boot().await.expect_err("the worker does not start");
    scene.opponent.behave();
    scene.boot().await.unwrap();
    scene.recovers().await;
    error
}

#[tokio::test]
async fn another_authority() {
    let error = bent_authority(|held| {
        held.map(|mut record| {
            record[60] ^= 1;
            record
        })
    })
    .await;
    let refused =
        matches!(error, BootError::Tls(TlsError::Journal(JournalError::RecordNotCurrent)));
    assert!(refused, "{error:?}");
}

#[tokio::test]
async fn an_authority_that_is_gone() {
    // No new one is made in its place.
    let error = bent_authority(|_| None).await;
    let refused = matches!(error, BootError::Tls(TlsError::Journal(JournalError::RecordMissing)));
    assert!(refused, "{error:?}");
}

#[tokio::test]
async fn the_workers_address_taken_by_another() {
    let mut scene = Scene::start().await;
    scene.stop().await;
    let path = scene.folder.path().join("worker.sock");
    let impostor = tokio::net::UnixListener::bind(&path).unwrap();
    let error = scene.boot().await.expect_err("the worker does not start");
    assert!(matches!(error, BootError::Listen { .. }), "{error:?}");
    drop(impostor);
    scene.boot().await.unwrap();
    scene.recovers().await;
}
