//! Key material: the secret that does the work, named by an id.

use crate::secret::{RandomUnavailable, Secret, expand};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const LABEL_MATERIAL_ID: &[u8] = b"sekisho v1 material id";

/// Names one secret (AWS KMS `KeyMaterialId`: 64 hex digits). Derived from the secret itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaterialId([u8; 32]);

impl MaterialId {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for MaterialId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for MaterialId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MaterialId({self})")
    }
}

/// One 256-bit secret of a symmetric key, with when it was made. A clone shares the secret.
#[derive(Debug, Clone)]
pub(crate) struct KeyMaterial {
    id: MaterialId,
    secret: Arc<Secret>,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// How it came after other material; none of a key's first.
    pub(crate) rotation: Option<RotationType>,
}

/// AWS KMS `RotationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RotationType {
    Automatic,
    OnDemand,
}

impl RotationType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Automatic => "AUTOMATIC",
            Self::OnDemand => "ON_DEMAND",
        }
    }
}

impl KeyMaterial {
    /// Fresh material, made at `created` (milliseconds since 1970).
    pub(crate) fn generate(created: u64) -> Result<Self, RandomUnavailable> {
        Ok(Self::from_secret(Secret::generate()?, created))
    }

    /// [`KeyMaterial::generate`], for a key that has material.
    pub(crate) fn rotated(created: u64, how: RotationType) -> Result<Self, RandomUnavailable> {
        Ok(Self { rotation: Some(how), ..Self::generate(created)? })
    }

    pub(crate) fn from_secret(secret: Secret, created: u64) -> Self {
        let mut id = [0; 32];
        expand(&secret, None, &[LABEL_MATERIAL_ID], &mut id);
        Self { id: MaterialId(id), secret: Arc::new(secret), created, rotation: None }
    }

    pub(crate) fn id(&self) -> MaterialId {
        self.id
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// How material stands in a sealed record. The id is derived again when it is read.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "serde_bytes")]
    secret: [u8; 32],
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationType>,
}

impl Serialize for KeyMaterial {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { created, rotation, .. } = *self;
        let mut stored = Stored { secret: *self.secret.expose(), created, rotation };
        let result = stored.serialize(serializer);
        zeroize::Zeroize::zeroize(&mut stored.secret);
        result
    }
}

impl<'de> Deserialize<'de> for KeyMaterial {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut stored = Stored::deserialize(deserializer)?;
        let secret = Secret::from_bytes(&stored.secret);
        let material =
            Self { rotation: stored.rotation, ..Self::from_secret(secret, stored.created) };
        zeroize::Zeroize::zeroize(&mut stored.secret);
        Ok(material)
    }
}
