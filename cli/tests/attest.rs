//! `sekisho attest verify` and `show`, as built, over the published documents and over ones from
//! the development kit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Forgery, Measurements, Options};
use sekisho_nsm::{AttestationRequest, Nsm as _};

/// 2026-01-15T12:00:00Z
const NOW: Duration = Duration::from_secs(1_768_478_400);

struct Answer {
    status: i32,
    out: String,
    err: String,
}

impl Answer {
    /// The first word on standard error.
    fn rule(&self) -> &str {
        self.err.split(':').next().unwrap()
    }
}

fn sekisho(arguments: &[&str], stdin: &[u8]) -> Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .arg("attest")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Whoever refuses the arguments does not read.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    Answer {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn vectors(folder: &str) -> Option<(PathBuf, Vec<serde_json::Value>)> {
    let Some(vectors) = std::env::var_os("SEKISHO_VECTORS") else {
        eprintln!("\n*** SKIPPED: SEKISHO_VECTORS is not set, no published vector was tried ***\n");
        return None;
    };
    let folder = Path::new(&vectors).join(folder);
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

#[test]
fn the_real_documents_answer_as_their_manifest_says() {
    let Some((folder, manifest)) = vectors("nitro") else { return };
    assert_eq!(manifest.len(), 35);
    for entry in manifest {
        let file = folder.join(entry["file"].as_str().unwrap());
        let file = file.to_str().unwrap();
        let at = entry["time_ms"].as_u64().unwrap_or(1_767_472_867_402).to_string();
        let kind = entry["kind"].as_str().unwrap().replace("nitro-enclave", "enclave");
        let pcrs: Vec<String> = entry["pcrs"]
            .as_object()
            .map(|pcrs| pcrs.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap())).collect())
            .unwrap_or_default();
        let mut arguments = vec!["verify", file, "--at", &at, "--kind", &kind, "--json"];
        for pcr in &pcrs {
            arguments.extend(["--pcr", pcr]);
        }
        if pcrs.is_empty() {
            arguments.push("--any-measurement");
        }
        let answer = sekisho(&arguments, b"");
        let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        assert_eq!(json["verified"].as_bool().unwrap(), answer.status == 0);
        let shown = sekisho(&["show", file], b"");
        match entry["expect"].as_str().unwrap() {
            "accept" => {
                assert_eq!(answer.status, 0, "{file}: {}", answer.err);
                assert!(shown.out.starts_with("form, chain and signature are right"), "{file}");
            }
            "reject" => {
                assert_eq!(answer.status, 1, "{file}");
                assert_eq!(answer.rule(), json["rule"].as_str().unwrap());
                if shown.status == 0 {
                    assert!(shown.out.starts_with("DOES NOT VERIFY: "), "{file}: {}", shown.out);
                }
            }
            "reject-unless-debug-allowed" => {
                assert_eq!((answer.status, answer.rule()), (1, "debug"), "{file}");
                arguments.push("--allow-debug");
                assert_eq!(sekisho(&arguments, b"").status, 0, "{file}");
                assert!(shown.out.contains("a debug enclave"), "{file}: {}", shown.out);
            }
            other => panic!("the manifest has a new word: {other}"),
        }
    }
}

#[test]
fn the_negative_documents_answer_as_their_manifest_says() {
    let Some((folder, manifest)) = vectors("nitro-negative") else { return };
    assert_eq!(manifest.len(), 165);
    let accepted_by_policy = ["syn_ok_pcr_order.bin", "syn_user_data_513.bin", "syn_nonce_513.bin"];
    let root = folder.join("synth_root.der");
    let nonce = "07".repeat(32);
    let pcr = format!("0={}", "11".repeat(48));
    for entry in manifest {
        let name = entry["file"].as_str().unwrap();
        let file = folder.join(name);
        let at = entry["time_ms"].as_u64().unwrap().to_string();
        let mut arguments = vec!["verify", file.to_str().unwrap(), "--at", &at];
        if entry["root"] == "synth" {
            arguments.extend(["--root", root.to_str().unwrap()]);
        }
        let any = [&arguments[..], &["--any-measurement"]].concat();
        let with = |more: &[&str]| sekisho(&[&any[..], more].concat(), b"");
        let plain = with(&[]);
        let (refused, accepted) = (1, 0);
        let (status, expected) = match entry["expect"].as_str().unwrap() {
            "accept" => (plain.status, accepted),
            "reject" => (with(&["--allow-debug"]).status, refused),
            "policy" if accepted_by_policy.contains(&name) => (plain.status, accepted),
            "policy" => (plain.status, refused),
            "reject-unless-debug-allowed" => (plain.status, refused),
            "reject-when-nonce-expected" => (with(&["--nonce", &nonce]).status, refused),
            "reject-when-max-age" => (with(&["--max-age", "300"]).status, refused),
            "reject-when-pcr-expected" => {
                (sekisho(&[&arguments[..], &["--pcr", &pcr]].concat(), b"").status, refused)
            }
            other => panic!("the manifest has a new word: {other}"),
        };
        assert_eq!(status, expected, "{name}: {}", plain.err);
        let shown = sekisho(&["show", file.to_str().unwrap()], b"");
        assert!(matches!(shown.status, 0 | 1), "{name}: {}", shown.err);
    }
}

struct Folder {
    path: tempfile::TempDir,
    measurements: Measurements,
}

impl Folder {
    /// A document, a debug document, a forgery, and the root in PEM and DER.
    fn new() -> Self {
        let path = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + NOW;
        let pki = DevelopmentPki::generate(now);
        let measurements = Measurements::of(b"test");
        let nsm = |debug| {
            let options = Options { debug, clock: Box::new(move || now), ..Options::default() };
            EmulatedNsm::new(pki.clone(), &measurements, options)
        };
        let request = || AttestationRequest {
            nonce: Some(b"nonce".to_vec()),
            user_data: Some(b"data".to_vec()),
            public_key: None,
        };
        let write = |name: &str, bytes: &[u8]| std::fs::write(path.path().join(name), bytes);
        write("document", &nsm(false).attestation(request()).unwrap()).unwrap();
        write("debug", &nsm(true).attestation(request()).unwrap()).unwrap();
        let forged = nsm(false).forge(request(), Forgery::SignedByAnotherKey);
        write("forged", &forged).unwrap();
        write("root.pem", pki.root_pem().as_bytes()).unwrap();
        write("root.der", pki.root_der()).unwrap();
        let other = DevelopmentPki::generate(now);
        write("other.pem", other.root_pem().as_bytes()).unwrap();
        Self { path, measurements }
    }

    fn file(&self, name: &str) -> String {
        self.path.path().join(name).to_str().unwrap().to_owned()
    }

    /// Verifies as of [`NOW`] under the folder's root, with further arguments.
    fn verify(&self, name: &str, more: &[&str]) -> Answer {
        let (file, root) = (self.file(name), self.file("root.pem"));
        let at = "2026-01-15T12:00:00Z";
        sekisho(&[&["verify", &file, "--root", &root, "--at", at], more].concat(), b"")
    }
}

#[test]
fn without_an_expectation_there_is_no_answer() {
    let folder = Folder::new();
    let answer = folder.verify("document", &[]);
    assert_eq!((answer.status, &*answer.out), (2, ""));
    assert!(answer.err.contains("--pcr"), "{}", answer.err);
    assert!(answer.err.contains("--any-measurement"), "{}", answer.err);
}

#[test]
fn what_is_expected_must_be_there() {
    let folder = Folder::new();
    let pcr0 = format!("0={}", hex::encode(folder.measurements.pcr0));
    let pcr2 = format!("2={}", hex::encode(folder.measurements.pcr2).to_uppercase());
    let other = format!("0={}", "ab".repeat(48));
    let absent = format!("16={}", "00".repeat(48));
    let expect = |more: &[&str]| {
        let answer = folder.verify("document", more);
        (answer.status, answer.rule().trim().to_owned())
    };
    let verified = (0, String::new());
    let refused = |rule: &str| (1, rule.to_owned());
    assert_eq!(expect(&["--pcr", &pcr0, "--pcr", &pcr2]), verified);
    assert_eq!(expect(&["--pcr", &pcr0, "--pcr", &absent]), refused("pcr-missing"));
    assert_eq!(expect(&["--pcr", &other]), refused("pcr-mismatch"));
    let any = "--any-measurement";
    let nonce = hex::encode("nonce");
    assert_eq!(expect(&[any, "--nonce", &nonce, "--user-data", &hex::encode("data")]), verified);
    assert_eq!(expect(&[any, "--nonce", "6e6f"]), refused("nonce"));
    assert_eq!(expect(&[any, "--user-data", ""]), refused("user-data"));
    assert_eq!(expect(&[any, "--kind", "nitro-tpm"]), refused("kind"));
    assert_eq!(expect(&[any, "--max-age", "0", "--max-skew", "0"]), verified);
    assert_eq!(expect(&[any, "--at", "2026-01-15T12:00:00Z"]).0, 2, "twice");

    let late = |more: &[&str]| {
        let (file, root) = (folder.file("document"), folder.file("root.der"));
        let at = (NOW.as_millis() + 60_000).to_string();
        let arguments = ["verify", &file, "--root", &root, "--at", &at, any];
        sekisho(&[&arguments, more].concat(), b"").rule().trim().to_owned()
    };
    assert_eq!(late(&["--max-age", "60"]), "");
    assert_eq!(late(&["--max-age", "59"]), "too-old");

    assert_eq!(folder.verify("debug", &[any]).rule(), "debug");
    assert_eq!(folder.verify("debug", &[any, "--allow-debug"]).status, 0);
    assert_eq!(folder.verify("forged", &[any]).rule(), "document-signature");
}

#[test]
fn the_root_is_one_of_those_given_or_else_awss() {
    let folder = Folder::new();
    let file = folder.file("document");
    let verify = |roots: &[&str]| {
        let roots: Vec<String> =
            roots.iter().flat_map(|root| ["--root".to_owned(), folder.file(root)]).collect();
        let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
        let arguments = ["verify", &file, "--any-measurement", "--at", "1768478400000"];
        sekisho(&[&arguments[..], &roots].concat(), b"")
    };
    assert_eq!(verify(&["root.pem"]).status, 0);
    assert_eq!(verify(&["root.der"]).status, 0);
    assert_eq!(verify(&["other.pem", "root.der"]).status, 0);
    assert_eq!(verify(&["other.pem"]).rule(), "root-not-trusted");
    assert_eq!(verify(&[]).rule(), "root-not-trusted");
    assert_eq!(verify(&["no such file"]).status, 2);
    assert_eq!(verify(&["document"]).status, 2, "not a certificate");
}

#[test]
fn raw_base64_hexadecimal_and_standard_input_are_the_same() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let folder = Folder::new();
    let document = std::fs::read(folder.file("document")).unwrap();
    let root = folder.file("root.pem");
    for form in [
        document.clone(),
        hex::encode(&document).into_bytes(),
        STANDARD.encode(&document).into_bytes(),
        URL_SAFE_NO_PAD.encode(&document).into_bytes(),
    ] {
        let arguments =
            ["verify", "-", "--root", &root, "--at", "1768478400000", "--any-measurement"];
        let answer = sekisho(&arguments, &form);
        assert_eq!(answer.status, 0, "{}", answer.err);
        assert!(answer.out.starts_with("verified\n"), "{}", answer.out);
    }
    for garbage in [&b""[..], b"not a document", &[0; 100_000]] {
        assert_eq!(sekisho(&["verify", "-", "--any-measurement"], garbage).status, 1);
        assert_eq!(sekisho(&["show", "-"], garbage).status, 1);
    }
}

#[test]
fn show_says_first_that_a_document_does_not_verify() {
    let folder = Folder::new();
    let shown = sekisho(&["show", &folder.file("document")], b"");
    assert_eq!(shown.status, 0);
    assert!(shown.out.starts_with("DOES NOT VERIFY: root-not-trusted: "), "{}", shown.out);
    assert!(shown.out.contains("i-development-enc0000000000000000"), "{}", shown.out);
    let root = folder.file("root.pem");
    let shown = sekisho(&["show", &folder.file("document"), "--root", &root, "--json"], b"");
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["verifies_at"], "2026-01-15T12:00:00Z");
    assert_eq!(json["certificates"].as_array().unwrap().len(), 5);
    let shown = sekisho(&["show", &folder.file("forged"), "--root", &root, "--json"], b"");
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["rule"], "document-signature");
}
