//! `sekisho init`: the shares of a new service, each for its holder.

use std::path::PathBuf;

use hyper::Method;
use serde_json::json;

use super::{Out, Worker, print_json};
use crate::attest::asked::Attested;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  The holders make their key pairs, and the worker is started with their public keys
  (--unseal-holder for each, --unseal-threshold 3):
    sekisho principal keygen --out alice.pem > alice-public.pem

  The shares of a new service in a Nitro enclave, one file for each holder:
    sekisho init --endpoint https://kms.example:8443 --pcr 0=3f0a… --pcr 16=77c1… \\
      --shares 5 --threshold 3 --out shares

  Then three holders, each with a share and a private key, unseal it: sekisho unseal

Whoever asks sees no share: each is encrypted to its holder's public key. Where the answer was lost, ask
again before the worker is stopped. Give the files and the ceremony's id to the holders yourself: a file
does not tell who made it.";

/// Have the shares of a new service made, which its holders unseal together.
///
/// Verifies the worker's attestation first. The worker then makes a root key, splits the key that wraps
/// it, encrypts each share to its holder, and keeps nothing: it stays sealed until enough holders give
/// it theirs.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    attested: Attested,

    /// How many shares there are; the holders are in the boot configuration, and if they are not so
    /// many, nothing is made.
    #[arg(long)]
    shares: Option<usize>,

    /// How many of them unseal; likewise.
    #[arg(long)]
    threshold: Option<u8>,

    /// The folder for the files share-1.json and so on; none of them may be there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Print where the ceremony stands as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { attested, shares, threshold, out, json: as_json } = arguments;
    let files = Out::prepare(out)?;
    let worker = Worker::attest(attested).await?;
    let body = json!({ "shares": shares, "threshold": threshold }).to_string();
    let (status, answer) = worker.ask(Method::POST, "/unseal/init", body).await?;
    files.write(&status.encrypted_shares)?;
    if as_json {
        print_json(answer);
    } else {
        print!("{}", status.to_text());
        println!("each share is in a file in {}, for its holder", files.0.display());
    }
    Ok(())
}
