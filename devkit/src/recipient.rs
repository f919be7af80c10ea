use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use p384::pkcs8::LineEnding;
use p384::pkcs8::der::pem;
use sha2::{Digest as _, Sha256};

use crate::cms::EnvelopedData;

/// The receiving end of `Recipient`: an RSA-2048 key whose public half goes into an attestation
/// document, and which opens what a KMS encrypts to it.
///
/// It is written against AWS's samples and shares no code with the worker's encoder.
pub struct Recipient {
    key: OaepPrivateDecryptingKey,
    public_key: Vec<u8>,
    private_key: Vec<u8>,
}

/// The ciphertext is not for this recipient, or is damaged. One error for every cause: CBC must
/// not be asked why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext does not open with this key")]
pub struct NotForUs;

impl Recipient {
    /// A new RSA-2048 key. Takes a second or so in an unoptimised build.
    ///
    /// # Errors
    /// [`NotForUs`] if no key can be made, which a working machine does not see.
    pub fn generate() -> Result<Self, NotForUs> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| NotForUs)?;
        Self::new(key)
    }

    /// The recipient with this RSA key, PKCS#8 in DER.
    ///
    /// # Errors
    /// [`NotForUs`] if it is not an RSA key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, NotForUs> {
        Self::new(PrivateDecryptingKey::from_pkcs8(der).map_err(|_| NotForUs)?)
    }

    fn new(key: PrivateDecryptingKey) -> Result<Self, NotForUs> {
        let public_key: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| NotForUs)?;
        let private_key: Pkcs8V1Der<'_> = key.as_der().map_err(|_| NotForUs)?;
        Ok(Self {
            public_key: public_key.as_ref().to_vec(),
            private_key: private_key.as_ref().to_vec(),
            key: OaepPrivateDecryptingKey::new(key).map_err(|_| NotForUs)?,
        })
    }

    /// The public key as an attestation document takes it: SubjectPublicKeyInfo in DER.
    pub fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    /// The private key in PKCS#8 PEM, for other implementations: `openssl cms -decrypt -inkey`.
    pub fn private_key_pem(&self) -> String {
        pem::encode_string("PRIVATE KEY", LineEnding::LF, &self.private_key).unwrap_or_default()
    }

    /// Opens a CiphertextForRecipient.
    ///
    /// # Errors
    /// [`NotForUs`], whatever the cause.
    pub fn open(&self, ciphertext_for_recipient: &[u8]) -> Result<Vec<u8>, NotForUs> {
        let enveloped = EnvelopedData::decode(ciphertext_for_recipient).map_err(|_| NotForUs)?;
        if enveloped.key_identifier != Sha256::digest(&self.public_key).as_slice() {
            return Err(NotForUs);
        }
        let mut buffer = vec![0; self.key.min_output_size()];
        let content_key = self
            .key
            .decrypt(&OAEP_SHA256_MGF1SHA256, &enveloped.encrypted_key, &mut buffer, None)
            .map_err(|_| NotForUs)?;
        let key = UnboundCipherKey::new(&AES_256, content_key).map_err(|_| NotForUs)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| NotForUs)?;
        let context = DecryptionContext::Iv128(FixedLength::from(&enveloped.iv));
        let mut content = enveloped.ciphertext;
        Ok(key.decrypt(&mut content, context).map_err(|_| NotForUs)?.to_vec())
    }
}
