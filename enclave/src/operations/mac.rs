//! GenerateMac, VerifyMac.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, MAX_PLAINTEXT, suits};
use crate::api::{ApiError, Facts, Fields, Options, Subject};
use crate::authorize::Permit;
use crate::keys::private::MacError;
use crate::keys::spec::KeyUsage;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// `MacAlgorithmSpec` of AWS's service model, in the order in which AWS's errors name them.
const ALGORITHMS: &[&str] = &["HMAC_SHA_384", "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SHA_512"];
const ALGORITHM: &str = "MacAlgorithm";

/// What both operations ask for.
struct Mac {
    key_id: String,
    message: Zeroizing<Vec<u8>>,
    algorithm: &'static str,
    options: Options,
}

impl Mac {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let algorithm = fields.choice(ALGORITHM, ALGORITHMS)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            message: fields.required_sensitive_blob("Message", 1, MAX_PLAINTEXT)?,
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
        suits(permit, permit.key()?, KeyUsage::GenerateVerifyMac, self.algorithm)
    }
}

pub(crate) struct GenerateMac {
    asked: Mac,
}

impl Input for GenerateMac {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: Mac::read(fields)? })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let private = held.key.private().ok_or(ApiError::Internal)?;
        let mac = private.mac(held.key.spec, &self.asked.message);
        let mac = mac.map_err(|_| ApiError::Internal)?;
        Ok(json!({
            "KeyId": held.arn,
            "Mac": BASE64.encode(mac),
            ALGORITHM: self.asked.algorithm,
        }))
    }
}

pub(crate) struct VerifyMac {
    asked: Mac,
    mac: Zeroizing<Vec<u8>>,
}

impl Input for VerifyMac {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let mac = fields.required_blob("Mac", 1, MAX_CIPHERTEXT)?;
        Ok(Self { asked: Mac::read(fields)?, mac })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let private = held.key.private().ok_or(ApiError::Internal)?;
        let verified = private.verify_mac(held.key.spec, &self.asked.message, &self.mac);
        verified.map_err(|error| match error {
            MacError::Invalid => ApiError::InvalidMac,
            MacError::NotAnHmacKey | MacError::Random(_) => ApiError::Internal,
        })?;
        Ok(json!({ "KeyId": held.arn, "MacValid": true, ALGORITHM: self.asked.algorithm }))
    }
}
