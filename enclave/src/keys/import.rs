//! Imported key material (AWS KMS Developer Guide, "Importing key material for AWS KMS keys"): how it
//! comes into a key of origin EXTERNAL, what is kept of it while it is not there, and how it goes.
//!
//! A key keeps the identity of all the material that it was ever used with, and takes the same
//! material again, and no other in its place. A key that lacks any of it is pending import.

use super::Key;
use super::ber;
use super::id::KeyId;
use super::material::{KeyMaterial, MaterialId, RotationType};
use super::pair::KeyPair;
use super::private::PrivateMaterial;
use super::spec::{KeySpec, KeyType, KeyUsage};
use super::state::KeyState;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// AWS's limit for an HMAC key that is imported, bytes.
const MAX_HMAC_KEY: usize = 128;

/// AWS KMS `OriginType`, as far as this version has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// The worker made the material.
    #[default]
    AwsKms,
    External,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwsKms => "AWS_KMS",
            Self::External => "EXTERNAL",
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of imported material, also while it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(super) id: MaterialId,
    /// In the importer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// When it goes, milliseconds since 1970; none where it stays, and where it has gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) valid_to: Option<u64>,
}

impl Import {
    pub(super) fn without_material(self) -> Self {
        Self { valid_to: None, ..self }
    }

    fn expires_by(&self, now: u64) -> bool {
        self.valid_to.is_some_and(|valid_to| valid_to <= now)
    }
}

/// Material that has been unwrapped and is right for a key, not yet in it.
pub(crate) struct NewMaterial {
    id: MaterialId,
    secret: NewSecret,
}

enum NewSecret {
    Symmetric(Secret),
    Private(PrivateMaterial),
}

/// The material is of another length, of another kind or broken.
#[derive(Debug, Error)]
#[error("the key material is not of the key's spec")]
pub(crate) struct UnfitMaterial;

impl NewMaterial {
    /// Reads the material of a key (AWS, "Requirements for imported key material"): 32 bytes of a
    /// symmetric key; of an HMAC key at least as many as the hash has; else a private key in PKCS #8
    /// (RFC 5208), in BER or DER.
    pub(crate) fn read(
        key: KeyId,
        spec: KeySpec,
        usage: KeyUsage,
        bytes: &[u8],
    ) -> Result<Self, UnfitMaterial> {
        match spec.key_type() {
            KeyType::Symmetric => {
                let secret = Secret::from_bytes(bytes.try_into().map_err(|_| UnfitMaterial)?);
                let id = MaterialId::imported(key, bytes);
                Ok(Self { id, secret: NewSecret::Symmetric(secret) })
            }
            KeyType::Hmac => {
                let least = PrivateMaterial::hmac_length(spec).map_err(|_| UnfitMaterial)?;
                if !(least..=MAX_HMAC_KEY).contains(&bytes.len()) {
                    return Err(UnfitMaterial);
                }
                let private = PrivateMaterial::new(Zeroizing::new(bytes.to_vec()));
                let id = MaterialId::imported(key, bytes);
                Ok(Self { id, secret: NewSecret::Private(private) })
            }
            KeyType::Asymmetric => {
                let pkcs8 = ber::to_der(bytes).map_err(|_| UnfitMaterial)?;
                // AWS-LC checks that the private key is whole and goes with its public key.
                let pair = KeyPair::from_pkcs8(spec, usage, &pkcs8).map_err(|_| UnfitMaterial)?;
                // RFC 5208 §5 and RFC 5280 §4.1: the same AlgorithmIdentifier stands in both. A curve
                // that is spelled out and not named is refused, as in AWS.
                let private = ber::inside(&pkcs8).map_err(|_| UnfitMaterial)?;
                let public = ber::inside(&pair.public_key).map_err(|_| UnfitMaterial)?;
                if private.get(1) != public.first() {
                    return Err(UnfitMaterial);
                }
                // One private key has many encodings, and one public key.
                let id = MaterialId::imported(key, &pair.public_key);
                Ok(Self { id, secret: NewSecret::Private(PrivateMaterial::new(pkcs8)) })
            }
        }
    }
}

/// AWS KMS `ImportType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportType {
    New,
    Existing,
}

/// What an import says beside the material.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) kind: Option<ImportType>,
    pub(crate) id: Option<MaterialId>,
    pub(crate) description: Option<String>,
    /// Milliseconds since 1970; none of what does not expire.
    pub(crate) valid_to: Option<u64>,
}

/// Why material was not taken.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ImportRefused {
    #[error("other material is expected")]
    Unexpected { expected: MaterialId },
    #[error("nothing has been imported that it could be")]
    NothingKnown { id: MaterialId },
    #[error("the material is known, and was to be new")]
    Known { id: MaterialId },
    #[error("other material waits for a rotation")]
    Waiting { id: MaterialId, pending: MaterialId },
    #[error("the material is for a key of another kind")]
    OtherKind,
}

/// No such material has ever been imported.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the material has never been imported")]
pub(crate) struct NeverImported;

impl Key {
    /// A key that waits for its material.
    pub(crate) fn external(
        id: KeyId,
        created: u64,
        description: String,
        tags: Vec<(String, String)>,
        kind: (KeySpec, KeyUsage),
    ) -> Self {
        let (spec, usage) = kind;
        Self {
            id,
            created,
            description,
            spec,
            usage,
            state: KeyState::PendingImport,
            origin: Origin::External,
            tags,
            materials: Vec::new(),
            private: None,
            import: None,
            pending: None,
            rotation: None,
            grants: Vec::new(),
            multi_region: None,
        }
    }

    /// Imported material that waits for a rotation.
    pub(crate) fn pending_material(&self) -> Option<&KeyMaterial> {
        self.pending.as_ref()
    }

    /// Whether material that the key is used with is not there.
    pub(crate) fn lacks_material(&self) -> bool {
        match self.spec.key_type() {
            KeyType::Symmetric => {
                let gone = |material: &KeyMaterial| material.secret().is_none();
                self.materials.is_empty() || self.materials.iter().any(gone)
            }
            KeyType::Hmac | KeyType::Asymmetric => self.private.is_none(),
        }
    }

    /// When the key begins to lack material, milliseconds since 1970; what waits for a rotation does
    /// not count.
    pub(crate) fn valid_to(&self) -> Option<u64> {
        let used = self.materials.iter().filter_map(|material| material.import.as_ref());
        used.chain(&self.import).filter_map(|import| import.valid_to).min()
    }

    /// When any imported material expires.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        let pending = self.pending.as_ref().and_then(|material| material.import.as_ref());
        self.valid_to().into_iter().chain(pending.and_then(|import| import.valid_to)).min()
    }

    /// The state at `now`. Material is not used beyond its time while a host keeps the worker from
    /// writing that it is gone.
    pub(crate) fn state_at(&self, now: u64) -> KeyState {
        let is_over = self.valid_to().is_some_and(|valid_to| valid_to <= now);
        match self.state {
            KeyState::Enabled | KeyState::Disabled if is_over => KeyState::PendingImport,
            state => state,
        }
    }

    /// The state that a cancelled deletion leaves.
    pub(crate) fn state_without_deletion(&self) -> KeyState {
        if self.lacks_material() { KeyState::PendingImport } else { KeyState::Disabled }
    }

    /// Takes material in at `now`; answers with its id. A key that then lacks none is enabled.
    pub(crate) fn import(
        &mut self,
        material: NewMaterial,
        terms: Terms,
        now: u64,
    ) -> Result<MaterialId, ImportRefused> {
        let NewMaterial { id, secret } = material;
        match secret {
            NewSecret::Symmetric(secret) => self.import_symmetric(id, secret, terms, now)?,
            NewSecret::Private(private) => {
                if self.spec.key_type() == KeyType::Symmetric {
                    return Err(ImportRefused::OtherKind);
                }
                if let Some(known) = self.import.as_ref().filter(|known| known.id != id) {
                    return Err(ImportRefused::Unexpected { expected: known.id });
                }
                self.private = Some(private);
                self.import = Some(Import { id, description: None, valid_to: terms.valid_to });
            }
        }
        if !self.lacks_material() {
            self.state = KeyState::Enabled;
        }
        Ok(id)
    }

    fn import_symmetric(
        &mut self,
        id: MaterialId,
        secret: Secret,
        terms: Terms,
        now: u64,
    ) -> Result<(), ImportRefused> {
        if self.spec.key_type() != KeyType::Symmetric {
            return Err(ImportRefused::OtherKind);
        }
        let Terms { kind, id: expected, description, valid_to } = terms;
        let current = self.current_material().map(KeyMaterial::id);
        let kind = kind.unwrap_or(match current {
            None => ImportType::New,
            Some(_) => ImportType::Existing,
        });
        let mut import = Import { id, description, valid_to };
        let mut all = self.materials.iter_mut().chain(&mut self.pending);
        let known = all.find(|material| material.id() == id);
        match (kind, known) {
            (ImportType::New, Some(_)) => return Err(ImportRefused::Known { id }),
            (ImportType::New, None) => {
                if let Some(expected) = expected {
                    return Err(ImportRefused::Unexpected { expected });
                }
                if let Some(pending) = self.pending.as_ref().map(KeyMaterial::id) {
                    return Err(ImportRefused::Waiting { id, pending });
                }
                let material = KeyMaterial::imported(import, secret, now);
                match current {
                    None => self.materials.push(material),
                    Some(_) => self.pending = Some(material),
                }
            }
            (ImportType::Existing, Some(material)) if expected.is_none_or(|one| one == id) => {
                // What was said of it before stays, unless something is said now.
                let before = material.import.take().and_then(|before| before.description);
                import.description = import.description.or(before);
                material.restore(import, secret);
            }
            (ImportType::Existing, _) => {
                return Err(match expected.or(current) {
                    Some(expected) => ImportRefused::Unexpected { expected },
                    None => ImportRefused::NothingKnown { id },
                });
            }
        }
        Ok(())
    }

    /// Deletes the material of this id, or what encrypts now; answers with its id, where there has
    /// been any. What waits for a rotation is forgotten with its identity.
    pub(crate) fn delete_imported(
        &mut self,
        id: Option<MaterialId>,
    ) -> Result<Option<MaterialId>, NeverImported> {
        let Some(id) = id.or_else(|| self.current_material().map(KeyMaterial::id)) else {
            self.private = None;
            self.import = self.import.take().map(Import::without_material);
            self.settle();
            return Ok(None);
        };
        if self.pending.take_if(|pending| pending.id() == id).is_none() {
            let known = self.materials.iter_mut().find(|material| material.id() == id);
            known.ok_or(NeverImported)?.wipe();
            self.settle();
        }
        Ok(Some(id))
    }

    /// Deletes all material and keeps its identity: the same has to be imported into a replica.
    pub(super) fn forget_imported(&mut self) {
        self.pending = None;
        self.materials.iter_mut().for_each(KeyMaterial::wipe);
        self.private = None;
        self.import = self.import.take().map(Import::without_material);
        self.settle();
    }

    /// Deletes the material whose time is over.
    pub(super) fn expire(&mut self, now: u64) {
        for material in self.materials.iter_mut().chain(&mut self.pending) {
            if material.import.as_ref().is_some_and(|import| import.expires_by(now)) {
                material.wipe();
            }
        }
        if let Some(import) = self.import.take_if(|import| import.expires_by(now)) {
            self.private = None;
            self.import = Some(import.without_material());
        }
        self.settle();
    }

    /// A key that lacks material is pending import, unless it is to be deleted.
    fn settle(&mut self) {
        let goes = matches!(
            self.state,
            KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion { .. }
        );
        if self.lacks_material() && !goes {
            self.state = KeyState::PendingImport;
        }
    }

    /// From now on the material that waits for a rotation encrypts, if it is there.
    pub(crate) fn rotate_to_imported(&mut self, now: u64) -> bool {
        let is_there = |pending: &mut KeyMaterial| {
            let is_over = pending.import.as_ref().is_some_and(|import| import.expires_by(now));
            pending.secret().is_some() && !is_over
        };
        match self.pending.take_if(is_there) {
            Some(mut pending) => {
                pending.created = now;
                pending.rotation = Some(RotationType::OnDemand);
                self.rotate(pending);
                true
            }
            None => false,
        }
    }
}
