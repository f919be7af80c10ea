//! Attestation documents, field by field, as AWS writes them or as a test wants them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minicbor::Encoder;
use minicbor::encode::Error;
use p384::ecdsa::signature::Signer as _;
use p384::ecdsa::{Signature, SigningKey};

/// The fields of a document, in the order in which AWS writes them.
#[derive(Debug, Clone)]
pub struct Document {
    /// `module_id`
    pub module_id: String,
    /// `digest`
    pub digest: String,
    /// `timestamp`
    pub timestamp: SystemTime,
    /// The key of the PCRs: `pcrs`, or `nitrotpm_pcrs`.
    pub pcrs_field: String,
    /// The PCRs by index.
    pub pcrs: BTreeMap<u64, Vec<u8>>,
    /// `certificate`
    pub certificate: Vec<u8>,
    /// `cabundle`
    pub cabundle: Vec<Vec<u8>>,
    /// `public_key`
    pub public_key: Option<Vec<u8>>,
    /// `user_data`
    pub user_data: Option<Vec<u8>>,
    /// `nonce`
    pub nonce: Option<Vec<u8>>,
    /// The payload's form.
    pub form: PayloadForm,
}

/// How the payload's map is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadForm {
    /// With its length in front, as AWS did until 2025.
    Definite,
    /// With a break at its end, as AWS has done since.
    #[default]
    Indefinite,
}

impl Document {
    /// The document as COSE_Sign1, untagged as AWS writes it, signed by `key`.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        sign_payload(&self.payload(), key)
    }

    /// The payload.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        // Writing into a vector does not fail.
        let _: Result<(), Error<Infallible>> = self.encode(&mut Encoder::new(&mut payload));
        payload
    }

    fn encode(&self, to: &mut Encoder<&mut Vec<u8>>) -> Result<(), Error<Infallible>> {
        match self.form {
            PayloadForm::Definite => to.map(9)?,
            PayloadForm::Indefinite => to.begin_map()?,
        };
        let millis = self.timestamp.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        to.str("module_id")?.str(&self.module_id)?;
        to.str("digest")?.str(&self.digest)?;
        to.str("timestamp")?.u64(u64::try_from(millis.as_millis()).unwrap_or(u64::MAX))?;
        to.str(&self.pcrs_field)?.map(self.pcrs.len() as u64)?;
        for (index, value) in &self.pcrs {
            to.u64(*index)?.bytes(value)?;
        }
        to.str("certificate")?.bytes(&self.certificate)?;
        to.str("cabundle")?.array(self.cabundle.len() as u64)?;
        for certificate in &self.cabundle {
            to.bytes(certificate)?;
        }
        for (name, value) in [
            ("public_key", &self.public_key),
            ("user_data", &self.user_data),
            ("nonce", &self.nonce),
        ] {
            to.str(name)?;
            match value {
                Some(value) => to.bytes(value)?,
                None => to.null()?,
            };
        }
        if self.form == PayloadForm::Indefinite {
            to.end()?;
        }
        Ok(())
    }
}

/// A COSE_Sign1 with ES384 around any payload (RFC 9052 §4.2).
pub fn sign_payload(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
    let mut signed = Vec::new();
    let mut to = Encoder::new(&mut signed);
    let _: Result<_, Error<Infallible>> = to
        .array(4)
        .and_then(|to| to.str("Signature1"))
        .and_then(|to| to.bytes(PROTECTED))
        .and_then(|to| to.bytes(&[]))
        .and_then(|to| to.bytes(payload))
        .map(|_| ());
    let signature: Signature = key.sign(&signed);
    envelope(PROTECTED, payload, &signature.to_bytes())
}

/// The four parts of a COSE_Sign1 with an empty unprotected header.
pub fn envelope(protected: &[u8], payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut document = Vec::new();
    let mut to = Encoder::new(&mut document);
    let _: Result<_, Error<Infallible>> = to
        .array(4)
        .and_then(|to| to.bytes(protected))
        .and_then(|to| to.map(0))
        .and_then(|to| to.bytes(payload))
        .and_then(|to| to.bytes(signature))
        .map(|_| ());
    document
}
