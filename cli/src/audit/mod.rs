//! `sekisho audit`: the audit log, for whom it is encrypted to.

mod attestation;
mod decisions;
mod export;
pub(crate) mod keys;
mod show;
mod source;
mod tail;
mod verify;

use crate::failure::Failure;

pub(crate) use show::progress;

/// Read and verify the audit log.
///
/// The log lies with the host, encrypted to the auditor and signed by the service. These commands
/// read it from the host's data folder, while the host runs or when it does not, and change nothing.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Tail(tail::Arguments),
    Verify(verify::Arguments),
    Export(export::Arguments),
    Keygen(keys::Arguments),
}

/// Runs one of them.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Tail(arguments) => tail::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Export(arguments) => export::run(arguments),
        Command::Keygen(arguments) => keys::run(&arguments),
    }
}
