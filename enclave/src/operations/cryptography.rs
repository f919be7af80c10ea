//! Encrypt, Decrypt, GenerateDataKey.

use super::{Input, KEY_ID};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Subject};
use crate::authorize::Permit;
use crate::keys::ciphertext::{self, CiphertextBlob};
use crate::keys::context::EncryptionContext;
use crate::secret::fill_random;
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
        let material = held.key.current_material().ok_or(ApiError::Internal)?;
        let blob = ciphertext::encrypt(held.key.id, material, &self.context, &self.plaintext)?;
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
        let blob = CiphertextBlob::parse(&self.blob).map_err(|_| ApiError::InvalidCiphertext)?;
        let material = held.key.material(blob.material_id).ok_or(ApiError::InvalidCiphertext)?;
        let plaintext =
            blob.open(material, &self.context).map_err(|_| ApiError::InvalidCiphertext)?;
        let (member, released) = permit.release(&plaintext)?;
        Ok(json!({
            "KeyId": held.arn,
            "EncryptionAlgorithm": SYMMETRIC,
            "KeyMaterialId": material.id().to_string(),
            member: released,
        }))
    }
}

pub(crate) struct GenerateDataKey {
    key_id: String,
    context: EncryptionContext,
    bytes: Option<usize>,
    spec: Option<&'static str>,
    recipient: Option<Recipient>,
    options: Options,
}

impl GenerateDataKey {
    fn length(&self) -> usize {
        match self.spec {
            Some("AES_128") => 16,
            Some(_) => 32,
            None => self.bytes.unwrap_or_default(),
        }
    }
}

impl Input for GenerateDataKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let bytes = fields.integer("NumberOfBytes", 1, 1024)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            context: fields.encryption_context("EncryptionContext")?,
            bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            spec: fields.choice("KeySpec", &["AES_256", "AES_128"])?,
            recipient: Recipient::read(fields)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.bytes.is_some() == self.spec.is_some() {
            return Err(ApiError::Validation(
                "Please specify either number of bytes or key spec.".into(),
            ));
        }
        Ok(())
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .context(&self.context)
            .recipient(self.recipient.as_ref())
            .options(&self.options)
            .optional("DataKeySpec", self.spec)
            .optional("NumberOfBytes", self.bytes)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let material = held.key.current_material().ok_or(ApiError::Internal)?;
        let mut data_key = Zeroizing::new(vec![0; self.length()]);
        fill_random(&mut data_key)?;
        let blob = ciphertext::encrypt(held.key.id, material, &self.context, &data_key)?;
        let (member, released) = permit.release(&data_key)?;
        Ok(json!({
            "CiphertextBlob": BASE64.encode(blob),
            "KeyId": held.arn,
            "KeyMaterialId": material.id().to_string(),
            member: released,
        }))
    }
}
