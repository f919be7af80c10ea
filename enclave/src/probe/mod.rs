//! For Sekisho's own kill test, benchmark and fuzz targets: the worker's parts without the rest.
//!
//! They can do nothing that the root key, which they are given, does not allow.

pub mod parsers;

use crate::audit::{AuditEntry, AuditLog, Outcome};
use crate::boot::{self, BootError};
use crate::configuration::{BootConfiguration, UnsealProvider};
use crate::keys::Key;
use crate::keys::material::KeyMaterial;
use crate::keys::store::key_write;
use crate::secret::{RootKey, Subkeys};
use crate::service::Service;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::journal::{Cadence, Journal, JournalError, Write};
use crate::storage::record::RecordId;
use sekisho_attestation::TrustAnchors;
use sekisho_wire::{Address, StoreClient};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Number and SHA-256 of the newest journal entry.
pub type Reached = (u64, [u8; 32]);

fn reached(checkpoint: Checkpoint) -> Reached {
    (checkpoint.sequence, *checkpoint.hash.as_bytes())
}

/// Journal and audit log, with records of any content.
pub struct Storage {
    journal: Journal,
    audit: AuditLog,
}

impl Storage {
    /// Opens both as a boot does. A snapshot is due after `entries`, in chunks of `rows`.
    ///
    /// # Errors
    /// What a boot would fail with.
    pub async fn open(
        store: Address,
        root: &RootKey,
        entries: u64,
        rows: usize,
    ) -> Result<Self, BootError> {
        let subkeys = Subkeys::derive(root);
        let store = StoreClient::dial(store);
        let cadence = Cadence { entries, rows };
        let (journal, audit) =
            boot::open_storage(store, subkeys.journal, subkeys.audit, cadence).await?;
        Ok(Self { journal, audit })
    }

    /// Where the journal stands.
    pub fn reached(&self) -> Reached {
        reached(self.journal.checkpoint())
    }

    /// Writes a record, or deletes it.
    ///
    /// # Errors
    /// The change may have happened nevertheless.
    pub async fn change(&self, id: u128, bytes: Option<Vec<u8>>) -> Result<Reached, JournalError> {
        let id = RecordId::Key(Uuid::from_u128(id));
        let write = Write { id, plaintext: bytes.map(Zeroizing::new) };
        self.journal.writer().await?.commit(vec![write]).await.map(reached)
    }

    /// The current content of a record.
    ///
    /// # Errors
    /// As a request for a key would.
    pub async fn get(&self, id: u128) -> Result<Option<Vec<u8>>, JournalError> {
        let record = self.journal.get(&RecordId::Key(Uuid::from_u128(id))).await?;
        Ok(record.map(|bytes| bytes.to_vec()))
    }

    /// The ids of all records.
    pub fn ids(&self) -> Vec<u128> {
        let first = RecordId::Key(Uuid::nil());
        let ids = self.journal.ids(&first, usize::MAX, |id| matches!(id, RecordId::Key(_)));
        let number = |id| if let RecordId::Key(id) = id { Some(id.as_u128()) } else { None };
        ids.into_iter().filter_map(number).collect()
    }

    /// Whether a decision was recorded, durably.
    pub async fn record(&self, request_id: &str) -> bool {
        let entry = AuditEntry { request_id: request_id.into(), ..AuditEntry::default() };
        let response = crate::api::Response::of(request_id.into(), Ok(serde_json::json!({})));
        self.audit.record(Outcome { entry, response }).await.is_ok()
    }

    /// Whether enough has happened since the last snapshot.
    pub fn snapshot_is_due(&self) -> bool {
        self.journal.snapshot_is_due()
    }

    /// Makes a snapshot and compacts.
    ///
    /// # Errors
    /// It may have been made nevertheless.
    pub async fn snapshot(&self) -> Result<(), JournalError> {
        self.journal.snapshot().await
    }
}

/// An unsealed service, booted as the worker boots.
pub struct Keys {
    journal: Arc<Journal>,
    service: Service,
}

impl Keys {
    /// Everything of a boot but the attestation device and the TLS listener.
    ///
    /// # Errors
    /// What a boot would fail with.
    pub async fn boot(store: Address, root: &RootKey) -> Result<Self, BootError> {
        let configuration = BootConfiguration {
            region: "eu-central-1".into(),
            account: "111122223333".into(),
            unseal: UnsealProvider::Nothing,
            caller_roots: TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect(),
            names: Vec::new(),
        };
        let store = StoreClient::dial(store);
        let now = OffsetDateTime::now_utc();
        let (_, journal, service) =
            boot::unseal(&configuration, Subkeys::derive(root), Vec::new(), store, now).await?;
        Ok(Self { journal, service })
    }

    /// Makes `number` keys in one entry of the journal, and answers with their ids.
    ///
    /// # Errors
    /// None of them was made, or nobody knows.
    pub async fn create(&self, number: usize) -> Result<Vec<u128>, BootError> {
        let policy = &self.service.keys.default_policy;
        let (mut ids, mut writes) = (Vec::new(), Vec::new());
        for _ in 0..number {
            let material =
                KeyMaterial::generate(0).map_err(|error| JournalError::Seal(error.into()))?;
            let key = Key::symmetric(Uuid::new_v4(), 0, String::new(), Vec::new(), material);
            ids.push(key.id.as_u128());
            writes.push(key_write(&key, policy, &[])?);
        }
        self.journal.writer().await?.commit(writes).await?;
        Ok(ids)
    }

    /// Looks a key up as a Decrypt does; whether it is there.
    pub async fn find(&self, id: u128) -> bool {
        matches!(self.service.keys.by_id(Uuid::from_u128(id)).await, Ok(Some(_)))
    }

    /// A decision recorded, durably, as at the end of each request.
    pub async fn record(&self) -> bool {
        let entry = AuditEntry::default();
        let response = crate::api::Response::of(String::new(), Ok(serde_json::json!({})));
        self.service.audit.record(Outcome { entry, response }).await.is_ok()
    }

    /// Makes a snapshot and compacts.
    ///
    /// # Errors
    /// It may have been made nevertheless.
    pub async fn snapshot(&self) -> Result<(), JournalError> {
        self.journal.snapshot().await
    }
}
