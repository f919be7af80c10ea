//! Unsealing: the root key lies wrapped in the host's store, and the KMS that can unwrap it gives
//! it to this worker's measurement alone.
//!
//! The KMS is AWS KMS, or another Sekisho, which speaks the same API. At the first start the worker
//! asks it for a data key and puts the wrapped copy into the store; at that start and each later one
//! it has the stored copy decrypted. Both answers are encrypted to a key that was made for the one
//! request and stands in an attestation document of the NSM. The policy of the KMS's key decides,
//! by the registers in the document (docs/unsealing.md).
//!
//! Or a worker of the same service gives it, over mutual attestation ([`peer`], [`crate::peers`]).
//!
//! The host carries all of it: TLS that ends here and in the KMS, over its egress, signed with
//! credentials that it gives. It can keep the worker sealed, and nothing else.

mod conversation;
mod failure;
mod keeper;
mod kms;
mod peer;
mod provider;
mod shares;
mod slot;
mod tls;
mod wrapped;

pub(crate) use failure::Failure;
pub(crate) use keeper::Keeper;
pub use keeper::RootKeyFile;
pub use peer::Peer;
pub use provider::{AwsKms, InvalidKms, KeyArn};
pub(crate) use shares::{Ceremony, Refused};
pub use shares::{
    FormerHolders, InvalidShares, MAX_HOLDERS, NextHolders, OperatorShare, OperatorShares,
    ShareError,
};
pub use tls::any_certificate;

use crate::configuration::{BOOT_CONFIGURATION_PCR, BootConfiguration, InvalidConfiguration};
use crate::keyring::Keyring;
use crate::log::{Event, log};
use crate::peers::{Admission, InvalidPeers, SignedStatement};
use crate::secret::{RandomUnavailable, RootKey, fill_random};
use crate::storage::checkpoint::Checkpoint;
use kms::KmsClient;
use peer::PeerClient;
use sekisho_nsm::{Nsm, NsmError};
use sekisho_wire::{Address, RecordKey, Store, StoreClient};
use slot::Slot;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use wrapped::WrappedKey;
use zeroize::Zeroizing;

/// Where the wrapped key lies in the store.
const SLOT: RecordKey = RecordKey(*b"root-key aws-kms");
/// Bytes of a root key.
const ROOT_KEY: usize = 32;
/// The registers that a key's policy can ask for: what runs (0 to 2), the role of the parent
/// instance (3), the instance (4), who signed it (8), and how it was configured.
const REGISTERS: [u16; 7] = [0, 1, 2, 3, 4, 8, BOOT_CONFIGURATION_PCR];
/// The log repeats a failure that goes on after so many attempts.
const SAID_AGAIN: u32 = 20;

/// How long a worker waits between two attempts: doubled from the first to the last.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first attempt.
    pub first: Duration,
    /// From some attempt on.
    pub last: Duration,
}

impl Pauses {
    /// Half a second, then up to fifteen: a key that is enabled again, or a policy that is set
    /// right, unseals within them, and a KMS that throttles is asked four times a minute.
    pub const DEFAULT: Self =
        Self { first: Duration::from_millis(500), last: Duration::from_secs(15) };
}

/// Has the root key unwrapped, or given by a peer.
pub(crate) struct Unsealer {
    way: Way,
    store: StoreClient,
    nsm: Arc<dyn Nsm>,
    pauses: Pauses,
}

enum Way {
    Kms(Arc<KmsClient>),
    Peer(PeerClient),
}

/// A root key that has come, with the others that are in use.
pub(crate) struct Unsealed {
    pub(crate) keyring: Keyring,
    /// How another is kept.
    pub(crate) keeper: Keeper,
    /// Where the journal of the peer that gave it stands: this worker's has to be the same.
    pub(crate) reached: Option<Checkpoint>,
}

impl Unsealer {
    /// `account` is the worker's own, and part of the encryption context.
    pub(crate) fn new(
        provider: &AwsKms,
        account: &str,
        egress: Address,
        store: StoreClient,
        nsm: Arc<dyn Nsm>,
        pauses: Pauses,
    ) -> Result<Self, InvalidKms> {
        let kms = KmsClient::new(provider.clone(), account, egress, nsm.clone())?;
        Ok(Self { way: Way::Kms(Arc::new(kms)), store, nsm, pauses })
    }

    /// `statements` of operators may allow the peer, or this worker.
    pub(crate) fn of_peer(
        peer: &Peer,
        configuration: &BootConfiguration,
        statements: Vec<SignedStatement>,
        egress: Address,
        store: StoreClient,
        nsm: Arc<dyn Nsm>,
        pauses: Pauses,
    ) -> Result<Self, InvalidConfiguration> {
        let peers = configuration.peers.clone().ok_or(InvalidPeers::NotConfigured)?;
        let admission = Admission::new(peers, configuration.account.clone())?;
        let (peer, asks) = (peer.clone(), nsm.clone());
        let client = PeerClient::new(peer, configuration, admission, statements, egress, asks)?;
        Ok(Self { way: Way::Peer(client), store, nsm, pauses })
    }

    /// Says in the log what a key's policy has to ask for.
    pub(crate) fn say_registers(&self) -> Result<(), NsmError> {
        say_registers(self.nsm.as_ref())
    }

    /// The root key, however long it takes.
    pub(crate) async fn root_key(&self) -> Unsealed {
        let mut pause = self.pauses.first;
        let mut last: Option<(Failure, u32)> = None;
        let mut fresh = None;
        loop {
            let failure = match self.attempt(&mut fresh).await {
                Ok(unsealed) => return unsealed,
                Err(failure) => failure,
            };
            let again = match &last {
                Some((before, times)) if *before == failure => times.saturating_add(1),
                _ => 0,
            };
            if again % SAID_AGAIN == 0 {
                log(Event::UnsealFailed(&failure));
                if matches!(failure, Failure::NotAllowed | Failure::RefusedByPeer(_)) {
                    // The registers do not change while a worker runs, and the module has just
                    // answered.
                    let _ = self.say_registers();
                }
            }
            last = Some((failure, again));
            tokio::time::sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(self.pauses.last);
        }
    }

    async fn attempt(&self, fresh: &mut Option<Fresh>) -> Result<Unsealed, Failure> {
        match &self.way {
            Way::Kms(kms) => {
                let keyring = self.unwrapped(kms, fresh).await?;
                let keeper = Keeper::of_kms(kms.clone(), SLOT, self.store.clone());
                Ok(Unsealed { keyring, keeper, reached: None })
            }
            Way::Peer(peer) => {
                // Two services with one root key would be two histories of one.
                if self.store.head().await? == 0 {
                    return Err(Failure::NoJournal);
                }
                let (given, reached) = peer.join().await?;
                let (keyring, slot) =
                    Keyring::from_peer(&given).map_err(|_| Failure::NotOfThisExchange)?;
                let keeper = Keeper::of_peer(slot, self.store.clone());
                Ok(Unsealed { keyring, keeper, reached: Some(reached) })
            }
        }
    }

    async fn unwrapped(
        &self,
        kms: &KmsClient,
        fresh: &mut Option<Fresh>,
    ) -> Result<Keyring, Failure> {
        let held = match self.store.slot(SLOT).await? {
            Some(held) => held,
            None => self.first_key(kms, fresh).await?,
        };
        let slot = Slot::decode(&held);
        let wrapped = WrappedKey::decode(&slot.wrapped)?;
        if wrapped.key != *kms.key() {
            return Err(Failure::WrappedUnderAnotherKey);
        }
        // Also at the first start: a key that cannot be decrypted again must not seal anything.
        let key = kms.decrypt(&wrapped.ciphertext).await?;
        // What another worker has put there first goes before what this one has had made.
        let ours = fresh.as_ref().filter(|fresh| fresh.wrapped == held);
        if ours.is_some_and(|ours| !bool::from(ours.plaintext.ct_eq(key.as_slice()))) {
            return Err(Failure::OtherPlaintext);
        }
        let key: &[u8; ROOT_KEY] = key.as_slice().try_into().map_err(|_| Failure::Malformed)?;
        slot.keyring(&RootKey::from_bytes(key)).map_err(|_| Failure::OtherKeyring)
    }

    /// A new key, and what the store holds then: durable before anything is done with it.
    async fn first_key(
        &self,
        kms: &KmsClient,
        fresh: &mut Option<Fresh>,
    ) -> Result<Vec<u8>, Failure> {
        let is_new = self.store.head().await? == 0 && self.store.audit_tail().await?.is_none();
        if !is_new {
            return Err(Failure::WrappedKeyMissing);
        }
        let (ciphertext, plaintext) = kms.generate_data_key().await?;
        let wrapped = WrappedKey { key: kms.key().clone(), ciphertext }.encode()?;
        // Before it is known whether the store has taken it.
        *fresh = Some(Fresh { wrapped: wrapped.clone(), plaintext });
        let held = self.store.fill_slot(SLOT, wrapped.clone()).await?;
        if held == wrapped {
            log(Event::RootKeyWrapped);
        }
        Ok(held)
    }
}

/// Says in the log what can be asked of a worker's document.
pub(crate) fn say_registers(nsm: &dyn Nsm) -> Result<(), NsmError> {
    for register in REGISTERS {
        let value = nsm.describe_pcr(register)?.value;
        if let Ok(value) = <&[u8; 48]>::try_from(value.as_slice()) {
            log(Event::Register { register, value });
        }
    }
    Ok(())
}

/// A root key that was made at this start, as it is and as it was to be stored.
struct Fresh {
    wrapped: Vec<u8>,
    plaintext: Zeroizing<Vec<u8>>,
}

/// Up to a quarter less, so that workers that failed together do not ask together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    let quarter = match fill_random(&mut random) {
        Ok(()) => pause / 4 * u32::from(random[0]) / 255,
        Err(RandomUnavailable) => Duration::ZERO,
    };
    pause.saturating_sub(quarter)
}
