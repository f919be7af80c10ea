//! KMS keys: what they are, how they are kept, how they are found.

pub(crate) mod aliases;
pub(crate) mod arn;
pub(crate) mod ber;
pub(crate) mod ciphertext;
pub(crate) mod context;
mod ed25519;
pub(crate) mod grants;
pub(crate) mod id;
pub(crate) mod import;
pub(crate) mod material;
mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod module_deletion;
mod module_records;
pub(crate) mod module_upload;
pub(crate) mod modules;
pub(crate) mod multi_region;
pub(crate) mod pair;
pub(crate) mod policy;
pub(crate) mod private;
pub(crate) mod rotation;
pub(crate) mod schedule;
pub(crate) mod signing;
pub(crate) mod spec;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod usage;
pub(crate) mod wrapping;

use grants::Grant;
use id::KeyId;
use import::{Import, Origin};
use material::{KeyMaterial, MaterialId};
use multi_region::MultiRegion;
use private::PrivateMaterial;
use rotation::Rotation;
use serde::{Deserialize, Serialize};
use spec::{KeySpec, KeyUsage};
use state::KeyState;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

/// A KMS key with its material, as it stands in its sealed record. A clone shares the secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) description: String,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) state: KeyState,
    #[serde(default, skip_serializing_if = "Origin::is_default")]
    pub(crate) origin: Origin,
    /// By name.
    pub(crate) tags: Vec<(String, String)>,
    /// Of a symmetric encryption key, oldest first; the last one encrypts.
    materials: Vec<KeyMaterial>,
    /// What an HMAC key or an asymmetric key has in place of `materials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<PrivateMaterial>,
    /// Of `private`, where it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    import: Option<Import>,
    /// Imported material that encrypts from the next rotation on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<KeyMaterial>,
    /// Automatic rotation, where it is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotation: Option<Rotation>,
    /// By rising id; at most [`grants::MAX_GRANTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) grants: Vec<Grant>,
    /// Of a multi-Region key: where the keys are that it is related to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) multi_region: Option<MultiRegion>,
}

impl Key {
    /// An enabled symmetric key.
    pub(crate) fn symmetric(
        id: KeyId,
        created: u64,
        description: String,
        tags: Vec<(String, String)>,
        material: KeyMaterial,
    ) -> Self {
        Self {
            id,
            created,
            description,
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            state: KeyState::Enabled,
            origin: Origin::AwsKms,
            tags,
            materials: vec![material],
            private: None,
            import: None,
            pending: None,
            rotation: None,
            grants: Vec::new(),
            multi_region: None,
        }
    }

    /// An HMAC key or an asymmetric key in place of a symmetric one.
    pub(crate) fn with_private(
        self,
        spec: KeySpec,
        usage: KeyUsage,
        private: PrivateMaterial,
    ) -> Self {
        Self { spec, usage, materials: Vec::new(), private: Some(private), ..self }
    }

    /// The algorithms that the key works with, by AWS's names.
    pub(crate) fn algorithms(&self) -> &'static [&'static str] {
        self.spec.algorithms(self.usage)
    }

    /// The secret of an HMAC key or an asymmetric key.
    pub(crate) fn private(&self) -> Option<&PrivateMaterial> {
        self.private.as_ref()
    }

    /// The material that encrypts now.
    pub(crate) fn current_material(&self) -> Option<&KeyMaterial> {
        self.materials.last()
    }

    /// The material that a ciphertext names.
    pub(crate) fn material(&self, id: MaterialId) -> Option<&KeyMaterial> {
        self.materials.iter().find(|material| material.id() == id)
    }

    /// Oldest first.
    pub(crate) fn materials(&self) -> &[KeyMaterial] {
        &self.materials
    }

    /// From now on `material` encrypts; what the others encrypted can still be decrypted.
    pub(crate) fn rotate(&mut self, material: KeyMaterial) {
        self.materials.push(material);
    }

    /// When something is to be done with the key that nobody asks for; milliseconds since 1970.
    pub(crate) fn due(&self) -> Option<u64> {
        let by_state = match self.state {
            KeyState::PendingDeletion { deletion } => Some(deletion),
            // A replica gets new material when its primary key does.
            KeyState::Enabled if self.is_replica() => None,
            KeyState::Enabled => self.rotation.map(|rotation| rotation.next),
            KeyState::Disabled
            | KeyState::PendingImport
            | KeyState::PendingReplicaDeletion { .. } => None,
        };
        by_state.into_iter().chain(self.next_expiry()).min()
    }
}
