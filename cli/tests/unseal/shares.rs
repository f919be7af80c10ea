//! A service that operators unseal together, from their key pairs to a service that serves.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::running::{SEKISHO, STATE, Service, folder, run, words};
use super::{AGAIN, pcr, value};

/// Two of three unseal.
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// The holders, and a service of theirs.
struct Operators {
    data: tempfile::TempDir,
    keys: tempfile::TempDir,
}

impl Operators {
    fn new() -> Self {
        let (data, keys) = (folder(), folder());
        for name in NAMES {
            let private = keys.path().join(format!("{name}.pem"));
            let mut command = Command::new(SEKISHO);
            let made = run(command.args(["principal", "keygen", "--out"]).arg(private));
            let public = keys.path().join(format!("{name}-public.pem"));
            std::fs::write(public, made.stdout).expect("a public key");
        }
        Self { data, keys }
    }

    /// A path below the folder of keys and shares.
    fn path(&self, name: &str) -> String {
        self.keys.path().join(name).to_string_lossy().into_owned()
    }

    fn start(&self, data: &Path, threshold: &str) -> Service {
        let publics = NAMES.map(|name| self.path(&format!("{name}-public.pem")));
        let mut arguments = Vec::new();
        for public in &publics {
            arguments.extend(["--unseal-holder", public]);
        }
        arguments.extend(["--unseal-threshold", threshold]);
        self.start_with(data, &arguments)
    }

    fn start_with(&self, data: &Path, arguments: &[&str]) -> Service {
        let service = Service::start_with(data, arguments);
        assert_eq!(service.ready.pointer("/sealed"), Some(&json!(true)), "{}", service.ready);
        assert!(!data.join("root.key").exists(), "there is a root key in a file");
        service
    }

    /// `sekisho <arguments>` against the service, of whom PCR16 is expected.
    fn sekisho(&self, service: &Service, pcr16: &str, arguments: &[&str]) -> Output {
        let (command, arguments) = arguments.split_first().expect("a command");
        Command::new(SEKISHO)
            .arg(command)
            .args(["--json", "--endpoint", &service.endpoint(), "--pcr", &format!("16={pcr16}")])
            .args(["--root", &service.said("/development_root")])
            .args(arguments)
            .env("XDG_STATE_HOME", STATE)
            .output()
            .expect("sekisho runs")
    }

    fn init(&self, service: &Service, out: &str) -> Output {
        let out = self.path(out);
        let arguments = ["init", "--shares", "3", "--threshold", "2", "--out", &out];
        self.sekisho(service, &pcr(service, 16), &arguments)
    }

    /// The share in `out` of this holder.
    fn give(&self, service: &Service, out: &str, index: usize) -> Output {
        let (share, key) = (
            self.path(&format!("{out}/share-{index}.json")),
            self.path(&format!("{}.pem", NAMES.get(index - 1).expect("a holder"))),
        );
        let arguments = ["unseal", "--share", &share, "--private-key", &key];
        self.sekisho(service, &pcr(service, 16), &arguments)
    }
}

fn refused(output: &Output, wanted: &str) {
    let said = words(output);
    assert!(!output.status.success() && said.contains(wanted), "{wanted} expected: {said}");
}

fn at(answer: &Value, pointer: &str) -> Value {
    answer.pointer(pointer).cloned().unwrap_or(Value::Null)
}

#[test]
fn operators_unseal_a_service_together() {
    let operators = Operators::new();
    let mut service = operators.start(operators.data.path(), "2");
    let pcr16 = pcr(&service, 16);
    assert_eq!(service.said("/attestation/unseal"), "operator-shares");
    let status = ["unseal", "--status"];
    let first = value(&operators.sekisho(&service, &pcr16, &status));
    assert_eq!(at(&first, "/state"), "waits for init");

    // Nothing is made for a worker that is not the expected one, or has other holders.
    let out = operators.path("none");
    let arguments = ["init", "--out", &out];
    refused(&operators.sekisho(&service, &"ab".repeat(48), &arguments), "pcr");
    let arguments = ["init", "--shares", "5", "--threshold", "3", "--out", &out];
    refused(&operators.sekisho(&service, &pcr16, &arguments), "has 3 holders and a threshold of 2");
    assert!(!Path::new(&out).join("share-1.json").exists());

    let made = value(&operators.init(&service, "shares"));
    assert_eq!(at(&made, "/state"), "waits for shares");
    // The answer may have been lost: the same shares again.
    let again = value(&operators.init(&service, "again"));
    assert_eq!(at(&again, "/ceremony"), at(&made, "/ceremony"));
    refused(&operators.init(&service, "shares"), "is there already");

    // Nobody gives a share to another worker, or somebody else's.
    let (share, key) = (operators.path("shares/share-1.json"), operators.path("alice.pem"));
    let arguments = ["unseal", "--share", &share, "--private-key", &key];
    refused(&operators.sekisho(&service, &"ab".repeat(48), &arguments), "pcr");
    let bobs = operators.path("bob.pem");
    let arguments = ["unseal", "--share", &share, "--private-key", &bobs];
    refused(&operators.sekisho(&service, &pcr16, &arguments), "does not open");

    let one = value(&operators.give(&service, "shares", 1));
    assert_eq!((at(&one, "/given"), at(&one, "/counted")), (json!(1), json!(true)));
    let twice = value(&operators.give(&service, "again", 1));
    assert_eq!((at(&twice, "/given"), at(&twice, "/counted")), (json!(1), json!(false)));
    let seen = value(&operators.sekisho(&service, &pcr16, &status));
    assert_eq!((at(&seen, "/given"), at(&seen, "/holders/0/given")), (json!(1), json!(true)));
    assert_eq!(at(&seen, "/holders/1/given"), json!(false));
    let last = value(&operators.give(&service, "shares", 2));
    assert_eq!(at(&last, "/state"), "unsealing");
    assert!(service.unsealed(AGAIN), "it stays sealed");
    assert_eq!(pcr(&service, 16), pcr16, "it is the same worker");
    let key = value(&service.aws("default", &["create-key"]));
    let key = at(&key, "/KeyMetadata/KeyId").as_str().expect("a key id").to_owned();
    refused(&operators.give(&service, "shares", 3), "unsealed already");
    assert_eq!(service.stop(), Some(0));

    // The next start, other holders, and what was made before.
    let mut service = operators.start_with(operators.data.path(), &[]);
    refused(&operators.init(&service, "third"), "init begins new services alone");
    value(&operators.give(&service, "shares", 3));
    value(&operators.give(&service, "shares", 1));
    assert!(service.unsealed(AGAIN), "it stays sealed");
    value(&service.aws("default", &["describe-key", "--key-id", &key]));
    assert_eq!(service.stop(), Some(0));

    // Another boot configuration.
    let service = operators.start(operators.data.path(), "3");
    assert_ne!(pcr(&service, 16), pcr16);
    refused(&operators.give(&service, "shares", 1), "is for other holders");
    assert_eq!(service.stop(), Some(0));

    // Another service of the same holders.
    let other = folder();
    let service = operators.start(other.path(), "2");
    value(&operators.init(&service, "others"));
    refused(&operators.give(&service, "shares", 1), "it was not given");
    assert_eq!(service.stop(), Some(0));
}

/// Two of three hold shares; three of three others are to, one of whom is among both.
#[test]
fn other_operators_take_over() {
    let operators = Operators::new();
    for name in ["dave", "erin"] {
        let private = operators.path(&format!("{name}.pem"));
        let made = run(Command::new(SEKISHO).args(["principal", "keygen", "--out", &private]));
        std::fs::write(operators.path(&format!("{name}-public.pem")), made.stdout).expect("a key");
    }
    let mut service = operators.start(operators.data.path(), "2");
    value(&operators.init(&service, "shares"));
    value(&operators.give(&service, "shares", 1));
    value(&operators.give(&service, "shares", 2));
    assert!(service.unsealed(AGAIN), "it stays sealed");
    let key = value(&service.aws("default", &["create-key"]));
    let key = at(&key, "/KeyMetadata/KeyId").as_str().expect("a key id").to_owned();
    assert_eq!(service.stop(), Some(0));

    let next = ["dave", "bob", "erin"];
    let public = |name: &str| operators.path(&format!("{name}-public.pem"));
    let (nexts, formers) = (next.map(public), NAMES.map(public));
    let mut arguments = vec!["--unseal-threshold", "3", "--unseal-former-threshold", "2"];
    for next in &nexts {
        arguments.extend(["--unseal-holder", next]);
    }
    for former in &formers {
        arguments.extend(["--unseal-former-holder", former]);
    }
    let mut service = operators.start_with(operators.data.path(), &arguments);
    let pcr16 = pcr(&service, 16);
    let rekey = |index: usize, threshold: &str, holders: &[&String]| {
        let share = operators.path(&format!("shares/share-{index}.json"));
        let private = operators.path(&format!("{}.pem", NAMES.get(index - 1).expect("a name")));
        let mut arguments = vec!["rekey", "--shares", "3", "--threshold", threshold];
        arguments.extend(["--share", &share, "--private-key", &private]);
        for holder in holders {
            arguments.extend(["--holder", holder]);
        }
        operators.sekisho(&service, &pcr16, &arguments)
    };
    let (out, none) = (operators.path("next"), operators.path("none"));
    let fetch = |out: &str| operators.sekisho(&service, &pcr16, &["rekey", "--out", out]);
    let right: Vec<&String> = nexts.iter().collect();
    let others: Vec<&String> = formers.iter().collect();

    // For nobody else than the holder means, and not by accident.
    refused(&operators.give(&service, "shares", 1), "is to have other holders");
    refused(&rekey(1, "2", &right), "a threshold of 3: the share was not given");
    refused(&rekey(1, "3", &others), "others than --holder says");
    refused(&fetch(&none), "still wrapped for the former holders");
    let one = value(&rekey(1, "3", &right));
    assert_eq!(at(&one, "/state"), "waits for former holders");
    let last = value(&rekey(3, "3", &[]));
    assert_eq!((at(&last, "/state"), at(&last, "/given")), (json!("waits for shares"), json!(0)));
    value(&fetch(&out));
    let give = |service: &Service, pcr16: &str, index: usize| {
        let share = operators.path(&format!("next/share-{index}.json"));
        let private = operators.path(&format!("{}.pem", next.get(index - 1).expect("a name")));
        let arguments = ["unseal", "--share", &share, "--private-key", &private];
        value(&operators.sekisho(service, pcr16, &arguments))
    };
    for index in [1, 2, 3] {
        give(&service, &pcr16, index);
    }
    assert!(service.unsealed(AGAIN), "it stays sealed");
    value(&service.aws("default", &["describe-key", "--key-id", &key]));
    assert_eq!(service.stop(), Some(0));

    // The former holders have nothing that opens it any more, also where they are named.
    let service = operators.start(operators.data.path(), "2");
    refused(&operators.give(&service, "shares", 1), "is for other holders");
    assert_eq!(service.stop(), Some(0));

    // The next start names the new ones alone.
    let mut arguments = vec!["--unseal-threshold", "3"];
    for next in &nexts {
        arguments.extend(["--unseal-holder", next]);
    }
    let mut service = operators.start_with(operators.data.path(), &arguments);
    let pcr16 = pcr(&service, 16);
    for index in [3, 1, 2] {
        give(&service, &pcr16, index);
    }
    assert!(service.unsealed(AGAIN), "it stays sealed");
    value(&service.aws("default", &["describe-key", "--key-id", &key]));
    assert_eq!(service.stop(), Some(0));
}
