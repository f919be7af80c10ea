//! A service whose storage was set back to an older copy, and who notices.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod running;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use running::{SEKISHO, STATE, Service, folder, run, words};
use serde_json::Value;

/// `sekisho attest connect` as the service's own user would call it.
fn connect(service: &Service, out: &Path, arguments: &[&str]) -> Output {
    Command::new(SEKISHO)
        .args(["attest", "connect", &service.endpoint(), "--any-measurement", "--json"])
        .args(["--root", &service.said("/development_root"), "--ca-out"])
        .arg(out)
        .args(arguments)
        .env("XDG_STATE_HOME", STATE)
        .output()
        .expect("sekisho runs")
}

fn found(output: &Output) -> Value {
    assert!(output.status.success(), "{}", words(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The journal's checkpoint, as `--min-checkpoint` takes it.
fn checkpoint(found: &Value) -> String {
    let hash = found["journal"]["hash"].as_str().expect("a hash");
    format!("{}-{hash}", found["journal"]["sequence"])
}

fn create_key(service: &Service) {
    let created = service.aws("default", &["create-key"]);
    assert!(created.status.success(), "{}", words(&created));
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").args(["-a", "--"]).arg(from).arg(to));
}

#[test]
fn a_service_that_was_set_back_is_noticed() {
    let (data, files) = (folder(), folder());
    let store = data.path().join("store");
    let yesterday = files.path().join("yesterday");
    let ca = files.path().join("ca.pem");

    let service = Service::start_with(data.path(), &[]);
    create_key(&service);
    let first = found(&connect(&service, &ca, &[]));
    assert_eq!(first["rollback"], Value::Array(vec![]));
    let first = checkpoint(&first);
    assert_eq!(service.stop(), Some(0));
    copy(&store, &yesterday);

    let service = Service::start_with(data.path(), &[]);
    assert_eq!(service.ready["rollback"], Value::Array(vec![]));
    create_key(&service);
    create_key(&service);
    let strict = ["--fail-on-rollback", "--min-checkpoint", &first];
    let second = checkpoint(&found(&connect(&service, &ca, &strict)));
    assert_ne!(first, second);
    assert_eq!(service.stop(), Some(0));

    fs::remove_dir_all(&store).expect("it is removed");
    copy(&yesterday, &store);
    fs::remove_file(&ca).expect("it is removed");
    let service = Service::start_with(data.path(), &[]);
    let pointer = |at| service.ready.pointer(at).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(pointer("/rollback/0/kind"), "older", "{}", service.ready);
    assert_eq!(pointer("/rollback/0/known"), second);

    // A warning, or a refusal.
    let output = connect(&service, &ca, &["--fail-on-rollback"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(said(&output).starts_with("rollback: "), "{}", words(&output));
    let output = connect(&service, &ca, &["--min-checkpoint", &second]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(said(&output).starts_with("min-checkpoint: "), "{}", words(&output));
    // The number that it serves, with another hash.
    let number = pointer("/rollback/0/served").split('-').next().expect("a number");
    let other = format!("{number}-{}", "0a".repeat(32));
    let output = connect(&service, &ca, &["--min-checkpoint", &other]);
    assert!(said(&output).starts_with("min-checkpoint: "), "{}", words(&output));
    assert!(!ca.exists(), "an authority was written");
    let output = connect(&service, &ca, &[]);
    let rolled_back = found(&output);
    assert!(said(&output).contains("WARNING: the service was ROLLED BACK"), "{}", words(&output));
    assert_eq!(rolled_back["rollback"][0]["served"], checkpoint(&rolled_back).as_str());
    assert!(ca.exists());

    // The receipt of any answer tells it too.
    let principals = || run(service.client(SEKISHO).args(["principal", "list"]));
    assert!(said(&principals()).contains("ROLLED BACK"));

    // It went on from there: the same numbers, other entries.
    create_key(&service);
    create_key(&service);
    let output = connect(&service, &ca, &[]);
    assert!(said(&output).contains("ANOTHER HISTORY"), "{}", words(&output));
    assert_eq!(found(&output)["rollback"][0]["kind"], "forked");

    // It was on purpose.
    assert_eq!(said(&connect(&service, &ca, &["--accept-rollback"])), "");
    assert_eq!(said(&connect(&service, &ca, &["--fail-on-rollback"])), "");
    assert_eq!(said(&principals()), "");
}

#[test]
fn another_service_at_the_same_address_is_noticed() {
    let (data, files, state) = (folder(), folder(), folder());
    let ca = files.path().join("ca.pem");
    let connect = |service: &Service, arguments: &[&str]| {
        Command::new(SEKISHO)
            .args(["attest", "connect", &service.endpoint(), "--any-measurement", "--json"])
            .args(["--root", &service.said("/development_root"), "--ca-out"])
            .arg(&ca)
            .args(arguments)
            .env("XDG_STATE_HOME", state.path())
            .output()
            .expect("sekisho runs")
    };
    let service = Service::start_with(data.path(), &[]);
    let before = service.endpoint();
    found(&connect(&service, &[]));
    assert_eq!(service.stop(), Some(0));
    // The whole storage is gone; what the worker is started with is the same.
    fs::remove_dir_all(data.path().join("store")).expect("it is removed");
    let service = Service::start_with(data.path(), &[]);
    // As if it had the same port, which somebody else may have taken by now.
    let path = state.path().join("sekisho/checkpoints.json");
    let kept = fs::read_to_string(&path).expect("what is remembered");
    fs::write(&path, kept.replace(&before, &service.endpoint())).expect("it is written");
    let output = connect(&service, &["--fail-on-rollback"]);
    assert!(said(&output).starts_with("rollback: ANOTHER SERVICE"), "{}", words(&output));
    let output = connect(&service, &[]);
    assert!(said(&output).contains("ANOTHER SERVICE"), "{}", words(&output));
    assert_eq!(found(&output)["rollback"][0]["kind"], "other-authority");
    assert_eq!(said(&connect(&service, &["--fail-on-rollback"])), "");
}

#[test]
fn where_nothing_can_be_remembered_it_is_said() {
    let (data, files) = (folder(), folder());
    let service = Service::start_with(data.path(), &[]);
    let ca = files.path().join("ca.pem");
    let connect = |arguments: &[&str]| {
        Command::new(SEKISHO)
            .args(["attest", "connect", &service.endpoint(), "--any-measurement", "--root"])
            .args([&service.said("/development_root"), "--ca-out"])
            .arg(&ca)
            .args(arguments)
            .env_remove("HOME")
            .env_remove("XDG_STATE_HOME")
            .output()
            .expect("sekisho runs")
    };
    let output = connect(&[]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(said(&output).contains("a rollback of the service would not be noticed"));
    assert_eq!(connect(&["--fail-on-rollback"]).status.code(), Some(1));
}
