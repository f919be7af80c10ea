//! `sekisho policy`: write, build, test and try a key policy, and install it in a service.

mod build;
mod guardrail;
mod inspect;
mod install;
mod module;
mod new;
mod other_languages;
mod project;
mod request;
mod run;
mod simulate;
mod table;

use crate::failure::Failure;

/// Write, build, test and try key policies.
///
/// A key's policy is a WebAssembly component that sees the request, the caller and the caller's
/// verified attestation, and answers: allow, deny, or no opinion. These commands run it in the
/// sandbox that the service uses, with the service's limits; only `install`, `list`, `delete` and
/// `guardrail` ask a service.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    New(new::Arguments),
    Build(build::Arguments),
    Test(table::Arguments),
    Run(run::Arguments),
    Inspect(inspect::Arguments),
    Simulate(simulate::Arguments),
    Install(install::Arguments),
    List(install::ListArguments),
    Guardrail(guardrail::Arguments),
    Delete(install::DeleteArguments),
}

/// Runs one of them.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::New(arguments) => new::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Test(arguments) => table::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Install(arguments) => install::run(&arguments).await,
        Command::List(arguments) => install::list(&arguments).await,
        Command::Guardrail(arguments) => guardrail::run(&arguments).await,
        Command::Delete(arguments) => install::delete(&arguments).await,
    }
}
