//! The sekisho command: run a development service, verify attestations, write policies.

mod approvals;
mod attest;
mod audit;
mod aws;
mod checkpoints;
mod demo;
mod dev;
mod dev_document;
mod endpoint;
mod failure;
mod https;
mod key_pair;
mod measure;
mod measurement;
mod pem;
mod policy;
mod principal;
mod root;
mod service;
mod shares;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failure::Failure;

/// In place of musl's, with which a request takes a quarter more of a processor (docs/BENCHMARKS.md).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A key management service that runs inside an enclave, speaks the AWS KMS API, and releases
/// keys only to callers whose attestation their policy accepts.
#[derive(Parser)]
#[command(name = "sekisho", version, infer_subcommands = false)]
struct Sekisho {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(Box<dev::Arguments>),
    Demo(demo::Arguments),
    DevDocument(dev_document::Arguments),
    Measure(measure::Arguments),
    #[command(subcommand)]
    Attest(attest::Command),
    Principal(principal::Arguments),
    Approvals(approvals::Arguments),
    Root(root::Arguments),
    Init(shares::init::Arguments),
    Unseal(shares::unseal::Arguments),
    Rekey(shares::rekey::Arguments),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Upgrade(upgrade::Command),
    /// The host of `sekisho dev`.
    #[command(hide = true)]
    InternalHost,
    /// The worker of `sekisho dev`.
    #[command(hide = true)]
    InternalWorker,
}

fn main() -> ExitCode {
    if let Some(ended) = sekisho_enclave::play_compiler() {
        return ended;
    }
    let ended = match Sekisho::parse().command {
        Command::InternalHost => return service::host::run(),
        Command::InternalWorker => return service::worker::run(),
        Command::DevDocument(arguments) => dev_document::run(arguments),
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Upgrade(command) => upgrade::run(command),
        Command::Dev(arguments) => block_on(dev::run(*arguments)),
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Attest(command) => block_on(attest::run(command)),
        Command::Audit(command) => block_on(audit::run(command)),
        Command::Policy(command) => block_on(policy::run(command)),
        Command::Init(arguments) => block_on(shares::init::run(arguments)),
        Command::Unseal(arguments) => block_on(shares::unseal::run(arguments)),
        Command::Rekey(arguments) => block_on(shares::rekey::run(arguments)),
        Command::Principal(arguments) => block_on(principal::run(arguments)),
        Command::Approvals(arguments) => block_on(approvals::run(arguments)),
        Command::Root(arguments) => block_on(root::run(arguments)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?
        .block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Sekisho::command().debug_assert();
    }
}
