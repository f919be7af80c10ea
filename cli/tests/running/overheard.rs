//! Everything that the host of a test's service carries and stores, searched at the end for all
//! that it must not know.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::search::{Haystack, Secret};
use serde_json::Value;

/// Stands in every policy that `clients/service.py` makes.
const POLICY_MARKER: &str = "RootAdministersAndNoHostEverReadsThis";
/// Passes the relay in the clear: the search has to find it.
pub(crate) const CONTROL: &[u8] = b"bytes that the relay carries in the clear";
/// Bytes of a sealed entry that must be in the store's files just as the worker sent them.
const STORED_PIECE: usize = 64;

/// A recording, and the secrets that it must not hold.
pub(crate) struct Overheard {
    folder: tempfile::TempDir,
    learnt: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Overheard {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, learnt: Mutex::default() }
    }

    /// For `--record-traffic`.
    pub(crate) fn carried(&self) -> PathBuf {
        self.folder.path().join("carried")
    }

    /// Where the client scripts write what they encrypted and decrypted: a name and hexadecimal
    /// digits on each line.
    pub(crate) fn told_by_scripts(&self) -> PathBuf {
        self.folder.path().join("told")
    }

    /// A secret that a test knows of.
    pub(crate) fn learn(&self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.learnt.lock().expect("a lock").push((name.into(), bytes.into()));
    }

    /// The secrets in what a client printed, if that is JSON.
    pub(crate) fn learn_from(&self, output: &[u8]) {
        if let Ok(answer) = serde_json::from_slice(output) {
            self.learn_from_value(&answer);
        }
    }

    fn learn_from_value(&self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value.as_str()) {
                        ("Plaintext", Some(text)) => {
                            self.learn(name.as_str(), BASE64.decode(text).expect("base64"));
                        }
                        ("SecretAccessKey" | "SessionToken", Some(text)) => {
                            self.learn(name.as_str(), text);
                        }
                        _ => self.learn_from_value(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn_from_value(value)),
            _ => {}
        }
    }

    /// Sends the control through the relay; the worker takes it for a broken handshake.
    pub(crate) fn say_in_the_clear(&self, endpoint: &str) {
        let address = endpoint.trim_start_matches("https://");
        let mut stream = TcpStream::connect(address).expect("the relay takes connections");
        stream.write_all(CONTROL).expect("it takes bytes");
        // Until the worker has hung up: then all of it has passed.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }

    /// Fails where a secret of the service in `data`, or one that was learnt, is in what its host
    /// carried or stored.
    pub(crate) fn search(&self, data: &Path) {
        let carried = Haystack::read(&self.carried()).expect("a recording");
        let stored = Haystack::read(&data.join("store")).expect("a store");
        let secrets = self.secrets(data);
        for (what, haystack) in [("carried", &carried), ("stored", &stored)] {
            let leaks = haystack.leaks(&secrets);
            assert!(leaks.is_empty(), "the host {what} {leaks:?}");
        }
        assert!(carried.holds(CONTROL), "the search does not even find what was in the clear");
        let from_worker = |name: &str| name.starts_with("store-") && name.contains("-from-worker");
        let to_store = Haystack::read_named(&self.carried(), from_worker).expect("a recording");
        // A second start that nobody asks for anything writes nothing.
        let wrote = ["Commit", "AppendAudit"].iter().any(|kind| to_store.holds(kind.as_bytes()));
        assert!(
            !wrote || stored.shares(&to_store, STORED_PIECE),
            "what the worker sent to the store is not in the store's files"
        );
    }

    /// How many plaintexts the client scripts have told of.
    pub(crate) fn told(&self) -> usize {
        fs::read_to_string(self.told_by_scripts()).unwrap_or_default().lines().count()
    }

    fn secrets(&self, data: &Path) -> Vec<Secret> {
        let text = |name: &str| fs::read_to_string(data.join(name)).expect(name);
        let mut secrets = vec![Secret::new("a policy", POLICY_MARKER.as_bytes())];

        // A service that a KMS unseals has no file with it.
        if data.join("root.key").exists() {
            let root_key = text("root.key");
            let root_key = root_key.lines().last().expect("a line").trim();
            let root_key = hex::decode(root_key).expect("hex");
            secrets.push(Secret::new("the root key", &root_key));
        }

        let credentials = text("credentials");
        let keys = credentials.lines().filter_map(|l| l.strip_prefix("aws_secret_access_key = "));
        secrets.extend(keys.map(|key| Secret::new("a secret access key", key.as_bytes())));

        let pki = text("development-pki.pem");
        let private = pki.split("PRIVATE KEY-----").nth(1).expect("a private key");
        let private: String = private.lines().filter(|line| !line.starts_with('-')).collect();
        let private = BASE64.decode(private).expect("base64");
        secrets.push(Secret::new("the development PKI's private key", &private));
        assert!(secrets.len() > 2, "there is no secret access key");

        let mut learnt = self.learnt.lock().expect("a lock").clone();
        let told = fs::read_to_string(self.told_by_scripts()).unwrap_or_default();
        for line in told.lines() {
            let (name, bytes) = line.split_once(' ').expect("a name and digits");
            learnt.push((name.to_owned(), hex::decode(bytes).expect("hex")));
        }
        learnt.sort();
        learnt.dedup();
        secrets.extend(learnt.iter().map(|(name, bytes)| Secret::new(name, bytes)));
        secrets
    }
}
