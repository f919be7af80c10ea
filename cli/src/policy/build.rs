//! `sekisho policy build`: from a policy's project to its component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sekisho_policy_componentize::Builder;
use serde_json::Value;

use super::module;
use super::other_languages;
use super::project::{Language, Project};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  sekisho policy build
  sekisho policy build backup --out backup.wasm

For a project in Rust it needs the Rust toolchain with the target wasm32-unknown-unknown
(rustup target add wasm32-unknown-unknown); the same source, lock file and compiler give the same
bytes, in whatever folder. For one in C it needs clang and wasm-ld, for one in JavaScript Node.js and
npm install, for one in Python componentize-py.";

/// Build a policy's project into a component, and check that a service would admit it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The project's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Where the component is written [default: <the package's name>.wasm in the folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let project = Project::open(&arguments.folder)?;
    let bytes = match project.language {
        Language::Rust => rust(&project)?,
        Language::C | Language::Js | Language::Python => other_languages::build(&project)?,
    };
    let (admitted, option) = module::try_admitting(&bytes).map_err(|error| {
        let name = &project.name;
        Failure::failed(format_args!("{name} builds, and no service would admit it: {error}"))
    })?;
    let out = arguments.out.clone().unwrap_or_else(|| project.component());
    fs::write(&out, &bytes)
        .map_err(|error| Failure::failed(format_args!("{}: {error}", out.display())))?;
    println!("{}: {} bytes, sha256 {}", out.display(), bytes.len(), admitted.digest());
    if let Some(size) = option {
        println!("a service admits it only with --policy-module-size {size}");
    }
    Ok(())
}

fn rust(project: &Project) -> Result<Vec<u8>, Failure> {
    let folder = &project.folder;
    lock(folder)?;
    let builder = Builder::new(folder, &folder.join("target")).map_err(Failure::failed)?;
    builder.build(&project.name).map_err(Failure::failed)
}

/// Makes the lock file of a project that has none yet.
fn lock(folder: &Path) -> Result<(), Failure> {
    if folder.join("Cargo.lock").exists() {
        return Ok(());
    }
    cargo(folder, &["generate-lockfile"]).map(drop)
}

/// The name of the package in `folder`.
pub(super) fn package(folder: &Path) -> Result<String, Failure> {
    let metadata = cargo(folder, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(Failure::failed)?;
    let manifest = folder.join("Cargo.toml");
    let packages = metadata.get("packages").and_then(Value::as_array);
    packages
        .into_iter()
        .flatten()
        .find(|package| {
            let path = package.get("manifest_path").and_then(Value::as_str);
            path.is_some_and(|path| Path::new(path) == manifest)
        })
        .and_then(|package| package.get("name")?.as_str())
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage(format_args!("{} has no package", manifest.display())))
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let output = Command::new("cargo")
        .current_dir(folder)
        .args(arguments)
        .output()
        .map_err(|error| Failure::failed(format_args!("cargo does not start: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format_args!(
            "cargo {}: {}",
            arguments.join(" "),
            said.trim()
        )));
    }
    Ok(output.stdout)
}
