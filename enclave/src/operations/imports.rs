//! GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, change, seconds};
use crate::api::{ApiError, Facts, Fields, NeededState, Pattern, Subject, Text};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::import::{Import, ImportRefused, ImportType, NewMaterial, Origin, Terms};
use crate::keys::material::MaterialId;
use crate::keys::pair::{self, PairError};
use crate::keys::private::PrivateMaterial;
use crate::keys::rotation::DAY;
use crate::keys::spec::KeyType;
use crate::keys::store::HeldKey;
use crate::keys::wrapping::{OpenToken, Wrapping, WrappingKey};
use crate::service::Service;
use crate::threads::Cost;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

/// `AlgorithmSpec` and `WrappingKeySpec` of AWS's service model.
const WRAPPING_ALGORITHMS: &[&str] = &[
    "RSAES_PKCS1_V1_5",
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256",
    "SM2PKE",
];
const WRAPPING_KEY_SPECS: &[&str] = &["RSA_2048", "RSA_3072", "RSA_4096", "SM2"];
/// `ExpirationModelType`, the first one if there is none.
const EXPIRES: &str = "KEY_MATERIAL_EXPIRES";
const DOES_NOT_EXPIRE: &str = "KEY_MATERIAL_DOES_NOT_EXPIRE";
/// `ImportType`.
const NEW: &str = "NEW_KEY_MATERIAL";
const EXISTING: &str = "EXISTING_KEY_MATERIAL";
/// `KeyMaterialDescriptionType`.
const DESCRIPTION: Text = Text {
    min: 0,
    max: 256,
    pattern: Some(Pattern {
        text: "^[a-zA-Z0-9:/_\\s.-]+$",
        allows: |letter| {
            letter.is_ascii_alphanumeric() || ":/_.- \t\n\r\u{b}\u{c}".contains(letter)
        },
    }),
};
/// `BackingKeyIdType`.
const MATERIAL_ID: Text = Text {
    min: 64,
    max: 64,
    pattern: Some(Pattern {
        text: "^[a-f0-9]+$",
        allows: |letter| matches!(letter, 'a'..='f' | '0'..='9'),
    }),
};

/// How long a wrapping key is good, milliseconds.
const TOKEN_LIFE: u64 = DAY;
/// AWS's longest time until material expires.
const LONGEST: u64 = 365 * DAY;

/// Refuses a key whose material the worker made, and one that is to be deleted.
fn takes_material(held: &HeldKey) -> Result<(), ApiError> {
    has_imported_material(held)?;
    held.key.state.check(NeededState::NotPendingDeletion, &held.arn)
}

fn has_imported_material(held: &HeldKey) -> Result<(), ApiError> {
    if held.key.origin == Origin::External { Ok(()) } else { Err(wrong_origin(held)) }
}

pub(super) fn wrong_origin(held: &HeldKey) -> ApiError {
    ApiError::UnsupportedOperation(format!(
        "{} origin is {} which is not valid for this operation.",
        held.arn,
        held.key.origin.name()
    ))
}

/// `ExpirationModel` and `ValidTo` of material that is there.
pub(super) fn expiration(members: &mut Map<String, Value>, valid_to: Option<u64>) {
    let model = if valid_to.is_some() { EXPIRES } else { DOES_NOT_EXPIRE };
    members.insert("ExpirationModel".into(), model.into());
    members.extend(valid_to.map(|valid_to| ("ValidTo".into(), seconds(valid_to))));
}

/// What a listing says of imported material beside its id and its state.
pub(super) fn describe_import(members: &mut Map<String, Value>, import: &Import, is_there: bool) {
    let state = if is_there { "IMPORTED" } else { "PENDING_IMPORT" };
    members.insert("ImportState".into(), state.into());
    let described = import.description.as_ref();
    members.extend(described.map(|text| ("KeyMaterialDescription".into(), text.clone().into())));
    if is_there {
        expiration(members, import.valid_to);
    }
}

/// A `KeyMaterialId`. What is not of its form is a violation, which `finish` reports.
fn material_id(fields: &mut Fields) -> Result<Option<MaterialId>, ApiError> {
    let text = fields.text("KeyMaterialId", MATERIAL_ID)?;
    Ok(text.and_then(|text| MaterialId::from_hex(&text)))
}

/// Parameters that only symmetric keys have, which have several materials.
fn for_symmetric_keys(held: &HeldKey, given: &[(&str, bool)]) -> Result<(), ApiError> {
    let spec = held.key.spec;
    let first = given.iter().find(|(_, is_given)| *is_given);
    match first {
        Some((name, _)) if spec.key_type() != KeyType::Symmetric => Err(ApiError::Validation(
            format!("Input parameter {name} cannot be used with {} imported keys.", spec.name()),
        )),
        _ => Ok(()),
    }
}

pub(crate) struct GetParametersForImport {
    key_id: String,
    algorithm: &'static str,
    spec: &'static str,
}

impl GetParametersForImport {
    fn wrapping(&self, held: &HeldKey) -> Result<Wrapping, ApiError> {
        let Self { algorithm, spec, .. } = self;
        Wrapping::named(algorithm, spec, held.key.spec).ok_or_else(|| {
            ApiError::Validation(format!(
                "Wrapping algorithm {algorithm} and wrapping key spec {spec} cannot be used to \
                 import a {} key.",
                held.key.spec.name()
            ))
        })
    }
}

impl Input for GetParametersForImport {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        let algorithm = fields.choice("WrappingAlgorithm", WRAPPING_ALGORITHMS)?;
        let spec = fields.choice("WrappingKeySpec", WRAPPING_KEY_SPECS)?;
        Ok(Self {
            key_id,
            algorithm: fields.required("WrappingAlgorithm", algorithm),
            spec: fields.required("WrappingKeySpec", spec),
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
            .parameter("WrappingAlgorithm", self.algorithm)
            .parameter("WrappingKeySpec", self.spec)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        takes_material(held)?;
        self.wrapping(held).map(|_| ())
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let wrapping = self.wrapping(held)?;
        let make = move || {
            let private = pair::generate(wrapping.spec())?;
            let public = pair::public_key(wrapping.spec(), &private)?;
            Ok::<_, PairError>((private, public))
        };
        let made = service.computing.making.run(Cost::Long, make).await?;
        let (private, public) = made.map_err(|_| ApiError::Internal)?;
        let expires = permit.time().saturating_add(TOKEN_LIFE);
        let private = PrivateMaterial::new(private);
        let key = WrappingKey { wrapping, expires, private };
        let token = service.import_tokens.seal(held.key.id, &key);
        let token = token.map_err(|_| ApiError::Internal)?;
        Ok(json!({
            "KeyId": held.arn,
            "ImportToken": BASE64.encode(token),
            "PublicKey": BASE64.encode(public),
            "ParametersValidTo": seconds(expires),
        }))
    }
}

pub(crate) struct ImportKeyMaterial {
    key_id: String,
    token: Vec<u8>,
    encrypted: Vec<u8>,
    model: &'static str,
    terms: Terms,
}

impl Input for ImportKeyMaterial {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let kind = fields.choice("ImportType", &[NEW, EXISTING])?;
        let valid_to = fields.timestamp("ValidTo")?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            token: fields.required_public_blob("ImportToken", 1, MAX_CIPHERTEXT)?,
            encrypted: fields.required_public_blob("EncryptedKeyMaterial", 1, MAX_CIPHERTEXT)?,
            model: fields
                .choice("ExpirationModel", &[EXPIRES, DOES_NOT_EXPIRE])?
                .unwrap_or(EXPIRES),
            terms: Terms {
                kind: kind.map(
                    |kind| {
                        if kind == NEW { ImportType::New } else { ImportType::Existing }
                    },
                ),
                id: material_id(fields)?,
                description: fields.text("KeyMaterialDescription", DESCRIPTION)?,
                // AWS keeps whole seconds.
                valid_to: valid_to.map(|valid_to| valid_to / 1000 * 1000),
            },
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::Validation(text.into()));
        match (self.model, self.terms.valid_to) {
            (EXPIRES, None) => {
                refuse("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
            }
            (DOES_NOT_EXPIRE, Some(_)) => refuse(
                "A validTo date cannot be set if the ExpirationModel is \
                 KEY_MATERIAL_DOES_NOT_EXPIRE",
            ),
            _ if self.terms.kind == Some(ImportType::New) && self.terms.id.is_some() => refuse(
                "Input parameter keyMaterialId cannot be used with NEW_KEY_MATERIAL importType.",
            ),
            _ => Ok(()),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
            .parameter("ExpirationModel", self.model)
            .optional("ValidTo", self.terms.valid_to.map(|valid_to| valid_to / 1000))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        takes_material(held)?;
        let left = self.terms.valid_to.map(|valid_to| valid_to.saturating_sub(permit.time()));
        let refuse = |text: &str| Err(ApiError::Validation(text.into()));
        match left {
            Some(0) => return refuse("ValidTo must be in the future"),
            Some(left) if left > LONGEST => {
                return refuse("ValidTo must be less than 365 days in the future");
            }
            _ => {}
        }
        let Terms { kind, id, description, .. } = &self.terms;
        for_symmetric_keys(
            held,
            &[
                ("importType", kind.is_some()),
                ("keyMaterialId", id.is_some()),
                ("keyMaterialDescription", description.is_some()),
            ],
        )
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (held, now) = (permit.key()?.clone(), permit.time());
        let key =
            service.import_tokens.open(held.key.id, &self.token, now).map_err(
                |error| match error {
                    OpenToken::Invalid => ApiError::InvalidImportToken,
                    OpenToken::Expired => ApiError::ExpiredImportToken,
                },
            )?;
        if !key.fits(&self.encrypted) {
            return Err(ApiError::Validation("Invalid encrypted key size.".into()));
        }
        let (id, spec, usage) = (held.key.id, held.key.spec, held.key.usage);
        // Whatever is wrong with what was encrypted, a caller learns one thing: AWS's answer, too, is
        // the same for a padding, a length and a private key that are wrong.
        let unwrap = move || {
            let bytes = key.unwrap(&self.encrypted).ok()?;
            NewMaterial::read(id, spec, usage, &bytes).ok()
        };
        let material = service.computing.using.run(Cost::Long, unwrap).await?;
        let material = material.ok_or(ApiError::InvalidCiphertext)?;
        let mut imported = None;
        let import = |key: &mut Key| {
            key.state.check(NeededState::NotPendingDeletion, &held.arn)?;
            let id = key.import(material, self.terms, now);
            imported = Some(id.map_err(|refused| not_taken(&held.arn, refused))?);
            Ok(())
        };
        change(service, &permit, import).await?;
        Ok(answer(&held, imported))
    }
}

fn not_taken(arn: &str, refused: ImportRefused) -> ApiError {
    match refused {
        ImportRefused::Unexpected { expected } => ApiError::IncorrectKeyMaterial(format!(
            "Imported key material does not have the expected identifier ({expected})."
        )),
        ImportRefused::NothingKnown { id } => ApiError::IncorrectKeyMaterial(format!(
            "Key material (id: {id}) being imported as EXISTING_KEY_MATERIAL is not associated with \
             KMS key {arn}."
        )),
        ImportRefused::Known { id } => ApiError::IncorrectKeyMaterial(format!(
            "Key material (id: {id}) being imported as NEW_KEY_MATERIAL is already associated with \
             KMS key {arn}."
        )),
        ImportRefused::Waiting { id, pending } => ApiError::InvalidState(format!(
            "New key material (id: {id}) cannot be imported into KMS key {arn}, because another key \
             material (id: {pending}) is pending rotation."
        )),
        ImportRefused::OtherKind => ApiError::Internal,
    }
}

/// Only symmetric keys' material has an id for callers.
fn answer(held: &HeldKey, material: Option<MaterialId>) -> Value {
    let is_symmetric = held.key.spec.key_type() == KeyType::Symmetric;
    match material.filter(|_| is_symmetric) {
        Some(id) => json!({ "KeyId": held.arn, "KeyMaterialId": id.to_string() }),
        None => json!({ "KeyId": held.arn }),
    }
}

pub(crate) struct DeleteImportedKeyMaterial {
    key_id: String,
    material: Option<MaterialId>,
}

impl Input for DeleteImportedKeyMaterial {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        Ok(Self { key_id, material: material_id(fields)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        has_imported_material(held)?;
        for_symmetric_keys(held, &[("keyMaterialId", self.material.is_some())])
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let mut deleted = None;
        let delete = |key: &mut Key| {
            deleted = key.delete_imported(self.material).map_err(|_| {
                let id = self.material.map(|id| id.to_string()).unwrap_or_default();
                ApiError::Validation(format!(
                    "Key material (id: {id}) has never been imported into KMS key {}.",
                    held.arn
                ))
            })?;
            Ok(())
        };
        change(service, &permit, delete).await?;
        service.keys.forget(held.key.id);
        Ok(answer(held, deleted))
    }
}
