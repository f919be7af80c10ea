//! Encrypt, Decrypt, ReEncrypt.

use super::{Input, KEY_ID};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Second, Subject};
use crate::authorize::Permit;
use crate::keys::ciphertext::{self, CiphertextBlob};
use crate::keys::context::EncryptionContext;
use crate::keys::material::MaterialId;
use crate::keys::store::HeldKey;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// `EncryptionAlgorithmSpec` of AWS's service model.
const ALGORITHMS: &[&str] =
    &["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];
const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";
/// `PlaintextType` and `CiphertextType` of AWS's service model, bytes.
const MAX_PLAINTEXT: usize = 4096;
const MAX_CIPHERTEXT: usize = 6144;

/// The parameter's name, for callers and for policies.
const ALGORITHM: &str = "EncryptionAlgorithm";

fn algorithm(fields: &mut Fields, name: &str) -> Result<&'static str, ApiError> {
    Ok(fields.choice(name, ALGORITHMS)?.unwrap_or(SYMMETRIC))
}

fn check_algorithm(algorithm: &str) -> Result<(), ApiError> {
    if algorithm == SYMMETRIC {
        return Ok(());
    }
    Err(ApiError::Validation(format!(
        "EncryptionAlgorithm {algorithm} is not compatible with a SYMMETRIC_DEFAULT key"
    )))
}

pub(crate) struct Encrypt {
    key_id: String,
    plaintext: Zeroizing<Vec<u8>>,
    context: EncryptionContext,
    algorithm: &'static str,
    options: Options,
}

impl Input for Encrypt {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            plaintext: fields.required_blob("Plaintext", 1, MAX_PLAINTEXT)?,
            context: fields.encryption_context("EncryptionContext")?,
            algorithm: algorithm(fields, ALGORITHM)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_algorithm(self.algorithm)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .context(&self.context)
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let (blob, _) = seal(held, &self.context, &self.plaintext)?;
        Ok(json!({
            "CiphertextBlob": BASE64.encode(blob),
            "KeyId": held.arn,
            "EncryptionAlgorithm": SYMMETRIC,
        }))
    }
}

pub(crate) struct Decrypt {
    blob: Zeroizing<Vec<u8>>,
    key_id: Option<String>,
    context: EncryptionContext,
    algorithm: &'static str,
    recipient: Option<Recipient>,
    options: Options,
}

impl Input for Decrypt {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            blob: fields.required_blob("CiphertextBlob", 1, MAX_CIPHERTEXT)?,
            key_id: fields.text("KeyId", KEY_ID)?,
            context: fields.encryption_context("EncryptionContext")?,
            algorithm: algorithm(fields, ALGORITHM)?,
            recipient: Recipient::read(fields)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_algorithm(self.algorithm)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Ciphertext { blob: &self.blob, key_id: self.key_id.as_deref() })
            .context(&self.context)
            .recipient(self.recipient.as_ref())
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let (plaintext, material) = open(held, &self.blob, &self.context)?;
        let mut answer = json!({
            "KeyId": held.arn,
            "EncryptionAlgorithm": SYMMETRIC,
            "KeyMaterialId": material.to_string(),
        });
        permit.release("Plaintext", &plaintext, &mut answer)?;
        Ok(answer)
    }
}

pub(crate) struct ReEncrypt {
    blob: Zeroizing<Vec<u8>>,
    source_key_id: Option<String>,
    source_context: EncryptionContext,
    source_algorithm: &'static str,
    destination_key_id: String,
    destination_context: EncryptionContext,
    destination_algorithm: &'static str,
    options: Options,
}

const SOURCE_ALGORITHM: &str = "SourceEncryptionAlgorithm";
const DESTINATION_ALGORITHM: &str = "DestinationEncryptionAlgorithm";

impl Input for ReEncrypt {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            blob: fields.required_blob("CiphertextBlob", 1, MAX_CIPHERTEXT)?,
            source_key_id: fields.text("SourceKeyId", KEY_ID)?,
            source_context: fields.encryption_context("SourceEncryptionContext")?,
            source_algorithm: algorithm(fields, SOURCE_ALGORITHM)?,
            destination_key_id: fields.required_text("DestinationKeyId", KEY_ID)?,
            destination_context: fields.encryption_context("DestinationEncryptionContext")?,
            destination_algorithm: algorithm(fields, DESTINATION_ALGORITHM)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_algorithm(self.source_algorithm)?;
        check_algorithm(self.destination_algorithm)
    }

    /// Policies know it as two operations: on the key that decrypts, and on the one that encrypts.
    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Ciphertext { blob: &self.blob, key_id: self.source_key_id.as_deref() })
            .and(Second {
                subject: Subject::Named(&self.destination_key_id),
                actions: Some(("kms:ReEncryptFrom", "kms:ReEncryptTo")),
                encryption_context: Some(&self.destination_context),
            })
            .context(&self.source_context)
            .options(&self.options)
            .parameter(SOURCE_ALGORITHM, self.source_algorithm)
            .parameter(DESTINATION_ALGORITHM, self.destination_algorithm)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (source, destination) = (permit.key()?, permit.second_key()?);
        let (plaintext, opened_by) = open(source, &self.blob, &self.source_context)?;
        let (blob, sealed_by) = seal(destination, &self.destination_context, &plaintext)?;
        Ok(json!({
            "CiphertextBlob": BASE64.encode(blob),
            "SourceKeyId": source.arn,
            "KeyId": destination.arn,
            SOURCE_ALGORITHM: self.source_algorithm,
            DESTINATION_ALGORITHM: self.destination_algorithm,
            "SourceKeyMaterialId": opened_by.to_string(),
            "DestinationKeyMaterialId": sealed_by.to_string(),
        }))
    }
}

/// Opens a ciphertext with the material that it names.
fn open(
    held: &HeldKey,
    blob: &[u8],
    context: &EncryptionContext,
) -> Result<(Zeroizing<Vec<u8>>, MaterialId), ApiError> {
    let blob = CiphertextBlob::parse(blob).map_err(|_| ApiError::InvalidCiphertext)?;
    let material = held.key.material(blob.material_id).ok_or(ApiError::InvalidCiphertext)?;
    let plaintext = blob.open(material, context).map_err(|_| ApiError::InvalidCiphertext)?;
    Ok((plaintext, material.id()))
}

/// Seals with the key's current material.
pub(super) fn seal(
    held: &HeldKey,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<(Vec<u8>, MaterialId), ApiError> {
    let material = held.key.current_material().ok_or(ApiError::Internal)?;
    let blob = ciphertext::encrypt(held.key.id, material, context, plaintext)?;
    Ok((blob, material.id()))
}
