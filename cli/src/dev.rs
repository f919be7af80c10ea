//! `sekisho dev`: a service on this machine, for development.

mod announce;

use std::net::SocketAddr;
use std::path::PathBuf;

use sekisho_enclave::{
    FormerHolders, KeyArn, OperatorShares, PolicyModuleSize, QuotaChange, Quotas,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::checkpoints::{Memory, Report};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::key_pair;
use crate::measurement::certificates;
use crate::service::folder::Folder;
use crate::service::identity::{Account, Region, User};
use crate::service::processes::Log;
use crate::service::settings::Wanted;
use crate::service::unseal::KmsSettings;
use crate::service::{Options, Service, default_folder};

const EXAMPLES: &str = "\
Examples:
  Start it, and in another terminal let the AWS CLI find it:
    sekisho dev
    . ~/.local/share/sekisho/dev/env && aws kms create-key

  With two users beside the account's root, each a profile of the credentials file:
    sekisho dev --user alice --user bob
    AWS_PROFILE=alice aws kms list-keys

  In two Regions, with multi-Region keys between them:
    sekisho dev --region us-east-1 --region eu-west-1

  One service that unseals another, here a service B by a key of the service in the default folder:
    sekisho dev --data-dir B --prepare
    sekisho dev --caller-root B/development-root.pem
    sekisho dev --data-dir B --listen 127.0.0.1:8444 --unseal-kms https://127.0.0.1:8443 \
      --unseal-key arn:aws:kms:us-east-1:000000000000:key/... \
      --unseal-ca ~/.local/share/sekisho/dev/ca.pem \
      --unseal-credentials ~/.local/share/sekisho/dev/credentials

  One that two of three operators unseal together (sekisho unseal --help has the rest):
    sekisho dev --data-dir ceremony --unseal-holder alice-public.pem \
      --unseal-holder bob-public.pem --unseal-holder carol-public.pem --unseal-threshold 2

  In a folder of its own, on any free port, for a program:
    sekisho dev --data-dir ./kms --listen 127.0.0.1:0 --json

  Forget everything that was kept:
    sekisho dev --reset";

/// Run a service on this machine, for development.
///
/// Starts the untrusted host and the worker as two processes, with an emulated NSM in place of
/// the device, verifies the worker's attestation through the host, and prints what an AWS client
/// needs in its environment. Ctrl-C stops both. A second start finds the keys of the first.
///
/// It proves nothing about hardware: the root key is in a file, the worker is a plain process, and
/// whoever can read the data folder can read every key.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder for keys, credentials and the store [default: sekisho/dev under XDG_DATA_HOME
    /// or ~/.local/share].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Where AWS clients connect; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// The region in ARNs and signatures; fixed when the folder is made [default: us-east-1].
    /// Repeatable: further regions are served beside the first, and kept for later starts.
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,

    /// The account, twelve digits; fixed when the folder is made [default: 000000000000].
    #[arg(long)]
    account: Option<Account>,

    /// An IAM user with an access key of its own; repeatable, and kept for later starts.
    #[arg(long = "user", value_name = "NAME")]
    users: Vec<User>,

    /// Encrypt the audit log to this public key, PEM, in place of one that is made here; kept for
    /// later starts. `sekisho audit keygen` makes a pair.
    #[arg(long, value_name = "FILE")]
    auditor_key: Option<PathBuf>,

    /// Encrypt the first access key of a new service to this public key, PEM, as a service in an
    /// enclave does; kept for later starts. `sekisho principal keygen` makes a pair, and `sekisho
    /// principal claim` fetches the access key.
    #[arg(long, value_name = "FILE")]
    administrator_key: Option<PathBuf>,

    /// Throttle requests by AWS's default request quotas; without this there are none.
    #[arg(long)]
    aws_quotas: bool,

    /// A request quota of its own name: CreateKey=50, CreateKey=1/10 (one in ten seconds) or
    /// CreateKey=none; repeatable.
    #[arg(long = "quota", value_name = "NAME=REQUESTS[/SECONDS]")]
    quotas: Vec<QuotaChange>,

    /// Admit policy components of up to this size, in place of 1920KiB: 20MiB for policies in Python.
    /// Kept for later starts.
    #[arg(long, value_name = "SIZE")]
    policy_module_size: Option<PolicyModuleSize>,

    /// A further root certificate, PEM or DER, that callers' attestation documents may chain to, such
    /// as another service's development-root.pem; repeatable, and kept for later starts.
    #[arg(long = "caller-root", value_name = "FILE")]
    caller_roots: Vec<PathBuf>,

    #[command(flatten)]
    unseal: Unseal,

    /// Make the folder with its development root, and exit: another service can be told of the root
    /// before this one starts.
    #[arg(long, conflicts_with = "reset")]
    prepare: bool,

    /// Remove what an earlier start made in the folder, and exit.
    #[arg(long)]
    reset: bool,

    /// Print one line of JSON when the service is ready, instead of text.
    #[arg(long)]
    json: bool,

    /// Where the host answers GET /metrics (for Prometheus) and GET /healthz, over plain HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,

    /// Let the host write every byte that it carries to files in this folder.
    #[arg(long, value_name = "DIR")]
    record_traffic: Option<PathBuf>,
}

/// A KMS that unwraps the root key, in place of a file; kept for later starts.
#[derive(clap::Args, Debug)]
struct Unseal {
    /// The KMS that unwraps the root key: AWS KMS, or another `sekisho dev`.
    #[arg(
        long = "unseal-kms",
        value_name = "https://HOST[:PORT]",
        requires_all = ["unseal_key", "unseal_ca", "unseal_credentials"]
    )]
    unseal_kms: Option<Endpoint>,

    /// The ARN of the key there that wraps it.
    #[arg(long, value_name = "ARN", requires = "unseal_kms")]
    unseal_key: Option<KeyArn>,

    /// The root certificates of that KMS, PEM or DER: another service's ca.pem.
    #[arg(long, value_name = "FILE", requires = "unseal_kms")]
    unseal_ca: Option<PathBuf>,

    /// The AWS credentials for it: another service's file, or JSON as
    /// `aws configure export-credentials --format process` prints it. Read for each request.
    #[arg(long, value_name = "FILE", requires = "unseal_kms")]
    unseal_credentials: Option<PathBuf>,

    /// The public key, PEM, of an operator who holds a share of the key that wraps the root key;
    /// repeatable. Enough of them unseal the service at each start: sekisho init, sekisho unseal.
    #[arg(
        long = "unseal-holder",
        value_name = "FILE",
        requires = "unseal_threshold",
        conflicts_with = "unseal_kms"
    )]
    unseal_holders: Vec<PathBuf>,

    /// How many of these operators it takes: 2 to all of them.
    #[arg(long, value_name = "NUMBER", requires = "unseal_holders")]
    unseal_threshold: Option<u8>,

    /// Where the operators are to change (sekisho rekey): the public key (PEM) of one who holds a share
    /// now; repeatable, in the order of before.
    #[arg(
        long = "unseal-former-holder",
        value_name = "FILE",
        requires_all = ["unseal_former_threshold", "unseal_holders"]
    )]
    unseal_former_holders: Vec<PathBuf>,

    /// How many of those it takes.
    #[arg(long, value_name = "NUMBER", requires = "unseal_former_holders")]
    unseal_former_threshold: Option<u8>,

    /// The profile in that file.
    #[arg(long, value_name = "NAME", default_value = "default", requires = "unseal_kms")]
    unseal_profile: String,
}

impl Unseal {
    fn operators(&self) -> Result<Option<OperatorShares>, Failure> {
        let Some(threshold) = self.unseal_threshold else { return Ok(None) };
        let keys = |files: &[PathBuf]| {
            let keys = files.iter().map(|file| key_pair::public_key(file));
            keys.collect::<Result<_, _>>().map_err(Failure::usage)
        };
        let former = match self.unseal_former_threshold {
            Some(threshold) => {
                Some(FormerHolders { holders: keys(&self.unseal_former_holders)?, threshold })
            }
            None => None,
        };
        Ok(Some(OperatorShares { holders: keys(&self.unseal_holders)?, threshold, former }))
    }

    fn settings(self) -> Result<Option<KmsSettings>, Failure> {
        let Self { unseal_kms, unseal_key, unseal_ca, unseal_credentials, unseal_profile, .. } =
            self;
        let (Some(endpoint), Some(key), Some(ca), Some(credentials)) =
            (unseal_kms, unseal_key, unseal_ca, unseal_credentials)
        else {
            return Ok(None);
        };
        let roots = certificates(&ca)?;
        let credentials = std::path::absolute(&credentials).map_err(Failure::failed)?;
        KmsSettings::new(&endpoint, key, roots, credentials, unseal_profile)
            .map(Some)
            .map_err(Failure::usage)
    }
}

/// Runs until Ctrl-C or SIGTERM, or until host or worker ends.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.data_dir.or_else(default_folder).ok_or_else(|| {
        Failure::usage("neither XDG_DATA_HOME nor HOME says where data belong: give --data-dir")
    })?;
    if arguments.reset {
        return Folder::reset(&path).map_err(Failure::failed);
    }

    // From here on a signal means: stop in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stopped);

    let mut caller_roots = Vec::new();
    for file in &arguments.caller_roots {
        caller_roots.extend(certificates(file)?);
    }
    let wanted = Wanted {
        regions: arguments.regions,
        account: arguments.account,
        caller_roots,
        administrator_key: arguments
            .administrator_key
            .as_deref()
            .map(key_pair::public_key)
            .transpose()
            .map_err(Failure::usage)?,
        operators: arguments.unseal.operators()?,
        policy_module_size: arguments.policy_module_size,
        unseal: arguments.unseal.settings()?,
    };
    let folder = Folder::open(&path, &wanted).map_err(Failure::failed)?;
    if arguments.prepare {
        Service::development(&folder).map_err(Failure::failed)?;
        let root = folder.development_root();
        println!("{}", root.display());
        return Ok(());
    }
    let region = folder.settings().region.to_string();
    let quotas = if arguments.aws_quotas { Quotas::aws(&region) } else { Quotas::none() };
    let options = Options {
        listen: arguments.listen,
        users: arguments.users,
        metrics_listen: arguments.metrics_listen,
        record_traffic: arguments.record_traffic,
        auditor_key: arguments.auditor_key,
        quotas: quotas.with(arguments.quotas),
        log: Log::Stderr,
    };
    // Before the service is asked.
    let memory = Memory::open();
    let mut service = tokio::select! {
        service = Service::start(folder, options) => service.map_err(Failure::failed)?,
        () = &mut stopped => return Ok(()),
    };
    if service.is_sealed() {
        announce::sealed(&service, arguments.json).map_err(Failure::failed)?;
        let unsealed = tokio::select! {
            unsealed = service.unsealed() => Some(unsealed.map_err(Failure::failed)?),
            () = &mut stopped => None,
        };
        if unsealed.is_none() {
            return service.stop().await.map_err(Failure::failed);
        }
    }
    let checkpoints = Report::of(memory, &service.attested().served(service.endpoint()));
    checkpoints.warn();
    announce::ready(&service, &checkpoints, arguments.json).map_err(Failure::failed)?;

    tokio::select! {
        error = service.failed() => {
            // The other one is stopped too; the first failure is the one to tell.
            let _ = service.stop().await;
            Err(Failure::failed(error))
        }
        () = &mut stopped => service.stop().await.map_err(Failure::failed),
    }
}
