//! The published vectors, and what every test over them needs.
#![allow(
    dead_code,
    unused_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise, and uses what it needs of this"
)]

pub(crate) mod cbor;
pub(crate) mod enclave;

use std::path::PathBuf;

use sekisho_attestation::Timestamp;

/// Both backends, each with a verifier of its own type: `$run` is called with the backend.
macro_rules! over_both_backends {
    ($run:ident) => {
        #[test]
        fn pure_rust() {
            $run(sekisho_attestation::backend::PureRust);
        }

        #[cfg(feature = "aws-lc-rs")]
        #[test]
        fn aws_lc() {
            $run(sekisho_attestation::backend::AwsLc);
        }
    };
}

/// A document and what its manifest says about it.
pub(crate) struct Vector {
    pub(crate) file: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expect: String,
    pub(crate) kind: String,
    /// Under a root of the vectors' own.
    pub(crate) synthetic: bool,
    pub(crate) at: Timestamp,
    pub(crate) pcrs: Vec<(u8, String)>,
}

/// The vectors of one folder, or nothing when `SEKISHO_VECTORS` is not set.
pub(crate) fn vectors(folder: &str) -> Option<Vec<Vector>> {
    let folder = vectors_folder()?.join(folder);
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let text = |entry: &serde_json::Value, key: &str| {
        entry[key].as_str().map(str::to_owned).unwrap_or_default()
    };
    let vectors: Vec<_> = manifest
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| Vector {
            file: text(entry, "file"),
            bytes: std::fs::read(folder.join(text(entry, "file"))).unwrap(),
            expect: text(entry, "expect"),
            kind: text(entry, "kind"),
            synthetic: text(entry, "root") == "synth",
            at: Timestamp::from_millis(entry["time_ms"].as_u64().unwrap_or(1_767_472_867_402)),
            pcrs: entry["pcrs"]
                .as_object()
                .map(|pcrs| {
                    let value = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                    pcrs.iter().map(|(k, v)| (k.parse().unwrap(), value(v))).collect()
                })
                .unwrap_or_default(),
        })
        .collect();
    Some(vectors)
}

/// The folder of the published vectors.
pub(crate) fn vectors_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SEKISHO_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("\n*** SKIPPED: SEKISHO_VECTORS is not set, no published vector was tried ***\n");
    }
    folder
}
