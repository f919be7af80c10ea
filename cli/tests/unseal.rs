//! A service B whose root key a service A unwraps, for B's measurement alone: two `sekisho dev`
//! and the AWS CLI; and one that operators unseal together.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;
#[path = "unseal/shares.rs"]
mod shares;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use running::{SEKISHO, STATE, Service, folder, run, words};
use serde_json::{Value, json};

/// For a failure to stand in the log: a start, and an RSA key made by an unoptimised build.
const SAID: Duration = Duration::from_secs(60);
/// For a worker to try again: the longest pause, and an attempt.
const AGAIN: Duration = Duration::from_secs(60);
/// For a policy with which nobody unseals.
const NOBODY: &str = "00";

/// The KMS: a service with a user who may have the root key unwrapped, under a condition.
struct Kms {
    service: Option<Service>,
    folder: tempfile::TempDir,
    /// Of the key that wraps.
    key: String,
}

/// The service that is unsealed.
struct Sealed {
    folder: tempfile::TempDir,
    /// stderr of each start.
    logs: tempfile::TempDir,
    starts: u32,
}

impl Kms {
    fn start(caller_root: &str) -> Self {
        let folder = folder();
        let arguments = ["--user", "unsealer", "--caller-root", caller_root];
        let service = Service::start_with(folder.path(), &arguments);
        let output = service.aws("default", &["create-key"]);
        let made = value(&output);
        let key = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        let key = key.expect("an ARN").to_owned();
        Self { service: Some(service), folder, key }
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("it runs")
    }

    fn administer(&self, arguments: &[&str]) {
        let output = self.service().aws("default", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    }

    /// A policy after which the user gets the root key for these registers alone, and nobody, the
    /// root user included, without a document.
    fn demand(&self, pcr0: &str, pcr16: &str) {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": "arn:aws:iam::000000000000:root" },
                    "Action": [
                        "kms:Describe*", "kms:Get*", "kms:List*", "kms:PutKeyPolicy",
                        "kms:EnableKey", "kms:DisableKey",
                    ],
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": "arn:aws:iam::000000000000:user/unsealer" },
                    "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                    "Resource": "*",
                    "Condition": { "StringEqualsIgnoreCase": {
                        "kms:RecipientAttestation:PCR0": pcr0,
                        "kms:RecipientAttestation:PCR16": pcr16,
                        "kms:EncryptionContext:sekisho-purpose": "root-key",
                        "kms:EncryptionContext:sekisho-account": "000000000000",
                    } },
                },
            ],
        });
        let policy = policy.to_string();
        self.administer(&["put-key-policy", "--key-id", &self.key, "--policy", &policy]);
    }

    /// Stops it; what it answers is where it listened.
    fn stop(&mut self) -> String {
        let service = self.service.take().expect("it runs");
        let listened = service.endpoint().trim_start_matches("https://").to_owned();
        assert_eq!(service.stop(), Some(0));
        listened
    }

    fn start_again(&mut self, listen: &str) {
        let command = Command::new(SEKISHO);
        self.service = Some(Service::start_at(command, self.folder.path(), listen, &[]));
    }

    fn credentials(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }
}

impl Sealed {
    /// The folder with its development root; nothing runs yet.
    fn prepare() -> Self {
        let folder = folder();
        let mut command = Command::new(SEKISHO);
        command.args(["dev", "--prepare", "--data-dir"]).arg(folder.path());
        run(command.env("XDG_STATE_HOME", STATE));
        Self { folder, logs: self::folder(), starts: 0 }
    }

    fn root(&self) -> String {
        let root = self.folder.path().join("development-root.pem");
        assert!(root.exists(), "--prepare makes it");
        root.to_string_lossy().into_owned()
    }

    fn log(&self) -> PathBuf {
        self.logs.path().join(self.starts.to_string())
    }

    fn start(&mut self, kms: &Kms, credentials: &Path, more: &[&str]) -> Service {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let (endpoint, ca) = (kms.service().endpoint(), text(&kms.folder.path().join("ca.pem")));
        let credentials = text(credentials);
        let mut arguments = vec![
            "--unseal-kms",
            &endpoint,
            "--unseal-key",
            &kms.key,
            "--unseal-ca",
            &ca,
            "--unseal-credentials",
            &credentials,
            "--unseal-profile",
            "unsealer",
        ];
        arguments.extend(more);
        self.start_with(&arguments)
    }

    fn start_with(&mut self, arguments: &[&str]) -> Service {
        self.starts += 1;
        let mut command = Command::new(SEKISHO);
        command.stderr(File::create(self.log()).expect("a file for the log"));
        let service = Service::start_by(command, self.folder.path(), arguments);
        let sealed = service.ready.pointer("/sealed").and_then(Value::as_bool);
        assert_eq!(sealed, Some(true), "{}", service.ready);
        service
    }

    /// Waits until the log of this start says it, and wants the service to be sealed then.
    fn says(&self, service: &mut Service, wanted: &str) {
        let started = Instant::now();
        let log = || fs::read_to_string(self.log()).expect("a log");
        while !log().contains(wanted) {
            assert!(started.elapsed() < SAID, "no {wanted:?} in {}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(!service.unsealed(Duration::ZERO), "it is unsealed");
        let health = format!("{}/health", service.endpoint());
        let health = run(Command::new("curl").args(["--silent", "--insecure", &health]));
        assert_eq!(String::from_utf8_lossy(&health.stdout), r#"{"status":"sealed"}"#);
    }
}

fn value(output: &Output) -> Value {
    assert!(output.status.success(), "{}", words(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn pcr(service: &Service, index: u8) -> String {
    service.said(&format!("/attestation/pcrs/{index}"))
}

#[test]
fn a_service_is_unsealed_for_its_measurement_alone() {
    let mut sealed = Sealed::prepare();
    let mut kms = Kms::start(&sealed.root());
    let credentials = kms.credentials();
    let zeros = NOBODY.repeat(48);

    // Another PCR0 than B's.
    kms.demand(&zeros, &zeros);
    let mut b = sealed.start(&kms, &credentials, &[]);
    let (pcr0, pcr16) = (pcr(&b, 0), pcr(&b, 16));
    kms.demand(&zeros, &pcr16);
    sealed.says(&mut b, "does not give the root key to this worker");
    // The log says what the policy has to ask for.
    sealed.says(&mut b, &pcr0);
    sealed.says(&mut b, &pcr16);
    assert_eq!(b.stop(), Some(0));

    // Another PCR16: the same code with another boot configuration.
    kms.demand(&pcr0, &zeros);
    let mut b = sealed.start_with(&[]);
    sealed.says(&mut b, "does not give the root key to this worker");
    assert_eq!(b.stop(), Some(0));

    // The key is disabled; once it is enabled, B is unsealed by itself.
    kms.demand(&pcr0, &pcr16);
    kms.administer(&["disable-key", "--key-id", &kms.key]);
    let mut b = sealed.start_with(&[]);
    sealed.says(&mut b, "the KMS's key is disabled");
    kms.administer(&["enable-key", "--key-id", &kms.key]);
    assert!(b.unsealed(AGAIN), "{}", fs::read_to_string(sealed.log()).unwrap_or_default());
    assert_eq!(b.said("/attestation/unseal"), "aws-kms");
    assert_eq!(pcr(&b, 16), pcr16, "it is the same worker");

    let key = value(&b.aws("default", &["create-key"]));
    let key = key.pointer("/KeyMetadata/KeyId").and_then(Value::as_str).expect("a key id");
    let secret = sealed.logs.path().join("secret");
    fs::write(&secret, "kept over the restart").expect("a plaintext");
    let plaintext = format!("fileb://{}", secret.display());
    let encrypted = b.aws("default", &["encrypt", "--key-id", key, "--plaintext", &plaintext]);
    let blob = value(&encrypted);
    let blob = blob.pointer("/CiphertextBlob").and_then(Value::as_str).expect("a blob");
    let file = sealed.logs.path().join("blob");
    fs::write(&file, BASE64.decode(blob).expect("base64")).expect("a blob");
    let file = format!("fileb://{}", file.display());
    assert_eq!(b.stop(), Some(0));
    assert!(!sealed.folder.path().join("root.key").exists(), "there is a root key in a file");
    let decrypts = |service: &Service| {
        let decrypted = service.aws("default", &["decrypt", "--ciphertext-blob", &file]);
        let plaintext = value(&decrypted);
        assert_eq!(plaintext.pointer("/Plaintext"), Some(&json!("a2VwdCBvdmVyIHRoZSByZXN0YXJ0")));
    };

    // The same root key at a second start.
    let mut b = sealed.start_with(&[]);
    assert!(b.unsealed(AGAIN), "{}", fs::read_to_string(sealed.log()).unwrap_or_default());
    decrypts(&b);

    // Another root key, which the KMS wraps too; and what the next start finds.
    let root = |service: &Service, command: &str| {
        let asked = service.client(SEKISHO).args(["root", command, "--json"]).output();
        value(&asked.expect("sekisho runs"))
    };
    assert_eq!(root(&b, "rotate").pointer("/Generation"), Some(&json!(2)));
    let started = Instant::now();
    while root(&b, "status").pointer("/Rotating") != Some(&json!(false)) {
        assert!(started.elapsed() < AGAIN, "the rotation does not come to an end");
        std::thread::sleep(Duration::from_millis(100));
    }
    decrypts(&b);
    assert_eq!(b.stop(), Some(0));

    // A is down; once it is up, B is unsealed by itself.
    let listened = kms.stop();
    let mut b = sealed.start_with(&[]);
    sealed.says(&mut b, "the host cannot reach the destination");
    kms.start_again(&listened);
    assert!(b.unsealed(AGAIN), "{}", fs::read_to_string(sealed.log()).unwrap_or_default());
    decrypts(&b);
    assert_eq!(b.stop(), Some(0));

    // The same code and the same root key, but configured otherwise by its host.
    let mut b = sealed.start_with(&["--caller-root", &kms.service().said("/development_root")]);
    assert_ne!(pcr(&b, 16), pcr16);
    sealed.says(&mut b, "does not give the root key to this worker");
    assert_eq!(b.stop(), Some(0));
}

#[test]
fn credentials_that_are_not_taken_until_they_are_right() {
    let mut sealed = Sealed::prepare();
    let kms = Kms::start(&sealed.root());
    let good = fs::read_to_string(kms.credentials()).expect("credentials");
    let credentials = sealed.logs.path().join("credentials");
    let of_unsealer = good.find("[unsealer]").expect("a profile");
    let (before, profile) = good.split_at(of_unsealer);
    let wrong: String = profile
        .lines()
        .map(|line| match line.starts_with("aws_secret_access_key") {
            true => "aws_secret_access_key = c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgbm90IG91cnM\n".into(),
            false => format!("{line}\n"),
        })
        .collect();
    fs::write(&credentials, format!("{before}{wrong}")).expect("credentials");

    let mut b = sealed.start(&kms, &credentials, &[]);
    kms.demand(&pcr(&b, 0), &pcr(&b, 16));
    sealed.says(&mut b, "does not take the AWS credentials");
    fs::remove_file(&credentials).expect("it is there");
    sealed.says(&mut b, "the host cannot read its AWS credentials");
    fs::write(&credentials, &good).expect("credentials");
    assert!(b.unsealed(AGAIN), "{}", fs::read_to_string(sealed.log()).unwrap_or_default());
    assert_eq!(b.stop(), Some(0));
}

#[test]
fn a_folder_with_a_root_key_is_not_given_to_a_kms() {
    let sealed = Sealed::prepare();
    fs::write(sealed.folder.path().join("root.key"), "00".repeat(32)).expect("a root key");
    let root = sealed.root();
    let mut command = Command::new(SEKISHO);
    command.args(["dev", "--unseal-kms", "https://127.0.0.1:1", "--unseal-key"]);
    command.arg("arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab");
    command.args(["--unseal-ca", &root, "--unseal-credentials", &root, "--data-dir"]);
    let output = command.arg(sealed.folder.path()).output().expect("it runs");
    assert!(!output.status.success());
    assert!(words(&output).contains("has its root key in a file"), "{}", words(&output));
}
