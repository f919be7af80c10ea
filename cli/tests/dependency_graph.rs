//! What the shipped binaries link, read from cargo's own resolution.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::process::Command;

/// Crates and families of crates (`aes`, `aes-gcm`) that do cryptography, TLS or X.509. The host
/// moves bytes; with none of these it could not read one if it wanted to.
const CRYPTOGRAPHY: &[&str] = &[
    "aead",
    "aes",
    "argon2",
    "aws-lc",
    "blake",
    "boring",
    "chacha20",
    "cipher",
    "cmac",
    "coset",
    "cose",
    "crypto",
    "ctr",
    "curve25519",
    "der",
    "digest",
    "dsa",
    "ecdsa",
    "ed25519",
    "elliptic",
    "ff",
    "ghash",
    "group",
    "hkdf",
    "hmac",
    "hpke",
    "k256",
    "md5",
    "ml-dsa",
    "ml-kem",
    "native-tls",
    "openssl",
    "orion",
    "p256",
    "p384",
    "p521",
    "pbkdf2",
    "pkcs",
    "poly1305",
    "polyval",
    "primeorder",
    "rcgen",
    "rfc6979",
    "ring",
    "rsa",
    "rustls",
    "scrypt",
    "sec1",
    "sha1",
    "sha2",
    "sha3",
    "signature",
    "sodium",
    "spki",
    "untrusted",
    "webpki",
    "vsss",
    "x25519",
    "x509",
    "yasna",
];

/// The crates that `package` links, itself among them: normal dependencies with the features
/// that are on, build scripts and tests left out.
fn linked(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["tree", "--locked", "--all-features", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}", "--package", package])
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("cargo tree prints text");
    names.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn cryptographic(linked: &BTreeSet<String>) -> Vec<&str> {
    linked
        .iter()
        .map(String::as_str)
        .filter(|name| CRYPTOGRAPHY.iter().any(|family| is_of(name, family)))
        .collect()
}

fn is_of(name: &str, family: &str) -> bool {
    let rest = name.strip_prefix(family).map(|rest| rest.chars().next());
    matches!(rest, Some(None | Some('-' | '_' | '0'..='9')))
}

#[test]
fn the_worker_and_the_host_do_not_link_the_emulated_nsm() {
    for package in ["sekisho-enclave", "sekisho-host"] {
        let linked = linked(package);
        assert!(linked.contains(package), "the control: {package} links itself");
        assert!(!linked.contains("sekisho-devkit"), "{package} links sekisho-devkit");
    }
    // The control: where devkit is linked, this way of looking finds it.
    assert!(linked("sekisho").contains("sekisho-devkit"));
}

#[test]
fn the_host_links_no_cryptography() {
    assert_eq!(cryptographic(&linked("sekisho-host")), Vec::<&str>::new());
    // The control: the worker's cryptography is found.
    let worker = linked("sekisho-enclave");
    let found = cryptographic(&worker);
    for name in ["aes-gcm", "aws-lc-rs", "rustls"] {
        assert!(found.contains(&name), "{name} is not among {found:?}");
    }
}

#[test]
fn the_host_links_nothing_of_ours_but_the_wire() {
    let linked = linked("sekisho-host");
    let ours: Vec<_> = linked.iter().filter(|name| name.starts_with("sekisho")).collect();
    assert_eq!(ours, ["sekisho-host", "sekisho-wire"]);
}

#[test]
fn the_verifier_stands_alone() {
    let linked = linked("sekisho-attestation");
    let ours: Vec<_> = linked.iter().filter(|name| name.starts_with("sekisho")).collect();
    assert_eq!(ours, ["sekisho-attestation"]);
}
