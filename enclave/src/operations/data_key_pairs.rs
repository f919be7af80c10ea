//! GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext.

use super::encryption::{seal_symmetric, suits_symmetric};
use super::{Input, KEY_ID};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Subject};
use crate::authorize::Permit;
use crate::keys::context::EncryptionContext;
use crate::keys::pair::{self, PairError};
use crate::keys::spec::KeySpec;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// `DataKeyPairSpec` of AWS's service model.
const SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SM2",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];

/// What both operations ask for.
struct DataKeyPair {
    key_id: String,
    context: EncryptionContext,
    spec: &'static str,
    options: Options,
}

impl DataKeyPair {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let spec = fields.choice("KeyPairSpec", SPECS)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            context: fields.encryption_context("EncryptionContext")?,
            spec: fields.required("KeyPairSpec", spec),
            options: fields.options()?,
        })
    }

    fn spec(&self) -> Result<KeySpec, ApiError> {
        KeySpec::named(self.spec).ok_or_else(|| {
            let spec = self.spec;
            ApiError::UnsupportedOperation(format!(
                "KeyPairSpec {spec} is not supported by this version of Sekisho"
            ))
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .context(&self.context)
            .options(&self.options)
            .parameter("KeyPairSpec", self.spec)
    }

    /// The private key, and the answer without it.
    async fn generate(
        &self,
        service: &Service,
        permit: &Permit,
    ) -> Result<(Zeroizing<Vec<u8>>, Value), ApiError> {
        let spec = self.spec()?;
        let make = move || {
            let private = pair::generate(spec)?;
            let public = pair::public_key(spec, &private)?;
            Ok::<_, PairError>((private, public))
        };
        let made = service.computing.making.run(pair::cost_of_generating(spec), make).await?;
        let (private, public) = made.map_err(|_| ApiError::Internal)?;
        let held = permit.key()?;
        let (blob, material) = seal_symmetric(held, &self.context, &private)?;
        let answer = json!({
            "PrivateKeyCiphertextBlob": BASE64.encode(blob),
            "PublicKey": BASE64.encode(public),
            "KeyId": held.arn,
            "KeyPairSpec": self.spec,
            "KeyMaterialId": material.to_string(),
        });
        Ok((private, answer))
    }
}

pub(crate) struct GenerateDataKeyPair {
    asked: DataKeyPair,
    recipient: Option<Recipient>,
}

impl Input for GenerateDataKeyPair {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: DataKeyPair::read(fields)?, recipient: Recipient::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.asked.spec().map(|_| ())
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts().recipient(self.recipient.as_ref())
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits_symmetric(permit)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (private, mut answer) = self.asked.generate(service, &permit).await?;
        permit.release("PrivateKeyPlaintext", &private, &mut answer)?;
        Ok(answer)
    }
}

pub(crate) struct GenerateDataKeyPairWithoutPlaintext {
    asked: DataKeyPair,
}

impl Input for GenerateDataKeyPairWithoutPlaintext {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { asked: DataKeyPair::read(fields)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.asked.spec().map(|_| ())
    }

    fn facts(&self) -> Facts<'_> {
        self.asked.facts()
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits_symmetric(permit)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        self.asked.generate(service, &permit).await.map(|(_, answer)| answer)
    }
}
