//! EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations.

use super::imports::{describe_import, wrong_origin};
use super::multi_region::check_primary;
use super::{Input, KEY_ID, change, limit, offset, page_from, seconds};
use crate::api::{ApiError, Facts, Fields, Subject};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::import::Origin;
use crate::keys::material::{KeyMaterial, RotationType};
use crate::keys::rotation::Rotation;
use crate::keys::spec::KeyType;
use crate::keys::state::KeyState;
use crate::service::Service;
use serde_json::{Value, json};

/// `RotationPeriodInDaysType` of AWS's service model, and AWS's default.
const PERIOD: (i64, i64) = (90, 2560);
const DEFAULT_PERIOD: i64 = 365;
/// AWS's quota of rotations on demand in a key's life.
const MAX_ON_DEMAND: usize = 25;

pub(crate) struct EnableKeyRotation {
    key_id: String,
    /// Days.
    period: u32,
}

impl Input for EnableKeyRotation {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let (least, most) = PERIOD;
        let period = fields.integer("RotationPeriodInDays", least, most)?;
        let period = u32::try_from(period.unwrap_or(DEFAULT_PERIOD)).unwrap_or_default();
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)?, period })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id)).parameter("RotationPeriodInDays", self.period)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        rotates_by_itself(permit)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let rotation = Rotation::every(self.period, permit.time());
        set_rotation(service, &permit, Some(rotation)).await
    }
}

pub(crate) struct DisableKeyRotation {
    key_id: String,
}

impl Input for DisableKeyRotation {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        rotates_by_itself(permit)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        set_rotation(service, &permit, None).await
    }
}

/// Only symmetric encryption keys rotate.
fn rotates(permit: &Permit) -> Result<(), ApiError> {
    match permit.key()?.key.spec.key_type() {
        KeyType::Symmetric => Ok(()),
        // AWS sends no text with this.
        KeyType::Hmac | KeyType::Asymmetric => Err(ApiError::UnsupportedOperation(String::new())),
    }
}

/// Related multi-Region keys rotate together, as their primary key says.
fn is_rotated_here(key: &Key, arn: &str) -> Result<(), ApiError> {
    if key.is_replica() { check_primary(key, arn) } else { Ok(()) }
}

fn rotates_here(permit: &Permit) -> Result<(), ApiError> {
    rotates(permit)?;
    let held = permit.key()?;
    is_rotated_here(&held.key, &held.arn)
}

/// Imported material rotates when somebody imports more of it, and not by time.
fn rotates_by_itself(permit: &Permit) -> Result<(), ApiError> {
    rotates_here(permit)?;
    let held = permit.key()?;
    if held.key.origin == Origin::External { Err(wrong_origin(held)) } else { Ok(()) }
}

async fn set_rotation(
    service: &Service,
    permit: &Permit,
    rotation: Option<Rotation>,
) -> Result<Value, ApiError> {
    let arn = &permit.key()?.arn;
    let set = |key: &mut Key| {
        is_rotated_here(key, arn)?;
        key.rotation = rotation;
        Ok(())
    };
    change(service, permit, set).await?;
    Ok(json!({}))
}

pub(crate) struct GetKeyRotationStatus {
    key_id: String,
}

impl Input for GetKeyRotationStatus {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let pending = matches!(
            held.key.state,
            KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion { .. }
        );
        let rotation = held.key.rotation.filter(|_| !pending);
        let mut answer = json!({ "KeyId": held.arn, "KeyRotationEnabled": rotation.is_some() });
        if let (Some(rotation), Some(members)) = (rotation, answer.as_object_mut()) {
            members.insert("RotationPeriodInDays".into(), rotation.period.into());
            members.insert("NextRotationDate".into(), seconds(rotation.next));
        }
        Ok(answer)
    }
}

pub(crate) struct RotateKeyOnDemand {
    key_id: String,
}

impl Input for RotateKeyOnDemand {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        rotates_here(permit)?;
        let held = permit.key()?;
        if held.key.origin == Origin::External && held.key.multi_region.is_some() {
            return Err(ApiError::UnsupportedOperation(format!(
                "{} is a multi-Region key with imported key material, which this version of Sekisho \
                 does not rotate.",
                held.arn
            )));
        }
        Ok(())
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let arn = &permit.key()?.arn;
        let rotate = |key: &mut Key| {
            is_rotated_here(key, arn)?;
            let on_demand = Some(RotationType::OnDemand);
            let so_far = key.materials().iter().filter(|one| one.rotation == on_demand).count();
            if so_far >= MAX_ON_DEMAND {
                return Err(ApiError::LimitExceeded(format!(
                    "The on-demand rotations limit has been reached for the given keyId. No more \
                     on-demand rotations can be performed for this key: {arn}"
                )));
            }
            if key.origin == Origin::AwsKms {
                key.rotate(KeyMaterial::rotated(permit.time(), RotationType::OnDemand)?);
            } else if !key.rotate_to_imported(permit.time()) {
                return Err(ApiError::InvalidState(format!(
                    "No available key material pending rotation for the key: {arn}."
                )));
            }
            Ok(())
        };
        change(service, &permit, rotate).await?;
        Ok(json!({ "KeyId": arn }))
    }
}

pub(crate) struct ListKeyRotations {
    key_id: String,
    include: Option<&'static str>,
    offset: usize,
    limit: usize,
}

const ROTATIONS_ONLY: &str = "ROTATIONS_ONLY";

impl Input for ListKeyRotations {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let include = fields.choice("IncludeKeyMaterial", &["ALL_KEY_MATERIAL", ROTATIONS_ONLY])?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            include,
            offset: offset(fields)?,
            limit: limit(fields, 100, 1000)?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        if self.include.is_some() && permit.key()?.key.spec.key_type() != KeyType::Symmetric {
            return Err(ApiError::Validation(
                "Input parameter includeKeyMaterial can only be used with symmetric keys.".into(),
            ));
        }
        rotates(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let current = held.key.current_material().map(KeyMaterial::id);
        let pending = held.key.pending_material();
        let materials = held.key.materials().iter().chain(pending);
        let all = self.include.is_some_and(|include| include != ROTATIONS_ONLY);
        let listed = materials.filter(|material| all || material.rotation.is_some());
        Ok(page_from(listed, self.offset, self.limit, "Rotations", |material| {
            let state = if Some(material.id()) == current {
                "CURRENT"
            } else if pending.is_some_and(|pending| pending.id() == material.id()) {
                "PENDING_ROTATION"
            } else {
                "NON_CURRENT"
            };
            let mut entry = json!({
                "KeyId": held.arn,
                "KeyMaterialId": material.id().to_string(),
                "KeyMaterialState": state,
            });
            if let (Some(import), Some(members)) = (&material.import, entry.as_object_mut()) {
                describe_import(members, import, material.secret().is_some());
            }
            if let (Some(how), Some(members)) = (material.rotation, entry.as_object_mut()) {
                members.insert("RotationDate".into(), seconds(material.created));
                members.insert("RotationType".into(), how.name().into());
            }
            entry
        }))
    }
}
