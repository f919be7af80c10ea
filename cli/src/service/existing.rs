//! The data folder of a development service, for a command that only reads it: another process
//! may hold it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sekisho_attestation::Expectation;
use sekisho_enclave::Quotas;

use super::folder::{
    AUDIT_SIGNATURE_KEY, AUDITOR, AUDITOR_PUBLIC, DEVELOPMENT_ROOT, ENVIRONMENT, FolderError, PKI,
    QUOTAS, STORE, read_marker,
};
use super::settings::Settings;
use super::{nsm, worker};
use crate::endpoint::Endpoint;
use crate::key_pair;
use crate::measurement::certificates;

/// A folder that a `sekisho dev` has made.
#[derive(Debug)]
pub(crate) struct Existing {
    path: PathBuf,
    settings: Settings,
}

impl Existing {
    /// Finds it, and takes no lock.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let given = path.to_owned();
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FolderError::Absent { path: given });
            }
            Err(source) => return Err(FolderError::Io { path: given, source }),
        };
        match read_marker(&path)? {
            Some(settings) => Ok(Self { path, settings }),
            None => Err(FolderError::Absent { path }),
        }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.path.join(PKI)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// The auditor's private key, where the service has made one.
    pub(crate) fn auditor(&self) -> Option<PathBuf> {
        Some(self.path.join(AUDITOR)).filter(|path| path.exists())
    }

    /// The public key under which the audit log is signed, in hexadecimal.
    pub(crate) fn audit_signature_key(&self) -> Option<String> {
        let text = fs::read_to_string(self.path.join(AUDIT_SIGNATURE_KEY)).ok()?;
        Some(text.trim().to_owned())
    }

    pub(crate) fn development_root(&self) -> PathBuf {
        self.path.join(DEVELOPMENT_ROOT)
    }

    /// Where the service served when it was last started.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        let text = fs::read_to_string(self.path.join(ENVIRONMENT)).ok()?;
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("export AWS_ENDPOINT_URL_KMS="))?.parse().ok()
    }

    /// The measurements of the worker that `sekisho dev` starts in this folder.
    pub(crate) fn expectation(&self) -> Result<Expectation, String> {
        let root = certificates(&self.development_root()).map_err(|error| error.to_string())?;
        let auditor = key_pair::public_key(&self.path.join(AUDITOR_PUBLIC));
        let configuration = worker::configuration(
            &self.settings,
            root.first().map(Vec::as_slice).unwrap_or_default(),
            auditor.map_err(|error| error.to_string())?,
            quotas(&self.path.join(QUOTAS))?,
        );
        let digest = configuration.sha384().map_err(|error| error.to_string())?;
        let pcrs = nsm::worker_pcrs(digest).map_err(|error| error.to_string())?;
        Ok(Expectation::measurements(pcrs))
    }
}

/// The request quotas of the last start; none in a folder of before.
fn quotas(path: &Path) -> Result<Quotas, String> {
    match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Quotas::none()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
