//! Builds the stock policies and writes them beside their source, with their digests;
//! with `--check`, compares instead. `--check-slow` compares those that `--check` does not build,
//! `cedar` and `rego`.
//!
//! `cargo run -p sekisho-policy-componentize --bin build-stock-policies -- [--check | --check-slow]`
//!
//! Works on the workspace of the current folder.

use sekisho_policy_componentize::{Builder, stock, workspace_of};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => stock_write,
        ["--check"] => stock_check,
        ["--check-slow"] => stock_check_slow,
        _ => {
            eprintln!("usage: build-stock-policies [--check | --check-slow]");
            return ExitCode::from(2);
        }
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Task = fn(&Path, &Builder) -> Outcome;

fn stock_write(workspace: &Path, builder: &Builder) -> Outcome {
    Ok(stock::write(workspace, builder)?)
}

fn stock_check(workspace: &Path, builder: &Builder) -> Outcome {
    Ok(stock::check(workspace, builder)?)
}

fn stock_check_slow(workspace: &Path, builder: &Builder) -> Outcome {
    Ok(stock::check_slow(workspace, builder)?)
}

fn run(task: Task) -> Outcome {
    let workspace = workspace_of(&std::env::current_dir()?)?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => workspace.join("target"),
    };
    let builder = Builder::new(&workspace, &target.join("policy"))?;
    task(&workspace, &builder)
}
