//! The whole way of docs/upgrading.md, in processes: a worker of the next image is allowed by two of
//! three operators, joins, and takes the store over; the one before drains and ends.
//!
//! Hosts and workers are those of `sekisho dev` (the shipped ones' libraries, an emulated NSM in the
//! device's place); everything else is done by the commands that an operator types.

use super::running::{SEKISHO, folder, run, venv, words};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_devkit::{DevelopmentPki, Measurements};
use sekisho_enclave::{Measurement, Peers};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";
const ACCESS_KEY_ID: &str = "AKIASEKISHOUPGRADETE";
const SECRET: &str = "dGhlIHNlY3JldCBvZiBhbiB1cGdyYWRl";
const ROOT_KEY: [u8; 32] = *b"the root key of an upgrades test";
const IMAGE: &str = "the worker of this release";
const NEXT_IMAGE: &str = "the worker of the next release";
/// For a worker to say something, or to end: an unoptimised build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the four processes. It ends with this value.
struct Process {
    child: Child,
    _stdin: ChildStdin,
    /// What it said when it was ready.
    at: String,
    log: PathBuf,
}

impl Process {
    fn start(role: &str, log: PathBuf, parameters: &Value) -> Self {
        let mut child = Command::new(SEKISHO)
            .arg(role)
            .env("RUST_LOG", "warn,sekisho_enclave=info")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file for the log"))
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("its stdin is a pipe");
        writeln!(stdin, "{parameters}").expect("it reads");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        let at = answer["ready"].as_str().unwrap_or_else(|| panic!("{role}: {line}")).to_owned();
        Self { child, _stdin: stdin, at, log }
    }

    fn says(&self, wanted: &str) {
        let started = Instant::now();
        let log = || fs::read_to_string(&self.log).expect("a log");
        while !log().contains(wanted) {
            assert!(started.elapsed() < PATIENCE, "no {wanted:?} in {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it has ended by itself, in order.
    fn ends(mut self) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it goes on: {}", fs::read_to_string(&self.log).expect("a log"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn registers(image: &str) -> [(u8, [u8; 48]); 3] {
    let Measurements { pcr0, pcr1, pcr2, .. } = Measurements::of(image.as_bytes());
    [(0, pcr0), (1, pcr1), (2, pcr2)]
}

/// As `--pcr` takes them.
fn pcr_arguments(image: &str) -> Vec<String> {
    let pcr = |(index, value)| ["--pcr".to_owned(), format!("{index}={}", hex::encode(value))];
    registers(image).into_iter().flat_map(pcr).collect()
}

/// A service's folder with its hosts, and the files of those who run it.
struct Site {
    folder: tempfile::TempDir,
    pki: DevelopmentPki,
    peers: Peers,
    auditor_key: Vec<u8>,
}

impl Site {
    fn prepare() -> Self {
        let (folder, pki) = (folder(), DevelopmentPki::generate(SystemTime::now()));
        let path = folder.path();
        fs::write(path.join("root.pem"), pki.root_pem()).expect("the root");
        let public = |name: &str| {
            let keygen = ["audit", "keygen", "--out", name];
            let output = run(Command::new(SEKISHO).args(keygen).current_dir(path));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            BASE64.decode(body).expect("PEM")
        };
        let operators = ["one.pem", "two.pem", "three.pem"].map(public).to_vec();
        let auditor_key = public("auditor.pem");
        let pcrs = registers(IMAGE).map(|(index, value)| (index, PcrValue::new(value)));
        let measurement = Measurement::new(Pcrs::new(pcrs).expect("registers"));
        let peers = Peers {
            roots: vec![pki.root_der().to_vec()],
            measurements: vec![measurement.expect("PCR0 to 2")],
            operators,
            operators_needed: 2,
        };
        Self { folder, pki, peers, auditor_key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The relay of one worker, with a store that listens, and a way out to `egress`.
    fn host(&self, name: &str, egress: Option<&str>) -> Process {
        let egress = egress.map(|destination| {
            json!({
                "listen": self.path("egress.sock"),
                "destination": destination,
                "credentials": self.path("none"),
                "profile": "default",
            })
        });
        let parameters = json!({
            "listen": "127.0.0.1:0",
            "worker": self.path(&format!("{name}.sock")),
            "store": self.path(&format!("{name}-store.sock")),
            "data": self.path(&format!("{name}-data")),
            "egress": egress,
        });
        Process::start("internal-host", self.path(&format!("{name}-host.log")), &parameters)
    }

    /// A worker behind the relay `name`, at the store of the first host.
    fn worker(&self, name: &str, image: &str, fleet: Value) -> Process {
        let mut parameters = json!({
            "region": REGION,
            "account": ACCOUNT,
            "credentials": [{
                "access_key_id": ACCESS_KEY_ID,
                "secret_access_key": SECRET,
                "principal_arn": format!("arn:aws:iam::{ACCOUNT}:root"),
            }],
            "development_pki": self.pki.to_pem(),
            "auditor_key": self.auditor_key,
            "listen": self.path(&format!("{name}.sock")),
            "store": self.path("old-store.sock"),
            "fleet": { "image": image, "peers": self.peers },
        });
        let has_root_key = fleet.get("joins").is_none();
        parameters["root_key"] = if has_root_key { json!(ROOT_KEY) } else { Value::Null };
        for (name, value) in fleet.as_object().into_iter().flatten() {
            parameters["fleet"][name] = value.clone();
        }
        Process::start("internal-worker", self.path(&format!("{name}-worker.log")), &parameters)
    }

    /// One of the next image that joins the service with what operators have signed.
    fn joining(&self, service_ca_sha256: &str, peer: &str, statement: &Path) -> Process {
        let ca = hex::decode(service_ca_sha256).expect("hexadecimal");
        let statement = fs::read(statement).expect("the statement");
        let statement: Value = serde_json::from_slice(&statement).expect("JSON");
        let joins = json!([
            { "endpoint": peer, "service_ca_sha256": ca },
            self.path("egress.sock"),
        ]);
        self.worker("new", NEXT_IMAGE, json!({ "joins": joins, "statements": [statement] }))
    }

    /// A file with these bytes, as the AWS CLI takes them.
    fn bytes(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it is written");
        format!("fileb://{}", path.display())
    }

    fn sekisho(&self, arguments: &[&str], more: &[String]) -> String {
        let mut command = Command::new(SEKISHO);
        command.args(arguments).args(more).current_dir(self.folder.path());
        let output = run(command.env("XDG_STATE_HOME", self.path("state")));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Verifies who is there, and trusts it for `ca.pem`.
    fn attest(&self, relay: &Process, image: &str) -> Value {
        let endpoint = format!("https://{}", relay.at);
        let connect = ["attest", "connect", &endpoint, "--root", "root.pem", "--json"];
        let strict = ["--ca-out", "ca.pem", "--fail-on-rollback"];
        let found = self.sekisho(&[connect.as_slice(), &strict].concat(), &pcr_arguments(image));
        serde_json::from_str(&found).expect("JSON")
    }

    fn aws(&self, relay: &Process, arguments: &[&str]) -> Value {
        let mut aws = Command::new(venv("aws"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                aws.env_remove(name);
            }
        }
        aws.env("AWS_ENDPOINT_URL_KMS", format!("https://{}", relay.at))
            .env("AWS_CA_BUNDLE", self.path("ca.pem"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env("NO_PROXY", "*")
            .args(["--output", "json", "kms"])
            .args(arguments);
        let output = run(&mut aws);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(&output)))
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[test]
fn a_new_image_joins_and_the_old_one_drains() {
    let site = Site::prepare();
    let relay = site.host("old", None);
    let old = site.worker("old", IMAGE, json!({}));
    let before = site.attest(&relay, IMAGE);
    let service = text(&before, "/service_ca_sha256");
    let made = site.aws(&relay, &["create-key"]);
    let key = text(&made, "/KeyMetadata/KeyId");
    let plaintext = site.bytes("plaintext", b"of before");
    let encrypted = ["encrypt", "--key-id", key, "--plaintext", &plaintext];
    let encrypted = site.aws(&relay, &encrypted);
    let blob = BASE64.decode(text(&encrypted, "/CiphertextBlob")).expect("base64");

    // One operator writes the statement, and it does not count yet.
    let sign = ["upgrade", "sign", "upgrade.json", "--key"];
    let new = [&sign[..], &["one.pem", "--account", ACCOUNT, "--days", "1"]].concat();
    let statement = site.sekisho(&new, &pcr_arguments(NEXT_IMAGE));
    let id = statement.lines().find_map(|line| line.strip_prefix("id ")).expect("an id");
    let new_relay = site.host("new", Some(&relay.at));
    let refused = site.joining(service, &relay.at, &site.path("upgrade.json"));
    refused.says("too-few-signatures");
    drop(refused);
    // The one that serves has lost nothing by it.
    site.attest(&relay, IMAGE);

    // Another looks at it, and signs too.
    let shown = site.sekisho(&["upgrade", "show", "upgrade.json"], &[]);
    assert!(shown.contains(id), "{shown}");
    site.sekisho(&[&sign[..], &["three.pem"]].concat(), &[]);
    let joined = site.joining(service, &relay.at, &site.path("upgrade.json"));
    joined.says("serving");
    old.says("has taken over the store");
    old.ends();

    // The same service, further on; who trusts the one before trusts it, and finds everything.
    let decrypt = ["decrypt", "--ciphertext-blob", &site.bytes("blob", &blob)];
    let decrypted = site.aws(&new_relay, &decrypt);
    assert_eq!(text(&decrypted, "/Plaintext"), BASE64.encode(b"of before"));
    site.aws(&new_relay, &["create-key"]);
    let after = site.attest(&new_relay, NEXT_IMAGE);
    assert_eq!(text(&after, "/service_ca_sha256"), service);
    assert_eq!((text(&before, "/unseal"), text(&after, "/unseal")), ("development-file", "peer"));
    let sequence = |found: &Value| found.pointer("/journal/sequence").and_then(Value::as_u64);
    assert!(sequence(&after) > sequence(&before), "{after}");

    // The auditor sees who was let in, by which statement, and who was not.
    let signed_by = text(&after, "/audit/signature_key");
    let export = ["audit", "export", "--store", "old-data", "--auditor-key", "auditor.pem"];
    let log = site.sekisho(&[&export[..], &["--signature-key", signed_by]].concat(), &[]);
    let joins = log.lines().filter(|line| line.contains("\"JoinPeer\""));
    let (allowed, others): (Vec<_>, Vec<_>) = joins.partition(|line| line.contains(id));
    assert_eq!(allowed.len(), 1, "{log}");
    assert!(!others.is_empty() && others.iter().all(|line| line.contains("1 of 2")), "{log}");
}
