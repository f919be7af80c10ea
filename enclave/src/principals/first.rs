//! The first access key of a service: who can use it when nobody can yet.
//!
//! Only a signed request makes an access key, and a shipped worker is started with none. So the boot
//! configuration can name an administrator's public key: a service that has just begun makes one
//! access key of the account's root, encrypts it to that public key, and keeps the encrypted copy in
//! the journal. Whoever asks gets it (`GET /first-access-key`); only the administrator can open it.
//! Once the access key has signed a request, the copy is deleted: whoever comes by the
//! administrator's private key later finds nothing to open.

use super::{AccessKey, Principal, ROOT};
use crate::hpke::{HpkeKey, HpkePair, SealFailed, UnusableKey};
use crate::log::{Event, log};
use crate::secret::RandomUnavailable;
use crate::storage::journal::{Journal, JournalError, Write};
use crate::storage::record::RecordId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use zeroize::Zeroizing;

/// `info` of the encryption (RFC 9180 §5.1).
const INFO: &[u8] = b"sekisho v1 first access key";

/// The first access key of one service, from its beginning until it was used.
pub(crate) struct FirstKey {
    journal: Arc<Journal>,
    /// None where there is none, or none any more.
    unused: Mutex<Option<Unused>>,
}

/// As it lies in its sealed record.
#[derive(Clone, Serialize, Deserialize)]
struct Unused {
    access_key_id: String,
    /// SHA-256 of the administrator's public key (SubjectPublicKeyInfo, DER).
    #[serde(with = "serde_bytes")]
    administrator: [u8; 32],
    /// docs/hpke-recipient.md has the format.
    #[serde(with = "serde_bytes")]
    encrypted: Vec<u8>,
}

impl FirstKey {
    /// Finds it in the journal, or makes it where the journal has not begun and there is an
    /// administrator. Call before anything else is written: what begins the journal is one entry
    /// with the access key and its encrypted copy, or it has none.
    pub(crate) async fn open(
        journal: Arc<Journal>,
        administrator: Option<&[u8]>,
        now: u64,
    ) -> Result<Self, FirstKeyError> {
        let unused = match journal.get(&RecordId::FirstAccessKey).await? {
            Some(record) => Some(codec::decode(&record)?),
            None => match administrator {
                Some(administrator) if journal.checkpoint().sequence == 0 => {
                    let made = make(&journal, administrator, now).await?;
                    log(Event::FirstKeyMade);
                    Some(made)
                }
                Some(_) if !journal.contains(&RecordId::Principal(ROOT.to_owned())) => {
                    log(Event::AdministratorTooLate);
                    None
                }
                _ => None,
            },
        };
        Ok(Self { journal, unused: Mutex::new(unused) })
    }

    /// What `GET /first-access-key` answers: the encrypted copy in base64, and to whom; none once
    /// the access key was used, and where there never was one.
    pub(crate) fn encrypted(&self) -> Option<Value> {
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.as_ref().map(|unused| {
            json!({
                "encrypted": BASE64.encode(&unused.encrypted),
                "administrator_key_sha256": hex::encode(unused.administrator),
            })
        })
    }

    /// An access key has signed a request. If it is this one, its encrypted copy goes; where that
    /// fails, the next request tries again.
    pub(crate) async fn used(&self, access_key_id: &str) {
        let is_it = |unused: &mut Unused| unused.access_key_id == access_key_id;
        let lock = || self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unused) = lock().take_if(is_it) else { return };
        match self.delete().await {
            Ok(()) => log(Event::FirstKeyUsed),
            Err(error) => {
                log(Event::FirstKeyStays(&error));
                *lock() = Some(unused);
            }
        }
    }

    async fn delete(&self) -> Result<(), JournalError> {
        let write = Write { id: RecordId::FirstAccessKey, plaintext: None };
        self.journal.writer().await?.commit(vec![write]).await.map(drop)
    }
}

async fn make(journal: &Journal, administrator: &[u8], now: u64) -> Result<Unused, FirstKeyError> {
    let recipient = HpkeKey::from_spki(administrator)?;
    let key = AccessKey::generate(now, None)?;
    let shown = Shown {
        access_key: ShownKey {
            principal_name: ROOT,
            access_key_id: &key.id,
            secret_access_key: key.secret.expose(),
        },
    };
    let shown = Zeroizing::new(serde_json::to_vec(&shown).map_err(|_| FirstKeyError::Encode)?);
    let unused = Unused {
        access_key_id: key.id.clone(),
        administrator: recipient.identifier,
        encrypted: recipient.seal_for(INFO, b"", &shown)?,
    };
    let principal =
        Principal { name: ROOT.to_owned(), created: now, tags: Vec::new(), keys: vec![key] };
    let put = |id, bytes| Write { id, plaintext: Some(Zeroizing::new(bytes)) };
    let writes = vec![
        put(RecordId::Principal(ROOT.to_owned()), codec::encode(&principal)?),
        put(RecordId::AccessKey(unused.access_key_id.clone()), codec::encode(&ROOT)?),
        put(RecordId::FirstAccessKey, codec::encode(&unused)?),
    ];
    journal.writer().await?.commit(writes).await?;
    Ok(unused)
}

/// What is encrypted, as JSON: CreateAccessKey's answer.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "AccessKey")]
    access_key: ShownKey<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownKey<'a> {
    principal_name: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
}

/// Opens what `GET /first-access-key` answers with the administrator's private key: JSON as
/// CreateAccessKey answers it.
///
/// That it comes from the service is not proved here: the attested connection proves it.
///
/// # Errors
/// [`NotForThisKey`], also where the bytes were changed.
pub fn open_first_access_key(
    pair: &HpkePair,
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotForThisKey> {
    pair.open(INFO, b"", encrypted).ok_or(NotForThisKey)
}

/// Encrypted to another public key, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is encrypted to another public key, or was changed")]
pub struct NotForThisKey;

/// Why a service has no first access key.
#[derive(Debug, Error)]
pub enum FirstKeyError {
    /// The administrator's public key.
    #[error("the administrator's key: {0}")]
    Administrator(#[from] UnusableKey),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its record.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// It could not be written as JSON.
    #[error("the first access key cannot be written")]
    Encode,
    /// It could not be encrypted.
    #[error("the first access key cannot be encrypted")]
    Encrypt,
}

impl From<SealFailed> for FirstKeyError {
    fn from(_: SealFailed) -> Self {
        Self::Encrypt
    }
}

#[cfg(test)]
mod tests;
