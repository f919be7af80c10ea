//! Encapsulate, Decapsulate.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, suits};
use crate::api::{ApiError, Facts, Fields, Options, Subject};
use crate::authorize::Permit;
use crate::keys::pair::KeyPair;
use crate::keys::spec::{KeyUsage, ML_KEM};
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

const ALGORITHM: &str = "EncapsulationAlgorithm";
/// Both operations give it; neither takes a `Recipient`.
const SECRET: &str = "SharedSecret";
const CIPHERTEXT: &str = "SharedSecretCiphertextBlob";

/// What both operations ask for.
struct Encapsulation {
    key_id: String,
    algorithm: &'static str,
    options: Options,
}

impl Encapsulation {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let algorithm = fields.choice(ALGORITHM, &[ML_KEM])?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            algorithm: fields.required(ALGORITHM, algorithm),
            options: fields.options()?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::EncapsulateDecapsulate, self.algorithm)
    }

    /// The answer to both, with the secret.
    fn answer(&self, permit: &Permit, secret: &[u8]) -> Result<Value, ApiError> {
        let mut answer = json!({ "KeyId": permit.key()?.arn, ALGORITHM: self.algorithm });
        permit.release(SECRET, secret, &mut answer)?;
        Ok(answer)
    }
}

pub(crate) struct Encapsulate {
    asked: Encapsulation,
}

impl Input for Encapsulate {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: Encapsulation::read(fields)? })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let pair = permit.key()?.pair.as_ref().ok_or(ApiError::Internal)?;
        let made = pair.encapsulate().map_err(|_| ApiError::Internal)?;
        let mut answer = self.asked.answer(&permit, &made.secret)?;
        let members = answer.as_object_mut().ok_or(ApiError::Internal)?;
        members.insert(CIPHERTEXT.into(), BASE64.encode(made.ciphertext).into());
        Ok(answer)
    }
}

pub(crate) struct Decapsulate {
    asked: Encapsulation,
    ciphertext: Vec<u8>,
}

impl Input for Decapsulate {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let ciphertext = fields.required_public_blob(CIPHERTEXT, 1, MAX_CIPHERTEXT)?;
        Ok(Self { asked: Encapsulation::read(fields)?, ciphertext })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)?;
        // Nothing else is wrong with any ciphertext: for each of this length there is a secret, which
        // its maker knows if it was made for this key (FIPS 203 §6.3).
        let wanted = permit.key()?.pair.as_ref().and_then(KeyPair::encapsulated_length);
        if wanted == Some(self.ciphertext.len()) {
            Ok(())
        } else {
            Err(ApiError::InvalidCiphertext)
        }
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let pair = permit.key()?.pair.as_ref().ok_or(ApiError::Internal)?;
        let secret = pair.decapsulate(&self.ciphertext);
        self.asked.answer(&permit, &secret.map_err(|_| ApiError::InvalidCiphertext)?)
    }
}
