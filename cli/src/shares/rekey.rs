//! `sekisho rekey`: the present holders give their shares so that others get new ones.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use sekisho_enclave::NextHolders;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Next, Out, Worker, opened, print_json};
use crate::attest::asked::Attested;
use crate::failure::Failure;
use crate::key_pair;

const EXAMPLES: &str = "\
Examples:
  The worker is started with the next holders and with the present ones as former holders
  (--unseal-holder and --unseal-threshold, --unseal-former-holder and --unseal-former-threshold). Each
  present holder, until enough have:
    sekisho rekey --endpoint https://kms.example:8443 --pcr 0=3f0a… --pcr 16=77c1… \\
      --shares 5 --threshold 3 --share share-2.json --private-key bob.pem

  Then the new shares, one file for each next holder, for whoever asks before the worker is stopped:
    sekisho rekey --endpoint https://kms.example:8443 --pcr 0=3f0a… --pcr 16=77c1… --out shares

  And three next holders unseal it: sekisho unseal. From then on the former shares unseal nothing that is
  in the store.

PCR16 says who the next holders are. Give a share for nobody else's: compare --holder with each of them.
The root key stays the same: who has it, or former shares and an old copy of the store's slot, has it
still. sekisho root rotate afterwards.";

/// Give one's share so that the root key is wrapped for other holders.
///
/// Verifies the worker's attestation first. The share is encrypted to a key that the attested worker has
/// for this one start, and counts for the next holders that it names and no others. Nothing in the store
/// changes until enough of the next holders have given their new shares.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    attested: Attested,

    /// The share of a present holder.
    #[arg(long, value_name = "FILE", requires_all = ["private_key", "shares", "threshold"], required_unless_present = "out")]
    share: Option<PathBuf>,

    /// Its holder's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "share")]
    private_key: Option<PathBuf>,

    /// How many shares there are to be; for other numbers than the worker's nothing is given.
    #[arg(long, requires = "share")]
    shares: Option<usize>,

    /// How many of them are to unseal; likewise.
    #[arg(long, requires = "share")]
    threshold: Option<u8>,

    /// The public key (PEM) of each next holder, in order; likewise.
    #[arg(long = "holder", value_name = "FILE", requires = "share")]
    holders: Vec<PathBuf>,

    /// The folder for the new shares, share-1.json and so on; none of them may be there.
    #[arg(long, value_name = "DIR", conflicts_with = "share")]
    out: Option<PathBuf>,

    /// Print where the ceremony stands as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { attested, share, private_key, shares, threshold, holders, out, json } =
        arguments;
    // Before the worker is asked.
    let files = out.map(Out::prepare).transpose()?;
    let own = match (share, private_key) {
        (Some(share), Some(key)) => Some(opened(&share, &key)?),
        _ => None,
    };
    let wanted: Vec<[u8; 32]> = holders
        .iter()
        .map(|file| key_pair::public_key(file).map(|key| Sha256::digest(key).into()))
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let worker = Worker::attest(attested).await?;
    let refused = |why: &str| Failure::failed(format_args!("{}: {why}", worker.endpoint));
    let (mut status, mut answer) = match &files {
        Some(_) => worker.ask(Method::POST, "/unseal/init", "{}".into()).await?,
        None => worker.status().await?,
    };
    if let Some((pair, share)) = own {
        let Some(next) = &status.next else {
            return Err(refused(
                "this worker waits for no former holders: it was started without them, or enough \
                 have given their shares",
            ));
        };
        if status.ceremony.as_ref().is_some_and(|theirs| *theirs != hex::encode(share.ceremony())) {
            return Err(refused(
                "the share is of another ceremony than the worker waits for: it was not given",
            ));
        }
        let next = agreed(next, shares, threshold, &wanted).map_err(|why| refused(&why))?;
        let key = BASE64.decode(&status.worker_key).map_err(Failure::failed)?;
        let message = share.for_rekeying(&pair, &key, &next).map_err(Failure::failed)?;
        let body = json!({
            "holder_key_sha256": hex::encode(pair.identifier()),
            "message": BASE64.encode(message),
        });
        (status, answer) = worker.ask(Method::POST, "/unseal", body.to_string()).await?;
    }
    if let Some(files) = &files {
        if !status.rekeyed {
            return Err(refused("no shares were made for other holders at this start"));
        }
        files.write(&status.encrypted_shares)?;
    }
    if json {
        print_json(answer);
        return Ok(());
    }
    print!("{}", status.to_text());
    match &files {
        Some(files) => {
            println!("each new share is in a file in {}, for its holder", files.0.display())
        }
        None if status.rekeyed => {
            println!("the new shares are made: sekisho rekey --out fetches them")
        }
        None => {}
    }
    Ok(())
}

/// That the worker's next holders are those that the present one means.
fn agreed(
    next: &Next,
    shares: Option<usize>,
    threshold: Option<u8>,
    wanted: &[[u8; 32]],
) -> Result<NextHolders, String> {
    let key = |text: &String| hex::decode(text).ok().and_then(|key| key.try_into().ok());
    let keys: Option<Vec<[u8; 32]>> = next.holders.iter().map(key).collect();
    let keys = keys.ok_or("the answer names no holders")?;
    if shares != Some(keys.len()) || threshold != Some(next.threshold) {
        return Err(format!(
            "its boot configuration has {} next holders and a threshold of {}: the share was not given",
            keys.len(),
            next.threshold
        ));
    }
    if !wanted.is_empty() && wanted != keys {
        return Err(
            "its next holders are others than --holder says: the share was not given".into()
        );
    }
    Ok(NextHolders::new(&keys, next.threshold))
}
