//! The log has one way in: read from the sources of all that a worker is made of.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

/// What writes to a log or a terminal.
const WAYS: [&str; 14] = [
    "tracing::",
    "log::",
    "trace!(",
    "debug!(",
    "info!(",
    "warn!(",
    "error!(",
    "print!(",
    "println!(",
    "eprint!(",
    "eprintln!(",
    "dbg!(",
    "stdout()",
    "stderr()",
];

/// Crates of ours that the worker links, without the command whose process it is under `dev`.
const CRATES: [&str; 5] = ["enclave", "wire", "nsm", "attestation", "policies/engine"];

/// The line in which a worker that cannot start says so, before there is a caller.
const LAST_WORDS: &str = r#"eprintln!("sekisho-enclave: {error}");"#;

/// What a compile trial answers its helper through a pipe, which is no terminal: the engine's reason against
/// a component.
const AN_ANSWER: &str = "let _ = io::stdout().write_all(reason.as_bytes());";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_but_the_events_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut files, mut events) = (0, 0);
    for name in CRATES {
        let folder = root.join(name).join("src");
        let mut found = Vec::new();
        sources(&folder, &mut found);
        for path in found {
            files += 1;
            let inside = path.strip_prefix(&folder).unwrap();
            let is_the_way_in = inside == Path::new("log.rs") || inside.starts_with("log/");
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                let code = !line.starts_with("//") && !line.starts_with("use crate::log::");
                let code = code && line != "pub use log::{LogFormat, start_log};";
                let way = WAYS.iter().find(|way| line.contains(**way));
                let Some(way) = way.filter(|_| code && line != LAST_WORDS && line != AN_ANSWER)
                else {
                    continue;
                };
                assert!(is_the_way_in, "{}:{}: {way}", path.display(), number + 1);
                events += 1;
            }
        }
    }
    assert!(files > 80 && events > 20, "{files} files, {events} lines");
}

/// Fields of an event: numbers, enums, and errors that consist of those. A type that owns text is
/// none of them.
#[test]
fn no_field_of_an_event_owns_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["enclave/src/log.rs", "wire/src/log.rs"] {
        let text = fs::read_to_string(root.join(name)).unwrap();
        let (_, rest) = text.split_once("enum Event<'a> {").unwrap();
        let (fields, _) = rest.split_once("\n}\n").unwrap();
        let texts =
            ["String", "Cow", "&'a str", "&'a [u8]", "Vec<", "dyn ", "io::Error)", "Error>"];
        for owns in texts {
            assert!(!fields.contains(owns), "{name}: {owns}");
        }
    }
}
