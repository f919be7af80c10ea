//! The AWS CLI, unmodified, and `openssl cms`, by the commands that `docs/clients.md` shows.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use running::{SEKISHO, Service, folder, run, words};
use serde_json::Value;

fn answered(service: &Service, arguments: &[&str]) -> Value {
    let output = service.aws("default", arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    match output.stdout.trim_ascii() {
        [] => Value::Null,
        json => serde_json::from_slice(json).expect("JSON"),
    }
}

fn refused(service: &Service, profile: &str, code: &str, arguments: &[&str]) {
    let output = service.aws(profile, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} was answered: {}", words(&output));
    assert!(said.contains(&format!("({code})")), "{code} expected: {said}");
}

fn fileb(path: &Path) -> String {
    format!("fileb://{}", path.display())
}

fn bytes(answer: &Value, name: &str) -> Vec<u8> {
    BASE64.decode(answer[name].as_str().expect(name)).expect("base64")
}

#[test]
fn a_file_goes_in_and_comes_out() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let letter = files.path().join("letter.txt");
    let sealed = files.path().join("letter.enc");
    let text = "Dear customer, your new limit is 4,000 euros.\n".repeat(80);
    fs::write(&letter, &text).expect("the letter is written");

    let key = answered(&service, &["create-key", "--description", "letters"]);
    let key_id = key["KeyMetadata"]["KeyId"].as_str().expect("a key id");
    answered(
        &service,
        &["create-alias", "--alias-name", "alias/letters", "--target-key-id", key_id],
    );
    let listed = answered(&service, &["list-aliases"]);
    assert_eq!(listed["Aliases"][0]["AliasName"], "alias/letters");
    let listed = answered(&service, &["list-keys"]);
    assert_eq!(listed["Keys"][0]["KeyId"], key_id);
    let described = answered(&service, &["describe-key", "--key-id", "alias/letters"]);
    assert_eq!(described["KeyMetadata"]["Description"], "letters");

    let encrypt = ["encrypt", "--key-id", "alias/letters", "--encryption-context", "to=customer"];
    let plaintext = fileb(&letter);
    let answer = answered(&service, &[&encrypt[..], &["--plaintext", &plaintext]].concat());
    fs::write(&sealed, bytes(&answer, "CiphertextBlob")).expect("the ciphertext is written");

    let blob = fileb(&sealed);
    let decrypt = ["decrypt", "--ciphertext-blob", &blob, "--encryption-context"];
    let answer = answered(&service, &[&decrypt[..], &["to=customer"]].concat());
    assert_eq!(bytes(&answer, "Plaintext"), text.as_bytes());

    let wrong = [&decrypt[..], &["to=nobody"]].concat();
    refused(&service, "default", "InvalidCiphertextException", &wrong);
    let right = [&decrypt[..], &["to=customer"]].concat();
    refused(&service, "alice", "AccessDeniedException", &right);
    refused(&service, "default", "NotFoundException", &["describe-key", "--key-id", "alias/none"]);
}

#[test]
fn an_attested_decrypt_by_hand() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let in_files = |name: &str| files.path().join(name);
    let (private, public) = (in_files("private.pem"), in_files("public.pem"));
    run(Command::new("openssl").args(["genrsa", "-out"]).arg(&private).arg("2048"));
    run(Command::new("openssl")
        .args(["rsa", "-pubout", "-in"])
        .arg(&private)
        .arg("-out")
        .arg(&public));

    let pcr0 = "5e".repeat(48);
    let policy = format!(
        r#"{{"module": "attested", "config": {{
            "measurements": [{{"name": "mine", "pcrs": {{"0": "{pcr0}"}}}}],
            "encryptors": ["arn:aws:iam::000000000000:root"],
            "administrators": ["arn:aws:iam::000000000000:root"]
        }}}}"#
    );
    let key = answered(&service, &["create-key", "--policy", &policy]);
    let key_id = key["KeyMetadata"]["KeyId"].as_str().expect("a key id");
    let secret = in_files("secret");
    fs::write(&secret, "for measured code").expect("the secret is written");
    let plaintext = fileb(&secret);
    let answer = answered(&service, &["encrypt", "--key-id", key_id, "--plaintext", &plaintext]);
    let sealed = in_files("secret.enc");
    fs::write(&sealed, bytes(&answer, "CiphertextBlob")).expect("the ciphertext is written");

    let document = in_files("document.bin");
    let make = |arguments: &[&str]| {
        run(Command::new(SEKISHO)
            .arg("dev-document")
            .args(["--data-dir", &service.said("/data_dir"), "--public-key"])
            .arg(&public)
            .arg("--out")
            .arg(&document)
            .args(arguments));
    };
    let blob = fileb(&sealed);
    let recipient = format!(
        "KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@={}",
        fileb(&document)
    );
    let decrypt = ["decrypt", "--ciphertext-blob", &blob, "--recipient", &recipient];

    make(&["--pcr", &format!("0={pcr0}")]);
    let answer = answered(&service, &decrypt);
    assert!(answer.get("Plaintext").is_none_or(|plaintext| plaintext == ""), "{answer}");
    let enveloped = in_files("answer.ber");
    fs::write(&enveloped, bytes(&answer, "CiphertextForRecipient")).expect("it is written");
    let opened = run(Command::new("openssl")
        .args(["cms", "-decrypt", "-binary", "-inform", "DER", "-in"])
        .arg(&enveloped)
        .arg("-inkey")
        .arg(&private));
    assert_eq!(opened.stdout, b"for measured code");

    refused(&service, "default", "AccessDeniedException", &decrypt[..3]);
    make(&["--pcr", &format!("0={}", "5f".repeat(48))]);
    refused(&service, "default", "AccessDeniedException", &decrypt);
    make(&["--pcr", &format!("0={pcr0}"), "--forge", "signature"]);
    refused(&service, "default", "ValidationException", &decrypt);
    make(&["--debug"]);
    refused(&service, "default", "ValidationException", &decrypt);
}
