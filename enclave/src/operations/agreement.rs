//! DeriveSharedSecret.

use super::{Input, KEY_ID, suits};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Subject};
use crate::authorize::Permit;
use crate::keys::spec::KeyUsage;
use crate::service::Service;
use serde_json::{Value, json};

const ALGORITHM: &str = "KeyAgreementAlgorithm";
/// `PublicKeyType` of AWS's service model, bytes.
const MAX_PUBLIC_KEY: usize = 8192;

pub(crate) struct DeriveSharedSecret {
    key_id: String,
    algorithm: &'static str,
    /// DER SubjectPublicKeyInfo, of anybody.
    public_key: Vec<u8>,
    recipient: Option<Recipient>,
    options: Options,
}

impl Input for DeriveSharedSecret {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let algorithm = fields.choice(ALGORITHM, &["ECDH"])?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            algorithm: fields.required(ALGORITHM, algorithm),
            public_key: fields.required_public_blob("PublicKey", 1, MAX_PUBLIC_KEY)?,
            recipient: Recipient::read(fields)?,
            options: fields.options()?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .recipient(self.recipient.as_ref())
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::KeyAgreement, self.algorithm)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let pair = held.pair.as_ref().ok_or(ApiError::Internal)?;
        let secret = pair.agree(&self.public_key).map_err(|_| {
            let spec = held.key.spec.name();
            ApiError::Validation(format!(
                "PublicKey is not a DER-encoded SubjectPublicKeyInfo of a key of spec {spec}."
            ))
        })?;
        let mut answer = json!({
            "KeyId": held.arn,
            ALGORITHM: self.algorithm,
            "KeyOrigin": held.key.origin.name(),
        });
        permit.release("SharedSecret", &secret, &mut answer)?;
        Ok(answer)
    }
}
