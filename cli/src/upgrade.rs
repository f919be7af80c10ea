//! `sekisho upgrade`: operators allow a measurement that no worker's boot configuration names yet.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_enclave::{
    HpkePair, Measurement, OperatorSignature, SignedStatement, UpgradeStatement,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::key_pair::public_key;
use crate::measurement::parse_pcr;
use crate::service::identity::{Account, random};

/// The longest file of a statement: 32 signatures, with room.
const MAX_FILE: u64 = 64 * 1024;
const DAY: u64 = 24 * 60 * 60;

const EXAMPLES: &str = "\
Examples:
  The first operator writes the statement and signs it, the next one looks at it and signs too:
    sekisho upgrade sign upgrade.json --key operator-1.pem --account 111122223333 \\
      --pcr 0=3f0a… --pcr 1=… --pcr 2=…
    sekisho upgrade show upgrade.json --operator operator-1-public.pem
    sekisho upgrade sign upgrade.json --key operator-2.pem

  Then the worker of the new image joins the old one:
    sekisho-enclave … --unseal-peer … --upgrade-statement \"$(base64 -w0 upgrade.json)\"

An operator's key pair is P-384, as `sekisho audit keygen` makes it. docs/upgrading.md has the whole way.";

/// Allow a new image to get the root key from a running worker.
#[derive(clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Sign(Sign),
    Show(Show),
}

/// Sign an upgrade statement: one that is there, or a new one.
///
/// What is signed is printed. A statement that is there is not changed: `sekisho upgrade show` says
/// beforehand what it is.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sign {
    /// The statement and its signatures; made if it is not there.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The operator's private key: P-384, PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// For a new statement: the service's account, twelve digits.
    #[arg(long, requires = "pcrs")]
    account: Option<Account>,

    /// For a new statement: a register of the new image, 96 hexadecimal digits; PCR0 to 2, and others
    /// that are to count; repeatable.
    #[arg(long = "pcr", value_name = "N=HEX", value_parser = parse_pcr, requires = "account")]
    pcrs: Vec<(u8, PcrValue)>,

    /// For a new statement: how many days it counts [default: 7].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=365), requires = "account")]
    days: Option<u64>,
}

/// Print an upgrade statement, and whose signatures under it are right.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// The statement and its signatures.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// An operator's public key, PEM: whether it has signed; repeatable.
    #[arg(long = "operator", value_name = "FILE")]
    operators: Vec<PathBuf>,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Sign(arguments) => sign(arguments),
        Command::Show(arguments) => show(&arguments),
    }
}

fn sign(arguments: Sign) -> Result<(), Failure> {
    let Sign { file, key, account, pcrs, days } = arguments;
    let there = file.symlink_metadata().is_ok();
    let mut signed = match (account, there) {
        (None, true) => read(&file)?,
        (Some(account), false) => SignedStatement {
            statement: new(&account, pcrs, days.unwrap_or(7))?.to_string(),
            signatures: Vec::new(),
        },
        (Some(_), true) => {
            return Err(Failure::usage(format_args!(
                "{} is there already: leave out --account and --pcr to sign it, or choose another \
                 file",
                file.display()
            )));
        }
        (None, false) => {
            return Err(Failure::usage(format_args!(
                "{} is not there: a new statement takes --account and --pcr",
                file.display()
            )));
        }
    };
    // Also what somebody else has written is a statement, rightly signed, or it is not signed.
    signed.verify(&keys(&signed)).map_err(|error| in_file(&file, &error))?;
    let signature = signature(&key, &signed.statement)?;
    signed.signatures.retain(|other| other.key != signature.key);
    signed.signatures.push(signature);
    write(&file, &signed)?;
    print!("{}", signed.statement);
    println!("signed; {} has {} signature(s)", file.display(), signed.signatures.len());
    Ok(())
}

fn new(
    account: &Account,
    pcrs: Vec<(u8, PcrValue)>,
    days: u64,
) -> Result<UpgradeStatement, Failure> {
    let measurement = Measurement::new(Pcrs::new(pcrs).map_err(Failure::usage)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::failed)?.as_secs();
    let mut id = [0; 16];
    random(&mut id).map_err(Failure::failed)?;
    Ok(UpgradeStatement {
        id,
        account: account.to_string(),
        expires: now.saturating_add(days.saturating_mul(DAY)),
        measurement: measurement.map_err(Failure::usage)?,
    })
}

fn signature(path: &Path, statement: &str) -> Result<OperatorSignature, Failure> {
    let not_a_key = || {
        Failure::usage(format_args!(
            "{} is no P-384 private key in PEM, as sekisho audit keygen makes it",
            path.display()
        ))
    };
    let pem = Zeroizing::new(fs::read(path).map_err(|error| in_file(path, &error))?);
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| not_a_key())?;
    let pair = HpkePair::from_der(der.secret_der()).map_err(|_| not_a_key())?;
    let signer = pair.to_pkcs8().map_err(|_| not_a_key())?;
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &signer);
    let signature = signer
        .and_then(|signer| {
            signer.sign(&SystemRandom::new(), statement.as_bytes()).map_err(Into::into)
        })
        .map_err(|_| not_a_key())?;
    Ok(OperatorSignature {
        key: BASE64.encode(pair.public_key()),
        signature: BASE64.encode(signature),
    })
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let signed = read(&arguments.file)?;
    let mut operators = Vec::new();
    for path in &arguments.operators {
        operators.push(public_key(path).map_err(Failure::usage)?);
    }
    let keys = keys(&signed);
    let (statement, signers) =
        signed.verify(&keys).map_err(|error| in_file(&arguments.file, &error))?;
    print!("{statement}");
    let until = i64::try_from(statement.expires).ok();
    let until = until.and_then(|until| OffsetDateTime::from_unix_timestamp(until).ok());
    if let Some(Ok(text)) = until.map(|until| until.format(&Rfc3339)) {
        let ended = until.is_some_and(|until| until <= OffsetDateTime::now_utc());
        println!("{} {text}", if ended { "expired" } else { "counts until" });
    }
    println!("{} signature(s), each right under its key:", signers.len());
    for signer in &signers {
        let position = operators.iter().position(|operator| operator == signer);
        let name = position.and_then(|at| arguments.operators.get(at));
        let name = name.map_or_else(String::new, |path| format!(" ({})", path.display()));
        println!("  {}{name}", BASE64.encode(signer));
    }
    for (operator, path) in operators.iter().zip(&arguments.operators) {
        if !signers.contains(&operator.as_slice()) {
            println!("  not signed by {}", path.display());
        }
    }
    Ok(())
}

/// Of everyone who has signed, so that each signature is looked at.
fn keys(signed: &SignedStatement) -> Vec<Vec<u8>> {
    let keys = signed.signatures.iter().map(|signature| BASE64.decode(&signature.key));
    keys.filter_map(Result::ok).collect()
}

fn read(path: &Path) -> Result<SignedStatement, Failure> {
    let length = fs::metadata(path).map_err(|error| in_file(path, &error))?.len();
    if length > MAX_FILE {
        return Err(in_file(path, &"larger than any statement"));
    }
    let bytes = fs::read(path).map_err(|error| in_file(path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| in_file(path, &error))
}

/// In one piece: a statement whose file is cut has no signature that counts.
fn write(path: &Path, signed: &SignedStatement) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let failed = |error: std::io::Error| in_file(path, &error);
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    serde_json::to_writer_pretty(&mut file, signed).map_err(Failure::failed)?;
    writeln!(file).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn in_file(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format_args!("{}: {error}", path.display()))
}
