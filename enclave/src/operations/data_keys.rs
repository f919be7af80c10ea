//! GenerateDataKey, GenerateDataKeyWithoutPlaintext.

use super::encryption::{name_own_material, seal_symmetric, suits_symmetric};
use super::{Input, KEY_ID};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Subject};
use crate::authorize::Permit;
use crate::keys::context::EncryptionContext;
use crate::secret::fill_random;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What both operations ask for.
struct DataKey {
    key_id: String,
    context: EncryptionContext,
    bytes: Option<usize>,
    spec: Option<&'static str>,
    options: Options,
}

impl DataKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let bytes = fields.integer("NumberOfBytes", 1, 1024)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            context: fields.encryption_context("EncryptionContext")?,
            bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            spec: fields.choice("KeySpec", &["AES_256", "AES_128"])?,
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
            .options(&self.options)
            .optional("DataKeySpec", self.spec)
            .optional("NumberOfBytes", self.bytes)
    }

    fn length(&self) -> usize {
        match self.spec {
            Some("AES_128") => 16,
            Some(_) => 32,
            None => self.bytes.unwrap_or_default(),
        }
    }

    /// The data key, and the answer without it.
    fn generate(&self, permit: &Permit) -> Result<(Zeroizing<Vec<u8>>, Value), ApiError> {
        let mut data_key = Zeroizing::new(vec![0; self.length()]);
        fill_random(&mut data_key)?;
        let held = permit.key()?;
        let (blob, material) = seal_symmetric(held, &self.context, &data_key)?;
        let mut answer = json!({ "CiphertextBlob": BASE64.encode(blob), "KeyId": held.arn });
        name_own_material(permit, &mut answer, Some(material));
        Ok((data_key, answer))
    }
}

pub(crate) struct GenerateDataKey {
    data_key: DataKey,
    recipient: Option<Recipient>,
}

impl Input for GenerateDataKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { data_key: DataKey::read(fields)?, recipient: Recipient::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.data_key.check()
    }

    fn facts(&self) -> Facts<'_> {
        self.data_key.facts().recipient(self.recipient.as_ref())
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits_symmetric(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (data_key, mut answer) = self.data_key.generate(&permit)?;
        permit.release("Plaintext", &data_key, &mut answer)?;
        Ok(answer)
    }
}

pub(crate) struct GenerateDataKeyWithoutPlaintext {
    data_key: DataKey,
}

impl Input for GenerateDataKeyWithoutPlaintext {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { data_key: DataKey::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.data_key.check()
    }

    fn facts(&self) -> Facts<'_> {
        self.data_key.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits_symmetric(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        self.data_key.generate(&permit).map(|(_, answer)| answer)
    }
}
