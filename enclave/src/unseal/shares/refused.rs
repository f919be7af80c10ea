//! Why a share, or the making of shares, is refused: in words for the operator who asked.

use super::shamir::ShamirError;
use super::share::{CeremonyId, ShareError};
use crate::secret::{RandomUnavailable, SealError};
use sekisho_wire::store::StoreError;
use thiserror::Error;

/// Nothing secret and no word of a caller's is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    // What the operator asks.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("no shares have been made yet: sekisho init makes them")]
    NotBegun,
    #[error(
        "the shares were made before, and the service has keys under them: sekisho init begins new \
         services alone"
    )]
    Begun,
    #[error(
        "shares were made at an earlier start, or the store was filled by somebody else: they are not \
         given out again. If the holders do not have them, start over with an empty store: nothing \
         is sealed yet"
    )]
    MadeBefore,
    #[error(
        "the boot configuration has {shares} holders and a threshold of {threshold}, and the request \
         other numbers"
    )]
    OtherNumbers { shares: usize, threshold: u8 },
    #[error(
        "the root key is still wrapped for the former holders: enough of them have to give their shares \
         first (sekisho rekey)"
    )]
    NotRekeyed,
    #[error("the boot configuration names no holder with this public key")]
    UnknownHolder,
    #[error(
        "the message does not open: it is for another worker or an earlier start of this one, or \
         another than the named holder has made it"
    )]
    NotOpened,
    #[error(
        "share of another ceremony: it is of {given}, and this service was begun by {wanted}",
        given = hex::encode(given),
        wanted = hex::encode(wanted)
    )]
    OtherCeremony { given: CeremonyId, wanted: CeremonyId },
    #[error("share {0} is a bad one: it is not the share that was made under this number")]
    Share(u8),
    #[error("share {0} is another holder's")]
    NotTheHolders(u8),

    // What the host gives.
    #[error("the host's store: {0}")]
    Store(#[from] StoreError),
    #[error(
        "the store has a journal or an audit log but no wrapped root key: no new root key is begun \
         over them. Put the whole store back as it was, or start with an empty one"
    )]
    SlotMissing,
    #[error("the wrapped root key in the store is damaged: put the store back as it was")]
    SlotDamaged,
    #[error("another worker has changed the root key in the store meanwhile: begin again")]
    SlotChanged,
    #[error(
        "the wrapped root key in the store is for other holders, another threshold or another account \
         than this boot configuration's: start the worker with the configuration of this service"
    )]
    OtherHolders,

    // This worker.
    #[error("the worker has no random bytes, or cannot compute")]
    Internal,
}

impl Refused {
    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::NotRekeyed
            | Self::NotBegun
            | Self::Begun
            | Self::MadeBefore
            | Self::OtherNumbers { .. } => 409,
            Self::UnknownHolder
            | Self::NotOpened
            | Self::OtherCeremony { .. }
            | Self::Share(_)
            | Self::NotTheHolders(_) => 403,
            Self::Store(_)
            | Self::SlotMissing
            | Self::SlotDamaged
            | Self::SlotChanged
            | Self::OtherHolders => 503,
            Self::Internal => 500,
        }
    }
}

impl From<RandomUnavailable> for Refused {
    fn from(_: RandomUnavailable) -> Self {
        Self::Internal
    }
}

impl From<SealError> for Refused {
    fn from(_: SealError) -> Self {
        Self::Internal
    }
}

impl From<ShamirError> for Refused {
    fn from(_: ShamirError) -> Self {
        Self::Internal
    }
}

impl From<ShareError> for Refused {
    fn from(_: ShareError) -> Self {
        Self::Internal
    }
}
