//! The development PKI of a folder, the worker's emulated NSM, and documents for callers.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sekisho_attestation::{InvalidPcrs, PcrValue, Pcrs};
use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Forgery, InvalidPki, Measurements, Options};
use sekisho_enclave::BOOT_CONFIGURATION_PCR;
use sekisho_nsm::AttestationRequest;
use sha2::{Digest as _, Sha384};
use zeroize::Zeroizing;

use super::folder::write_private;

/// What the emulated NSM says that the worker's code is. The same for every development service.
const WORKER: &[u8] = b"sekisho development worker";
/// What it says of a caller whose measurements are not given.
const CALLER: &[u8] = b"sekisho development caller";

/// A development root, which proves nothing about hardware.
#[derive(Clone)]
pub(crate) struct Development(DevelopmentPki);

impl std::fmt::Debug for Development {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Development(redacted)")
    }
}

impl Development {
    /// Reads the PKI in a file, or makes one where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, DevelopmentError> {
        match Self::read(path) {
            Err(DevelopmentError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let pki = DevelopmentPki::generate(SystemTime::now());
                write_private(path, Zeroizing::new(pki.to_pem()).as_bytes())?;
                Ok(Self(pki))
            }
            other => other,
        }
    }

    /// Reads the PKI in a file.
    pub(crate) fn read(path: &Path) -> Result<Self, DevelopmentError> {
        let pem = Zeroizing::new(std::fs::read_to_string(path)?);
        Self::from_pem(&pem)
    }

    pub(crate) fn from_pem(pem: &str) -> Result<Self, DevelopmentError> {
        Ok(Self(DevelopmentPki::from_pem(pem)?))
    }

    /// Root and private key, as [`Self::from_pem`] reads them.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_pem())
    }

    pub(crate) fn root_der(&self) -> &[u8] {
        self.0.root_der()
    }

    pub(crate) fn root_pem(&self) -> String {
        self.0.root_pem()
    }

    /// What stands in place of the device in the worker.
    pub(crate) fn worker_nsm(&self) -> EmulatedNsm {
        self.nsm_of(WORKER)
    }

    /// What stands in place of the device in a worker that runs this.
    pub(crate) fn nsm_of(&self, image: &[u8]) -> EmulatedNsm {
        EmulatedNsm::new(self.0.clone(), &Measurements::of(image), Options::default())
    }

    /// A document of some caller's.
    pub(crate) fn caller_document(&self, caller: &Caller) -> Vec<u8> {
        let options = Options { debug: caller.debug, ..Options::default() };
        let nsm = EmulatedNsm::new(self.0.clone(), &caller.measurements(), options);
        let request = AttestationRequest {
            public_key: caller.public_key.clone(),
            user_data: caller.user_data.clone(),
            nonce: caller.nonce.clone(),
        };
        if let Some(forgery) = caller.forgery {
            return nsm.forge(request, forgery);
        }
        let (mut document, leaf) = nsm.document(request);
        for (index, value) in caller.pcrs.iter().flat_map(Pcrs::iter) {
            document.pcrs.insert(index.get().into(), value.as_bytes().to_vec());
        }
        document.timestamp = caller.age.before(document.timestamp);
        document.sign(&leaf.key)
    }
}

/// What a caller's document shall say.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    /// DER SubjectPublicKeyInfo.
    pub(crate) public_key: Option<Vec<u8>>,
    /// Registers that differ from those of [`CALLER`].
    pub(crate) pcrs: Option<Pcrs>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) debug: bool,
    pub(crate) age: Age,
    pub(crate) forgery: Option<Forgery>,
}

impl Caller {
    /// The registers that an enclave starts with; a forged document has the wanted ones too.
    fn measurements(&self) -> Measurements {
        let mut measurements = Measurements::of(CALLER);
        for (index, value) in self.pcrs.iter().flat_map(Pcrs::iter) {
            let register = match index.get() {
                0 => &mut measurements.pcr0,
                1 => &mut measurements.pcr1,
                2 => &mut measurements.pcr2,
                3 => &mut measurements.pcr3,
                4 => &mut measurements.pcr4,
                8 => &mut measurements.pcr8,
                _ => continue,
            };
            *register = *value.as_bytes();
        }
        measurements
    }
}

/// Seconds; negative for a document from the future.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Age(pub(crate) i64);

impl Age {
    fn before(self, now: SystemTime) -> SystemTime {
        let seconds = Duration::from_secs(self.0.unsigned_abs());
        let then = if self.0 < 0 { now.checked_add(seconds) } else { now.checked_sub(seconds) };
        then.unwrap_or(now)
    }
}

/// The registers of a development worker with this boot configuration.
pub(crate) fn worker_pcrs(boot_configuration_sha384: [u8; 48]) -> Result<Pcrs, InvalidPcrs> {
    let Measurements { pcr0, pcr1, pcr2, .. } = Measurements::of(WORKER);
    // What extending a fresh register makes of it.
    let measured = Sha384::new().chain_update([0; 48]).chain_update(boot_configuration_sha384);
    let boot_configuration =
        u8::try_from(BOOT_CONFIGURATION_PCR).map_err(|_| InvalidPcrs::Index)?;
    Pcrs::new([
        (0, PcrValue::new(pcr0)),
        (1, PcrValue::new(pcr1)),
        (2, PcrValue::new(pcr2)),
        (boot_configuration, PcrValue::new(measured.finalize().into())),
    ])
}

/// Why a development PKI cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevelopmentError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidPki),
}
