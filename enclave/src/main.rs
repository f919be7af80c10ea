//! The shipped worker: runs inside a Nitro enclave, with the real NSM and nothing else.

use base64::Engine as _;
use clap::{Parser, ValueEnum};
use sekisho_attestation::TrustAnchors;
use sekisho_enclave::image::{self, InvalidOption, Machine};
use sekisho_enclave::{
    AwsKms, Boot, BootConfiguration, Bounds, InvalidConfiguration, KeyArn, LogFormat, QuotaChange,
    Quotas, UnsealProvider, start_log,
};
use sekisho_nsm::Nsm;
use sekisho_wire::egress::Destination;
use sekisho_wire::{Address, handover};
use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// The sealed worker of Sekisho, for an AWS Nitro enclave.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  sekisho-enclave --region eu-central-1 --account 111122223333 \\\n    \
                  --auditor-key MHYwEAYH... --listen vsock:4294967295:8443 --store vsock:3:5000\n\n\
                  With a root key that AWS KMS unwraps for this worker's measurement alone:\n  \
                  sekisho-enclave ... --unseal-kms-key arn:aws:kms:eu-central-1:111122223333:key/... \\\n    \
                  --unseal-kms-endpoint kms.eu-central-1.amazonaws.com:443 --unseal-kms-root MIIDQTCC...\n\n\
                  It needs /dev/nsm. Until it is unsealed, and for good without --unseal-kms-key, the \
                  worker answers only GET /health and GET /attestation. docs/unsealing.md has the \
                  key's policy and the options of the host. To try the service on a laptop: sekisho \
                  dev"
)]
struct Arguments {
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
    /// Where the host's egress listens
    #[arg(long, value_name = "ADDRESS", default_value = "vsock:3:5001")]
    egress: Address,
    /// The auditor's public key, to which the audit log is encrypted: a P-384 key in PEM without
    /// its first and last line and line breaks (sekisho audit keygen)
    #[arg(long, value_name = "BASE64", value_parser = auditor_key)]
    auditor_key: AuditorKey,
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
    /// How log lines look; RUST_LOG chooses which there are
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
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

fn auditor_key(text: &str) -> Result<AuditorKey, base64::DecodeError> {
    base64::engine::general_purpose::STANDARD.decode(text)
}

fn main() -> ExitCode {
    let ended = match image::is_init() {
        true => run_in_image(),
        false => run_as_process(Arguments::parse()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Only a start fails, before there is a caller.
            eprintln!("sekisho-enclave: {error}");
            ExitCode::FAILURE
        }
    }
}

type Ended = Result<(), Box<dyn std::error::Error>>;

fn run_as_process(arguments: Arguments) -> Ended {
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    start_log(arguments.log_format(), &levels)?;
    let boot = arguments.boot(Arc::new(sekisho_nsm::Device::open()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = async move {
            terminate.recv().await;
        };
        Ok(sekisho_enclave::run(boot, || {}, shutdown).await?)
    })
}

/// Comes back only if the machine does not end.
fn run_in_image() -> Ended {
    let ended = Machine::prepare().map_err(Into::into).and_then(|machine| serve_image(&machine));
    if let Err(error) = ended {
        // To the console, which a debugger of the machine sees and nobody else.
        eprintln!("sekisho-enclave: {error}");
    }
    Err(image::restart().into())
}

fn serve_image(machine: &Machine) -> Ended {
    let nsm: Arc<dyn Nsm> = Arc::new(sekisho_nsm::Device::open()?);
    machine.trust_the_nsm(nsm.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::spawn(image::beat());
        let listener = handover::ADDRESS.listen().await?;
        let parse = |text: &str| configured(text, &nsm);
        let (given, host) = handover::receive(&listener, handover::PATIENCE, parse).await;
        // It has its configuration: nobody can give it another one.
        drop(listener);
        let (format, boot) = given;
        let log = image::start_sent_log(format, "info", host)?;
        tokio::spawn(image::keep_time(nsm.clone()));
        let ended = sekisho_enclave::run(boot, || {}, pending()).await;
        log.end(ended.as_ref().err().map(|error| error as &dyn std::fmt::Display)).await;
        Ok(ended?)
    })
}

/// What a host's text says, if a worker can start with it.
fn configured(text: &str, nsm: &Arc<dyn Nsm>) -> Result<(LogFormat, Boot), Unstartable> {
    let arguments = Arguments::try_parse_from(image::arguments(text)?)?;
    let (format, boot) = (arguments.log_format(), arguments.boot(nsm.clone()));
    boot.configuration.check()?;
    Ok((format, boot))
}

/// Why a worker does not start with a text.
#[derive(Debug, Error)]
enum Unstartable {
    #[error("{0}")]
    Option(#[from] InvalidOption),
    #[error("{}", first_paragraph(.0))]
    Argument(#[from] clap::Error),
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

impl Arguments {
    fn log_format(&self) -> LogFormat {
        match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        }
    }

    fn boot(self, nsm: Arc<dyn Nsm>) -> Boot {
        let mut regions = self.regions.into_iter();
        let home = regions.next().unwrap_or_default();
        let quotas = match self.quotas {
            Base::Aws => Quotas::aws(&home),
            Base::None => Quotas::none(),
        };
        let (unseal, egress) = match (self.unseal_kms_key, self.unseal_kms_endpoint) {
            (Some(key), Some(endpoint)) => {
                let kms = AwsKms { key, endpoint, roots: self.unseal_kms_roots };
                (UnsealProvider::AwsKms(kms), Some(self.egress))
            }
            _ => (UnsealProvider::Nothing, None),
        };
        let configuration = BootConfiguration {
            region: home,
            other_regions: regions.collect(),
            account: self.account,
            unseal,
            caller_roots: TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect(),
            auditor_key: self.auditor_key,
            names: self.names,
            quotas: quotas.with(self.changed_quotas),
        };
        Boot {
            configuration,
            nsm,
            root_key: None,
            egress,
            credentials: Vec::new(),
            listen: self.listen,
            store: self.store,
            bounds: Bounds::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of no enclave: nothing is asked before a configuration is taken.
    struct Silent;

    impl Nsm for Silent {
        fn process(&self, _: sekisho_nsm::wire::Request) -> sekisho_nsm::wire::Response {
            sekisho_nsm::wire::Response::Error(sekisho_nsm::wire::ErrorCode::InternalError)
        }
    }

    const AUDITOR: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEWB44r5sVx9n4vzOn4g8WCudxLRFSOa4/NAqkv3xX+vmac4zyKc734TZTLTkExA5En6Q6M1LCQGOun7TU4yGJpZgziudb2iYFqwzujTHD0z+/pI20EiRa++Tmx6F2Fc1j";

    fn read(text: &str) -> Result<[u8; 48], String> {
        let nsm: Arc<dyn Nsm> = Arc::new(Silent);
        let given = configured(text, &nsm).map_err(|error| error.to_string())?;
        Ok(given.1.configuration.sha384().unwrap())
    }

    fn text(more: &str) -> String {
        format!("region = eu-central-1\naccount = 111122223333\nauditor-key = {AUDITOR}\n{more}")
    }

    #[test]
    fn another_configuration_from_the_host_has_another_digest_for_pcr16() {
        let given = read(&text("")).unwrap();
        let arguments = ["", "--region=eu-central-1", "--account=111122223333"];
        let auditor = format!("--auditor-key={AUDITOR}");
        let arguments = Arguments::parse_from(arguments.into_iter().chain([auditor.as_str()]));
        let started = arguments.boot(Arc::new(Silent)).configuration.sha384().unwrap();
        assert_eq!(given, started, "the same options are the same configuration, however given");

        assert_eq!(given, read(&text("# the same\nstore = vsock:2:5000")).unwrap());
        for more in ["region = us-east-1", "name = kms.example", "quota = CreateKey=1"] {
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
            (text("unseal-kms-key = x"), "invalid value 'x' for '--unseal-kms-key <ARN>'"),
        ] {
            let refused = read(&given).unwrap_err();
            assert!(refused.starts_with(reason), "{refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
