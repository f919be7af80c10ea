//! The untrusted host of Sekisho: relays bytes and keeps sealed blobs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use sekisho_host::{
    Config, CredentialsSource, EgressConfig, WorkerConfiguration, raise_open_files_limit, run,
};
use sekisho_wire::egress::Destination;
use sekisho_wire::{Address, handover};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// The untrusted host of Sekisho: relays callers' bytes to the sealed worker, and keeps what the
/// worker has sealed.
///
/// It holds no key and can read nothing of what it carries. Host and worker start in any order.
/// SIGTERM or SIGINT stops accepting, lets live connections finish and exits with 0; a second one
/// exits at once.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Where callers connect.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// Where the worker takes connections: vsock:<cid>:<port>, hybrid:<socket>:<port> or
    /// unix:<path>.
    #[arg(long, value_name = "ADDRESS")]
    worker: Address,

    /// Where to wait for the worker's store messages, an address of the same kind.
    #[arg(long, value_name = "ADDRESS")]
    store: Address,

    /// The folder of the store.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// The most connections that are relayed at once; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    max_connections: usize,

    /// The most connections that are relayed at once from one address; further ones are closed. Not
    /// for a host behind a load balancer, whose address all callers have.
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<usize>,

    /// Tells the worker where each connection comes from, by a PROXY protocol header of version 2:
    /// policies see the address as `aws:SourceIp`, and may not take it for proven. A worker of before
    /// 0.2 does not understand it.
    #[arg(long)]
    proxy_protocol: bool,

    /// How long a connection may carry nothing before it is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 350, value_parser = seconds())]
    idle_seconds: u64,

    /// The same for a connection that one side has closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
    half_closed_seconds: u64,

    /// How long live connections may take to finish after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain_seconds: u64,

    /// Where to answer GET /metrics (for Prometheus) and GET /healthz, over plain HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,

    /// Where to wait for the worker's requests for a way out, an address as for --store. It needs one
    /// to reach the KMS that wraps its root key.
    #[arg(long, value_name = "ADDRESS")]
    egress_listen: Option<Address>,

    /// A destination that the worker may connect to; repeatable. There are no others.
    #[arg(long = "egress", value_name = "NAME:PORT", requires = "egress_listen")]
    egress: Vec<Destination>,

    /// The AWS credentials that the worker signs its requests to that KMS with: a file (JSON as
    /// `aws configure export-credentials --format process` prints it, or a shared credentials file),
    /// read again for each request, or `imds` for the role of this instance. They let nobody have the
    /// root key: the KMS key's policy asks for the worker's measurement.
    #[arg(long, value_name = "FILE|imds", requires = "egress_listen")]
    kms_credentials: Option<PathBuf>,

    /// The profile in a shared credentials file.
    #[arg(long, value_name = "NAME", default_value = "default", requires = "kms_credentials")]
    kms_profile: String,

    /// The options that a worker in an image is started with, one `name = value` a line, the names
    /// those of sekisho-enclave's options. It is handed over on port 8444 of --worker whenever the
    /// worker starts, and measured there into PCR16; its log comes back the same way.
    #[arg(long, value_name = "FILE")]
    worker_configuration: Option<PathBuf>,

    /// How log lines look; RUST_LOG chooses which there are.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// For debugging: also write every byte of relay and store to files in this folder.
    #[arg(long, value_name = "DIR")]
    record_traffic: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  A worker in an AWS Nitro enclave with CID 16, which reaches this parent instance on port 5000:
    sekisho-host --listen 0.0.0.0:8443 --worker vsock:16:8443 --store vsock:any:5000 --data /var/lib/sekisho

  A worker in a Firecracker, Cloud Hypervisor or QEMU VM behind a hybrid vsock socket:
    sekisho-host --worker hybrid:/run/vm/v.sock:8443 --store hybrid:/run/vm/v.sock:5000 --data /var/lib/sekisho

  The same, with a root key that AWS KMS unwraps for the worker's measurement alone:
    sekisho-host … --egress-listen vsock:any:5001 --egress kms.eu-central-1.amazonaws.com:443 --kms-credentials imds

  A worker in an image, which is given its boot configuration at each start:
    sekisho-host … --worker vsock:16:8443 --worker-configuration /etc/sekisho/worker.conf

  A worker that is a plain process:
    sekisho-host --worker unix:/run/sekisho/worker.sock --store unix:/run/sekisho/store.sock --data ./data";

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A silence of nothing would close every connection, and one of decades none.
fn seconds() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=31_536_000)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = arguments.check() {
        error.exit();
    }
    start_log(arguments.log_format);
    check_open_files_limit(arguments.max_connections);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let status = runtime.block_on(host(arguments));
    // A connection that outlived its drain must not hold the process.
    runtime.shutdown_background();
    status
}

impl Arguments {
    fn check(&self) -> Result<(), clap::Error> {
        if self.worker_configuration.is_some() && self.worker.at_port(handover::PORT).is_none() {
            return Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                "--worker-configuration is for a worker behind vsock: or hybrid:, which has no \
                 arguments; a plain process is given them",
            ));
        }
        Ok(())
    }
}

/// Two files for each connection, and some for the store.
fn check_open_files_limit(max_connections: usize) {
    let needed = (max_connections as u64).saturating_mul(2).saturating_add(100);
    match raise_open_files_limit() {
        Ok(Some(limit)) if limit < needed => {
            warn!(limit, needed, "too few open files are allowed for --max-connections");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "the limit of open files cannot be raised"),
    }
}

async fn host(arguments: Arguments) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let signalled = async move {
        let name = signals.next().await;
        info!(signal = name, "shutting down");
        let _ = stop.send(());
        signals.next().await;
    };
    let shutdown = async move {
        let _ = stopped.await;
    };
    tokio::select! {
        ended = run(arguments.into(), |_| {}, shutdown) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        () = signalled => fail(&"stopped by a second signal"),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    error!("{error}");
    ExitCode::FAILURE
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Where the metadata service listens on EC2, unless `AWS_EC2_METADATA_SERVICE_ENDPOINT` says
/// another place ("IMDS credential provider" in the AWS SDKs and Tools reference guide).
fn metadata_endpoint() -> String {
    let told = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").ok();
    told.unwrap_or_else(|| "http://169.254.169.254".to_owned())
}

fn credentials_source(given: PathBuf, profile: String) -> CredentialsSource {
    match given.as_os_str() == "imds" {
        true => CredentialsSource::InstanceMetadata { endpoint: metadata_endpoint() },
        false => CredentialsSource::File { path: given, profile },
    }
}

impl From<Arguments> for Config {
    fn from(arguments: Arguments) -> Self {
        let credentials = arguments.kms_credentials;
        let profile = arguments.kms_profile;
        let credentials = credentials.map(|given| credentials_source(given, profile));
        let allowed = arguments.egress;
        let egress =
            arguments.egress_listen.map(|listen| EgressConfig { listen, allowed, credentials });
        let waits_at = arguments.worker.at_port(handover::PORT);
        let worker_configuration = waits_at
            .zip(arguments.worker_configuration)
            .map(|(worker, file)| WorkerConfiguration { worker, file });
        let Arguments { listen, worker, store, data, .. } = arguments;
        Self {
            max_connections: arguments.max_connections,
            max_connections_per_address: arguments.max_connections_per_address,
            proxy_protocol: arguments.proxy_protocol,
            idle: Duration::from_secs(arguments.idle_seconds),
            half_closed: Duration::from_secs(arguments.half_closed_seconds),
            metrics_listen: arguments.metrics_listen,
            drain: Duration::from_secs(arguments.drain_seconds),
            record_traffic: arguments.record_traffic,
            egress,
            worker_configuration,
            ..Self::new(listen, worker, store, data)
        }
    }
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
