//! Records: sealed blobs that the host keeps under names it cannot read.

use crate::keys::id::KeyId;
use crate::secret::{self, OpenError, SealError, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sekisho_wire::store::RecordKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const LABEL_RECORD: &[u8] = b"sekisho v1 record";

/// What a record is about. Its order is the order of listings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum RecordId {
    /// The service's certificate authority.
    ServiceAuthority,
    /// A KMS key with its material, its policy and its aliases' names.
    Key(KeyId),
    /// An alias, by its name with the prefix `alias/`.
    Alias(String),
    /// The newest snapshot's manifest.
    Snapshot,
    /// A part of the snapshot that was begun at entry `start`.
    SnapshotChunk { start: u64, number: u32 },
    /// A principal with its access keys, by its name.
    Principal(String),
    /// Which principal an access key belongs to, by the key's id.
    AccessKey(String),
    /// Something is to be done with a key at a time, in milliseconds since 1970. It has no content:
    /// the key's own record says what.
    Due { time: u64, key: KeyId },
    /// A registered policy component, by its name.
    PolicyModule(String),
    /// A grant, by who may retire it. It has no content: the key's own record has the grant.
    Retirable { principal: String, key: KeyId, grant: String },
    /// A record of a Region that is not the service's home.
    In { region: String, record: Box<RecordId> },
    /// The first access key of a service, until it was used.
    FirstAccessKey,
    /// Since when uses of keys are noted.
    UsageTracking,
    /// When a key was last used.
    LastUsage(KeyId),
    /// The policy above all others.
    Guardrail,
    /// The policies of a principal, by its name.
    PrincipalPolicies(String),
    /// An operation that waits for approvals, by what is asked for.
    Approval(String),
    /// A part of a registered policy component that is larger than a record.
    PolicyModuleChunk { name: String, number: u32 },
}

impl RecordId {
    /// The id as bytes that no other id shares: a letter for the kind, then the name.
    fn canonical(&self) -> Vec<u8> {
        match self {
            Self::ServiceAuthority => b"a".to_vec(),
            Self::Key(id) => [b"k", id.as_bytes().as_slice()].concat(),
            Self::Alias(name) => [b"n", name.as_bytes()].concat(),
            Self::Snapshot => b"s".to_vec(),
            Self::SnapshotChunk { start, number } => {
                [b"c".as_slice(), &start.to_be_bytes(), &number.to_be_bytes()].concat()
            }
            Self::Principal(name) => [b"u", name.as_bytes()].concat(),
            Self::AccessKey(id) => [b"i", id.as_bytes()].concat(),
            Self::PolicyModule(name) => [b"m", name.as_bytes()].concat(),
            Self::Due { time, key } => {
                [b"d".as_slice(), &time.to_be_bytes(), key.as_bytes()].concat()
            }
            Self::PolicyModuleChunk { name, number } => {
                [b"e".as_slice(), &number.to_be_bytes(), name.as_bytes()].concat()
            }
            Self::FirstAccessKey => b"f".to_vec(),
            Self::Guardrail => b"b".to_vec(),
            Self::Approval(place) => [b"q", place.as_bytes()].concat(),
            Self::PrincipalPolicies(name) => [b"p", name.as_bytes()].concat(),
            Self::UsageTracking => b"t".to_vec(),
            Self::LastUsage(key) => [b"l", key.as_bytes().as_slice()].concat(),
            // The grant's id is unique and has one length, so that it may stand before the name.
            Self::Retirable { principal, key, grant } => {
                [b"r", key.as_bytes().as_slice(), grant.as_bytes(), principal.as_bytes()].concat()
            }
            Self::In { region, record } => [
                b"g".as_slice(),
                &region.len().to_be_bytes(),
                region.as_bytes(),
                &record.canonical(),
            ]
            .concat(),
        }
    }

    /// Snapshots do not hold the rows of their own records.
    pub(crate) fn is_of_snapshot(&self) -> bool {
        matches!(self, Self::Snapshot | Self::SnapshotChunk { .. })
    }

    /// The name under which the host keeps it: an HMAC, so that the host learns no alias or key id.
    pub(crate) fn storage_key(&self, names: &Secret) -> RecordKey {
        // HMAC takes a key of any length, so this cannot fail.
        let tag = Hmac::<Sha256>::new_from_slice(names.expose())
            .map(|mac| mac.chain_update(self.canonical()).finalize().into_bytes());
        let mut key = [0; 16];
        if let Ok(tag) = tag {
            key.copy_from_slice(tag.first_chunk::<16>().unwrap_or(&[0; 16]));
        }
        RecordKey(key)
    }

    /// Bound to id and version: a blob moved to another id, or kept from before, does not open.
    /// A manifest is read before anything says which version is the current one: it names its own
    /// inside, and the chain has to confirm it.
    fn associated_data(&self, version: u64) -> Vec<u8> {
        let version = if *self == Self::Snapshot { 0 } else { version };
        [version.to_be_bytes().as_slice(), &self.canonical()].concat()
    }
}

/// SHA-256 of a sealed blob: what the index holds of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobHash(#[serde(with = "serde_bytes")] [u8; 32]);

impl BlobHash {
    pub(crate) const GENESIS: Self = Self([0; 32]);

    pub(crate) fn of(sealed: &[u8]) -> Self {
        Self(Sha256::digest(sealed).into())
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

pub(crate) fn seal(
    key: &Secret,
    id: &RecordId,
    version: u64,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    secret::seal(key, LABEL_RECORD, &id.associated_data(version), plaintext)
}

pub(crate) fn open(
    key: &Secret,
    id: &RecordId,
    version: u64,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    secret::open(key, LABEL_RECORD, &id.associated_data(version), sealed)
}
