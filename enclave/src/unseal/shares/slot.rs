//! How the root key lies in the host's store: wrapped under a key of which the operators have shares.
//!
//! All that is beside it is bound to it: once enough shares are together, a change of any of it shows.
//! Until then the commitments tell which share is a good one. A host can have them changed, and so
//! keep the worker sealed, and nothing else.

use super::shamir::{self, Bytes, LENGTH};
use super::share::{CeremonyId, OperatorShare};
use super::{OperatorShares, Refused};
use crate::hpke::HpkeKey;
use crate::secret::{self, RootKey, Secret, fill_random};
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const LABEL_ROOT: &[u8] = b"sekisho v1 root key under operator shares";
const LABEL_COMMITMENT: &[u8] = b"sekisho v1 operator share commitment";
/// The only version so far.
const VERSION: u8 = 1;

/// The content of the slot.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareSlot {
    header: Header,
    /// The root key, sealed under the shared key and bound to the header.
    #[serde(with = "serde_bytes")]
    wrapped: Vec<u8>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u8,
    /// Whose root key it is.
    account: String,
    #[serde(with = "serde_bytes")]
    ceremony: CeremonyId,
    threshold: u8,
    holders: Vec<Holder>,
}

/// Share `index` is that of the holder at `index - 1`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    /// SHA-256 of the public key.
    #[serde(with = "serde_bytes")]
    pub(super) key: [u8; 32],
    /// SHA-256 of the share, which is as random as a key: it tells nothing about it.
    #[serde(with = "serde_bytes")]
    commitment: [u8; 32],
    /// The share, encrypted to the holder: an answer that is lost can be asked for again.
    #[serde(with = "serde_bytes")]
    pub(super) encrypted: Vec<u8>,
}

impl ShareSlot {
    /// A new root key for these holders, of which nothing is kept but this.
    pub(super) fn make(
        provider: &OperatorShares,
        keys: &[HpkeKey],
        account: &str,
    ) -> Result<Self, Refused> {
        Self::make_for(provider, keys, account, &RootKey::generate()?)
    }

    /// This root key for these holders: the key that wraps it, and their shares, are new.
    pub(super) fn make_for(
        provider: &OperatorShares,
        keys: &[HpkeKey],
        account: &str,
        root: &RootKey,
    ) -> Result<Self, Refused> {
        let mut ceremony = CeremonyId::default();
        let mut shared = Zeroizing::new([0; LENGTH]);
        for random in [ceremony.as_mut_slice(), shared.as_mut_slice()] {
            fill_random(random)?;
        }
        let shares = shamir::split(&shared, provider.threshold, keys.len())?;
        let mut holders = Vec::with_capacity(keys.len());
        for (index, (key, share)) in (1..).zip(keys.iter().zip(shares)) {
            let commitment = commitment(&ceremony, index, &share);
            let share = OperatorShare { ceremony, index, threshold: provider.threshold, share };
            let encrypted = share.encrypt(key)?;
            holders.push(Holder { key: key.identifier, commitment, encrypted });
        }
        let header = Header {
            version: VERSION,
            account: account.to_owned(),
            ceremony,
            threshold: provider.threshold,
            holders,
        };
        let shared = Secret::from_bytes(&shared);
        let wrapped = secret::seal(&shared, LABEL_ROOT, &header.encode()?, root.expose())?;
        Ok(Self { header, wrapped })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Refused> {
        codec::encode(self).map_err(|_| Refused::Internal)
    }

    /// Reads what the host has given, if it is for the holders that are measured.
    pub(super) fn decode(
        bytes: &[u8],
        wanted: u8,
        keys: &[HpkeKey],
        account: &str,
    ) -> Result<Self, Refused> {
        let slot: Self = codec::decode(bytes).map_err(|_| Refused::SlotDamaged)?;
        let Header { version, account: whose, threshold, holders, .. } = &slot.header;
        if *version != VERSION {
            return Err(Refused::SlotDamaged);
        }
        let holders = holders.iter().map(|holder| &holder.key);
        let same = holders.eq(keys.iter().map(|key| &key.identifier))
            && *threshold == wanted
            && whose == account;
        if same { Ok(slot) } else { Err(Refused::OtherHolders) }
    }

    pub(super) fn ceremony(&self) -> &CeremonyId {
        &self.header.ceremony
    }

    pub(super) fn holders(&self) -> &[Holder] {
        &self.header.holders
    }

    /// That a share is the one of this index, of this making.
    pub(super) fn check(&self, share: &OperatorShare) -> Result<(), Refused> {
        let OperatorShare { ceremony, index, share, .. } = share;
        if ceremony != self.ceremony() {
            return Err(Refused::OtherCeremony { given: *ceremony, wanted: *self.ceremony() });
        }
        let at = usize::from(*index).checked_sub(1);
        let holder = at.and_then(|at| self.holders().get(at)).ok_or(Refused::Share(*index))?;
        let commitment = commitment(ceremony, *index, share);
        match bool::from(commitment.ct_eq(&holder.commitment)) {
            true => Ok(()),
            false => Err(Refused::Share(*index)),
        }
    }

    /// The root key of enough shares that were [checked](Self::check).
    pub(super) fn unwrap<'a>(
        &self,
        shares: impl IntoIterator<Item = (u8, &'a Bytes)>,
    ) -> Result<(RootKey, SharedKey), Refused> {
        let shared = Secret::from_bytes(&*shamir::combine(shares)?);
        let header = self.header.encode()?;
        // The shares are good, so what is beside them is not.
        let root = secret::open(&shared, LABEL_ROOT, &header, &self.wrapped)
            .map_err(|_| Refused::SlotDamaged)?;
        let root = root.as_slice().try_into().map_err(|_| Refused::SlotDamaged)?;
        Ok((RootKey::from_bytes(root), SharedKey(shared)))
    }
}

/// The key of which the operators have shares, for as long as the worker runs: whoever has it has had
/// the root key.
pub(crate) struct SharedKey(Secret);

/// What is in the slot is not wrapped under this key, or not of its form.
pub(crate) struct RewrapFailed;

impl SharedKey {
    /// A slot's content with another root key for the same holders and their shares.
    pub(crate) fn rewrap(&self, held: &[u8], root: &RootKey) -> Result<Vec<u8>, RewrapFailed> {
        let ShareSlot { header, wrapped } = codec::decode(held).map_err(|_| RewrapFailed)?;
        let bound = header.encode().map_err(|_| RewrapFailed)?;
        secret::open(&self.0, LABEL_ROOT, &bound, &wrapped).map_err(|_| RewrapFailed)?;
        let wrapped = secret::seal(&self.0, LABEL_ROOT, &bound, root.expose());
        let slot = ShareSlot { header, wrapped: wrapped.map_err(|_| RewrapFailed)? };
        slot.encode().map_err(|_| RewrapFailed)
    }
}

impl Header {
    fn encode(&self) -> Result<Vec<u8>, Refused> {
        codec::encode(self).map_err(|_| Refused::Internal)
    }
}

fn commitment(ceremony: &CeremonyId, index: u8, share: &Bytes) -> [u8; 32] {
    Sha256::new()
        .chain_update(LABEL_COMMITMENT)
        .chain_update(ceremony)
        .chain_update([index])
        .chain_update(share.as_slice())
        .finalize()
        .into()
}
