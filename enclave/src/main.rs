//! The shipped worker: runs inside a Nitro enclave, with the real NSM and nothing else.

use base64::Engine as _;
use clap::{Parser, ValueEnum};
use sekisho_attestation::TrustAnchors;
use sekisho_enclave::{
    AwsKms, Boot, BootConfiguration, Bounds, CompileHelper, KeyArn, LogFormat, QuotaChange, Quotas,
    UnsealProvider, start_log,
};
use sekisho_wire::Address;
use sekisho_wire::egress::Destination;
use std::process::ExitCode;
use std::sync::Arc;
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
    if let Some(ended) = sekisho_enclave::play_compiler() {
        return ended;
    }
    let arguments = Arguments::parse();
    let format = match arguments.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    let ended = match start_log(format, &levels) {
        Ok(()) => run(arguments),
        Err(error) => Err(error.into()),
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

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let nsm = Arc::new(sekisho_nsm::Device::open()?);
    let mut regions = arguments.regions.into_iter();
    let home = regions.next().unwrap_or_default();
    let quotas = match arguments.quotas {
        Base::Aws => Quotas::aws(&home),
        Base::None => Quotas::none(),
    };
    let (unseal, egress) = match (arguments.unseal_kms_key, arguments.unseal_kms_endpoint) {
        (Some(key), Some(endpoint)) => {
            let kms = AwsKms { key, endpoint, roots: arguments.unseal_kms_roots };
            (UnsealProvider::AwsKms(kms), Some(arguments.egress))
        }
        _ => (UnsealProvider::Nothing, None),
    };
    let configuration = BootConfiguration {
        region: home,
        other_regions: regions.collect(),
        account: arguments.account,
        unseal,
        caller_roots: TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect(),
        auditor_key: arguments.auditor_key,
        administrator_key: arguments.administrator_key,
        names: arguments.names,
        quotas: quotas.with(arguments.changed_quotas),
    };
    // The machine is the cage.
    let compiler = CompileHelper::start(false);
    if let Err(error) = &compiler {
        eprintln!("sekisho-enclave: no policy module can be registered: {error}");
    }
    let boot = Boot {
        configuration,
        nsm,
        root_key: None,
        egress,
        credentials: Vec::new(),
        listen: arguments.listen,
        store: arguments.store,
        bounds: Bounds::default(),
        compiler: compiler.ok(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = async move {
            terminate.recv().await;
        };
        Ok(sekisho_enclave::run(boot, || {}, shutdown).await?)
    })
}
