//! `sekisho attest connect`, and what stands between a client and an impostor.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use running::{SEKISHO, STATE, Service, folder, run, venv, words};
use serde_json::Value;

fn connect(endpoint: &str, out: &Path, arguments: &[&str]) -> Output {
    Command::new(SEKISHO)
        .args(["attest", "connect", endpoint, "--ca-out"])
        .arg(out)
        .args(arguments)
        .env("XDG_STATE_HOME", STATE)
        .output()
        .expect("sekisho runs")
}

fn refused(output: &Output, status: i32, says: &str, out: &Path) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{}", words(output));
    assert!(said.contains(says), "{says:?} expected: {said}");
    assert!(!out.exists(), "an authority was written");
}

#[test]
fn the_service_is_who_it_says() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let root = service.said("/development_root");
    let out = files.path().join("ca.pem");
    let pcr0 = service.said("/attestation/pcrs/0");
    let pinned = ["--root", &root, "--pcr", &format!("0={pcr0}"), "--json"];
    let output = connect(&service.endpoint(), &out, &pinned);
    assert!(output.status.success(), "{}", words(&output));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["unseal"], "development-file");
    assert_eq!(found["pcrs"]["0"], pcr0.as_str());
    assert_eq!(found["debug"], false);
    assert_eq!(fs::read(&out).expect("ca.pem"), fs::read(service.said("/ca")).expect("ca"));

    // With nothing but that file an AWS client trusts the service.
    let mut aws = service.client(venv("aws"));
    run(aws.env("AWS_CA_BUNDLE", &out).env("AWS_PROFILE", "default").args(["kms", "list-keys"]));

    // For a person: who, and that it is for development only.
    let output = connect(&service.endpoint(), &out, &["--root", &root, "--any-measurement"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("verified: i-") && text.contains("WARNING: a development service"));
}

#[test]
fn what_is_not_expected_is_refused() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let root = service.said("/development_root");
    let endpoint = service.endpoint();
    let out = files.path().join("ca.pem");

    let other = format!("0={}", "00".repeat(47) + "01");
    let output = connect(&endpoint, &out, &["--root", &root, "--pcr", &other]);
    refused(&output, 1, "pcr-mismatch", &out);
    let output = connect(&endpoint, &out, &["--any-measurement"]);
    refused(&output, 1, "root-not-trusted", &out);
    let output = connect(&endpoint, &out, &["--root", &root]);
    refused(&output, 2, "--any-measurement", &out);
    let output = connect("http://127.0.0.1:1", &out, &["--any-measurement"]);
    refused(&output, 2, "https://", &out);
    let output = connect("https://127.0.0.1:1", &out, &["--any-measurement"]);
    refused(&output, 1, "cannot connect", &out);
    let output = connect(&endpoint, &out, &["--root", "/nonexistent", "--any-measurement"]);
    refused(&output, 2, "/nonexistent", &out);
}

/// A host that ends TLS itself and hands everything through to the real service.
#[test]
fn an_impostor_in_the_middle_is_refused() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let in_files = |name: &str| files.path().join(name);
    let (key, certificate) = (in_files("key.pem"), in_files("certificate.pem"));
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate));
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let port_file = in_files("port");
    let mut impostor = service
        .client(venv("python3"))
        .arg("-B")
        .arg(clients.join("impostor.py"))
        .args([&key, &certificate, &port_file])
        .spawn()
        .expect("Python runs");
    let started = std::time::Instant::now();
    while !port_file.exists() {
        assert!(started.elapsed().as_secs() < 30, "the impostor does not start");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let port = fs::read_to_string(&port_file).expect("a port");
    let endpoint = format!("https://127.0.0.1:{}", port.trim());

    // It hands out the service's own, genuine and fresh document, for another TLS key.
    let out = in_files("ca.pem");
    let root = service.said("/development_root");
    let output = connect(&endpoint, &out, &["--root", &root, "--any-measurement"]);
    let mut aws = service.client(venv("aws"));
    let client = aws
        .env("AWS_ENDPOINT_URL_KMS", &endpoint)
        .env("AWS_PROFILE", "default")
        .env("AWS_MAX_ATTEMPTS", "1")
        .args(["kms", "list-keys"])
        .output()
        .expect("the AWS CLI runs");
    impostor.kill().expect("it ends");
    impostor.wait().expect("it ends");
    refused(&output, 1, "connection-key", &out);
    // A client with the attested authority does not even shake hands with it.
    assert!(!client.status.success());
    let said = String::from_utf8_lossy(&client.stderr);
    assert!(said.to_lowercase().contains("certificate verify failed"), "{said}");
}

#[test]
fn http_2_is_spoken_and_nothing_below_tls_1_3() {
    let data = folder();
    let service = Service::start(data.path());
    let url = format!("{}/health", service.endpoint());
    let curl = |arguments: &[&str]| {
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(service.said("/ca"))
            .args(["--write-out", "\n%{http_version} %{http_code}"])
            .args(arguments)
            .arg(&url)
            .output()
            .expect("curl runs")
    };
    for (arguments, version) in [(["--http2"], "2 200"), (["--http1.1"], "1.1 200")] {
        let output = curl(&arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.ends_with(version), "{}", words(&output));
        assert!(text.contains(r#""status":"ok""#), "{text}");
    }
    assert!(!curl(&["--tls-max", "1.2"]).status.success());
}
