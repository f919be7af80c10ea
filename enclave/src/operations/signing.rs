//! GetPublicKey, Sign, Verify.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, MAX_PLAINTEXT, suits};
use crate::api::{ApiError, Facts, Fields, Options, Subject};
use crate::authorize::Permit;
use crate::keys::signing::{MessageType, Signable, SigningAlgorithm, Unfit};
use crate::keys::spec::{KeyType, KeyUsage};
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// `SigningAlgorithmSpec` of AWS's service model.
const ALGORITHMS: &[&str] = &[
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
];
const ALGORITHM: &str = "SigningAlgorithm";

/// What both operations ask for.
struct Signed {
    key_id: String,
    message: Zeroizing<Vec<u8>>,
    message_type: MessageType,
    algorithm: &'static str,
    options: Options,
}

impl Signed {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let algorithm = fields.choice(ALGORITHM, ALGORITHMS)?;
        let named = fields.choice("MessageType", &MessageType::ALL.map(MessageType::name))?;
        let message_type = MessageType::ALL.into_iter().find(|one| Some(one.name()) == named);
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            message: fields.required_sensitive_blob("Message", 1, MAX_PLAINTEXT)?,
            message_type: message_type.unwrap_or(MessageType::Raw),
            algorithm: fields.required(ALGORITHM, algorithm),
            options: fields.options()?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .options(&self.options)
            .parameter("MessageType", self.message_type.name())
            .parameter(ALGORITHM, self.algorithm)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::SignVerify, self.algorithm)?;
        let accepted = self.algorithm()?.accepts(self.message_type, self.message.len());
        accepted.map_err(|unfit| self.refusal(&unfit))
    }

    fn algorithm(&self) -> Result<&'static SigningAlgorithm, ApiError> {
        SigningAlgorithm::named(self.algorithm).ok_or(ApiError::Internal)
    }

    /// The algorithm, and what it signs.
    fn signable(mut self) -> Result<(&'static SigningAlgorithm, Signable), ApiError> {
        let (algorithm, message) = (self.algorithm()?, std::mem::take(&mut self.message));
        let signable = algorithm.signable(self.message_type, message);
        Ok((algorithm, signable.map_err(|unfit| self.refusal(&unfit))?))
    }

    fn refusal(&self, unfit: &Unfit) -> ApiError {
        let algorithm = self.algorithm;
        ApiError::Validation(match unfit {
            Unfit::MessageType => {
                let named = self.message_type.name();
                format!("MessageType {named} is not compatible with algorithm {algorithm}.")
            }
            Unfit::Length => format!("Digest is invalid length for algorithm {algorithm}."),
        })
    }
}

pub(crate) struct Sign {
    asked: Signed,
}

impl Input for Sign {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: Signed::read(fields)? })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (algorithm, signed) = self.asked.signable()?;
        let held = permit.key()?.clone();
        let cost = held.pair.as_ref().ok_or(ApiError::Internal)?.cost_of_signing(&signed);
        let sign = move || held.pair.as_ref().map(|pair| pair.sign(algorithm, &signed));
        let signature = service.computing.using.run(cost, sign).await?.ok_or(ApiError::Internal)?;
        let signature = signature.map_err(|_| ApiError::Internal)?;
        Ok(json!({
            "KeyId": permit.key()?.arn,
            "Signature": BASE64.encode(signature),
            ALGORITHM: algorithm.name,
        }))
    }
}

pub(crate) struct Verify {
    asked: Signed,
    signature: Zeroizing<Vec<u8>>,
}

impl Input for Verify {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let signature = fields.required_blob("Signature", 1, MAX_CIPHERTEXT)?;
        Ok(Self { asked: Signed::read(fields)?, signature })
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        self.asked.suits(permit)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (algorithm, signed) = self.asked.signable()?;
        let held = permit.key()?;
        let pair = held.pair.as_ref().ok_or(ApiError::Internal)?;
        let verified = pair.verify(algorithm, &signed, &self.signature);
        verified.map_err(|_| ApiError::InvalidKmsSignature)?;
        Ok(json!({
            "KeyId": held.arn,
            "SignatureValid": true,
            ALGORITHM: algorithm.name,
        }))
    }
}

pub(crate) struct GetPublicKey {
    key_id: String,
    options: Options,
}

impl Input for GetPublicKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        Ok(Self { key_id, options: fields.grant_tokens()? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id)).options(&self.options)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let held = permit.key()?;
        if held.key.spec.key_type() == KeyType::Asymmetric {
            return Ok(());
        }
        Err(ApiError::UnsupportedOperation(format!(
            "{} key spec is {} which is not valid for GetPublicKey.",
            held.arn,
            held.key.spec.name()
        )))
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let pair = held.pair.as_ref().ok_or(ApiError::Internal)?;
        Ok(json!({
            "KeyId": held.arn,
            "PublicKey": BASE64.encode(&pair.public_key),
            "CustomerMasterKeySpec": held.key.spec.name(),
            "KeySpec": held.key.spec.name(),
            "KeyUsage": held.key.usage.name(),
            held.key.usage.algorithms_member(): held.key.algorithms(),
        }))
    }
}
