//! A development service: its folder, its two processes, and the proof that they answer.

mod auditor;
pub(crate) mod channel;
pub(crate) mod existing;
pub(crate) mod folder;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod nsm;
pub(crate) mod processes;
pub(crate) mod root_key;
pub(crate) mod settings;
pub(crate) mod unseal;
pub(crate) mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_attestation::{Expectation, InvalidAnchors, InvalidPcrs, TrustAnchors};
use sekisho_enclave::Quotas;
use sekisho_wire::codec::CodecError;

use crate::attest::connect::{self, AttestedService, ConnectError};
use crate::endpoint::{Endpoint, EndpointError};
use crate::key_pair::KeyFileError;
use folder::{Folder, write_private, write_public};
use host::HostParameters;
use identity::{Credential, CredentialsError, User};
use nsm::{Development, DevelopmentError};
use processes::{Log, Process, ProcessError, Role};
use root_key::RootKeyError;
use worker::{AccessKey, WorkerParameters};

/// How often a sealed worker is asked whether it is unsealed.
const UNSEALED_LOOK: Duration = Duration::from_millis(500);

/// How a development service is to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) users: Vec<User>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) record_traffic: Option<PathBuf>,
    /// A file with the auditor's public key, to use from now on.
    pub(crate) auditor_key: Option<PathBuf>,
    pub(crate) quotas: Quotas,
    pub(crate) log: Log,
}

/// A running development service whose attestation was verified.
#[derive(Debug)]
pub(crate) struct Service {
    folder: Folder,
    endpoint: Endpoint,
    attested: AttestedService,
    credentials: Vec<Credential>,
    development: Development,
    boot_configuration_sha384: [u8; 48],
    worker: Process,
    host: Process,
}

impl Service {
    /// Starts host and worker, and verifies the worker's attestation through the host before
    /// anything is written that a client would trust.
    pub(crate) async fn start(folder: Folder, options: Options) -> Result<Self, StartError> {
        let settings = folder.settings().clone();
        let root_key = match (&settings.unseal, &settings.operators) {
            (Some(_), _) | (_, Some(_)) => None,
            (None, None) => Some(
                root_key::open(&folder.root_key())
                    .map_err(|source| StartError::RootKey { path: folder.root_key(), source })?,
            ),
        };
        let credentials = identity::credentials(&folder.credentials(), &options.users)
            .map_err(|source| StartError::Credentials { path: folder.credentials(), source })?;
        let development = Self::development(&folder)?;
        let auditor_key = auditor::open(&folder, options.auditor_key.as_deref())?;
        let quotas = serde_json::to_vec(&options.quotas).unwrap_or_default();
        write_public(&folder.quotas(), &quotas)
            .map_err(|source| StartError::Write { path: folder.quotas(), source })?;

        let host = HostParameters {
            listen: options.listen,
            worker: folder.worker_socket(),
            store: folder.store_socket(),
            data: folder.store(),
            metrics_listen: options.metrics_listen,
            record_traffic: options.record_traffic,
            egress: settings.unseal.as_ref().map(|unseal| unseal.egress(folder.egress_socket())),
        };
        let host = Process::start(Role::Host, &options.log, &host).await?;
        let worker = WorkerParameters {
            region: settings.region.to_string(),
            other_regions: settings.other_regions(),
            account: settings.account.to_string(),
            root_key,
            unseal: settings
                .unseal
                .as_ref()
                .map(|unseal| (unseal.kms.clone(), folder.egress_socket())),
            operators: settings.operators.clone(),
            fleet: None,
            caller_roots: settings.caller_roots.clone(),
            credentials: credentials
                .iter()
                .map(|credential| AccessKey {
                    access_key_id: credential.access_key_id.clone(),
                    secret_access_key: credential.secret_access_key.clone(),
                    principal_arn: credential.principal_arn(&settings.account),
                })
                .collect(),
            development_pki: development.to_pem(),
            auditor_key: auditor_key.clone(),
            administrator_key: settings.administrator_key.clone(),
            listen: folder.worker_socket(),
            store: folder.store_socket(),
            quotas: options.quotas.clone(),
            policy_module_size: settings.policy_module_size,
            snapshots: None,
        };
        let has_file = worker.root_key.is_some();
        let mut worker = Process::start(Role::Worker, &options.log, &worker).await?;
        if has_file {
            worker.keep_root_key(folder.root_key());
        }

        let endpoint = endpoint(host.address.parse().map_err(|_| StartError::Address)?)?;
        let configuration =
            worker::configuration(&settings, development.root_der(), auditor_key, options.quotas);
        let boot_configuration_sha384 = configuration.sha384()?;
        let attested = attest(&endpoint, &development, boot_configuration_sha384).await?;
        let service = Self {
            folder,
            endpoint,
            attested,
            credentials,
            development,
            boot_configuration_sha384,
            worker,
            host,
        };
        if !service.is_sealed() {
            service.write_what_clients_need()?;
        }
        Ok(service)
    }

    /// The folder's development root, made if there is none.
    pub(crate) fn development(folder: &Folder) -> Result<Development, StartError> {
        let (development, path) = (Development::open(&folder.pki())?, folder.development_root());
        write_public(&path, development.root_pem().as_bytes())
            .map_err(|source| StartError::Write { path, source })?;
        Ok(development)
    }

    /// Whether a KMS, or operators, have yet to unwrap the root key.
    pub(crate) fn is_sealed(&self) -> bool {
        self.attested.is_sealed()
    }

    /// Waits until the worker attests that it is unsealed, or one of the two processes ends.
    pub(crate) async fn unsealed(&mut self) -> Result<(), StartError> {
        while self.is_sealed() {
            tokio::select! {
                () = tokio::time::sleep(UNSEALED_LOOK) => {}
                error = self.failed() => return Err(error.into()),
            }
            // In the moment in which it is unsealed, its authority changes.
            let attesting =
                attest(&self.endpoint, &self.development, self.boot_configuration_sha384);
            if let Ok(attested) = attesting.await {
                self.attested = attested;
            }
        }
        self.write_what_clients_need()
    }

    fn write_what_clients_need(&self) -> Result<(), StartError> {
        let of = |path: PathBuf| move |source| StartError::Write { path, source };
        let (folder, attested) = (&self.folder, &self.attested);
        write_public(&folder.ca(), attested.service_ca_pem().as_bytes())
            .map_err(of(folder.ca()))?;
        let signature_key = hex::encode(attested.binding.audit_signature_key);
        write_public(&folder.audit_signature_key(), format!("{signature_key}\n").as_bytes())
            .map_err(of(folder.audit_signature_key()))?;
        write_private(&folder.environment(), self.environment_file().as_bytes())
            .map_err(of(folder.environment()))
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn attested(&self) -> &AttestedService {
        &self.attested
    }

    pub(crate) fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// What an AWS client needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let region = self.folder.settings().region.to_string();
        vec![
            ("AWS_ENDPOINT_URL_KMS", self.endpoint.to_string()),
            ("AWS_CA_BUNDLE", path(self.folder.ca())),
            ("AWS_SHARED_CREDENTIALS_FILE", path(self.folder.credentials())),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
        ]
    }

    /// The environment as lines for a shell.
    pub(crate) fn environment_file(&self) -> String {
        let mut lines: String = self
            .environment()
            .into_iter()
            .map(|(name, value)| format!("export {name}={}\n", shell_quoted(&value)))
            .collect();
        // These would be taken before the credentials file.
        lines.push_str(
            "unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN\n",
        );
        lines
    }

    /// Waits until one of the two processes ends, which neither should.
    pub(crate) async fn failed(&mut self) -> ProcessError {
        tokio::select! {
            error = self.worker.ended() => error,
            error = self.host.ended() => error,
        }
    }

    /// Stops both: the worker first, whose last writes need the host.
    pub(crate) async fn stop(self) -> Result<(), ProcessError> {
        let worker = self.worker.stop().await;
        let host = self.host.stop().await;
        worker.and(host)
    }
}

/// A document of the worker's over this endpoint, with the measurements that it must have.
async fn attest(
    endpoint: &Endpoint,
    development: &Development,
    boot_configuration_sha384: [u8; 48],
) -> Result<AttestedService, StartError> {
    let anchors = TrustAnchors::from_der([development.root_der()])?;
    let measured = Expectation::measurements(nsm::worker_pcrs(boot_configuration_sha384)?);
    Ok(connect::attest(endpoint, anchors, measured).await?)
}

/// Where clients of this machine find a service that listens on `address`.
fn endpoint(address: SocketAddr) -> Result<Endpoint, EndpointError> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(ip, address.port())).parse()
}

/// A word for a POSIX shell.
fn shell_quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:,@+=[]".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The default data folder of `sekisho dev` (XDG Base Directory Specification).
pub(crate) fn default_folder() -> Option<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join(Path::new("sekisho/dev")))
}

/// Why a development service did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    RootKey { path: PathBuf, source: RootKeyError },
    #[error("{}: {source}", path.display())]
    Credentials { path: PathBuf, source: CredentialsError },
    #[error(transparent)]
    Auditor(#[from] KeyFileError),
    #[error("the development PKI: {0}")]
    Development(#[from] DevelopmentError),
    #[error("the development root: {0}")]
    Anchors(#[from] InvalidAnchors),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the host named no address")]
    Address,
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Pcrs(#[from] InvalidPcrs),
    #[error("the boot configuration: {0}")]
    Configuration(#[from] CodecError),
    #[error("the service's attestation was refused: {0}")]
    Attestation(#[from] ConnectError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_shell() {
        assert_eq!(shell_quoted("/data/sekisho"), "/data/sekisho");
        assert_eq!(shell_quoted("/my data/it's"), r"'/my data/it'\''s'");
        assert_eq!(shell_quoted(""), "''");
    }

    #[test]
    fn a_wildcard_address_is_reached_on_loopback() {
        for (listening, reached) in [
            ("0.0.0.0:8443", "https://127.0.0.1:8443"),
            ("[::]:8443", "https://[::1]:8443"),
            ("127.0.0.1:1", "https://127.0.0.1:1"),
        ] {
            assert_eq!(endpoint(listening.parse().unwrap()).unwrap().to_string(), reached);
        }
    }
}
