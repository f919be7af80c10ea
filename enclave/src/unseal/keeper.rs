//! How a new root key is kept, so that it comes back at the next start.

use super::failure::Failure;
use super::kms::KmsClient;
use super::shares::{RewrapFailed, SharedKey};
use super::slot::Slot;
use super::wrapped::WrappedKey;
use crate::keyring::Keyring;
use crate::secret::RootKey;
use sekisho_wire::{RecordKey, Store, StoreClient};
use std::io;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Where keyrings lie beside a root key in a file.
pub(crate) const FILE_SLOT: RecordKey = RecordKey(*b"root-key file   ");

/// A development service's file with the root key.
pub trait RootKeyFile: Send + Sync {
    /// Puts another root key (32 bytes) in the file's place, durably, as a whole or not at all. May
    /// block.
    ///
    /// # Errors
    /// Of the file.
    fn replace(&self, root: &[u8; 32]) -> io::Result<()>;
}

/// Keeps the root key of this worker's provider.
pub(crate) struct Keeper {
    way: Way,
    /// Where the provider's root key or keyrings lie; of a peer, the peer's.
    slot: Option<RecordKey>,
    store: StoreClient,
}

enum Way {
    Kms(Arc<KmsClient>),
    Shares(SharedKey),
    File(Arc<dyn RootKeyFile>),
    /// Whoever gave it has no way to give another.
    None,
}

impl Keeper {
    pub(super) fn of_kms(kms: Arc<KmsClient>, slot: RecordKey, store: StoreClient) -> Self {
        Self { way: Way::Kms(kms), slot: Some(slot), store }
    }

    pub(super) fn of_shares(shared: SharedKey, slot: RecordKey, store: StoreClient) -> Self {
        Self { way: Way::Shares(shared), slot: Some(slot), store }
    }

    /// Of a worker that had it from a peer, which has told where the peer's provider's lies.
    pub(crate) fn of_peer(slot: Option<RecordKey>, store: StoreClient) -> Self {
        Self { way: Way::None, slot, store }
    }

    /// Of a file; without one that can be replaced there is no rotation.
    pub(crate) fn of_file(file: Option<Arc<dyn RootKeyFile>>, store: StoreClient) -> Self {
        Self { way: file.map_or(Way::None, Way::File), slot: Some(FILE_SLOT), store }
    }

    pub(crate) fn slot(&self) -> Option<RecordKey> {
        self.slot
    }

    /// The keyring beside a root key from a file.
    pub(crate) async fn keyring_of_file(
        store: &StoreClient,
        root: &RootKey,
    ) -> Result<Keyring, Failure> {
        let slot = match store.slot(FILE_SLOT).await? {
            Some(held) => Slot::decode(&held),
            None => Slot { wrapped: Vec::new(), keyrings: Vec::new() },
        };
        slot.keyring(root).map_err(|_| Failure::OtherKeyring)
    }

    /// Makes the next root key and has it kept, durably and so that it has come back once: after
    /// this, or after a failure of which nobody knows what became, a start finds it or the one
    /// before, with all that are in use.
    pub(crate) async fn next(&self, keyring: &Keyring) -> Result<Keyring, Failure> {
        let failed = |_| Failure::Internal;
        let slot = self.slot.ok_or(Failure::NoKeeper)?;
        let held = self.store.slot(slot).await?;
        match &self.way {
            Way::Kms(kms) => {
                let held = held.ok_or(Failure::WrappedKeyMissing)?;
                let (ciphertext, made) = kms.generate_data_key().await?;
                let again = kms.decrypt(&ciphertext).await?;
                if !bool::from(made.ct_eq(again.as_slice())) {
                    return Err(Failure::OtherPlaintext);
                }
                let root = made.as_slice().try_into().map_err(|_| Failure::Malformed)?;
                let next = keyring.with_next(RootKey::from_bytes(root)).map_err(failed)?;
                let wrapped = WrappedKey { key: kms.key().clone(), ciphertext }.encode()?;
                let keyrings = vec![next.seal().map_err(failed)?];
                self.put(slot, held, &Slot { wrapped, keyrings }).await?;
                Ok(next)
            }
            Way::Shares(shared) => {
                let held = held.ok_or(Failure::WrappedKeyMissing)?;
                let root = RootKey::generate()?;
                let rewrapped = shared.rewrap(&Slot::decode(&held).wrapped, &root);
                let wrapped = rewrapped.map_err(|RewrapFailed| Failure::WrappedKeyMalformed)?;
                let next = keyring.with_next(root).map_err(failed)?;
                let keyrings = vec![next.seal().map_err(failed)?];
                self.put(slot, held, &Slot { wrapped, keyrings }).await?;
                Ok(next)
            }
            Way::File(file) => {
                let next = keyring.with_next(RootKey::generate()?).map_err(failed)?;
                let keyrings = vec![keyring.seal().map_err(failed)?, next.seal().map_err(failed)?];
                let both = Slot { wrapped: Vec::new(), keyrings };
                // Before the file: it opens one of the two at each instant.
                match held {
                    Some(held) => self.put(slot, held, &both).await?,
                    None => {
                        let both = both.encode()?;
                        if self.store.fill_slot(slot, both.clone()).await? != both {
                            return Err(Failure::SlotChanged);
                        }
                    }
                }
                let root = next.newest().1.ok_or(Failure::Internal)?;
                let (file, root) = (file.clone(), RootKey::from_bytes(root.expose()));
                let writing = tokio::task::spawn_blocking(move || file.replace(root.expose()));
                let written = writing.await.map_err(|_| Failure::Internal)?;
                written.map_err(|_| Failure::FileNotReplaced)?;
                Ok(next)
            }
            Way::None => Err(Failure::NoKeeper),
        }
    }

    /// Whether [`Keeper::next`] can do anything.
    pub(crate) fn can_rotate(&self) -> bool {
        !matches!(self.way, Way::None)
    }

    /// Has the root keys before the newest kept no longer.
    pub(crate) async fn forget_former(&self, keyring: &Keyring) -> Result<Keyring, Failure> {
        let failed = |_| Failure::Internal;
        let slot = self.slot.ok_or(Failure::NoKeeper)?;
        let held = self.store.slot(slot).await?.ok_or(Failure::WrappedKeyMissing)?;
        let Slot { wrapped, keyrings } = Slot::decode(&held);
        let newest = keyring.newest().1.ok_or(Failure::Internal)?;
        let there = Slot { wrapped: Vec::new(), keyrings }.keyring(newest);
        if !there.is_ok_and(|there| there.generation() == keyring.generation()) {
            return Err(Failure::SlotChanged);
        }
        let left = keyring.without_former().map_err(failed)?;
        let keyrings = vec![left.seal().map_err(failed)?];
        self.put(slot, held, &Slot { wrapped, keyrings }).await?;
        Ok(left)
    }

    async fn put(&self, slot: RecordKey, held: Vec<u8>, content: &Slot) -> Result<(), Failure> {
        let content = content.encode()?;
        let now = match self.store.replace_slot(slot, held, content.clone()).await {
            Ok(now) => now,
            // The answer may have been lost alone.
            Err(error) => match self.store.slot(slot).await? {
                Some(now) if now == content => Some(now),
                _ => return Err(error.into()),
            },
        };
        if now == Some(content) { Ok(()) } else { Err(Failure::SlotChanged) }
    }
}
