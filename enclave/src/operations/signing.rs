//! GetPublicKey, Sign, Verify.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, MAX_PLAINTEXT, suits};
use crate::api::{ApiError, Facts, Fields, Options, Subject};
use crate::authorize::Permit;
use crate::keys::signing::{SigningAlgorithm, WrongLength};
use crate::keys::spec::{KeyType, KeyUsage};
use crate::service::Service;
use aws_lc_rs::digest::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// `SigningAlgorithmSpec` and `MessageType` of AWS's service model.
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
const MESSAGE_TYPES: &[&str] = &["RAW", "DIGEST", "EXTERNAL_MU"];
const ALGORITHM: &str = "SigningAlgorithm";

/// What both operations ask for.
struct Signed {
    key_id: String,
    message: Zeroizing<Vec<u8>>,
    message_type: &'static str,
    algorithm: &'static str,
    options: Options,
}

impl Signed {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let algorithm = fields.choice(ALGORITHM, ALGORITHMS)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            message: fields.required_sensitive_blob("Message", 1, MAX_PLAINTEXT)?,
            message_type: fields.choice("MessageType", MESSAGE_TYPES)?.unwrap_or("RAW"),
            algorithm: fields.required(ALGORITHM, algorithm),
            options: fields.options()?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .options(&self.options)
            .parameter("MessageType", self.message_type)
            .parameter(ALGORITHM, self.algorithm)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::SignVerify, self.algorithm)?;
        // Every message has a digest: it is made once, for the signature.
        if self.message_type == "RAW" { Ok(()) } else { self.digest().map(|_| ()) }
    }

    /// The algorithm, and the digest of the message or the one that the message is.
    fn digest(&self) -> Result<(&'static SigningAlgorithm, Digest), ApiError> {
        let algorithm = SigningAlgorithm::named(self.algorithm).ok_or(ApiError::Internal)?;
        if self.message_type == "EXTERNAL_MU" {
            return Err(ApiError::Validation(format!(
                "MessageType EXTERNAL_MU is not compatible with algorithm {}.",
                self.algorithm
            )));
        }
        let digest = algorithm.digest(&self.message, self.message_type == "DIGEST");
        let digest = digest.map_err(|WrongLength| {
            let name = self.algorithm;
            ApiError::Validation(format!("Digest is invalid length for algorithm {name}."))
        })?;
        Ok((algorithm, digest))
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
        let (algorithm, digest) = self.asked.digest()?;
        let held = permit.key()?.clone();
        let sign = move || held.pair.as_ref().map(|pair| pair.sign(algorithm, &digest));
        let signature = service.computing.using.run(sign).await?.ok_or(ApiError::Internal)?;
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

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (algorithm, digest) = self.asked.digest()?;
        let (held, signature) = (permit.key()?.clone(), self.signature);
        let verify = move || {
            held.pair.as_ref().map(|pair| pair.verify(algorithm, &digest, &signature).is_ok())
        };
        match service.computing.using.run(verify).await? {
            Some(true) => Ok(json!({
                "KeyId": permit.key()?.arn,
                "SignatureValid": true,
                ALGORITHM: algorithm.name,
            })),
            Some(false) => Err(ApiError::InvalidKmsSignature),
            None => Err(ApiError::Internal),
        }
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
