//! Principals, access keys and sessions: made by `sekisho principal`, used by the AWS CLI.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::path::Path;
use std::process::{Command, Output};

use running::{SEKISHO, Service, folder, run, venv, words};
use serde_json::Value;

/// An access key as the service shows it once.
struct Key {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Key {
    fn of(answer: &Value, member: &str) -> Self {
        let found = answer.get(member).unwrap_or_else(|| panic!("no {member}: {answer}"));
        let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: text("AccessKeyId").expect("an id"),
            secret: text("SecretAccessKey").expect("a secret"),
            token: text("SessionToken"),
        }
    }

    fn sign<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("AWS_ACCESS_KEY_ID", &self.id).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        if let Some(token) = &self.token {
            command.env("AWS_SESSION_TOKEN", token);
        }
        command
    }
}

/// `sekisho principal <arguments> --json`, as root or with a key.
fn principal(service: &Service, key: Option<&Key>, arguments: &[&str]) -> Output {
    let mut command = service.client(SEKISHO);
    command.args(["principal", "--json"]).args(arguments);
    if let Some(key) = key {
        key.sign(&mut command);
    }
    let output = command.output().expect("sekisho runs");
    service.learn_from(&output);
    output
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", words(output));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// What `aws kms describe-key` says to the holder of `key`.
fn describe(service: &Service, key: &Key, key_id: &str) -> Output {
    let mut command = service.client(venv("aws"));
    command.args(["--output", "json", "kms", "describe-key", "--key-id", key_id]);
    key.sign(&mut command).output().expect("the AWS CLI runs")
}

fn refused(output: &Output, code: &str) {
    let said = words(output);
    assert!(!output.status.success() && said.contains(code), "{code} expected: {said}");
}

#[test]
fn a_principal_from_its_making_to_its_end() {
    let data = folder();
    let service = Service::start_with(data.path(), &[]);
    let made = principal(&service, None, &["create", "carol", "--tag", "team=kiosk"]);
    let made = answer(&made);
    let arn = made.pointer("/Principal/Arn").and_then(Value::as_str).expect("an ARN");
    assert!(arn.ends_with(":user/carol"), "{arn}");
    let carol = Key::of(&made, "AccessKey");

    // A key whose policy lets in whoever has carol's tag, beside root.
    let root = arn.replace("user/carol", "root");
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": root }, "Action": "kms:*", "Resource": "*" },
        { "Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*",
          "Condition": { "StringEquals": { "aws:PrincipalTag/team": "kiosk" } } },
    ] });
    let output = run(service.client(venv("aws")).args([
        "--output",
        "json",
        "kms",
        "create-key",
        "--policy",
        &policy.to_string(),
    ]));
    let key: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let key = key.pointer("/KeyMetadata/KeyId").and_then(Value::as_str).expect("a key id");
    let works = |key_of: &Key| {
        let output = describe(&service, key_of, key);
        assert!(output.status.success(), "{}", words(&output));
    };
    works(&carol);

    // Carol manages nobody, not even herself.
    for arguments in [&["create", "dave"][..], &["list"], &["keys", "list", "carol"]] {
        refused(&principal(&service, Some(&carol), arguments), "AccessDeniedException");
    }

    // She may make a session, which can do what she can, and no session of its own.
    let session = answer(&principal(&service, Some(&carol), &["session", "deploy"]));
    let session = Key::of(&session, "Credentials");
    works(&session);
    let again = principal(&service, Some(&session), &["session", "again"]);
    refused(&again, "AccessDeniedException");

    // Rotation. What is disabled takes its sessions with it, and comes back with them.
    let second = answer(&principal(&service, None, &["keys", "create", "carol"]));
    let second = Key::of(&second, "AccessKey");
    let third = principal(&service, None, &["keys", "create", "carol"]);
    refused(&third, "LimitExceededException");
    answer(&principal(&service, None, &["keys", "disable", "carol", &carol.id]));
    refused(&describe(&service, &carol, key), "UnrecognizedClientException");
    refused(&describe(&service, &session, key), "UnrecognizedClientException");
    works(&second);
    answer(&principal(&service, None, &["keys", "enable", "carol", &carol.id]));
    works(&session);

    // All of it is there after a restart.
    assert_eq!(service.stop(), Some(0));
    let service = Service::start_with(data.path(), &[]);
    for key_of in [&carol, &second, &session] {
        let output = describe(&service, key_of, key);
        assert!(output.status.success(), "{}", words(&output));
    }
    let listed = answer(&principal(&service, None, &["list"]));
    let names = listed.pointer("/Principals/0/PrincipalName").and_then(Value::as_str);
    assert_eq!(names, Some("carol"), "{listed}");
    let keys = principal(&service, None, &["keys", "list", "carol"]);
    assert!(!words(&keys).contains(&carol.secret) && words(&keys).contains(&carol.id));

    refused(&principal(&service, None, &["delete", "carol"]), "DeleteConflictException");
    answer(&principal(&service, None, &["delete", "carol", "--with-keys"]));
    for key_of in [&carol, &second, &session] {
        refused(&describe(&service, key_of, key), "UnrecognizedClientException");
    }
}

/// `sekisho principal keygen`: the two files.
fn key_pair(folder: &Path, name: &str) -> (String, String) {
    let path = |end: &str| folder.join(format!("{name}{end}.pem")).to_string_lossy().into_owned();
    let (private, public) = (path(""), path("-public"));
    let made = run(Command::new(SEKISHO).args(["principal", "keygen", "--out", &private]));
    std::fs::write(&public, made.stdout).expect("a public key");
    (private, public)
}

/// A service's first access key, as its administrator gets it.
#[test]
fn the_administrator_claims_the_first_access_key() {
    let (data, keys) = (folder(), folder());
    let (private, public) = key_pair(keys.path(), "administrator");
    let (stranger, _) = key_pair(keys.path(), "stranger");
    let service = Service::start_with(data.path(), &["--administrator-key", &public]);
    let claim = |service: &Service, pcr16: &str, private: &str| {
        let root = service.said("/development_root");
        principal(
            service,
            None,
            &[
                "claim",
                "--endpoint",
                &service.endpoint(),
                "--root",
                &root,
                "--pcr",
                &format!("16={pcr16}"),
                "--private-key",
                private,
            ],
        )
    };
    let pcr16 = service.said("/attestation/pcrs/16");
    refused(&claim(&service, &"ab".repeat(48), &private), "pcr");
    refused(&claim(&service, &pcr16, &stranger), "encrypted to another public key");
    let first = answer(&claim(&service, &pcr16, &private));
    let key = Key::of(&first, "AccessKey");

    // It waits over a restart, and a second start makes no other.
    assert_eq!(service.stop(), Some(0));
    let service = Service::start_with(data.path(), &[]);
    assert_eq!(service.said("/attestation/pcrs/16"), pcr16, "the folder keeps the public key");
    assert_eq!(answer(&claim(&service, &pcr16, &private)), first);

    // It is the account's root; once it has signed, it is handed out no more.
    let listed = answer(&principal(&service, Some(&key), &["list"]));
    let root = listed.pointer("/Principals/0/Arn").and_then(Value::as_str);
    assert_eq!(root, Some("arn:aws:iam::000000000000:root"), "{listed}");
    refused(&claim(&service, &pcr16, &private), "it has signed a request already");

    // Another one replaces it, and the last one stays.
    let last = principal(&service, Some(&key), &["keys", "delete", ":root", &key.id]);
    refused(&last, "DeleteConflictException");
    let second = answer(&principal(&service, Some(&key), &["keys", "create", ":root"]));
    let second = Key::of(&second, "AccessKey");
    answer(&principal(&service, Some(&second), &["keys", "delete", ":root", &key.id]));
    refused(&principal(&service, Some(&key), &["list"]), "UnrecognizedClientException");
    answer(&principal(&service, Some(&second), &["create", "carol"]));
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn without_an_environment_it_says_what_is_missing() {
    let output = Command::new(SEKISHO)
        .args(["principal", "list"])
        .env_clear()
        .output()
        .expect("sekisho runs");
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("AWS_ENDPOINT_URL_KMS is not set"), "{}", words(&output));
}
