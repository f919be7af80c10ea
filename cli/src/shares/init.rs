//! `sekisho init`: the shares of a new service, each for its holder.

use std::path::PathBuf;

use hyper::Method;
use serde_json::json;

use super::Worker;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::measurement::Trust;
use crate::service::folder::{private_folder, write_private};

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
    /// The service's address; port 443 if it names none.
    #[arg(long, value_name = "https://HOST[:PORT]")]
    endpoint: Endpoint,

    #[command(flatten)]
    trust: Trust,

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
    let Arguments { endpoint, trust, shares, threshold, out, json: as_json } = arguments;
    private_folder(&out)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", out.display())))?;
    let path = |index| out.join(format!("share-{index}.json"));
    if let Some(there) = (1_u8..=32).map(path).find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::usage(format_args!(
            "{} is there already: choose another --out",
            there.display()
        )));
    }
    let worker = Worker::attest(endpoint, &trust).await?;
    let body = json!({ "shares": shares, "threshold": threshold }).to_string();
    let (status, mut answer) = worker.ask(Method::POST, "/unseal/init", body).await?;
    for share in &status.encrypted_shares {
        let path = path(share.index);
        let text = serde_json::to_vec_pretty(share).map_err(Failure::failed)?;
        write_private(&path, &text)
            .map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?;
    }
    if as_json {
        if let Some(members) = answer.as_object_mut() {
            members.remove("encrypted_shares");
        }
        println!("{answer}");
    } else {
        print!("{}", status.to_text());
        println!("each share is in a file in {}, for its holder", out.display());
    }
    Ok(())
}
