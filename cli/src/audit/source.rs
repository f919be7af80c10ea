//! Which log, who reads it, and under which key it must be signed.

use std::path::PathBuf;

use sekisho_enclave::{AuditBlock, AuditEntry, AuditSignatureKey, AuditorPrivateKey, Unreadable};
use sekisho_host::AuditReader;

use crate::failure::Failure;
use crate::key_pair;
use crate::service::default_folder;
use crate::service::existing::Existing;

/// As every command on the log takes it.
#[derive(clap::Args, Debug)]
pub(super) struct Source {
    /// The data folder of a `sekisho dev` [default: as there].
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data_dir: Option<PathBuf>,

    /// The data folder of a host (sekisho-host --data), or a copy of it.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// The auditor's private key, PEM; repeatable, where the service was given another one with
    /// time [default: the one that `sekisho dev` made].
    #[arg(long = "auditor-key", value_name = "FILE")]
    auditor_keys: Vec<PathBuf>,

    /// The public key under which the service signs its log, from an earlier attestation
    /// [default: the one that `sekisho dev` attested last].
    #[arg(long, value_name = "HEX", value_parser = signature_key)]
    signature_key: Option<AuditSignatureKey>,
}

fn signature_key(text: &str) -> Result<AuditSignatureKey, String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes)
        .map_err(|_| "a signature key is 64 hexadecimal digits")?;
    Ok(AuditSignatureKey::from_bytes(bytes))
}

/// A log and what is known of it.
pub(super) struct Log {
    pub(super) store: PathBuf,
    pub(super) auditors: Auditors,
    /// From the command line, or as `sekisho dev` wrote it down.
    pub(super) key: Option<SignedBy>,
    /// The folder of `sekisho dev`, where it is one's.
    pub(super) existing: Option<Existing>,
}

/// Under which key blocks must be signed, and who says so.
#[derive(Clone, Debug)]
pub(super) struct SignedBy {
    pub(super) key: AuditSignatureKey,
    pub(super) source: &'static str,
}

impl Source {
    /// Finds the files.
    pub(super) fn resolve(self) -> Result<Log, Failure> {
        let Self { data_dir, store, auditor_keys, signature_key: pinned } = self;
        let given = pinned.map(|key| SignedBy { key, source: "--signature-key" });
        if let Some(store) = store {
            let auditors = Auditors::read(auditor_keys, true)?;
            return Ok(Log { store, auditors, key: given, existing: None });
        }
        let path = data_dir.or_else(default_folder).ok_or_else(|| {
            Failure::usage("neither XDG_DATA_HOME nor HOME says where data belong: give --data-dir")
        })?;
        let existing = Existing::open(&path).map_err(|error| {
            Failure::usage(format_args!(
                "{error}: give --data-dir, the folder of a sekisho dev, or --store, that of a host"
            ))
        })?;
        let auditors = if auditor_keys.is_empty() {
            Auditors::read(existing.auditor().into_iter().collect(), false)?
        } else {
            Auditors::read(auditor_keys, true)?
        };
        let kept = existing.audit_signature_key().and_then(|text| signature_key(&text).ok());
        let kept = kept.map(|key| SignedBy { key, source: "the data folder" });
        Ok(Log { store: existing.store(), auditors, key: given.or(kept), existing: Some(existing) })
    }
}

impl Log {
    /// A reader from the log's beginning on.
    pub(super) fn reader(&self) -> Result<AuditReader, Failure> {
        self.newest(usize::MAX)
    }

    /// A reader of the newest segments.
    pub(super) fn newest(&self, segments: usize) -> Result<AuditReader, Failure> {
        AuditReader::open_newest(&self.store, segments).map_err(|error| {
            Failure::usage(format_args!("no audit log in {}: {error}", self.store.display()))
        })
    }

    /// What a command says that cannot do without.
    pub(super) fn need_an_auditor(&self) -> Result<(), Failure> {
        if self.auditors.keys.is_empty() {
            return Err(Failure::usage(
                "only the auditor can read the log: give the private key with --auditor-key",
            ));
        }
        Ok(())
    }
}

/// The private keys of those who can read.
#[derive(Debug)]
pub(super) struct Auditors {
    keys: Vec<AuditorPrivateKey>,
    /// They were named on the command line.
    pub(super) given: bool,
}

impl Auditors {
    fn read(files: Vec<PathBuf>, given: bool) -> Result<Self, Failure> {
        let given = given && !files.is_empty();
        let keys: Result<_, _> = files
            .iter()
            .map(|file| key_pair::private_key(file).map(AuditorPrivateKey::from))
            .collect();
        Ok(Self { keys: keys.map_err(Failure::usage)?, given })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Opens a block with the key that it is for.
    pub(super) fn open(&mut self, block: &AuditBlock<'_>) -> Result<Vec<AuditEntry>, Unreadable> {
        let key = self.keys.iter_mut().find(|key| key.identifier() == block.auditor());
        block.open(key.ok_or(Unreadable::OtherAuditor)?)
    }
}
