//! `sekisho dev-document`: an attestation document for a caller that is not in an enclave.

use std::path::{Path, PathBuf};

use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_devkit::Forgery;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::measurement::parse_pcr;
use crate::service::default_folder;
use crate::service::existing::Existing;
use crate::service::folder::write_public;
use crate::service::nsm::{Age, Caller, Development};

const EXAMPLES: &str = "\
Examples:
  An attested Decrypt by hand, against a running `sekisho dev`:
    openssl genrsa -out private.pem 2048
    openssl rsa -in private.pem -pubout -out public.pem
    sekisho dev-document --public-key public.pem --pcr 0=$PCR0 --out document.bin
    aws kms decrypt --ciphertext-blob fileb://data.enc \\
      --recipient 'KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@=fileb://document.bin' \\
      --query CiphertextForRecipient --output text | base64 -d > answer.ber
    openssl cms -decrypt -inform DER -in answer.ber -inkey private.pem

  A request for measured code alone, with a document that was made for its body:
    sekisho dev-document --body body.json --pcr 0=$PCR0 --out document.bin
    curl --aws-sigv4 aws:amz:us-east-1:kms --user $KEY_ID:$SECRET --cacert $AWS_CA_BUNDLE \
      -H 'X-Amz-Target: TrentService.Sign' -H 'Content-Type: application/x-amz-json-1.1' \
      -H \"X-Sekisho-Attestation: $(base64 -w0 document.bin)\" \
      --data-binary @body.json $AWS_ENDPOINT_URL_KMS

  A document that must be refused:
    sekisho dev-document --public-key public.pem --forge signature --out forged.bin";

/// Make an attestation document with the development PKI of `sekisho dev`.
///
/// It is what an enclave would get from its NSM, under a root that only this one development
/// service accepts. It proves nothing about hardware. A document is good for five minutes.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The data folder of the service [default: as in `sekisho dev`].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The caller's RSA public key: SubjectPublicKeyInfo in PEM or DER.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["body", "nonce"])]
    public_key: Option<PathBuf>,

    /// A register's value, 96 hexadecimal digits; repeatable. PCR0 to 2 have some value if not
    /// given.
    #[arg(long = "pcr", value_name = "N=HEX", value_parser = parse_pcr)]
    pcrs: Vec<(u8, PcrValue)>,

    /// For the header X-Sekisho-Attestation of a request with this body: the nonce is its SHA-256.
    #[arg(long, value_name = "FILE", conflicts_with = "nonce")]
    body: Option<PathBuf>,

    /// The document's nonce.
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    nonce: Option<Bytes>,

    /// The document's user data.
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    user_data: Option<Bytes>,

    /// A document that is this old; negative for one from the future.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    age: i64,

    /// As of an enclave in debug mode: PCR0 to 2 are zero.
    #[arg(long)]
    debug: bool,

    /// Right in everything else, but not to be believed.
    #[arg(long, value_name = "HOW", conflicts_with = "age")]
    forge: Option<Forge>,

    /// Where to write the document.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

type Bytes = Vec<u8>;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Forge {
    /// Signed by a key that is not the certificate's.
    Signature,
    /// PCR0 changed after it was signed.
    Measurement,
    /// Under a root that someone made himself.
    Root,
    /// As `root`, with the right root put in front.
    Chain,
}

impl From<Forge> for Forgery {
    fn from(forge: Forge) -> Self {
        match forge {
            Forge::Signature => Self::SignedByAnotherKey,
            Forge::Measurement => Self::ChangedMeasurement,
            Forge::Root => Self::OtherRoot,
            Forge::Chain => Self::OtherChainBelowTheRoot,
        }
    }
}

/// Makes the document.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let data_dir = arguments
        .data_dir
        .or_else(default_folder)
        .ok_or_else(|| Failure::usage("give --data-dir"))?;
    let pki = Existing::open(&data_dir).map_err(Failure::failed)?.pki();
    let in_file = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::failed(format_args!("{}: {error}", path.display()))
    };
    let development = Development::read(&pki).map_err(|error| in_file(&pki, &error))?;
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| in_file(path, &error));
    let public_key = arguments.public_key.as_ref().map(read).transpose()?;
    let body = arguments.body.as_ref().map(read).transpose()?;
    let pcrs = match arguments.pcrs.as_slice() {
        [] => None,
        some => Some(Pcrs::new(some.iter().copied()).map_err(Failure::usage)?),
    };
    let document = development.caller_document(&Caller {
        public_key: public_key.map(spki).transpose()?,
        pcrs,
        user_data: arguments.user_data,
        nonce: body.map(|body| Sha256::digest(body).to_vec()).or(arguments.nonce),
        debug: arguments.debug,
        age: Age(arguments.age),
        forgery: arguments.forge.map(Into::into),
    });
    write_public(&arguments.out, &document).map_err(|error| in_file(&arguments.out, &error))
}

/// DER from DER or PEM. That it is an RSA key is for the service to find out.
fn spki(file: Vec<u8>) -> Result<Vec<u8>, Failure> {
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject as _;
    if !file.starts_with(b"-----") {
        return Ok(file);
    }
    SubjectPublicKeyInfoDer::from_pem_slice(&file)
        .map(|key| key.to_vec())
        .map_err(|_| Failure::usage("the public key is not a PUBLIC KEY in PEM"))
}

fn parse_hex(text: &str) -> Result<Bytes, hex::FromHexError> {
    hex::decode(text)
}
