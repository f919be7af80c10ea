//! A policy's project: a folder that says its name and its language.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::build;
use crate::failure::Failure;

/// The file of a project that is not in Rust; one in Rust has `Cargo.toml`.
const FILE: &str = "policy.json";

/// A language to write a policy in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// 30 KB, 0.01 ms a decision.
    Rust,
    /// 9 KB, 0.01 ms a decision.
    C,
    /// On QuickJS: 1.6 MB, 0.2 ms a decision.
    Js,
    /// On CPython: 18 MB, 1 ms a decision, for services with --policy-module-size.
    Python,
}

/// A project that is there.
#[derive(Debug)]
pub(super) struct Project {
    /// Absolute.
    pub(super) folder: PathBuf,
    /// Its component is `<name>.wasm`.
    pub(super) name: String,
    pub(super) language: Language,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    language: Language,
}

impl Project {
    /// Whether `folder` has a project in it.
    pub(super) fn is_in(folder: &Path) -> bool {
        [FILE, "Cargo.toml"].iter().any(|file| folder.join(file).is_file())
    }

    /// The project in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let folder = folder
            .canonicalize()
            .map_err(|error| Failure::usage(format_args!("{}: {error}", folder.display())))?;
        let file = folder.join(FILE);
        if let Ok(text) = fs::read(&file) {
            let Description { name, language } = serde_json::from_slice(&text)
                .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
            if language == Language::Rust || !is_name(&name) {
                return Err(Failure::usage(format_args!(
                    "{}: `name` has lower-case letters, digits and hyphens, and `language` is c, js \
                     or python",
                    file.display()
                )));
            }
            return Ok(Self { folder, name, language });
        }
        if !folder.join("Cargo.toml").is_file() {
            return Err(Failure::usage(format_args!(
                "{} has neither {FILE} nor Cargo.toml: this is not a policy's project; make one with \
                 `sekisho policy new`",
                folder.display()
            )));
        }
        let name = build::package(&folder)?;
        Ok(Self { folder, name, language: Language::Rust })
    }

    /// Where `build` writes its component.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

/// Whether this may be a policy's name.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(allowed)
        && text != "sekisho-policy"
}
