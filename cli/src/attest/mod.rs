//! `sekisho attest`: whether an attestation holds, and what it says.

pub(crate) mod asked;
pub(crate) mod connect;
mod document_file;
mod instant;
mod show;
mod verify;

use crate::failure::Failure;

/// Verify attestation documents.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Verify(verify::Arguments),
    Show(show::Arguments),
    Connect(connect::Arguments),
}

/// Runs one of them.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Connect(arguments) => connect::run(arguments).await,
    }
}

/// A document's byte string for a person: its length, and its text or the start of its bytes.
fn shown(bytes: &[u8]) -> String {
    /// As many as a digest has, which is what most are.
    const START: usize = 64;
    let start = bytes.get(..START).unwrap_or(bytes);
    let more = if start.len() < bytes.len() { "…" } else { "" };
    let readable = |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_control());
    match str::from_utf8(start) {
        Ok(text) if readable(text) => {
            format!("{} bytes: {:?}{more}", bytes.len(), text)
        }
        _ => format!("{} bytes: {}{more}", bytes.len(), hex::encode(start)),
    }
}
