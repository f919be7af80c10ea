//! Key pairs: made, read from PKCS #8, and used. All primitives are AWS-LC's.

use super::signing::SigningAlgorithm;
use super::spec::{KeySpec, KeyUsage};
use aws_lc_rs::agreement;
use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa::{
    self, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _,
    UnparsedPublicKey,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// A key pair, ready to be used.
pub(crate) struct KeyPair {
    /// DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub(crate) public_key: Vec<u8>,
    private: Private,
}

enum Private {
    Decrypting { private: OaepPrivateDecryptingKey, public: OaepPublicEncryptingKey },
    RsaSigning(rsa::KeyPair),
    EcdsaSigning { pair: EcdsaKeyPair, verifying: &'static EcdsaVerificationAlgorithm },
    Agreeing(agreement::PrivateKey),
}

/// Why a key pair was not made, not read or not used.
#[derive(Debug, Error)]
pub(crate) enum PairError {
    #[error("AWS-LC failed, or what it was given is not valid")]
    Failed,
    #[error("the key pair is of another kind")]
    OtherKind,
    #[error("at most {limit} bytes can be encrypted")]
    TooLong { limit: usize },
}

impl From<Unspecified> for PairError {
    fn from(_: Unspecified) -> Self {
        Self::Failed
    }
}

impl From<KeyRejected> for PairError {
    fn from(_: KeyRejected) -> Self {
        Self::Failed
    }
}

/// The private key of a new key pair as PKCS #8. RSA takes from tenths of a second to seconds.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let pkcs8 = match rsa_size(spec) {
        Some(size) => {
            let private = PrivateDecryptingKey::generate(size)?;
            AsDer::<Pkcs8V1Der<'_>>::as_der(&private)?.as_ref().to_vec()
        }
        None => {
            let (signing, _) = ecdsa(spec)?;
            EcdsaKeyPair::generate(signing)?.to_pkcs8v1()?.as_ref().to_vec()
        }
    };
    Ok(Zeroizing::new(pkcs8))
}

impl KeyPair {
    /// Reads the private key of a KMS key, for its one usage.
    pub(crate) fn from_pkcs8(
        spec: KeySpec,
        usage: KeyUsage,
        pkcs8: &[u8],
    ) -> Result<Self, PairError> {
        let private = match (usage, rsa_size(spec)) {
            (KeyUsage::EncryptDecrypt, Some(_)) => {
                let key = PrivateDecryptingKey::from_pkcs8(pkcs8)?;
                let public = OaepPublicEncryptingKey::new(key.public_key())?;
                Private::Decrypting { private: OaepPrivateDecryptingKey::new(key)?, public }
            }
            (KeyUsage::SignVerify, Some(_)) => {
                Private::RsaSigning(rsa::KeyPair::from_pkcs8(pkcs8)?)
            }
            (KeyUsage::SignVerify, None) => {
                let (signing, verifying) = ecdsa(spec)?;
                let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8)?;
                Private::EcdsaSigning { pair, verifying }
            }
            (KeyUsage::KeyAgreement, None) => {
                let algorithm = ecdh(spec)?;
                Private::Agreeing(agreement::PrivateKey::from_private_key_der(algorithm, pkcs8)?)
            }
            _ => return Err(PairError::OtherKind),
        };
        Ok(Self { public_key: public_key(spec, pkcs8)?, private })
    }

    pub(crate) fn sign(
        &self,
        algorithm: &SigningAlgorithm,
        digest: &Digest,
    ) -> Result<Vec<u8>, PairError> {
        match (&self.private, algorithm.rsa) {
            (Private::RsaSigning(pair), Some((encoding, _))) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, digest, &mut signature)?;
                Ok(signature)
            }
            (Private::EcdsaSigning { pair, .. }, None) => {
                Ok(pair.sign_digest(digest)?.as_ref().to_vec())
            }
            _ => Err(PairError::OtherKind),
        }
    }

    pub(crate) fn verify(
        &self,
        algorithm: &SigningAlgorithm,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), PairError> {
        match (&self.private, algorithm.rsa) {
            (Private::RsaSigning(pair), Some((_, parameters))) => {
                let public = UnparsedPublicKey::new(parameters, pair.public_key().as_ref());
                Ok(public.verify_digest(digest, signature)?)
            }
            (Private::EcdsaSigning { pair, verifying }, None) => {
                let public = UnparsedPublicKey::new(*verifying, pair.public_key().as_ref());
                Ok(public.verify_digest(digest, signature)?)
            }
            _ => Err(PairError::OtherKind),
        }
    }

    /// RSAES-OAEP (RFC 8017 §7.1), without a label.
    pub(crate) fn encrypt(&self, algorithm: &str, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
        let Private::Decrypting { public, .. } = &self.private else {
            return Err(PairError::OtherKind);
        };
        let algorithm = oaep(algorithm)?;
        let limit = public.max_plaintext_size(algorithm);
        if plaintext.len() > limit {
            return Err(PairError::TooLong { limit });
        }
        let mut room = vec![0; public.ciphertext_size()];
        Ok(public.encrypt(algorithm, plaintext, &mut room, None)?.to_vec())
    }

    pub(crate) fn decrypt(
        &self,
        algorithm: &str,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let Private::Decrypting { private, .. } = &self.private else {
            return Err(PairError::OtherKind);
        };
        if ciphertext.len() != private.key_size_bytes() {
            return Err(PairError::Failed);
        }
        let mut room = Zeroizing::new(vec![0; private.min_output_size()]);
        let plaintext = private.decrypt(oaep(algorithm)?, ciphertext, &mut room, None)?;
        Ok(Zeroizing::new(plaintext.to_vec()))
    }

    /// ECDH (SP 800-56A §5.7.1.2) with the holder of `peer`, a DER SubjectPublicKeyInfo.
    pub(crate) fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let Private::Agreeing(private) = &self.private else { return Err(PairError::OtherKind) };
        let peer = agreement::UnparsedPublicKey::new(private.algorithm(), peer);
        let peer = agreement::ParsedPublicKey::try_from(peer)?;
        if peer.format() != agreement::ParsedPublicKeyFormat::X509 {
            return Err(PairError::Failed);
        }
        let copy = |secret: &[u8]| Ok(Zeroizing::new(secret.to_vec()));
        agreement::agree(private, peer, PairError::Failed, copy)
    }
}

/// The DER SubjectPublicKeyInfo of a private key in PKCS #8, if it is one of this spec.
pub(crate) fn public_key(spec: KeySpec, pkcs8: &[u8]) -> Result<Vec<u8>, PairError> {
    let der: PublicKeyX509Der<'_> = match rsa_size(spec) {
        Some(size) => {
            let private = PrivateDecryptingKey::from_pkcs8(pkcs8)?;
            if private.key_size_bytes() != size.len() {
                return Err(PairError::OtherKind);
            }
            private.public_key().as_der()?
        }
        None => EcdsaKeyPair::from_pkcs8(ecdsa(spec)?.0, pkcs8)?.public_key().as_der()?,
    };
    Ok(der.as_ref().to_vec())
}

fn rsa_size(spec: KeySpec) -> Option<KeySize> {
    match spec {
        KeySpec::Rsa2048 => Some(KeySize::Rsa2048),
        KeySpec::Rsa3072 => Some(KeySize::Rsa3072),
        KeySpec::Rsa4096 => Some(KeySize::Rsa4096),
        _ => None,
    }
}

/// Signatures are DER ECDSA-Sig-Value (RFC 3279 §2.2.3), as AWS gives them.
fn ecdsa(
    spec: KeySpec,
) -> Result<(&'static EcdsaSigningAlgorithm, &'static EcdsaVerificationAlgorithm), PairError> {
    match spec {
        KeySpec::EccNistP256 => {
            Ok((&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &signature::ECDSA_P256_SHA256_ASN1))
        }
        KeySpec::EccNistP384 => {
            Ok((&signature::ECDSA_P384_SHA384_ASN1_SIGNING, &signature::ECDSA_P384_SHA384_ASN1))
        }
        KeySpec::EccNistP521 => {
            Ok((&signature::ECDSA_P521_SHA512_ASN1_SIGNING, &signature::ECDSA_P521_SHA512_ASN1))
        }
        KeySpec::EccSecgP256k1 => {
            Ok((&signature::ECDSA_P256K1_SHA256_ASN1_SIGNING, &signature::ECDSA_P256K1_SHA256_ASN1))
        }
        _ => Err(PairError::OtherKind),
    }
}

fn ecdh(spec: KeySpec) -> Result<&'static agreement::Algorithm, PairError> {
    match spec {
        KeySpec::EccNistP256 => Ok(&agreement::ECDH_P256),
        KeySpec::EccNistP384 => Ok(&agreement::ECDH_P384),
        KeySpec::EccNistP521 => Ok(&agreement::ECDH_P521),
        _ => Err(PairError::OtherKind),
    }
}

fn oaep(algorithm: &str) -> Result<&'static OaepAlgorithm, PairError> {
    match algorithm {
        "RSAES_OAEP_SHA_1" => Ok(&OAEP_SHA1_MGF1SHA1),
        "RSAES_OAEP_SHA_256" => Ok(&OAEP_SHA256_MGF1SHA256),
        _ => Err(PairError::OtherKind),
    }
}
