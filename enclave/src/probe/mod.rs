//! For Sekisho's own kill test, benchmark and fuzz targets: the worker's parts without the rest.
//!
//! They can do nothing that the root key, which they are given, does not allow.

pub mod parsers;

use crate::api::Operation;
use crate::audit::{
    AuditChain, AuditEntry, AuditError, AuditLog, AuditSignatureKey, AuditorPrivateKey,
    BlockSealer, Outcome, SealerError, Unreadable,
};
use crate::boot::{self, BootError, Preparing};
use crate::bounds::Bounds;
use crate::configuration::{BootConfiguration, UnsealProvider};
use crate::credentials::BootCredential;
use crate::hpke::{HpkePair, InvalidPrivateKey};
use crate::keyring::{HeldKeyring, Keyring};
use crate::keys::Key;
use crate::keys::id::KeyId;
use crate::keys::material::KeyMaterial;
use crate::keys::store::key_write;
use crate::pipeline;
use crate::quotas::Quotas;
use crate::root_rotation::{RootRotation, Work};
use crate::secret::{RootKey, Subkeys};
use crate::service::Service;
use crate::signature::SignedRequest;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::journal::{Cadence, Journal, JournalError, Write};
use crate::storage::record::RecordId;
use crate::unseal::{Keeper, RootKeyFile, Unsealed};
use sekisho_attestation::TrustAnchors;
use sekisho_wire::store::Store;
use sekisho_wire::{Address, StoreClient};
use serde_json::Value;
use std::sync::Arc;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Number and SHA-256 of the newest journal entry.
pub type Reached = (u64, [u8; 32]);

fn reached(checkpoint: Checkpoint) -> Reached {
    (checkpoint.sequence, *checkpoint.hash.as_bytes())
}

/// The private key of an auditor that everybody knows: DeriveKeyPair (RFC 9180 §7.1.3) of
/// `33` × 48, as in docs/audit.md.
const AUDITOR: &[u8; 48] = b"\xb7\x69\x55\x3f\x76\xb3\x76\xde\x82\x47\x89\xaf\x4e\x4d\x81\x17\
    \x80\xfc\xcb\x0a\x75\x2d\xc2\xbb\x51\x24\xd0\x56\xa2\xfc\x66\xe7\
    \xbd\xb7\x23\x83\x10\x2e\x07\xaa\xaf\x2b\xf4\x54\xc3\xc7\xbc\xbb";

/// The auditor of logs that are written here.
///
/// # Errors
/// None.
pub fn auditor() -> Result<AuditorPrivateKey, InvalidPrivateKey> {
    HpkePair::from_scalar(AUDITOR).map(AuditorPrivateKey::from)
}

fn sealer(root: &RootKey) -> Result<BlockSealer, SealerError> {
    let auditor = auditor().map_err(|_| SealerError::Auditor)?;
    BlockSealer::new(auditor.public_key(), &Subkeys::derive(root).audit_signature)
}

/// Why an audit log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store, or the chain.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The auditor's key.
    #[error(transparent)]
    Auditor(#[from] InvalidPrivateKey),
    /// A block's content.
    #[error("audit block {sequence}: {reason}")]
    Block {
        /// Its number.
        sequence: u64,
        /// Why.
        reason: Unreadable,
    },
}

/// What the audit blocks under `root` are signed with.
///
/// # Errors
/// None, as [`auditor`] has none.
pub fn signature_key(root: &RootKey) -> Result<AuditSignatureKey, SealerError> {
    Ok(sealer(root)?.public())
}

/// Reads a whole log that is for [`auditor`], and checks its chain and signatures.
///
/// # Errors
/// [`ReadError`], where the host changed, dropped or reordered a block; a log cut at its end is
/// not noticed here.
pub async fn read_audit_log(
    store: &StoreClient,
    root: &RootKey,
) -> Result<Vec<AuditEntry>, ReadError> {
    const PAGE: u32 = 256;
    let mut auditor = auditor()?;
    let signed_by = signature_key(root).map_err(AuditError::from)?;
    let (mut chain, mut entries) = (AuditChain::new(Some(signed_by)), Vec::new());
    loop {
        let page = store.audit(chain.expected(), PAGE).await.map_err(AuditError::from)?;
        if page.is_empty() {
            return Ok(entries);
        }
        for (record, bytes) in page {
            let block = chain.follow(record, &bytes).map_err(AuditError::from)?;
            let sequence = block.sequence();
            let opened = block.open(&mut auditor);
            entries.extend(opened.map_err(|reason| ReadError::Block { sequence, reason })?);
        }
    }
}

/// Journal and audit log, with records of any content.
pub struct Storage {
    journal: Arc<Journal>,
    audit: AuditLog,
    rotation: Arc<RootRotation>,
}

impl Storage {
    /// Opens both as a boot does, and goes on with a rotation that was begun. A snapshot is due after
    /// `entries`, in chunks of `rows`; a new root key goes into `file`.
    ///
    /// # Errors
    /// What a boot would fail with.
    pub async fn open(
        store: StoreClient,
        root: &RootKey,
        entries: u64,
        rows: usize,
        file: Option<Arc<dyn RootKeyFile>>,
    ) -> Result<Self, BootError> {
        let refused = |error: &dyn std::fmt::Display| BootError::RootKeyFile(error.to_string());
        let keyring = Keeper::keyring_of_file(&store, root).await;
        let keyring = keyring.map_err(|error| refused(&error))?;
        let subkeys = keyring.subkeys().map_err(|error| refused(&error))?;
        let auditor = auditor().map_err(|_| SealerError::Auditor)?;
        let sealer = BlockSealer::new(auditor.public_key(), &subkeys.audit_signature)?;
        let cadence = Cadence { entries, rows };
        let keeper = Keeper::of_file(file, store.clone());
        let (journal, audit) = boot::open_storage(store, subkeys.journal, sealer, cadence).await?;
        let rotation = Arc::new(RootRotation {
            journal: journal.clone(),
            keyring: HeldKeyring::new(keyring),
            keeper,
            renew: Box::new(drop),
            audit: audit.clone(),
            work: Work::default(),
        });
        tokio::spawn(rotation.clone().run());
        Ok(Self { journal, audit, rotation })
    }

    /// Begins with another root key; whether it did. While one is on its way none is begun.
    pub async fn rotate(&self) -> bool {
        self.rotation.rotate().await.is_ok()
    }

    /// The generation of the root key, and whether something is left of the one before.
    pub fn root_key(&self) -> (u32, bool) {
        let standing = self.rotation.standing();
        (standing.generation, standing.rotating)
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
        let id = RecordId::Key(KeyId::from_u128(id));
        let write = Write { id, plaintext: bytes.map(Zeroizing::new) };
        self.journal.writer().await?.commit(vec![write]).await.map(reached)
    }

    /// The current content of a record.
    ///
    /// # Errors
    /// As a request for a key would.
    pub async fn get(&self, id: u128) -> Result<Option<Vec<u8>>, JournalError> {
        let record = self.journal.get(&RecordId::Key(KeyId::from_u128(id))).await?;
        Ok(record.map(|bytes| bytes.to_vec()))
    }

    /// The ids of all records.
    pub fn ids(&self) -> Vec<u128> {
        let first = RecordId::Key(KeyId::NIL);
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
    pub async fn boot(
        store: Address,
        root: &RootKey,
        credentials: Vec<BootCredential>,
    ) -> Result<Self, BootError> {
        let auditor_key = auditor().map_err(|_| SealerError::Auditor)?.public_key().to_vec();
        let configuration = BootConfiguration {
            region: "eu-central-1".into(),
            other_regions: Vec::new(),
            account: "111122223333".into(),
            unseal: UnsealProvider::Nothing,
            caller_roots: TrustAnchors::aws_nitro().iter().map(<[u8]>::to_vec).collect(),
            auditor_key,
            administrator_key: None,
            names: Vec::new(),
            quotas: Quotas::none(),
            peers: None,
            policy_module_size: None,
        };
        let store = StoreClient::dial(store);
        let now = OffsetDateTime::now_utc();
        let (_, journal, service) = boot::unseal(
            &configuration,
            Unsealed {
                keyring: Keyring::first(RootKey::from_bytes(root.expose())),
                keeper: Keeper::of_peer(None, store.clone()),
                reached: None,
            },
            Preparing::begin(&configuration),
            credentials,
            store,
            Bounds::default(),
            None,
            now,
        )
        .await?;
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
            let key =
                Key::symmetric(KeyId::generate(false), 0, String::new(), Vec::new(), material);
            ids.push(key.id.as_u128());
            writes.push(key_write(&key, policy, &[])?);
        }
        self.journal.writer().await?.commit(writes).await?;
        Ok(ids)
    }

    /// Looks a key up as a Decrypt does; whether it is there.
    pub async fn find(&self, id: u128) -> bool {
        matches!(self.service.keys.by_id(KeyId::from_u128(id)).await, Ok(Some(_)))
    }

    /// Answers a signed request as the worker does when it has come out of HTTP: the body of one that
    /// succeeds.
    pub async fn answer(
        &self,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Option<Value> {
        let operation = Operation::from_target(target).ok()?;
        let request = SignedRequest { operation, headers, body };
        let answer =
            pipeline::answer(&self.service, request, None, OffsetDateTime::now_utc()).await;
        (answer.status == 200).then_some(answer.body)
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
