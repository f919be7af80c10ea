//! From power-on to serving: measure the configuration, unseal, check the journal, then listen.

use crate::approvals::Approvals;
use crate::attested::{Attester, Budget};
use crate::audit::{AuditError, AuditLog, BlockSealer, SealerError};
use crate::bounds::Bounds;
use crate::compiler::CompileHelper;
use crate::configuration::{BootConfiguration, InvalidConfiguration, MeasureError, UnsealProvider};
use crate::credentials::{BootCredential, Credentials};
use crate::guardrail::Guardrail;
use crate::http::{self, Draining, Worker};
use crate::keys::arn::Place;
use crate::keys::modules::Modules;
use crate::keys::policy::{PolicyRefused, account_document, default_document};
use crate::keys::store::KeyStore;
use crate::keys::wrapping::ImportTokens;
use crate::log::{Event, log};
use crate::pipeline::milliseconds;
use crate::principals::first::{FirstKey, FirstKeyError};
use crate::principals::policies::PrincipalPolicies;
use crate::principals::session::Sessions;
use crate::principals::store::PrincipalStore;
use crate::quotas::Meter;
use crate::recipient::RecipientVerifier;
use crate::secret::{JournalKeys, RootKey, Subkeys};
use crate::service::Service;
use crate::storage::journal::{Cadence, Journal, JournalError};
use crate::tls::{Identity, ServiceAuthority, Terms, TlsError};
use crate::unseal::{Ceremony, Unsealer, say_registers};
use crate::upkeep;
use sekisho_attestation::{InvalidAnchors, TrustAnchors};
use sekisho_nsm::{Nsm, NsmError};
use sekisho_policy_engine::{AdmissionError, Engine, EngineError, Limits};
use sekisho_wire::codec::CodecError;
use sekisho_wire::{Address, Listener, StoreClient};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
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
    /// Where the host's egress listens, for a KMS that unwraps the root key.
    pub egress: Option<Address>,
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
    let Boot { configuration, nsm, root_key, egress, credentials, listen, store, bounds, compiler } =
        boot;
    let compiler = compiler.map(Arc::new);
    configuration.check()?;
    configuration.measure(nsm.as_ref())?;
    log(Event::ConfigurationMeasured { sha384: &configuration.sha384()? });

    let store = StoreClient::dial_with(store, bounds.store);
    let front = Front { nsm: nsm.clone(), bounds, configuration: &configuration };
    let opening = |root: RootKey| {
        // A KMS may have taken its time.
        let now = OffsetDateTime::now_utc();
        let (subkeys, store) = (Subkeys::derive(&root), store.clone());
        let compiler = compiler.clone();
        unseal(&configuration, subkeys, credentials, store, bounds.snapshots, compiler, now)
    };
    let shutdown = pin!(shutdown);
    match (&configuration.unseal, root_key, egress) {
        (UnsealProvider::AwsKms(kms), None, Some(egress)) => {
            let pauses = bounds.unsealing;
            let account = &configuration.account;
            let unsealer = Unsealer::new(kms, account, egress, store.clone(), nsm, pauses)
                .map_err(InvalidConfiguration::from)?;
            let sealed = front.sealed(None, now)?;
            let listener = accept_on(&listen).await?;
            log(Event::Waiting);
            unsealer.say_registers()?;
            ready();
            let root = unsealer.root_key();
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
            let root = ceremony.root_key();
            front.serve_until_opened(sealed, &listener, root, opening, shutdown).await?;
        }
        (UnsealProvider::DevelopmentFile, Some(root), _) => {
            let (authority, journal, service) = opening(root).await?;
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

/// What stands before the service, sealed or not.
struct Front<'a> {
    nsm: Arc<dyn Nsm>,
    bounds: Bounds,
    configuration: &'a BootConfiguration,
}

impl Front<'_> {
    /// With an authority of the moment, and no service behind it.
    fn sealed(
        &self,
        ceremony: Option<Arc<Ceremony>>,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        self.serving(ServiceAuthority::generate(now)?, None, None, ceremony, now)
    }

    /// Serves sealed until there is a root key and the storage is open under it, and then unsealed.
    async fn serve_until_opened<F>(
        &self,
        sealed: Serving,
        listener: &Listener,
        root: impl Future<Output = RootKey>,
        opening: impl FnOnce(RootKey) -> F,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), BootError>
    where
        F: Future<Output = Result<(ServiceAuthority, Arc<Journal>, Service), BootError>>,
    {
        let mut opened = None;
        let until_opened = async {
            let opening = async {
                let root = root.await;
                log(Event::Unsealed);
                opening(root).await
            };
            tokio::select! {
                () = shutdown.as_mut() => {}
                unsealed = opening => opened = Some(unsealed),
            }
        };
        let draining = sealed.serve(listener, until_opened).await;
        match opened {
            None => draining.finish().await,
            Some(unsealed) => {
                // Who asked while it was sealed connects again.
                tokio::spawn(draining.finish());
                let (authority, journal, service) = unsealed?;
                let now = OffsetDateTime::now_utc();
                let front = self.open(authority, journal, service, now)?;
                log(Event::Serving);
                front.serve_to_the_end(listener, shutdown).await;
            }
        }
        Ok(())
    }

    fn open(
        &self,
        authority: ServiceAuthority,
        journal: Arc<Journal>,
        service: Service,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        self.serving(authority, Some(journal), Some(service), None, now)
    }

    fn serving(
        &self,
        authority: ServiceAuthority,
        journal: Option<Arc<Journal>>,
        service: Option<Service>,
        ceremony: Option<Arc<Ceremony>>,
        now: OffsetDateTime,
    ) -> Result<Serving, BootError> {
        let names = self.configuration.names.clone();
        let identity = Identity::new(authority, journal.clone(), names, Terms::DEFAULT, now)?;
        let attester = Attester {
            nsm: self.nsm.clone(),
            unseal: self.configuration.unseal.name(),
            boot_configuration_sha384: self.configuration.sha384()?,
            journal,
            audit: service.as_ref().map(|service| service.audit.clone()),
            budget: Budget::new(milliseconds(now)),
        };
        let worker = Arc::new(Worker { attester, service, ceremony, bounds: self.bounds });
        Ok(Serving { identity: Arc::new(identity), worker })
    }
}

/// A front that is ready to be connected to.
struct Serving {
    identity: Arc<Identity>,
    worker: Arc<Worker>,
}

impl Serving {
    async fn serve(self, listener: &Listener, shutdown: impl Future<Output = ()>) -> Draining {
        let renewing = tokio::spawn(self.identity.clone().keep_renewed());
        let draining = http::serve(listener, self.identity, self.worker, shutdown).await;
        renewing.abort();
        draining
    }

    /// With the requests that are open at the shutdown, and what only memory knew until then.
    async fn serve_to_the_end(self, listener: &Listener, shutdown: impl Future<Output = ()>) {
        let service = self.worker.service.as_ref();
        let noted = service.map(|service| (service.keys.clone(), service.started));
        self.serve(listener, shutdown).await.finish().await;
        if let Some((keys, started)) = noted {
            upkeep::store_last_usages(&keys, started).await;
        }
    }
}

pub(crate) async fn unseal(
    configuration: &BootConfiguration,
    subkeys: Subkeys,
    credentials: Vec<BootCredential>,
    store: StoreClient,
    snapshots: Cadence,
    compiler: Option<Arc<CompileHelper>>,
    now: OffsetDateTime,
) -> Result<(ServiceAuthority, Arc<Journal>, Service), BootError> {
    let engine = Engine::new(Limits::default())?;
    let modules = Modules::stock(&engine)?.with_compiler(compiler);
    let place =
        Place { region: configuration.region.clone(), account: configuration.account.clone() };
    let account_policy = modules
        .configure(&account_document(&place.root_arn()))
        .map_err(|refused: PolicyRefused| BootError::AccountPolicy(refused.to_string()))?;
    let default_policy = modules
        .configure(&default_document(&place.root_arn()))
        .map_err(|refused: PolicyRefused| BootError::AccountPolicy(refused.to_string()))?;
    let anchors = TrustAnchors::from_der(&configuration.caller_roots)?;

    let sealer = BlockSealer::new(&configuration.auditor_key, &subkeys.audit_signature)?;
    let (journal, audit) = open_storage(store, subkeys.journal, sealer, snapshots).await?;
    let journal = Arc::new(journal);
    modules.load(&journal).await.map_err(|fault| BootError::Modules(fault.to_string()))?;
    tokio::spawn(journal.clone().keep_snapshots());
    let administrator = configuration.administrator_key.as_deref();
    let first_key = FirstKey::open(journal.clone(), administrator, milliseconds(now)).await?;
    let authority = ServiceAuthority::open(&journal, now).await?;
    let default_policy = Arc::new(default_policy);
    let keys = KeyStore::new(journal.clone(), modules, place.clone(), default_policy);
    if !keys.is_at_home() {
        return Err(BootError::OtherHome(configuration.region.clone()));
    }
    let keys = Arc::new(keys);
    let regions: Arc<[String]> = configuration.regions().map(str::to_owned).collect();
    tokio::spawn(upkeep::run(keys.clone(), audit.clone()));
    tokio::spawn(upkeep::keep_usages(keys.clone(), milliseconds(now)));
    let meter =
        |region: &String| (region.clone(), Meter::new(&configuration.quotas, milliseconds(now)));
    let service = Service {
        started: milliseconds(now),
        credentials: Arc::new(Credentials::new(
            place,
            regions.clone(),
            credentials,
            PrincipalStore::new(journal.clone()),
            Sessions::new(subkeys.sessions),
        )),
        first_key: Arc::new(first_key),
        quotas: Arc::new(regions.iter().map(meter).collect()),
        recipients: Arc::new(RecipientVerifier::new(anchors)),
        keys,
        import_tokens: Arc::new(ImportTokens::new(subkeys.import_tokens)),
        account_policy: Arc::new(account_policy),
        guardrail: Arc::new(Guardrail::new(journal.clone())),
        principal_policies: Arc::new(PrincipalPolicies::new(journal.clone())),
        approvals: Arc::new(Approvals::new(journal.clone())),
        audit,
        computing: Arc::default(),
        regions,
    };
    Ok((authority, journal, service))
}

/// Opens the journal, and the audit log if it still holds the block that the journal names.
pub(crate) async fn open_storage(
    store: StoreClient,
    journal_keys: JournalKeys,
    sealer: BlockSealer,
    cadence: Cadence,
) -> Result<(Journal, AuditLog), BootError> {
    let journal = Journal::open(store.clone(), journal_keys, cadence).await?;
    log(Event::JournalWhole { entries: journal.checkpoint().sequence });
    let audit = AuditLog::open(store, sealer, journal.audited()).await?;
    journal.name_audit_blocks(audit.newest());
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
    /// The unseal provider and what the worker is given do not go together.
    #[error("a root key is for a development file alone, and a KMS needs the host's egress")]
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
