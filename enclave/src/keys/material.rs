//! Key material: the secret that does the work, named by an id.

use super::id::KeyId;
use super::import::Import;
use crate::secret::{RandomUnavailable, Secret, expand, expand_bytes};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const LABEL_MATERIAL_ID: &[u8] = b"sekisho v1 material id";
const LABEL_IMPORTED_MATERIAL_ID: &[u8] = b"sekisho v1 imported material id";

/// Names one secret (AWS KMS `KeyMaterialId`: 64 hex digits). Derived from the secret itself.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaterialId(#[serde(with = "serde_bytes")] [u8; 32]);

impl MaterialId {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Of what was imported into a key: other keys with the same material name it otherwise.
    pub(crate) fn imported(key: KeyId, material: &[u8]) -> Self {
        let mut id = [0; 32];
        expand_bytes(material, None, &[LABEL_IMPORTED_MATERIAL_ID, key.as_bytes()], &mut id);
        Self(id)
    }

    /// Reads 64 hex digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
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
    /// None of imported material that was deleted or has expired.
    secret: Option<Arc<Secret>>,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// How it came after other material; none of a key's first.
    pub(crate) rotation: Option<RotationType>,
    /// Of imported material.
    pub(crate) import: Option<Import>,
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
        let secret = Some(Arc::new(secret));
        Self { id: MaterialId(id), secret, created, rotation: None, import: None }
    }

    /// Material that came at `created`.
    pub(crate) fn imported(import: Import, secret: Secret, created: u64) -> Self {
        let secret = Some(Arc::new(secret));
        Self { id: import.id, secret, created, rotation: None, import: Some(import) }
    }

    /// Imported material that is there again, on new terms.
    pub(super) fn restore(&mut self, import: Import, secret: Secret) {
        self.secret = Some(Arc::new(secret));
        self.import = Some(import);
    }

    /// Forgets the secret, and nothing else of it.
    pub(super) fn wipe(&mut self) {
        self.secret = None;
        self.import = self.import.take().map(Import::without_material);
    }

    pub(crate) fn id(&self) -> MaterialId {
        self.id
    }

    /// None of imported material that was deleted or has expired.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.secret.as_deref()
    }
}

/// How material stands in a sealed record. The id of what was not imported is derived again when it
/// is read.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    secret: Option<[u8; 32]>,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    import: Option<Import>,
}

impl Serialize for KeyMaterial {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stored = Stored {
            secret: self.secret().map(|secret| *secret.expose()),
            created: self.created,
            rotation: self.rotation,
            import: self.import.clone(),
        };
        let result = stored.serialize(serializer);
        zeroize::Zeroize::zeroize(&mut stored.secret);
        result
    }
}

impl<'de> Deserialize<'de> for KeyMaterial {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut stored = Stored::deserialize(deserializer)?;
        let secret = stored.secret.as_ref().map(Secret::from_bytes);
        zeroize::Zeroize::zeroize(&mut stored.secret);
        let Stored { created, rotation, import, .. } = stored;
        match (secret, import) {
            (secret, Some(import)) => {
                let (id, secret) = (import.id, secret.map(Arc::new));
                Ok(Self { id, secret, created, rotation, import: Some(import) })
            }
            (Some(secret), None) => Ok(Self { rotation, ..Self::from_secret(secret, created) }),
            (None, None) => Err(serde::de::Error::missing_field("secret")),
        }
    }
}
