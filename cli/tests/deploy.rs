//! The kit for EC2, as far as it runs where there is no Nitro, and the ramdisks of the image.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::path::PathBuf;
use std::process::{Command, Output};

use running::{SEKISHO, Service, folder, words};

/// What `deploy/ec2/check` ends with where something is missing; it says what.
const SKIPPED: i32 = 77;

fn kit(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../deploy/ec2", file].iter().collect()
}

fn health(endpoint: &str) -> Output {
    Command::new(kit("health"))
        .env("SEKISHO_HEALTH_ENDPOINT", endpoint)
        .output()
        .expect("bash runs")
}

#[test]
fn units_installation_and_launcher() {
    let output = Command::new(kit("check")).output().expect("bash runs");
    let said = words(&output);
    match output.status.code() {
        Some(SKIPPED) => eprintln!("{said}"),
        status => assert_eq!(status, Some(0), "{said}"),
    }
}

#[test]
fn ramdisks_follow_from_what_is_in_them() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/eif/check-reproducible");
    let output = Command::new(script).arg("--ramdisks").output().expect("bash runs");
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn health_is_of_a_worker_that_is_there_and_unsealed() {
    let data = folder();
    let service = Service::start(data.path());
    let endpoint = service.endpoint();
    let output = health(&endpoint);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(service.stop(), Some(0));
    let output = health(&endpoint);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("does not answer"), "{}", words(&output));
}

#[test]
fn a_sealed_worker_is_not_healthy() {
    let data = folder();
    let prepared = Command::new(SEKISHO)
        .args(["dev", "--prepare", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("it runs");
    assert!(prepared.status.success(), "{}", words(&prepared));
    let root = data.path().join("development-root.pem").to_string_lossy().into_owned();
    // A KMS that is not there.
    let key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let service = Service::start_with(
        data.path(),
        &[
            "--unseal-kms",
            "https://127.0.0.1:1",
            "--unseal-key",
            key,
            "--unseal-ca",
            &root,
            "--unseal-credentials",
            &root,
        ],
    );
    let output = health(&service.endpoint());
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("is sealed"), "{}", words(&output));
    assert_eq!(service.stop(), Some(0));
}
