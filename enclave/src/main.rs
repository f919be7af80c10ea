//! The shipped worker: runs inside a Nitro enclave, with the real NSM and nothing else.

use base64::Engine as _;
use clap::{Parser, ValueEnum};
use sekisho_attestation::TrustAnchors;
use sekisho_enclave::{
    AwsKms, Boot, BootConfiguration, Bounds, CompileHelper, KeyArn, LogFormat, Measurement, Peer,
    Peers, QuotaChange, Quotas, SignedStatement, UnsealProvider, start_log,
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
                  It needs /dev/nsm. Until it is unsealed, and for good without --unseal-kms-key or \
                  --unseal-peer, the worker answers only GET /health and GET /attestation. docs/unsealing.md has the \
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
    /// A worker of the same service that has the root key and gives it to this one: where it is
    /// reached, through the host's egress
    #[arg(
        long,
        value_name = "NAME:PORT",
        requires = "unseal_peer_service",
        conflicts_with = "unseal_kms_key"
    )]
    unseal_peer: Option<Destination>,
    /// Which service that is: service_ca_sha256 as `sekisho attest connect --json` prints it
    #[arg(long, value_name = "HEX", value_parser = sha256, requires = "unseal_peer")]
    unseal_peer_service: Option<[u8; 32]>,
    /// What a worker may run that gets the root key from this one, or gives it: registers as
    /// 0=HEX,1=HEX,2=HEX; repeatable
    #[arg(long = "peer-measurement", value_name = "PCRS")]
    peer_measurements: Vec<Measurement>,
    /// The public key of an operator whose statement may allow another measurement, as
    /// --auditor-key; repeatable
    #[arg(
        long = "peer-operator",
        value_name = "BASE64",
        value_parser = operator,
        requires = "peer_operators_needed"
    )]
    peer_operators: Vec<Operator>,
    /// How many operators it takes
    #[arg(long, value_name = "NUMBER", requires = "peer_operators")]
    peer_operators_needed: Option<u8>,
    /// A statement that operators have signed (sekisho upgrade sign), its file in base64; repeatable
    #[arg(long = "upgrade-statement", value_name = "BASE64", value_parser = statement)]
    upgrade_statements: Vec<SignedStatement>,
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

/// The same.
type Operator = Vec<u8>;

fn operator(text: &str) -> Result<Operator, base64::DecodeError> {
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
    let kms = arguments.unseal_kms_key.zip(arguments.unseal_kms_endpoint);
    let peer = arguments.unseal_peer.zip(arguments.unseal_peer_service);
    let (unseal, egress) = match (kms, peer) {
        (Some((key, endpoint)), _) => {
            let kms = AwsKms { key, endpoint, roots: arguments.unseal_kms_roots };
            (UnsealProvider::AwsKms(kms), Some(arguments.egress))
        }
        (None, Some((endpoint, service_ca_sha256))) => {
            (UnsealProvider::Peer(Peer { endpoint, service_ca_sha256 }), Some(arguments.egress))
        }
        (None, None) => (UnsealProvider::Nothing, None),
    };
    let nitro: Vec<Vec<u8>> = TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect();
    let has_peers = !arguments.peer_measurements.is_empty() || !arguments.peer_operators.is_empty();
    let peers = has_peers.then(|| Peers {
        roots: nitro.clone(),
        measurements: arguments.peer_measurements,
        operators: arguments.peer_operators,
        operators_needed: arguments.peer_operators_needed.unwrap_or_default(),
    });
    let configuration = BootConfiguration {
        region: home,
        other_regions: regions.collect(),
        account: arguments.account,
        unseal,
        caller_roots: nitro,
        auditor_key: arguments.auditor_key,
        administrator_key: arguments.administrator_key,
        names: arguments.names,
        quotas: quotas.with(arguments.changed_quotas),
        peers,
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
        statements: arguments.upgrade_statements,
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
