//! `sekisho unseal`: one operator's part.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use serde_json::json;

use super::{Worker, opened};
use crate::attest::asked::Attested;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  Give one's share to a service in a Nitro enclave, with PCR0 of its image and PCR16 of its
  configuration:
    sekisho unseal --endpoint https://kms.example:8443 --pcr 0=3f0a… --pcr 16=77c1… \\
      --share share-2.json --private-key bob.pem

  See whose shares are there:
    sekisho unseal --endpoint https://kms.example:8443 --pcr 0=3f0a… --status

  A ceremony on a laptop, of two of three:
    for name in alice bob carol; do
      sekisho principal keygen --out $name.pem > $name-public.pem
    done
    sekisho dev --data-dir ceremony --unseal-threshold 2 --unseal-holder alice-public.pem \\
      --unseal-holder bob-public.pem --unseal-holder carol-public.pem
    sekisho init --endpoint https://127.0.0.1:8443 --root ceremony/development-root.pem \\
      --any-measurement --shares 3 --threshold 2 --out shares
    sekisho unseal --endpoint https://127.0.0.1:8443 --root ceremony/development-root.pem \\
      --any-measurement --share shares/share-1.json --private-key alice.pem

Give a share to no worker whose PCR0 and PCR16 you have not computed or been told by somebody you
trust: PCR16 says who the other holders are.";

/// Give one's share to a sealed worker.
///
/// Verifies the worker's attestation first. The share is opened here with the holder's private key, and
/// encrypted to a key that the attested worker has for this one start; nobody else can open it, and
/// nobody without the private key can give it. When enough shares are there, the service is unsealed.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    attested: Attested,

    /// The share, as sekisho init wrote it.
    #[arg(long, value_name = "FILE", required_unless_present = "status", requires = "private_key")]
    share: Option<PathBuf>,

    /// Its holder's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "share")]
    private_key: Option<PathBuf>,

    /// Give nothing; see where the ceremony stands.
    #[arg(long, conflicts_with = "share")]
    status: bool,

    /// Print where the ceremony stands as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { attested, share, private_key, json: as_json, .. } = arguments;
    // Before the worker is asked.
    let own = match (share, private_key) {
        (Some(share), Some(key)) => Some(opened(&share, &key)?),
        _ => None,
    };
    let worker = Worker::attest(attested).await?;
    let (mut status, mut answer) = worker.status().await?;
    if let Some((pair, share)) = own {
        if status.next.is_some() {
            return Err(Failure::failed(format_args!(
                "{}: this worker is to have other holders: sekisho rekey gives it a share for that",
                worker.endpoint
            )));
        }
        let ours = hex::encode(share.ceremony());
        if status.ceremony.as_ref().is_some_and(|theirs| *theirs != ours) {
            return Err(Failure::failed(format_args!(
                "{}: the share is of ceremony {ours}, and the worker waits for shares of {}: it was \
                 not given",
                worker.endpoint,
                status.ceremony.unwrap_or_default(),
            )));
        }
        let key = BASE64.decode(&status.worker_key).map_err(Failure::failed)?;
        let message = share.for_worker(&pair, &key).map_err(Failure::failed)?;
        let body = json!({
            "holder_key_sha256": hex::encode(pair.identifier()),
            "message": BASE64.encode(message),
        });
        (status, answer) = worker.ask(Method::POST, "/unseal", body.to_string()).await?;
    }
    if as_json {
        println!("{answer}");
    } else {
        print!("{}", status.to_text());
        if status.counted == Some(false) {
            println!("this share had been given before, and counts once");
        }
    }
    Ok(())
}
