//! Encrypt, Decrypt, ReEncrypt.

use super::{Input, KEY_ID, MAX_CIPHERTEXT, MAX_PLAINTEXT, suits};
use crate::api::{ApiError, Facts, Fields, Options, Recipient, Second, Subject};
use crate::authorize::Permit;
use crate::keys::ciphertext::{self, CiphertextBlob};
use crate::keys::context::EncryptionContext;
use crate::keys::material::MaterialId;
use crate::keys::pair::PairError;
use crate::keys::spec::{KeyUsage, SYMMETRIC_DEFAULT};
use crate::keys::store::HeldKey;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

/// `EncryptionAlgorithmSpec` of AWS's service model.
const ALGORITHMS: &[&str] =
    &[SYMMETRIC_DEFAULT, "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];
/// The parameter's name, for callers and for policies.
const ALGORITHM: &str = "EncryptionAlgorithm";
const CIPHERTEXT: &str = "CiphertextBlob";

fn algorithm(fields: &mut Fields, name: &str) -> Result<&'static str, ApiError> {
    Ok(fields.choice(name, ALGORITHMS)?.unwrap_or(SYMMETRIC_DEFAULT))
}

/// What an asymmetric algorithm lacks and what it needs.
fn check_algorithm(
    algorithm: &str,
    context: &EncryptionContext,
    key_id: Option<&str>,
) -> Result<(), ApiError> {
    if algorithm == SYMMETRIC_DEFAULT {
        return Ok(());
    }
    let refuse = |text: &str| Err(ApiError::Validation(text.into()));
    if context.iter().next().is_some() {
        return refuse("An encryption context is not supported with an asymmetric algorithm.");
    }
    if key_id.is_none() {
        return refuse("The key ID is required with an asymmetric algorithm.");
    }
    Ok(())
}

/// Reads the ciphertext, and the options that say whether there has to be one.
fn ciphertext(fields: &mut Fields) -> Result<(Zeroizing<Vec<u8>>, Options), ApiError> {
    let options = fields.decrypting_options()?;
    let blob = fields.blob(CIPHERTEXT, 1, MAX_CIPHERTEXT)?;
    let blob = match blob {
        None if options.ignores_ciphertext => Zeroizing::default(),
        blob => fields.required(CIPHERTEXT, blob),
    };
    Ok((blob, options))
}

/// A dry run without a look at the ciphertext has to be told the key.
fn check_options(options: &Options, key_id: Option<&str>) -> Result<(), ApiError> {
    if options.ignores_ciphertext && key_id.is_none() {
        return Err(ApiError::Validation(
            "The key ID is required when DryRunModifiers is set to IGNORE_CIPHERTEXT.".into(),
        ));
    }
    Ok(())
}

/// Only a ciphertext of ours says by itself which key it is of.
fn subject<'a>(
    algorithm: &str,
    blob: &'a [u8],
    key_id: Option<&'a str>,
    options: &Options,
) -> Subject<'a> {
    match key_id {
        Some(key_id) if algorithm != SYMMETRIC_DEFAULT || options.ignores_ciphertext => {
            Subject::Named(key_id)
        }
        _ => Subject::Ciphertext { blob, key_id },
    }
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
            plaintext: fields.required_sensitive_blob("Plaintext", 1, MAX_PLAINTEXT)?,
            context: fields.encryption_context("EncryptionContext")?,
            algorithm: algorithm(fields, ALGORITHM)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_algorithm(self.algorithm, &self.context, Some(&self.key_id))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id))
            .context(&self.context)
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::EncryptDecrypt, self.algorithm)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let (blob, _) = seal(held, self.algorithm, &self.context, &self.plaintext)?;
        Ok(json!({
            "CiphertextBlob": BASE64.encode(blob),
            "KeyId": held.arn,
            ALGORITHM: self.algorithm,
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
        let (blob, options) = ciphertext(fields)?;
        Ok(Self {
            blob,
            key_id: fields.text("KeyId", KEY_ID)?,
            context: fields.encryption_context("EncryptionContext")?,
            algorithm: algorithm(fields, ALGORITHM)?,
            recipient: Recipient::read(fields)?,
            options,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_options(&self.options, self.key_id.as_deref())?;
        check_algorithm(self.algorithm, &self.context, self.key_id.as_deref())
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        suits(permit, permit.key()?, KeyUsage::EncryptDecrypt, self.algorithm)?;
        try_open(permit.key()?, &self.options, self.algorithm, &self.blob, &self.context)
    }

    fn facts(&self) -> Facts<'_> {
        let key_id = self.key_id.as_deref();
        Facts::of(subject(self.algorithm, &self.blob, key_id, &self.options))
            .context(&self.context)
            .recipient(self.recipient.as_ref())
            .options(&self.options)
            .parameter(ALGORITHM, self.algorithm)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        let opened = open(service, held, self.algorithm, self.blob, self.context).await?;
        let mut answer = json!({ "KeyId": held.arn, ALGORITHM: self.algorithm });
        name_own_material(&permit, &mut answer, opened.material);
        permit.release("Plaintext", &opened.plaintext, &mut answer)?;
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
        let (blob, options) = ciphertext(fields)?;
        Ok(Self {
            blob,
            source_key_id: fields.text("SourceKeyId", KEY_ID)?,
            source_context: fields.encryption_context("SourceEncryptionContext")?,
            source_algorithm: algorithm(fields, SOURCE_ALGORITHM)?,
            destination_key_id: fields.required_text("DestinationKeyId", KEY_ID)?,
            destination_context: fields.encryption_context("DestinationEncryptionContext")?,
            destination_algorithm: algorithm(fields, DESTINATION_ALGORITHM)?,
            options,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let source = self.source_key_id.as_deref();
        check_options(&self.options, source)?;
        check_algorithm(self.source_algorithm, &self.source_context, source)?;
        let destination = Some(self.destination_key_id.as_str());
        check_algorithm(self.destination_algorithm, &self.destination_context, destination)
    }

    /// Policies know it as two operations: on the key that decrypts, and on the one that encrypts.
    fn facts(&self) -> Facts<'_> {
        let source = self.source_key_id.as_deref();
        Facts::of(subject(self.source_algorithm, &self.blob, source, &self.options))
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

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let usage = KeyUsage::EncryptDecrypt;
        let (source, algorithm) = (permit.key()?, self.source_algorithm);
        suits(permit, source, usage, algorithm)?;
        suits(permit, permit.second_key()?, usage, self.destination_algorithm)?;
        try_open(source, &self.options, algorithm, &self.blob, &self.source_context)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (source, destination) = (permit.key()?, permit.second_key()?);
        let (from, to) = (self.source_algorithm, self.destination_algorithm);
        let opened = open(service, source, from, self.blob, self.source_context).await?;
        let (blob, sealed_by) =
            seal(destination, to, &self.destination_context, &opened.plaintext)?;
        let mut answer = json!({
            "CiphertextBlob": BASE64.encode(blob),
            "SourceKeyId": source.arn,
            "KeyId": destination.arn,
            SOURCE_ALGORITHM: from,
            DESTINATION_ALGORITHM: to,
        });
        name_material(&mut answer, "SourceKeyMaterialId", opened.material);
        name_material(&mut answer, "DestinationKeyMaterialId", sealed_by);
        Ok(answer)
    }
}

/// `KeyMaterialId`. Service model: omitted if the request includes a Recipient.
pub(super) fn name_own_material(permit: &Permit, answer: &mut Value, material: Option<MaterialId>) {
    let material = material.filter(|_| !permit.has_recipient());
    name_material(answer, "KeyMaterialId", material);
}

/// Symmetric keys alone have material with a name.
fn name_material(answer: &mut Value, member: &str, material: Option<MaterialId>) {
    if let (Some(material), Some(members)) = (material, answer.as_object_mut()) {
        members.insert(member.into(), material.to_string().into());
    }
}

struct Opened {
    plaintext: Zeroizing<Vec<u8>>,
    material: Option<MaterialId>,
}

fn open_symmetric(
    held: &HeldKey,
    blob: &[u8],
    context: &EncryptionContext,
) -> Result<Opened, ApiError> {
    let blob = CiphertextBlob::parse(blob).map_err(|_| ApiError::InvalidCiphertext)?;
    let material = held.key.material(blob.material_id).ok_or(ApiError::InvalidCiphertext)?;
    let plaintext = blob.open(material, context).map_err(|_| ApiError::InvalidCiphertext)?;
    Ok(Opened { plaintext, material: Some(material.id()) })
}

/// What a dry run says of its ciphertext, if it is to look at it. Decrypting with an RSA key takes too
/// long for an answer that is none.
fn try_open(
    held: &HeldKey,
    options: &Options,
    algorithm: &str,
    blob: &[u8],
    context: &EncryptionContext,
) -> Result<(), ApiError> {
    let looks = options.dry_run && !options.ignores_ciphertext && algorithm == SYMMETRIC_DEFAULT;
    if looks { open_symmetric(held, blob, context).map(|_| ()) } else { Ok(()) }
}

/// Opens a ciphertext: with the material that it names, or with the private key.
async fn open(
    service: &Service,
    held: &Arc<HeldKey>,
    algorithm: &'static str,
    blob: Zeroizing<Vec<u8>>,
    context: EncryptionContext,
) -> Result<Opened, ApiError> {
    if algorithm == SYMMETRIC_DEFAULT {
        return open_symmetric(held, &blob, &context);
    }
    let cost = held.pair.as_ref().ok_or(ApiError::Internal)?.cost_of_decrypting();
    let held = held.clone();
    let decrypt = move || held.pair.as_ref().map(|pair| pair.decrypt(algorithm, &blob));
    let plaintext = service.computing.using.run(cost, decrypt).await?.ok_or(ApiError::Internal)?;
    let plaintext = plaintext.map_err(|_| ApiError::InvalidCiphertext)?;
    Ok(Opened { plaintext, material: None })
}

/// Seals with the key's current material, or with the public key.
fn seal(
    held: &HeldKey,
    algorithm: &str,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<(Vec<u8>, Option<MaterialId>), ApiError> {
    if algorithm == SYMMETRIC_DEFAULT {
        let (blob, material) = seal_symmetric(held, context, plaintext)?;
        return Ok((blob, Some(material)));
    }
    let pair = held.pair.as_ref().ok_or(ApiError::Internal)?;
    let blob = pair.encrypt(algorithm, plaintext).map_err(|error| match error {
        PairError::TooLong { limit } => ApiError::Validation(format!(
            "Algorithm {algorithm} and key spec {} cannot encrypt data larger than {limit} bytes.",
            held.key.spec.name()
        )),
        PairError::Failed | PairError::OtherKind => ApiError::Internal,
    })?;
    Ok((blob, None))
}

/// Whether the permitted key is one for [`seal_symmetric`].
pub(super) fn suits_symmetric(permit: &Permit) -> Result<(), ApiError> {
    suits(permit, permit.key()?, KeyUsage::EncryptDecrypt, SYMMETRIC_DEFAULT)
}

/// Seals with the key's current material.
pub(super) fn seal_symmetric(
    held: &HeldKey,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<(Vec<u8>, MaterialId), ApiError> {
    let material = held.key.current_material().ok_or(ApiError::Internal)?;
    let blob = ciphertext::encrypt(held.key.id, material, context, plaintext)?;
    Ok((blob, material.id()))
}
