//! `sekisho dev`: a service on this machine, for development.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use sekisho_enclave::{KeyArn, OperatorShares, QuotaChange, Quotas};
use serde_json::json;
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

    /// The profile in that file.
    #[arg(long, value_name = "NAME", default_value = "default", requires = "unseal_kms")]
    unseal_profile: String,
}

impl Unseal {
    fn operators(&self) -> Result<Option<OperatorShares>, Failure> {
        let Some(threshold) = self.unseal_threshold else { return Ok(None) };
        let holders = self.unseal_holders.iter().map(|file| key_pair::public_key(file));
        let holders = holders.collect::<Result<_, _>>().map_err(Failure::usage)?;
        Ok(Some(OperatorShares { holders, threshold }))
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
        announce_sealed(&service, arguments.json).map_err(Failure::failed)?;
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
    announce(&service, &checkpoints, arguments.json).map_err(Failure::failed)?;

    tokio::select! {
        error = service.failed() => {
            // The other one is stopped too; the first failure is the one to tell.
            let _ = service.stop().await;
            Err(Failure::failed(error))
        }
        () = &mut stopped => service.stop().await.map_err(Failure::failed),
    }
}

fn announce(service: &Service, checkpoints: &Report, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        serde_json::to_writer(&mut out, &ready(service, checkpoints))?;
        writeln!(out)?;
    } else {
        out.write_all(text(service).as_bytes())?;
    }
    out.flush()
}

/// Says what the key's policy has to ask for.
fn announce_sealed(service: &Service, as_json: bool) -> io::Result<()> {
    let folder = service.folder();
    if let Some(operators) = &folder.settings().operators {
        return announce_ceremony(service, operators, as_json);
    }
    let Some(unseal) = &folder.settings().unseal else { return Ok(()) };
    let (attested, key) = (service.attested(), &unseal.kms.key);
    let mut out = io::stdout().lock();
    if as_json {
        let sealed = json!({
            "sealed": true,
            "endpoint": service.endpoint().to_string(),
            "data_dir": folder.path(),
            "development_root": folder.development_root(),
            "unseal_key": key.as_str(),
            "unseal_kms": unseal.kms.endpoint.to_string(),
            "attestation": attested.to_json(),
        });
        serde_json::to_writer(&mut out, &sealed)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "\
Sekisho is sealed at {endpoint}, until
{key}
at {kms} unwraps its root key. That key's policy has to allow kms:GenerateDataKey and
kms:Decrypt under the condition of these registers (kms:RecipientAttestation:PCR<n>), and the KMS
to accept documents of {root}:
",
            endpoint = service.endpoint(),
            kms = unseal.kms.endpoint,
            root = folder.development_root().display(),
        )?;
        for (register, value) in attested.pcrs() {
            writeln!(out, "  PCR{register:<3} {value}")?;
        }
        writeln!(out)?;
    }
    out.flush()
}

/// Says what operators do next.
fn announce_ceremony(
    service: &Service,
    operators: &OperatorShares,
    as_json: bool,
) -> io::Result<()> {
    let (folder, attested) = (service.folder(), service.attested());
    let OperatorShares { holders, threshold } = operators;
    let mut out = io::stdout().lock();
    if as_json {
        let sealed = json!({
            "sealed": true,
            "endpoint": service.endpoint().to_string(),
            "data_dir": folder.path(),
            "development_root": folder.development_root(),
            "shares": holders.len(),
            "threshold": threshold,
            "attestation": attested.to_json(),
        });
        serde_json::to_writer(&mut out, &sealed)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "\
Sekisho is sealed at {endpoint}, until {threshold} of {shares} operators have given their
shares. The first time, have the shares made:

  sekisho init --endpoint {endpoint} --root {root} \\
    --any-measurement --shares {shares} --threshold {threshold} --out shares

and then each of them:

  sekisho unseal --endpoint {endpoint} --root {root} \\
    --any-measurement --share shares/share-1.json --private-key THEIRS.pem
",
            endpoint = service.endpoint(),
            shares = holders.len(),
            root = folder.development_root().display(),
        )?;
    }
    out.flush()
}

fn ready(service: &Service, checkpoints: &Report) -> serde_json::Value {
    let folder = service.folder();
    let settings = folder.settings();
    let attested = service.attested();
    json!({
        "endpoint": service.endpoint().to_string(),
        "data_dir": folder.path(),
        "regions": settings.regions().map(ToString::to_string).collect::<Vec<_>>(),
        "environment": service.environment().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "environment_file": folder.environment(),
        "credentials": folder.credentials(),
        "principals": service
            .credentials()
            .iter()
            .map(|credential| json!({
                "profile": credential.profile(),
                "arn": credential.principal_arn(&settings.account),
                "access_key_id": credential.access_key_id,
            }))
            .collect::<Vec<_>>(),
        "development_root": folder.development_root(),
        "ca": folder.ca(),
        "attestation": attested.to_json(),
        "rollback": checkpoints.to_json(),
        "development": true,
    })
}

fn text(service: &Service) -> String {
    let folder = service.folder();
    let settings = folder.settings();
    let mut text = format!(
        "\
Sekisho serves AWS KMS at {endpoint}

  FOR DEVELOPMENT. The NSM is emulated and proves nothing about hardware; the root key is
  {root_key}. Whoever can read {data} can read every key.

  The worker's attestation was verified over this endpoint: module {module},
  journal entry {sequence}.

  Account {account}, in {regions}.

  Profiles in the credentials file:
",
        account = settings.account,
        regions = settings.regions().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        endpoint = service.endpoint(),
        root_key = match (&settings.unseal, &settings.operators) {
            (Some(_), _) => "unwrapped for whoever says what this NSM says",
            (None, Some(_)) => "wrapped under its operators' shares",
            (None, None) => "a file",
        },
        data = folder.path().display(),
        module = service.attested().document.module_id(),
        sequence = service.attested().binding.journal_sequence,
    );
    for credential in service.credentials() {
        text.push_str(&format!(
            "    {:<12} {}\n",
            credential.profile(),
            credential.principal_arn(&settings.account)
        ));
    }
    text.push_str(&audit_hint(folder));
    text.push_str("\nFor AWS clients:\n\n");
    text.push_str(&service.environment_file());
    text.push_str(&format!(
        "\nThe same lines are in {}. Ctrl-C stops the service.\n",
        folder.environment().display()
    ));
    text
}

/// Where the decisions are, and who can read them.
fn audit_hint(folder: &Folder) -> String {
    let default = default_folder().is_some_and(|default| default == folder.path());
    let data =
        if default { String::new() } else { format!(" --data-dir {}", folder.path().display()) };
    let key = folder.auditor_public();
    format!(
        "\n  Each decision is in the audit log, encrypted to {}:\n    sekisho audit tail --follow{data}\n",
        key.display()
    )
}
