//! Builds the stock policies and writes them beside their source, with their digests;
//! with `--check`, compares instead.
//!
//! `cargo run -p sekisho-policy-componentize --bin build-stock-policies -- [--check]`

use sekisho_policy_componentize::{Builder, stock};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!("usage: build-stock-policies [--check]");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<(), Box<dyn std::error::Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => workspace.join("target"),
    };
    let builder = Builder::new(&workspace, &target.join("policy"))?;
    if check {
        stock::check(&workspace, &builder)?;
    } else {
        stock::write(&workspace, &builder)?;
    }
    Ok(())
}
