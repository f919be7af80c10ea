//! AWS's SDKs beside boto3, unmodified, over TLS with the service's own authority: each seals real
//! files in envelopes. What is expected stands in `clients/`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::path::{Path, PathBuf};

use running::{Service, folder, run, words};

/// A file of this repository, as a file of somebody's.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks.rs");

/// The folder that `scripts/sdks` makes.
fn sdks() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-sdks");
    let folder = std::env::var_os("SEKISHO_TEST_SDKS").map_or(target, PathBuf::from);
    folder.canonicalize().unwrap_or_else(|error| {
        panic!("{}: {error}: run scripts/sdks, or scripts/test", folder.display())
    })
}

#[test]
fn the_encryption_sdk_for_python_by_master_keys_and_by_keyrings() {
    let (data, files) = (folder(), folder());
    let files = files.path().to_str().expect("a path in UTF-8");
    Service::start(data.path()).python("encryption_sdk.py", &[files]);
}

#[test]
fn the_sdk_for_javascript() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/envelope.mjs");
    run(service
        .client("node")
        .env("NODE_EXTRA_CA_CERTS", service.said("/ca"))
        .env("SEKISHO_TEST_SDKS", sdks())
        .args([script, FILE])
        .arg(files.path()));
}

#[test]
fn the_sdk_for_rust() {
    let data = folder();
    let service = Service::start(data.path());
    let client = sdks().join("rust/debug/sekisho-test-client");
    run(service.client(client).env("SSL_CERT_FILE", service.said("/ca")).arg(FILE));
}

#[test]
fn the_aws_cli_v2() {
    let program = sdks().join("aws-v2");
    if !program.exists() {
        eprintln!("SKIPPED: there is no AWS CLI v2 here");
        return;
    }
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    // Versions before 2.13 take the endpoint from here alone.
    let endpoint = service.endpoint();
    let aws = |arguments: &[&str]| {
        let mut command = service.client(&program);
        command.args(["--endpoint-url", &endpoint, "--output", "text", "kms"]).args(arguments);
        command
    };
    let answered = |arguments: &[&str]| {
        let output = run(&mut aws(arguments));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };

    let key = answered(&["create-key", "--query", "KeyMetadata.KeyId"]);
    let letter = format!("fileb://{}", files.path().join("letter").display());
    std::fs::write(files.path().join("letter"), "Dear customer").expect("the letter is written");
    let context = ["--encryption-context", "to=customer"];
    let encrypt =
        ["encrypt", "--key-id", &key, "--plaintext", &letter, "--query", "CiphertextBlob"];
    let sealed = answered(&[&encrypt[..], &context].concat());
    let decrypt = ["decrypt", "--ciphertext-blob", &sealed, "--query", "Plaintext"];
    let opened = answered(&[&decrypt[..], &context].concat());
    assert_eq!(opened, "RGVhciBjdXN0b21lcg==");
    let refused = aws(&decrypt).output().expect("the AWS CLI runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("(InvalidCiphertextException)"), "{}", words(&refused));
}
