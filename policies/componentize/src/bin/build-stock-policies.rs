//! Builds the stock policies and writes them beside their source, with their digests;
//! with `--check`, compares instead.
//!
//! `cargo run -p sekisho-policy-componentize --bin build-stock-policies -- [--check]`
//!
//! Works on the workspace of the current folder.

use sekisho_policy_componentize::{Builder, stock, workspace_of};
use std::path::PathBuf;
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
    let workspace = workspace_of(&std::env::current_dir()?)?;
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
