//! The worker's options: of the command line, or in the text that a host hands over to a worker in an
//! image. One type and one set of errors for both, so that a configuration means the same however it
//! is given.

pub(crate) mod text;

use crate::boot::Boot;
use crate::bounds::Bounds;
use crate::compiler::CompileHelper;
use crate::configuration::{BootConfiguration, InvalidConfiguration, UnsealProvider};
use crate::log::LogFormat;
use crate::peers::{Measurement, Peers, SignedStatement};
use crate::policy_module_size::PolicyModuleSize;
use crate::quotas::{QuotaChange, Quotas};
use crate::unseal::{AwsKms, FormerHolders, KeyArn, OperatorShares, Peer};
use base64::Engine as _;
use clap::{Parser, ValueEnum};
use sekisho_attestation::TrustAnchors;
use sekisho_nsm::Nsm;
use sekisho_wire::Address;
use sekisho_wire::egress::Destination;
use std::sync::Arc;
use text::InvalidOption;
use thiserror::Error;

/// The sealed worker of Sekisho, for an AWS Nitro enclave.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Example:\n  sekisho-enclave --region eu-central-1 --account 111122223333 \\\n    \
                  --auditor-key MHYwEAYH... --listen vsock:4294967295:8443 --store vsock:3:5000\n\n\
                  With a root key that AWS KMS unwraps for this worker's measurement alone:\n  \
                  sekisho-enclave ... --unseal-kms-key arn:aws:kms:eu-central-1:111122223333:key/... \\\n    \
                  --unseal-kms-endpoint kms.eu-central-1.amazonaws.com:443 --unseal-kms-root MIIDQTCC...\n\n\
                  With a root key that two of three operators unwrap together:\n  \
                  sekisho-enclave ... --unseal-holder MHYwEAYH... --unseal-holder MHYwEAYH... \\\n    \
                  --unseal-holder MHYwEAYH... --unseal-threshold 2\n\n\
                  It needs /dev/nsm. Until it is unsealed, and for good without one of these or --unseal-peer, the \
                  worker answers only GET /health and GET /attestation, and what operators ask. \
                  docs/unsealing.md has the key's policy and the options of the host. To try the service on a laptop: sekisho \
                  dev"
)]
pub struct Options {
    /// AWS region for ARNs and signatures; further ones are served beside the first
    #[arg(long = "region", value_name = "REGION", required = true)]
    regions: Vec<String>,
    /// AWS account for ARNs, twelve digits
    #[arg(long)]
    account: String,
    /// Where the relay's connections arrive (4294967295 is any CID)
    #[arg(long, default_value = "vsock:4294967295:8443")]
    listen: Address,
    /// Where the host's store listens (CID 3 is the parent instance)
    #[arg(long, default_value = "vsock:3:5000")]
    store: Address,
    /// The key of AWS KMS, or of another Sekisho, that wraps the root key: its ARN
    #[arg(
        long,
        value_name = "ARN",
        requires_all = ["unseal_kms_endpoint", "unseal_kms_roots"]
    )]
    unseal_kms_key: Option<KeyArn>,
    /// Where that KMS is reached, through the host's egress; its certificate must have this name
    #[arg(long, value_name = "NAME:PORT", requires = "unseal_kms_key")]
    unseal_kms_endpoint: Option<Destination>,
    /// A root certificate that the KMS's certificate may chain to: PEM without its first and last
    /// line and line breaks; repeatable. For AWS the Amazon Root CAs 1 to 4
    #[arg(
        long = "unseal-kms-root",
        value_name = "BASE64",
        value_parser = certificate,
        requires = "unseal_kms_key"
    )]
    unseal_kms_roots: Vec<Certificate>,
    /// A worker of the same service that has the root key and gives it to this one: where it is
    /// reached, through the host's egress
    #[arg(
        long,
        value_name = "NAME:PORT",
        requires = "unseal_peer_service",
        conflicts_with_all = ["unseal_kms_key", "unseal_holders"]
    )]
    unseal_peer: Option<Destination>,
    /// Which service that is: service_ca_sha256 as `sekisho attest connect --json` prints it
    #[arg(long, value_name = "HEX", value_parser = sha256, requires = "unseal_peer")]
    unseal_peer_service: Option<[u8; 32]>,
    /// What a worker may run that gets the root key from this one, or gives it: registers as
    /// 0=HEX,1=HEX,2=HEX; repeatable
    #[arg(long = "peer-measurement", value_name = "PCRS")]
    peer_measurements: Vec<Measurement>,
    /// The public key of an operator whose statement may allow another measurement, in the form of
    /// --auditor-key; repeatable
    #[arg(
        long = "peer-operator",
        value_name = "BASE64",
        value_parser = auditor_key,
        requires = "peer_operators_needed"
    )]
    peer_operators: Vec<AuditorKey>,
    /// How many operators it takes
    #[arg(long, value_name = "NUMBER", requires = "peer_operators")]
    peer_operators_needed: Option<u8>,
    /// A statement that operators have signed (sekisho upgrade sign), its file in base64; repeatable,
    /// and not measured
    #[arg(long = "upgrade-statement", value_name = "BASE64", value_parser = statement)]
    upgrade_statements: Vec<SignedStatement>,
    /// The public key of an operator who holds a share of the key that wraps the root key: P-384, PEM
    /// without its first and last line and line breaks; repeatable, share 1 is the first one's
    #[arg(
        long = "unseal-holder",
        value_name = "BASE64",
        value_parser = auditor_key,
        requires = "unseal_threshold",
        conflicts_with = "unseal_kms_key"
    )]
    unseal_holders: Vec<AuditorKey>,
    /// How many of these operators unseal the worker together: 2 to all of them
    #[arg(long, value_name = "NUMBER", requires = "unseal_holders")]
    unseal_threshold: Option<u8>,
    /// Where the holders are to change (sekisho rekey): the public key of one who holds a share now, in
    /// the same form and order as at the starts before; repeatable
    #[arg(
        long = "unseal-former-holder",
        value_name = "BASE64",
        value_parser = auditor_key,
        requires_all = ["unseal_former_threshold", "unseal_holders"]
    )]
    unseal_former_holders: Vec<AuditorKey>,
    /// How many of those it takes
    #[arg(long, value_name = "NUMBER", requires = "unseal_former_holders")]
    unseal_former_threshold: Option<u8>,
    /// Where the host's egress listens
    #[arg(long, value_name = "ADDRESS", default_value = "vsock:3:5001")]
    egress: Address,
    /// The auditor's public key, to which the audit log is encrypted: a P-384 key in PEM without
    /// its first and last line and line breaks (sekisho audit keygen)
    #[arg(long, value_name = "BASE64", value_parser = auditor_key)]
    auditor_key: AuditorKey,
    /// The administrator's public key, in the same form: a new service encrypts its first access key
    /// to it (sekisho principal keygen, sekisho principal claim)
    #[arg(long, value_name = "BASE64", value_parser = auditor_key)]
    administrator_key: Option<AuditorKey>,
    /// A further name or address for the TLS certificate; repeatable
    #[arg(long = "name")]
    names: Vec<String>,
    /// Request quotas to begin with: AWS's defaults for the region, or none
    #[arg(long, value_enum, default_value_t = Base::Aws)]
    quotas: Base,
    /// Another quota than these: CreateKey=50, CreateKey=1/10 (one in ten seconds), CreateKey=none;
    /// repeatable
    #[arg(long = "quota", value_name = "NAME=REQUESTS[/SECONDS]")]
    changed_quotas: Vec<QuotaChange>,
    /// Admit policy components of up to this size, as 20MiB, in place of 1920KiB: what holds a whole
    /// interpreter, such as a policy in Python. Trying one takes up to 128 MiB and 32 bytes a byte
    #[arg(long, value_name = "SIZE")]
    policy_module_size: Option<PolicyModuleSize>,
    /// How log lines look; RUST_LOG chooses which there are
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Base {
    Aws,
    None,
}

/// DER SubjectPublicKeyInfo; what is in it is checked with the whole configuration.
type AuditorKey = Vec<u8>;

/// DER, checked in the same way.
type Certificate = Vec<u8>;

fn certificate(text: &str) -> Result<Certificate, base64::DecodeError> {
    base64::engine::general_purpose::STANDARD.decode(text)
}

fn sha256(text: &str) -> Result<[u8; 32], &'static str> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or("it is 64 hexadecimal digits")
}

fn statement(text: &str) -> Result<SignedStatement, &'static str> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
    let statement = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    statement.ok_or("it is not a file of `sekisho upgrade sign` in base64")
}

fn auditor_key(text: &str) -> Result<AuditorKey, base64::DecodeError> {
    base64::engine::general_purpose::STANDARD.decode(text)
}

impl Options {
    /// From the text that a host hands over, or a file with it.
    ///
    /// # Errors
    /// [`Unstartable`], in one line.
    pub fn from_text(text: &str) -> Result<Self, Unstartable> {
        let options = Self::try_parse_from(text::arguments(text)?)?;
        options.configuration().check()?;
        Ok(options)
    }

    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        }
    }

    /// What is measured of them.
    pub fn configuration(&self) -> BootConfiguration {
        let home = self.regions.first().cloned().unwrap_or_default();
        let quotas = match self.quotas {
            Base::Aws => Quotas::aws(&home),
            Base::None => Quotas::none(),
        };
        let kms = self.unseal_kms_key.clone().zip(self.unseal_kms_endpoint.clone());
        let peer = self.unseal_peer.clone().zip(self.unseal_peer_service);
        let unseal = match (kms, self.unseal_threshold, peer) {
            (Some((key, endpoint)), _, _) => {
                let roots = self.unseal_kms_roots.clone();
                UnsealProvider::AwsKms(AwsKms { key, endpoint, roots })
            }
            (None, Some(threshold), _) => {
                let holders = self.unseal_holders.clone();
                let former = self.unseal_former_threshold.map(|threshold| FormerHolders {
                    holders: self.unseal_former_holders.clone(),
                    threshold,
                });
                UnsealProvider::OperatorShares(OperatorShares { holders, threshold, former })
            }
            (None, None, Some((endpoint, service_ca_sha256))) => {
                UnsealProvider::Peer(Peer { endpoint, service_ca_sha256 })
            }
            (None, None, None) => UnsealProvider::Nothing,
        };
        let nitro: Vec<Vec<u8>> = TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect();
        let has_peers = !self.peer_measurements.is_empty() || !self.peer_operators.is_empty();
        let peers = has_peers.then(|| Peers {
            roots: nitro.clone(),
            measurements: self.peer_measurements.clone(),
            operators: self.peer_operators.clone(),
            operators_needed: self.peer_operators_needed.unwrap_or_default(),
        });
        BootConfiguration {
            region: home,
            other_regions: self.regions.iter().skip(1).cloned().collect(),
            account: self.account.clone(),
            unseal,
            caller_roots: nitro,
            auditor_key: self.auditor_key.clone(),
            administrator_key: self.administrator_key.clone(),
            names: self.names.clone(),
            quotas: quotas.with(self.changed_quotas.clone()),
            peers,
            policy_module_size: self.policy_module_size,
        }
    }

    /// A worker with them. None of them is a root key or an access key.
    pub fn boot(self, nsm: Arc<dyn Nsm>, compiler: Option<CompileHelper>) -> Boot {
        let configuration = self.configuration();
        let goes_out =
            matches!(configuration.unseal, UnsealProvider::AwsKms(_) | UnsealProvider::Peer(_));
        Boot {
            configuration,
            nsm,
            root_key: None,
            root_key_file: None,
            egress: goes_out.then_some(self.egress),
            statements: self.upgrade_statements,
            credentials: Vec::new(),
            listen: self.listen,
            store: self.store,
            bounds: Bounds::default(),
            compiler,
        }
    }
}

/// Why a worker does not start with a text.
#[derive(Debug, Error)]
pub enum Unstartable {
    /// A line is no option.
    #[error("{0}")]
    Option(#[from] InvalidOption),
    /// An option that there is not, is missing, or has a value of another form.
    #[error("{}", first_paragraph(.0))]
    Argument(#[from] clap::Error),
    /// The options do not go together, or say what no worker starts with.
    #[error("{0}")]
    Configuration(#[from] InvalidConfiguration),
}

/// In one line, without what clap says about its usage.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDITOR: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEWB44r5sVx9n4vzOn4g8WCudxLRFSOa4/NAqkv3xX+vmac4zyKc734TZTLTkExA5En6Q6M1LCQGOun7TU4yGJpZgziudb2iYFqwzujTHD0z+/pI20EiRa++Tmx6F2Fc1j";

    fn read(text: &str) -> Result<[u8; 48], String> {
        let options = Options::from_text(text).map_err(|error| error.to_string())?;
        Ok(options.configuration().sha384().unwrap())
    }

    fn text(more: &str) -> String {
        format!("region = eu-central-1\naccount = 111122223333\nauditor-key = {AUDITOR}\n{more}")
    }

    #[test]
    fn another_configuration_from_the_host_has_another_digest_for_pcr16() {
        let given = read(&text("")).unwrap();
        let arguments = ["", "--region=eu-central-1", "--account=111122223333"];
        let auditor = format!("--auditor-key={AUDITOR}");
        let arguments = Options::parse_from(arguments.into_iter().chain([auditor.as_str()]));
        let started = arguments.configuration().sha384().unwrap();
        assert_eq!(given, started, "the same options are the same configuration, however given");

        assert_eq!(given, read(&text("# the same\nstore = vsock:2:5000")).unwrap());
        for more in [
            "region = us-east-1",
            "name = kms.example",
            "quota = CreateKey=1",
            "policy-module-size = 20MiB",
        ] {
            assert_ne!(given, read(&text(more)).unwrap(), "{more}");
        }
    }

    #[test]
    fn a_text_that_no_worker_starts_with_is_refused_in_one_line() {
        for (given, reason) in [
            (
                String::new(),
                "the following required arguments were not provided: --region <REGION> ",
            ),
            (text("account = 111122223333"), "the argument '--account <ACCOUNT>' cannot be used "),
            (text("nothing"), "line 4 is not of the form name = value"),
            (text("rooot = 1"), "unexpected argument '--rooot' found"),
            (text("help = 1"), "unexpected value '1' for '--help' found; no more were expected"),
            (
                text("store = vsock:2"),
                "invalid value 'vsock:2' for '--store <STORE>': the port is ",
            ),
            (text("region = eu-central-1"), "region \"eu-central-1\" is given twice"),
            (
                text("unseal-threshold = 2"),
                "the following required arguments were not provided: --unseal-holder <BASE64>",
            ),
            (
                text(&format!("unseal-threshold = 2\nunseal-holder = {AUDITOR}")),
                "the threshold is 2 at the least, since with 1 each holder alone would have the root \
                 key, and the number of holders at the most; it is 2 of 1",
            ),
            (
                text("policy-module-size = 20MB"),
                "invalid value '20MB' for '--policy-module-size <SIZE>': a size of policy components",
            ),
            (text("unseal-kms-key = x"), "invalid value 'x' for '--unseal-kms-key <ARN>'"),
        ] {
            let refused = read(&given).unwrap_err();
            assert!(refused.starts_with(reason), "{refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
