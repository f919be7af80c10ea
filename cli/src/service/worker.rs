//! `sekisho internal-worker`: the worker of a development service, in a process of its own.
//!
//! The same library as the shipped worker, with an emulated NSM in the device's place.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use sekisho_enclave::{
    AwsKms, Boot, BootConfiguration, BootCredential, Bounds, Cadence, Cage, CompileHelper,
    OperatorShares, Peer, Peers, PolicyModuleSize, Quotas, RootKey, SignedStatement,
    UnsealProvider,
};
use sekisho_wire::Address;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::channel::ParentGone;
use super::nsm::Development;
use super::processes::{Child, Ended, Role};
use super::settings::Settings;

/// What the worker is told: over stdin, because most of it is secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct WorkerParameters {
    pub(crate) region: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_regions: Vec<String>,
    pub(crate) account: String,
    /// Where a file has it, and no KMS.
    pub(crate) root_key: Option<Zeroizing<[u8; 32]>>,
    /// The KMS that unwraps it, and where the worker reaches the host's egress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unseal: Option<(AwsKms, PathBuf)>,
    /// Those who unseal it together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operators: Option<OperatorShares>,
    /// Workers of one service, for the test of an upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<Fleet>,
    /// Roots (DER) beside the development root that callers' documents may chain to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) caller_roots: Vec<Vec<u8>>,
    pub(crate) credentials: Vec<AccessKey>,
    /// The development root with whose key the emulated NSM signs, PEM.
    pub(crate) development_pki: Zeroizing<String>,
    /// The auditor's public key, DER.
    pub(crate) auditor_key: Vec<u8>,
    /// The administrator's, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) administrator_key: Option<Vec<u8>>,
    pub(crate) listen: PathBuf,
    pub(crate) store: PathBuf,
    #[serde(default)]
    pub(crate) quotas: Quotas,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy_module_size: Option<PolicyModuleSize>,
    /// Entries of the journal after which a snapshot is made, and rows in its chunks; for the kill
    /// test, which wants many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshots: Option<(u64, usize)>,
}

/// What a worker of several is told beside the others.
#[derive(Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// What the emulated NSM says that it runs.
    image: String,
    peers: Peers,
    /// The one that gives it the root key, and where it reaches the host's egress.
    joins: Option<(Peer, PathBuf)>,
    #[serde(default)]
    statements: Vec<SignedStatement>,
}

/// One access key and whose it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccessKey {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
    pub(crate) principal_arn: String,
}

/// The boot configuration of a development service; its digest is in PCR16.
pub(crate) fn configuration(
    settings: &Settings,
    development_root: &[u8],
    auditor_key: Vec<u8>,
    quotas: Quotas,
) -> BootConfiguration {
    let unseal = match (&settings.unseal, &settings.operators) {
        (Some(unseal), _) => UnsealProvider::AwsKms(unseal.kms.clone()),
        (None, Some(operators)) => UnsealProvider::OperatorShares(operators.clone()),
        (None, None) => UnsealProvider::DevelopmentFile,
    };
    BootConfiguration {
        region: settings.region.to_string(),
        other_regions: settings.other_regions(),
        account: settings.account.to_string(),
        unseal,
        caller_roots: caller_roots(development_root, &settings.caller_roots),
        auditor_key,
        administrator_key: settings.administrator_key.clone(),
        names: Vec::new(),
        quotas,
        peers: None,
        policy_module_size: settings.policy_module_size,
    }
}

fn caller_roots(development: &[u8], others: &[Vec<u8>]) -> Vec<Vec<u8>> {
    [development.to_vec()].into_iter().chain(others.iter().cloned()).collect()
}

/// Runs the worker until the parent closes stdin.
pub(crate) fn run() -> ExitCode {
    Child::run(Role::Worker, serve)
}

async fn serve(
    parameters: WorkerParameters,
    child: Child,
    mut parent: ParentGone,
) -> Result<(), Ended> {
    let WorkerParameters {
        region,
        other_regions,
        account,
        root_key,
        unseal,
        operators,
        fleet,
        caller_roots: others,
        credentials,
        development_pki,
        auditor_key,
        administrator_key,
        listen,
        store,
        quotas,
        policy_module_size,
        snapshots,
    } = parameters;
    let address = Address::Unix { path: listen };
    let store = Address::Unix { path: store };
    let (image, peers, joins, statements) = match fleet {
        Some(Fleet { image, peers, joins, statements }) => {
            (Some(image), Some(peers), joins, statements)
        }
        None => (None, None, None, Vec::new()),
    };
    let (unseal, egress) = match (unseal, operators, joins) {
        (Some((kms, egress)), _, _) => (UnsealProvider::AwsKms(kms), Some(egress)),
        (None, Some(operators), _) => (UnsealProvider::OperatorShares(operators), None),
        (None, None, Some((peer, egress))) => (UnsealProvider::Peer(peer), Some(egress)),
        (None, None, None) => (UnsealProvider::DevelopmentFile, None),
    };
    let egress = egress.map(|path| Address::Unix { path });
    // From inside the cage no program can be started.
    let compiler = CompileHelper::start(true)
        .map_err(|error| Ended::new(format!("the process that tries components: {error}")))?;
    let caged = Cage::around(&address, &store, egress.as_ref())
        .and_then(Cage::enter)
        .map_err(|error| Ended::new(format!("the worker's cage: {error}")))?;
    let development = Development::from_pem(&development_pki).map_err(Ended::new)?;
    let credentials = credentials
        .into_iter()
        .map(|AccessKey { access_key_id, secret_access_key, principal_arn }| BootCredential {
            access_key_id,
            secret_access_key,
            principal_arn,
        })
        .collect();
    let mut bounds = Bounds::default();
    if let Some((entries, rows)) = snapshots {
        bounds.snapshots = Cadence { entries, rows };
    }
    let boot = Boot {
        configuration: BootConfiguration {
            region,
            other_regions,
            account,
            unseal,
            caller_roots: caller_roots(development.root_der(), &others),
            auditor_key,
            administrator_key,
            names: Vec::new(),
            quotas,
            peers,
            policy_module_size,
        },
        nsm: Arc::new(match image {
            Some(image) => development.nsm_of(image.as_bytes()),
            None => development.worker_nsm(),
        }),
        root_key: root_key.as_deref().map(RootKey::from_bytes),
        root_key_file: root_key.as_ref().map(|_| parent.root_key_file()),
        egress,
        statements,
        credentials,
        listen: address.clone(),
        store,
        bounds,
        compiler: Some(compiler),
    };
    drop(root_key);
    let ready = || {
        if let Err(error) = caged.close() {
            eprintln!("sekisho worker: its cage is not closed behind it: {error}");
        }
        child.ready(&address.listening_path().unwrap_or_default().to_string_lossy());
    };
    sekisho_enclave::run(boot, ready, parent.wait()).await.map_err(Ended::new)
}
