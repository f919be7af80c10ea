//! A new root key for a running service, by `sekisho root`, with the AWS CLI at work on it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use running::{SEKISHO, STATE, Service, folder, recorded, words};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// For a rotation of a handful of records, by an unoptimised build on a busy machine.
const ENDED: Duration = Duration::from_secs(60);

fn sekisho(service: &Service, profile: &str, arguments: &[&str]) -> Output {
    let mut command = service.client(SEKISHO);
    command.env("AWS_PROFILE", profile).args(arguments).output().expect("sekisho runs")
}

fn value(output: &Output) -> Value {
    assert!(output.status.success(), "{}", words(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}")).to_owned()
}

/// Rotates, and waits for the end.
fn rotate(service: &Service, generation: u64) {
    let begun = value(&sekisho(service, "default", &["root", "rotate", "--json"]));
    assert_eq!(begun.pointer("/Generation"), Some(&json!(generation)));
    let started = Instant::now();
    loop {
        let status = value(&sekisho(service, "default", &["root", "status", "--json"]));
        assert_eq!(status.pointer("/Generation"), Some(&json!(generation)));
        if status.pointer("/Rotating") == Some(&json!(false)) {
            assert_eq!(status.pointer("/RecordsLeft"), Some(&json!(0)));
            assert!(status.pointer("/Since").is_some(), "{status}");
            return;
        }
        assert!(started.elapsed() < ENDED, "it does not come to an end: {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_service_goes_on_under_another_root_key() {
    let data = folder();
    let service = Service::start_with(data.path(), &["--user", "alice"]);
    let made = value(&service.aws("default", &["create-key"]));
    let key = text(&made, "/KeyMetadata/KeyId");
    let arguments = ["encrypt", "--key-id", &key, "--plaintext", "b2YgYmVmb3Jl"];
    let blob = text(&value(&service.aws("default", &arguments)), "/CiphertextBlob");
    let files = folder();
    let file = files.path().join("blob");
    std::fs::write(&file, BASE64.decode(blob).expect("base64")).expect("a blob");
    let blob = format!("fileb://{}", file.display());
    let decrypts = |service: &Service| {
        let arguments = ["decrypt", "--ciphertext-blob", &blob];
        let decrypted = value(&service.aws("default", &arguments));
        let plaintext = text(&decrypted, "/Plaintext");
        let plaintext = BASE64.decode(plaintext).expect("base64");
        let plaintext = String::from_utf8(plaintext).expect("text");
        // As the AWS CLI of either version had taken it.
        assert!(["of before", "b2YgYmVmb3Jl"].contains(&plaintext.as_str()), "{plaintext}");
    };
    decrypts(&service);
    let file = data.path().join("root.key");
    let former = std::fs::read(&file).expect("a root key");

    // Not for everybody.
    for arguments in [["root", "rotate"], ["root", "status"]] {
        let refused = sekisho(&service, "alice", &arguments);
        let said = words(&refused);
        assert!(!refused.status.success() && said.contains("AccessDeniedException"), "{said}");
    }
    let status = sekisho(&service, "default", &["root", "status"]);
    assert!(words(&status).contains("root key of generation 1"), "{}", words(&status));

    rotate(&service, 2);
    decrypts(&service);
    let newer = std::fs::read(&file).expect("a root key");
    assert_ne!(newer, former);
    rotate(&service, 3);
    decrypts(&service);
    assert_eq!(service.stop(), Some(0));
    assert_eq!(recorded(data.path(), "RotateRootKey").len(), 3);
    assert_eq!(recorded(data.path(), "FinishRootKeyRotation").len(), 2);

    let service = Service::start_with(data.path(), &["--user", "alice"]);
    decrypts(&service);
    assert_eq!(service.stop(), Some(0));

    // A root key of before opens nothing of it.
    let newest = std::fs::read(&file).expect("a root key");
    for old in [former, newer] {
        std::fs::write(&file, old).expect("a root key");
        let mut command = Command::new(SEKISHO);
        command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        let refused = command.env("XDG_STATE_HOME", STATE).output().expect("it ends");
        let said = words(&refused);
        let reason = "the keyring in the store is not of the root key";
        assert!(!refused.status.success() && said.contains(reason), "{said}");
    }
    std::fs::write(&file, newest).expect("a root key");
    let service = Service::start_with(data.path(), &[]);
    decrypts(&service);
    assert_eq!(service.stop(), Some(0));
}
