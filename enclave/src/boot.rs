//! From power-on to serving: measure the configuration, unseal, check the journal, then listen.

mod front;
mod policies;

use crate::approvals::Approvals;
use crate::audit::{AuditError, AuditLog, BlockSealer, Fence, SealerError};
use crate::bounds::Bounds;
use crate::clock::milliseconds;
use crate::compiler::CompileHelper;
use crate::configuration::{BootConfiguration, InvalidConfiguration, MeasureError, UnsealProvider};
use crate::credentials::{BootCredential, Credentials};
use crate::guardrail::Guardrail;
use crate::keyring::HeldKeyring;
use crate::keys::arn::Place;
use crate::keys::policy::{PolicyRefused, account_document, default_document};
use crate::keys::store::KeyStore;
use crate::keys::wrapping::ImportTokens;
use crate::log::{Event, log};
use crate::peers::{Giver, InvalidPeers, SignedStatement};
use crate::policy_module_size::PolicyModuleSize;
use crate::principals::first::{FirstKey, FirstKeyError};
use crate::principals::policies::PrincipalPolicies;
use crate::principals::session::Sessions;
use crate::principals::store::PrincipalStore;
use crate::quotas::Meter;
use crate::recipient::RecipientVerifier;
use crate::root_rotation::{RootRotation, Work};
use crate::secret::{JournalKeys, RootKey, Subkeys};
use crate::service::Service;
use crate::storage::journal::{Journal, JournalError, Opening};
use crate::storage::tenure::Tenure;
use crate::tls::{ServiceAuthority, TlsError};
use crate::unseal::{Ceremony, Failure, Keeper, RootKeyFile, Unsealed, Unsealer, say_registers};
use crate::upkeep;
use front::Front;
pub(crate) use policies::Preparing;
use sekisho_attestation::{InvalidAnchors, TrustAnchors};
use sekisho_nsm::{Nsm, NsmError};
use sekisho_policy_engine::{AdmissionError, DEFAULT_COMPONENT, EngineError, Module};
use sekisho_wire::codec::CodecError;
use sekisho_wire::{Address, Listener, StoreClient};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use thiserror::Error;
use time::OffsetDateTime;

/// All that a worker is started with.
pub struct Boot {
    /// What the host chose; measured.
    pub configuration: BootConfiguration,
    /// The device, or what stands in for it in development.
    pub nsm: Arc<dyn Nsm>,
    /// The root key, for a development file's and no other unseal provider.
    pub root_key: Option<RootKey>,
    /// Its file, where another root key can be put into its place.
    pub root_key_file: Option<Arc<dyn RootKeyFile>>,
    /// Where the host's egress listens, for a KMS that unwraps the root key.
    pub egress: Option<Address>,
    /// What operators have signed, so that a peer's measurement or this worker's counts. Not
    /// measured: the operators' keys are.
    pub statements: Vec<SignedStatement>,
    /// Who may sign requests.
    pub credentials: Vec<BootCredential>,
    /// Where the relay's connections arrive.
    pub listen: Address,
    /// Where the host's store listens.
    pub store: Address,
    /// What host and callers can make it wait for and hold.
    pub bounds: Bounds,
    /// Where policy components are tried before they are registered; without it none is.
    pub compiler: Option<CompileHelper>,
}

/// Runs a worker until `shutdown`; calls `ready` when it accepts connections.
///
/// With a KMS that unwraps the root key it accepts them sealed, and serves when the KMS has done so.
///
/// # Errors
/// [`BootError`] where it could not start, or where the storage is not as it was left.
pub async fn run(
    boot: Boot,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> Result<(), BootError> {
    let now = OffsetDateTime::now_utc();
    let Boot {
        configuration,
        nsm,
        root_key,
        root_key_file,
        egress,
        statements,
        credentials,
        listen,
        store,
        bounds,
        compiler,
    } = boot;
    let largest = configuration.policy_module_size;
    let admitting = |compiler: CompileHelper| match largest {
        Some(largest) => compiler.admitting(largest.bytes()),
        None => compiler,
    };
    let compiler = compiler.map(admitting).map(Arc::new);
    configuration.check()?;
    configuration.measure(nsm.as_ref())?;
    log(Event::ConfigurationMeasured { sha384: &configuration.sha384()? });

    let store = StoreClient::dial_with(store, bounds.store);
    let front = Front { nsm: nsm.clone(), bounds, configuration: &configuration };
    let (boot, opened) = (&configuration, store.clone());
    let opening = |policies: Preparing| {
        move |unsealed: Unsealed| {
            // A KMS may have taken its time.
            let now = OffsetDateTime::now_utc();
            unseal(boot, unsealed, policies, credentials, opened, bounds, compiler, now)
        }
    };
    let shutdown = pin!(shutdown);
    let pauses = bounds.unsealing;
    let unsealer = match (&configuration.unseal, egress) {
        (UnsealProvider::AwsKms(kms), Some(egress)) => {
            let (account, nsm) = (&configuration.account, nsm.clone());
            let unsealer = Unsealer::new(kms, account, egress, store.clone(), nsm, pauses);
            Some(unsealer.map_err(InvalidConfiguration::from)?)
        }
        (UnsealProvider::Peer(peer), Some(egress)) => {
            let (store, nsm, configuration) = (store.clone(), nsm.clone(), &configuration);
            Some(Unsealer::of_peer(peer, configuration, statements, egress, store, nsm, pauses)?)
        }
        _ => None,
    };
    match (&configuration.unseal, root_key, unsealer) {
        (UnsealProvider::AwsKms(_) | UnsealProvider::Peer(_), None, Some(unsealer)) => {
            let sealed = front.sealed(None, now)?;
            let listener = accept_on(&listen).await?;
            log(Event::Waiting);
            unsealer.say_registers()?;
            ready();
            let (root, opening) = (unsealer.root_key(), opening(Preparing::begin(&configuration)));
            front.serve_until_opened(sealed, &listener, root, opening, shutdown).await?;
        }
        (UnsealProvider::OperatorShares(shares), None, _) => {
            let ceremony = Ceremony::new(shares, &configuration.account, store.clone());
            let ceremony = Arc::new(ceremony.map_err(InvalidConfiguration::from)?);
            let sealed = front.sealed(Some(ceremony.clone()), now)?;
            let listener = accept_on(&listen).await?;
            log(Event::WaitingForShares);
            say_registers(nsm.as_ref())?;
            ready();
            let (root, opening) = (ceremony.root_key(), opening(Preparing::begin(&configuration)));
            front.serve_until_opened(sealed, &listener, root, opening, shutdown).await?;
        }
        (UnsealProvider::DevelopmentFile, Some(root), _) => {
            let opening = opening(Preparing::begin(&configuration));
            let keyring =
                Keeper::keyring_of_file(&store, &root).await.map_err(|failure| match failure {
                    Failure::Store(error) => JournalError::from(error).into(),
                    failure => BootError::RootKeyFile(failure.to_string()),
                })?;
            let keeper = Keeper::of_file(root_key_file, store.clone());
            let unsealed = Unsealed { keyring, keeper, reached: None };
            let (authority, journal, service) = opening(unsealed).await?;
            let front = front.open(authority, journal, service, now)?;
            let listener = accept_on(&listen).await?;
            log(Event::Serving);
            ready();
            front.serve_to_the_end(&listener, shutdown).await;
        }
        (UnsealProvider::Nothing | UnsealProvider::DevelopmentFile, None, _) => {
            log(Event::Sealed);
            let sealed = front.sealed(None, now)?;
            let listener = accept_on(&listen).await?;
            ready();
            sealed.serve(&listener, shutdown).await.finish().await;
        }
        _ => return Err(BootError::RootKey),
    }
    log(Event::Stopped);
    Ok(())
}

async fn accept_on(listen: &Address) -> Result<Listener, BootError> {
    let failed = |error| BootError::Listen { address: listen.to_string(), error };
    listen.listen().await.map_err(failed)
}

/// Bytes of the largest policy component that is admitted.
pub(crate) fn largest_component(configuration: &BootConfiguration) -> usize {
    configuration.policy_module_size.map_or(DEFAULT_COMPONENT, PolicyModuleSize::bytes)
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the boot")]
pub(crate) async fn unseal(
    configuration: &BootConfiguration,
    unsealed: Unsealed,
    policies: Preparing,
    credentials: Vec<BootCredential>,
    store: StoreClient,
    bounds: Bounds,
    compiler: Option<Arc<CompileHelper>>,
    now: OffsetDateTime,
) -> Result<(ServiceAuthority, Arc<Journal>, Service), BootError> {
    let Unsealed { keyring, keeper, reached } = unsealed;
    let subkeys = keyring.subkeys().map_err(|error| BootError::Keyring(error.to_string()))?;
    let keyring = HeldKeyring::new(keyring);
    let anchors = TrustAnchors::from_der(&configuration.caller_roots)?;

    let sealer = BlockSealer::new(&configuration.auditor_key, &subkeys.audit_signature)?;
    let tenure = Tenure::default();
    let opening = Opening { cadence: bounds.snapshots, tenure: tenure.clone(), holds: reached };
    let policies = policies.finish();
    let storage = open_storage(store, subkeys.journal, sealer, opening);
    let (modules, (journal, audit)) = match configuration.peers {
        // One that cannot decide ends no other's tenure.
        Some(_) => (policies.await?, storage.await?),
        None => tokio::try_join!(policies, storage)?,
    };
    let modules = modules.with_compiler(compiler, largest_component(configuration));
    let place =
        Place { region: configuration.region.clone(), account: configuration.account.clone() };
    let account_policy = modules
        .configure(&account_document(&place.root_arn()))
        .map_err(|refused: PolicyRefused| BootError::AccountPolicy(refused.to_string()))?;
    let default_policy = modules
        .configure(&default_document(&place.root_arn()))
        .map_err(|refused: PolicyRefused| BootError::AccountPolicy(refused.to_string()))?;
    let watched = journal.clone();
    tokio::spawn(async move { watched.keep_watch(bounds.watch).await });
    modules.load(&journal).await.map_err(|fault| BootError::Modules(fault.to_string()))?;
    tokio::spawn(journal.clone().keep_snapshots());
    let administrator = configuration.administrator_key.as_deref();
    let first_key = FirstKey::open(journal.clone(), administrator, milliseconds(now)).await?;
    let removed = modules.remove_orphans(&journal).await;
    removed.map_err(|fault| BootError::Modules(fault.to_string()))?;
    let authority = ServiceAuthority::open(&journal, now).await?;
    // A new service's first entries were this worker's own.
    journal.take_over().await?;
    if configuration.peers.is_some() {
        audit.take_over(milliseconds(OffsetDateTime::now_utc())).await?;
    }
    let soon = modules.soon();
    let default_policy = Arc::new(default_policy);
    let keys = KeyStore::new(journal.clone(), modules, place.clone(), default_policy);
    if !keys.is_at_home() {
        return Err(BootError::OtherHome(configuration.region.clone()));
    }
    let keys = Arc::new(keys);
    let regions: Arc<[String]> = configuration.regions().map(str::to_owned).collect();
    tokio::spawn(upkeep::run(keys.clone(), audit.clone()));
    let registered = keys.modules.clone();
    tokio::spawn(async move { registered.compile_all().await });
    tokio::spawn(upkeep::keep_usages(keys.clone(), milliseconds(now)));
    let meter =
        |region: &String| (region.clone(), Meter::new(&configuration.quotas, milliseconds(now)));
    let kept = (keyring.clone(), keeper.slot());
    let giver = Giver::new(configuration, kept, audit.clone(), milliseconds(now))?;
    let credentials = Arc::new(Credentials::new(
        place,
        regions.clone(),
        credentials,
        PrincipalStore::new(journal.clone()),
        Sessions::new(subkeys.sessions),
    ));
    let import_tokens = Arc::new(ImportTokens::new(subkeys.import_tokens));
    let renew = {
        let (credentials, import_tokens) = (credentials.clone(), import_tokens.clone());
        move |subkeys: Subkeys| {
            credentials.sessions.replace(subkeys.sessions);
            import_tokens.replace(subkeys.import_tokens);
        }
    };
    let root_rotation = Arc::new(RootRotation {
        journal: journal.clone(),
        keyring,
        keeper,
        renew: Box::new(renew),
        audit: audit.clone(),
        work: Work::default(),
    });
    tokio::spawn(root_rotation.clone().run());
    let service = Service {
        giver: giver.map(Arc::new),
        root_rotation,
        tenure,
        started: milliseconds(now),
        credentials,
        first_key: Arc::new(first_key),
        quotas: Arc::new(regions.iter().map(meter).collect()),
        recipients: Arc::new(RecipientVerifier::new(anchors)),
        keys,
        import_tokens,
        account_policy: Arc::new(account_policy),
        guardrail: Arc::new(Guardrail::new(journal.clone())),
        principal_policies: Arc::new(PrincipalPolicies::new(journal.clone())),
        approvals: Arc::new(Approvals::new(journal.clone())),
        audit,
        computing: Arc::default(),
        regions,
    };
    tokio::task::spawn_blocking(move || soon.iter().for_each(Module::compile));
    Ok((authority, journal, service))
}

/// Opens the journal, and the audit log if it still holds the block that the journal names, and takes
/// them over: whoever wrote before ends.
pub(crate) async fn open_storage(
    store: StoreClient,
    journal_keys: JournalKeys,
    sealer: BlockSealer,
    opening: impl Into<Opening>,
) -> Result<(Arc<Journal>, AuditLog), BootError> {
    let opening = opening.into();
    let tenure = opening.tenure.clone();
    let journal = Arc::new(Journal::open(store.clone(), journal_keys, opening).await?);
    log(Event::JournalWhole { entries: journal.checkpoint().sequence });
    let fence = Fence { tenure, journal: Some(journal.clone()) };
    let audit = AuditLog::open(store, sealer, journal.audited(), fence).await?;
    journal.name_audit_blocks(audit.newest());
    // Before it goes by what it has read. What begins a journal is not this, and nobody was there.
    if journal.checkpoint().sequence > 0 {
        journal.take_over().await?;
    }
    Ok((journal, audit))
}

/// Why a worker did not start.
#[derive(Debug, Error)]
pub enum BootError {
    /// The configuration is not of its form.
    #[error("boot configuration: {0}")]
    Configuration(#[from] InvalidConfiguration),
    /// It could not be measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The peers are not of their form.
    #[error(transparent)]
    Peers(#[from] InvalidPeers),
    /// The unseal provider and what the worker is given do not go together.
    #[error(
        "a root key is for a development file alone, and a KMS or a peer needs the host's egress"
    )]
    RootKey,
    /// It is too large.
    #[error("boot configuration: {0}")]
    Codec(#[from] CodecError),
    /// A root for callers' documents is no certificate.
    #[error("roots for callers' attestation documents: {0}")]
    Anchors(#[from] InvalidAnchors),
    /// The device failed.
    #[error("the NSM: {0}")]
    Nsm(#[from] NsmError),
    /// The sandbox could not be set up.
    #[error("the policy engine: {0}")]
    Engine(#[from] EngineError),
    /// The thread that sets the sandbox up ended.
    #[error("setting the policy engine up: {0}")]
    Preparing(#[from] tokio::task::JoinError),
    /// A stock component was refused.
    #[error("a stock policy: {0}")]
    Admission(#[from] AdmissionError),
    /// The registered policy components cannot be read.
    #[error("the registered policy modules: {0}")]
    Modules(String),
    /// The journal's home Region was another.
    #[error("the journal knows {0} as a Region beside its home Region: give the home Region first")]
    OtherHome(String),
    /// The account's policy was refused.
    #[error("the account's policy: {0}")]
    AccountPolicy(String),
    /// The journal is not as it was left.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The audit log is not as it was left.
    #[error("the audit log: {0}")]
    Audit(#[from] AuditError),
    /// No audit block can be made.
    #[error(transparent)]
    Sealer(#[from] SealerError),
    /// No first access key.
    #[error(transparent)]
    FirstKey(#[from] FirstKeyError),
    /// The keyring beside a root key from a file.
    #[error("the root key: {0}")]
    RootKeyFile(String),
    /// The root keys that came.
    #[error("the root keys: {0}")]
    Keyring(String),
    /// No TLS identity.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        error: io::Error,
    },
}
