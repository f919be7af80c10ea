//! Building what is not Rust: C with clang, JavaScript with componentize-qjs, Python with
//! componentize-py. A tool that is not there
//! is named, with how to install it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use sekisho_policy_componentize::componentize_for;

use super::project::{Language, Project};
use crate::failure::Failure;

const CLANG: &str = "clang and wasm-ld are needed, of LLVM 14 or newer. On Debian and Ubuntu: \
                     sudo apt-get install clang lld";
const NODE: &str = "Node.js is needed, 20 or newer: https://nodejs.org";
const QUICKJS: &str = "componentize-qjs is not installed in this project: npm install";
/// How a project in Python gets its tool.
pub(super) const PYTHON_TOOL: &str =
    "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1";
/// Where that puts it.
const COMPONENTIZE_PY: &str = ".venv/bin/componentize-py";

/// The component of a project in another language than Rust.
pub(super) fn build(project: &Project) -> Result<Vec<u8>, Failure> {
    match project.language {
        Language::C => c(project),
        Language::Js => javascript(project),
        Language::Python => python(project),
        Language::Rust => Err(Failure::usage("a project in Rust has no policy.json")),
    }
}

fn c(project: &Project) -> Result<Vec<u8>, Failure> {
    let wit = contract(project)?;
    let folder = tempfile::tempdir().map_err(Failure::failed)?;
    let module = folder.path().join("module.wasm");
    let mut clang = Command::new("clang");
    clang
        .current_dir(&project.folder)
        .args(["--target=wasm32-unknown-unknown", "-std=c11", "-O2", "-Wall"])
        // Nothing of this machine's C library; and no call of memcpy made of memcpy's own loop.
        .args(["-nostdlib", "-ffreestanding", "-fno-builtin", "-isystem", "freestanding"])
        .args([
            "-I",
            "bindings",
            "policy.c",
            "bindings/key_policy.c",
            "freestanding/freestanding.c",
        ])
        .arg("-o")
        .arg(&module)
        // Within the 64 KiB of memory that an instance starts with.
        .args(["-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=16384"]);
    run(clang, CLANG)?;
    let bytes = fs::read(&module).map_err(|error| at(&module, &error))?;
    componentize_for(&bytes, &wit).map_err(Failure::failed)
}

fn javascript(project: &Project) -> Result<Vec<u8>, Failure> {
    let tool = project.folder.join("node_modules/componentize-qjs/cli.mjs");
    if !tool.is_file() {
        return Err(Failure::failed(QUICKJS));
    }
    let folder = tempfile::tempdir().map_err(Failure::failed)?;
    let out = folder.path().join("policy.wasm");
    let mut node = Command::new("node");
    node.arg(tool)
        .current_dir(&project.folder)
        // No asynchronous runtime, and nothing imported.
        .args(["--sync", "--stub-wasi", "--wit", "wit/policy.wit", "--js", "policy.js"])
        .arg("--output")
        .arg(&out);
    run(node, NODE)?;
    fs::read(&out).map_err(|error| at(&out, &error))
}

/// With the tool of the project's own environment, or the one on the path.
fn python(project: &Project) -> Result<Vec<u8>, Failure> {
    let own = project.folder.join(COMPONENTIZE_PY);
    let tool = if own.is_file() { own } else { "componentize-py".into() };
    let folder = tempfile::tempdir().map_err(Failure::failed)?;
    let out = folder.path().join("policy.wasm");
    let mut componentize = Command::new(tool);
    componentize
        .current_dir(&project.folder)
        .args(["--quiet", "--wit-path", "wit", "--world", "key-policy", "componentize"])
        // Nothing imported.
        .args(["--stub-wasi", "--python-path", "src", "policy", "--output"])
        .arg(&out);
    run(componentize, &format!("it is installed in the project by: {PYTHON_TOOL}"))?;
    fs::read(&out).map_err(|error| at(&out, &error))
}

fn contract(project: &Project) -> Result<String, Failure> {
    let path = project.folder.join("wit/policy.wit");
    fs::read_to_string(&path).map_err(|error| at(&path, &error))
}

/// Runs a tool; what it says goes where this command's words go.
fn run(mut tool: Command, missing: &str) -> Result<(), Failure> {
    let name = tool.get_program().to_string_lossy().into_owned();
    match tool.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::failed(format_args!("{name}: {status}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Failure::failed(format_args!("{name} is not there: {missing}")))
        }
        Err(error) => Err(Failure::failed(format_args!("{name} does not start: {error}"))),
    }
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format_args!("{}: {error}", path.display()))
}
