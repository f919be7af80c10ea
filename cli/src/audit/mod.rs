//! `sekisho audit`: the audit log, for whom it is encrypted to.

mod attestation;
mod decisions;
mod export;
mod show;
mod source;
mod tail;
mod verify;

use crate::failure::Failure;
use crate::key_pair;

pub(crate) use show::progress;

const KEYGEN_EXAMPLES: &str = "\
Examples:
  A key pair of the auditor's, whose private half the machine of the service never sees:
    sekisho audit keygen --out auditor.pem > auditor-public.pem
    sekisho dev --auditor-key auditor-public.pem

  The same with OpenSSL:
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out auditor.pem
    openssl pkey -in auditor.pem -pubout -out auditor-public.pem";

/// Read and verify the audit log.
///
/// The log lies with the host, encrypted to the auditor and signed by the service. These commands
/// read it from the host's data folder, while the host runs or when it does not, and change nothing.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Tail(tail::Arguments),
    Verify(verify::Arguments),
    Export(export::Arguments),
    /// Make an auditor's key pair.
    ///
    /// The private key goes to a file that only its owner may read; the public key, for the
    /// service, to standard output. Both are in PEM: P-384.
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(key_pair::Arguments),
}

/// Runs one of them.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Tail(arguments) => tail::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Export(arguments) => export::run(arguments),
        Command::Keygen(arguments) => key_pair::run(&arguments),
    }
}
