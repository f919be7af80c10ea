//! `sekisho audit`: the audit log, for whom it is encrypted to.

pub(crate) mod keys;

use crate::failure::Failure;

/// Read and verify the audit log.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Keygen(keys::Arguments),
}

/// Runs one of them.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Keygen(arguments) => keys::run(&arguments),
    }
}
