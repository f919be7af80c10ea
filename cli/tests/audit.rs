//! `sekisho audit` on the log of a real service, whole and after somebody worked on its bytes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod running;
#[path = "audit/segment.rs"]
mod segment;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use running::{SEKISHO, STATE, Service, folder, run, words};
use segment::Segment;
use serde_json::Value;

/// `sekisho audit <arguments>`.
fn audit(arguments: &[&str]) -> Output {
    Command::new(SEKISHO)
        .arg("audit")
        .args(arguments)
        .env("XDG_STATE_HOME", STATE)
        .output()
        .expect("sekisho runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", words(output));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A key, an Encrypt of root's and one of bob's that no policy allows.
fn work(service: &Service) -> String {
    let created = service.aws("default", &["create-key"]);
    let key = json(&created)["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned();
    for (profile, works) in [("default", true), ("bob", false)] {
        let encrypt = ["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"];
        let context = ["--encryption-context", "purpose=kiosk"];
        let output = service.aws(profile, &[encrypt.as_slice(), &context].concat());
        assert_eq!(output.status.success(), works, "{}", words(&output));
    }
    key
}

#[test]
fn decisions_are_read_while_the_service_runs() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let key = work(&service);
    let dir = ["--data-dir", text(data.path())];
    let with = |command: &str, more: &[&str]| audit(&[&[command], dir.as_slice(), more].concat());

    let decisions = lines(&with("tail", &["--json"]));
    let of: Vec<_> = decisions.iter().map(|one| (&one["operation"], &one["outcome"])).collect();
    assert_eq!(
        of,
        [("CreateKey", "allowed"), ("Encrypt", "allowed"), ("Encrypt", "denied")]
            .map(|(operation, outcome)| (Value::from(operation), Value::from(outcome)))
            .each_ref()
            .map(|(operation, outcome)| (operation, outcome))
    );
    let denied = &decisions[2];
    assert!(denied["principal"].as_str().is_some_and(|arn| arn.ends_with(":user/bob")));
    assert!(denied["key"].as_str().is_some_and(|arn| arn.ends_with(&key)));
    assert_eq!(denied["encryption_context"]["purpose"], "kiosk");
    assert_eq!(denied["error"], "AccessDeniedException");

    // For a person, and only the last.
    let output = with("tail", &["-n", "1"]);
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in ["denied", "Encrypt", "user/bob", &key, "AccessDeniedException"] {
        assert!(line.contains(part), "{part}: {line}");
    }

    // The running service attests key and end of the log.
    let verified = with("verify", &["--json"]);
    assert!(verified.status.success(), "{}", words(&verified));
    let report = json(&verified);
    assert_eq!((&report["verified"], &report["decisions"]), (&true.into(), &3.into()));
    assert_eq!(report["attested"]["endpoint"], service.endpoint());
    assert_eq!(report["attested"]["hash"], report["newest"]["hash"]);
    assert_eq!(report["not_checked"], Value::Array(vec![]));

    let report = String::from_utf8_lossy(&with("verify", &[]).stdout).into_owned();
    assert!(report.starts_with("verified: ") && report.contains("attested "), "{report}");
    assert!(!report.contains("NOT CHECKED"), "{report}");

    // One that follows prints the last ones, and then sees the next.
    let mut follower = Command::new(SEKISHO)
        .args(["audit", "tail", "--follow", "--json"])
        .args(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("sekisho runs");
    let stdout = BufReader::new(follower.stdout.take().expect("a pipe"));
    let mut stdout = stdout.lines().map(|line| line.expect("a line"));
    assert_eq!(stdout.by_ref().take(3).count(), 3);
    service.aws("alice", &["list-keys"]);
    let line = stdout.next().expect("a line");
    follower.kill().expect("it ends");
    follower.wait().expect("it ends");
    let seen: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(seen["operation"], "ListKeys");

    // The whole, in both forms, for its owner alone.
    assert_eq!(service.stop(), Some(0));
    let all = lines(&with("export", &[]));
    assert_eq!(all[..3], decisions);
    let csv = files.path().join("log.csv");
    let output = with("export", &["--format", "csv", "--out", text(&csv)]);
    assert!(output.status.success(), "{}", words(&output));
    let written = fs::read_to_string(&csv).expect("a file");
    assert_eq!(written.lines().count(), all.len() + 1, "{written}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(csv.metadata().expect("a file").permissions().mode() & 0o777, 0o600);

    // Without the service its word is missing, which is said.
    let report = json(&with("verify", &["--json"]));
    assert_eq!(
        (&report["verified"], &report["signature_key"]["from"]),
        (&true.into(), &"the data folder".into())
    );
    assert!(report["not_checked"][0].as_str().is_some_and(|what| what.contains("does not run")));
}

/// A service's log, and copies of it to work on.
struct Scene {
    // Before its folder: at its end what its host stored is searched.
    service: Service,
    data: tempfile::TempDir,
    files: tempfile::TempDir,
    /// Hexadecimal.
    signature_key: String,
}

impl Scene {
    fn new() -> Self {
        let (data, files) = (folder(), folder());
        let service = Service::start(data.path());
        work(&service);
        work(&service);
        let signature_key = service.said("/attestation/audit/signature_key");
        Self { data, files, service, signature_key }
    }

    fn auditor(&self) -> PathBuf {
        self.data.path().join("auditor.pem")
    }

    /// A copy of the store, with its segment after `change`.
    fn changed(&self, change: impl FnOnce(&mut Segment)) -> tempfile::TempDir {
        let copy = folder();
        let store = self.data.path().join("store");
        run(Command::new("cp").args(["-a", "--"]).arg(store.join("audit")).arg(copy.path()));
        let path = copy.path().join("audit/00000000000000000001.audit");
        let mut segment = Segment::read(&path);
        assert!(segment.records.len() >= 6);
        change(&mut segment);
        segment.write(&path);
        copy
    }

    /// `sekisho audit verify` of a copy, with `more`.
    fn verify(&self, store: &Path, more: &[&str]) -> Output {
        let auditor = self.auditor();
        let files = ["verify", "--store", text(store), "--auditor-key", text(&auditor), "--json"];
        audit(&[files.as_slice(), more].concat())
    }

    /// That the first fault is of this kind and at this block.
    fn finds(&self, change: impl FnOnce(&mut Segment), kind: &str, block: u64) {
        let copy = self.changed(change);
        let pinned = ["--signature-key", &self.signature_key];
        finds(&self.verify(copy.path(), &pinned), kind, block);
    }
}

fn finds(output: &Output, kind: &str, block: u64) {
    assert_eq!(output.status.code(), Some(1), "{}", words(output));
    assert!(said(output).starts_with(&format!("{kind}: ")), "{}", words(output));
    let fault = &json(output)["fault"];
    assert_eq!((&fault["kind"], &fault["block"]), (&kind.into(), &block.into()), "{fault}");
}

#[test]
fn the_first_block_that_somebody_worked_on_is_named() {
    let scene = Scene::new();
    let whole = scene.changed(|_| {});
    let pinned = ["--signature-key", scene.signature_key.as_str()];
    let output = scene.verify(whole.path(), &pinned);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(json(&output)["not_checked"].as_array().map(Vec::len), Some(1));

    // In the header, in the ciphertext and in the signature, with a checksum that is right again.
    scene.finds(|log| log.records[2].bytes[20] ^= 1, "changed", 3);
    scene.finds(|log| log.records[2].bytes[200] ^= 1, "changed", 3);
    scene.finds(|log| *log.records[2].bytes.last_mut().expect("bytes") ^= 1, "forged", 3);
    // By whoever does not know the checksum.
    scene.finds(|log| log.flip = Some(3), "changed", 4);
    scene.finds(|log| drop(log.records.remove(1)), "missing", 2);
    scene.finds(|log| drop(log.records.drain(..3)), "missing", 1);
    scene.finds(|log| log.records.swap(1, 2), "reordered", 2);
    scene.finds(
        |log| {
            let (second, third) = (log.records[1].bytes.clone(), log.records[2].bytes.clone());
            log.records[1].bytes = third;
            log.records[2].bytes = second;
        },
        "reordered",
        2,
    );
    scene.finds(|log| log.records.insert(2, log.records[1].clone()), "duplicated", 3);
    scene.finds(|log| log.records[2].bytes = log.records[1].bytes.clone(), "duplicated", 3);
    scene.finds(|log| log.records[2].sequence = 9, "renumbered", 3);

    // A cut end shows by the attestation, and by nothing else.
    let cut = scene.changed(|log| log.records.truncate(4));
    assert!(scene.verify(cut.path(), &pinned).status.success());
    let root = scene.service.said("/development_root");
    let endpoint = scene.service.endpoint();
    let attested = ["--endpoint", &endpoint, "--root", &root, "--any-measurement"];
    finds(&scene.verify(cut.path(), &attested), "cut", 5);
    assert!(scene.verify(whole.path(), &attested).status.success());

    // Without the auditor's key the two cannot be told from each other.
    let changed = scene.changed(|log| log.records[2].bytes[200] ^= 1);
    let store = ["verify", "--json", "--store", text(changed.path())];
    finds(&audit(&[store.as_slice(), &pinned].concat()), "changed-or-forged", 3);
    // And without a key nothing shows who wrote the log, though its faults are found.
    let output = scene.verify(whole.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(said(&output).starts_with("unsigned: "), "{}", words(&output));
    let report = json(&output);
    assert_eq!((&report["verified"], &report["fault"]), (&false.into(), &Value::Null));
    assert!(report["not_checked"].to_string().contains("signatures"), "{report}");
    let missing = scene.changed(|log| drop(log.records.remove(1)));
    finds(&scene.verify(missing.path(), &[]), "missing", 2);
}

/// Somebody with a Sekisho of his own and this auditor's public key.
#[test]
fn a_forged_block_is_named() {
    let scene = Scene::new();
    let public = scene.data.path().join("auditor-public.pem");
    let (data, other) = (folder(), folder());
    let forger =
        Service::start_with(data.path(), &["--user", "bob", "--auditor-key", text(&public)]);
    work(&forger);
    assert!(!data.path().join("auditor.pem").exists(), "a key pair that nobody needs");
    assert_eq!(forger.stop(), Some(0));
    let forged = Segment::read(&data.path().join("store/audit/00000000000000000001.audit"));
    scene.finds(|log| log.records[2] = forged.records[2].clone(), "forged", 3);
    scene.finds(|log| log.records = forged.records.clone(), "forged", 1);

    // The auditor can read it all the same, and the key that is pinned decides.
    let auditor = scene.auditor();
    let own = ["--data-dir", text(data.path()), "--auditor-key", text(&auditor)];
    assert_eq!(lines(&audit(&[&["tail", "--json"], own.as_slice()].concat())).len(), 3);
    // Whoever's key it is not reads nothing.
    let key = other.path().join("other.pem");
    assert!(audit(&["keygen", "--out", text(&key)]).status.success());
    for command in ["tail", "export"] {
        let output =
            audit(&[command, "--data-dir", text(data.path()), "--auditor-key", text(&key)]);
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        assert!(said(&output).contains("another auditor's key"), "{}", words(&output));
        assert!(output.stdout.is_empty());
    }
    let output = audit(&["verify", "--data-dir", text(data.path()), "--auditor-key", text(&key)]);
    assert!(said(&output).starts_with("unreadable: "), "{}", words(&output));
    let none = audit(&["tail", "--data-dir", text(data.path())]);
    assert_eq!(none.status.code(), Some(2), "{}", words(&none));
    drop(scene.files);
}

/// Two ends of one log, each genuine by itself.
#[test]
fn another_history_is_named() {
    let (data, files) = (folder(), folder());
    let path = data.path().join("store/audit/00000000000000000001.audit");
    let service = Service::start(data.path());
    work(&service);
    assert_eq!(service.stop(), Some(0));
    let copy = files.path().join("store");
    run(Command::new("cp").args(["-a", "--"]).arg(data.path().join("store")).arg(&copy));
    let service = Service::start(data.path());
    work(&service);
    assert_eq!(service.stop(), Some(0));
    let first = Segment::read(&path);

    fs::remove_dir_all(data.path().join("store")).expect("it is removed");
    run(Command::new("cp").args(["-a", "--"]).arg(&copy).arg(data.path().join("store")));
    let service = Service::start(data.path());
    work(&service);
    let verify = ["verify", "--json", "--data-dir", text(data.path())];
    assert!(audit(&verify).status.success());
    // The other end in place of this one: only the attestation tells which is the service's.
    let mut second = Segment::read(&path);
    first.write(&path);
    assert!(audit(&[verify.as_slice(), &["--offline"]].concat()).status.success());
    let attested = audit(&verify);
    finds(&attested, "other-history", first.records.len() as u64);
    // A mixture.
    second.records[4] = first.records[4].clone();
    second.write(&path);
    finds(&audit(&verify), "other-history", 5);
}

#[test]
fn what_cannot_work_is_said() {
    let (data, other) = (folder(), folder());
    let usage = |arguments: &[&str], says: &str| {
        let output = audit(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(said(&output).contains(says), "{says} expected: {}", words(&output));
    };
    usage(&["tail", "--data-dir", text(data.path())], "--store");
    usage(&["verify", "--store", text(data.path())], "no audit log in");
    usage(&["verify", "--store", "x", "--signature-key", "12"], "64 hexadecimal digits");
    usage(&["tail", "--store", text(data.path())], "--auditor-key");
    fs::write(other.path().join("key.pem"), "no key").expect("it is written");
    let key = other.path().join("key.pem");
    usage(&["tail", "--store", "x", "--auditor-key", text(&key)], "no P-384 private key");
    usage(&["keygen", "--out", text(&key)], "is there already");

    // A store of before the log was encrypted to an auditor.
    let service = Service::start(data.path());
    work(&service);
    assert_eq!(service.stop(), Some(0));
    // With a last block that the journal does not name: a stop has written when keys were used.
    let service = Service::start(data.path());
    assert!(service.aws("default", &["list-keys"]).status.success());
    assert_eq!(service.stop(), Some(0));
    let path = data.path().join("store/audit/00000000000000000001.audit");
    let mut segment = Segment::read(&path);
    let count = segment.records.len();
    segment.records[count - 1].bytes[..4].fill(7);
    segment.write(&path);
    let output = Command::new(SEKISHO)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("sekisho runs");
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(said(&output).contains("sekisho dev --reset"), "{}", words(&output));
}
