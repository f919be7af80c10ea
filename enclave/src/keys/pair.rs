//! Key pairs: made, read from PKCS #8, and used. The primitives are AWS-LC's, but for the few that
//! [`super::ed25519`], [`super::ml_dsa`] and [`super::ml_kem`] name.

use super::ed25519::{self, EdwardsPair};
use super::ml_dsa::{self, MlDsaPair};
use super::ml_kem::{self, Encapsulated, MlKemPair};
use super::signing::{Scheme, Signable, SigningAlgorithm};
use super::spec::{KeySpec, KeyUsage};
use crate::threads::Cost;
use aws_lc_rs::agreement;
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
    Decrypting {
        private: OaepPrivateDecryptingKey,
        public: OaepPublicEncryptingKey,
    },
    RsaSigning(rsa::KeyPair),
    EcdsaSigning {
        pair: EcdsaKeyPair,
        verifying: &'static EcdsaVerificationAlgorithm,
    },
    Ed25519(EdwardsPair),
    MlDsa(MlDsaPair),
    /// With how many bytes of its SubjectPublicKeyInfo stand before the coordinates.
    Agreeing {
        private: agreement::PrivateKey,
        header: usize,
    },
    Encapsulating(MlKemPair),
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

/// What [`generate`] takes.
pub(crate) fn cost_of_generating(spec: KeySpec) -> Cost {
    if rsa_size(spec).is_some() { Cost::Long } else { Cost::Short }
}

/// The private key of a new key pair as PKCS #8. RSA takes from tenths of a second to seconds.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let pkcs8 = match (rsa_size(spec), spec) {
        (Some(size), _) => {
            let private = PrivateDecryptingKey::generate(size)?;
            AsDer::<Pkcs8V1Der<'_>>::as_der(&private)?.as_ref().to_vec()
        }
        (_, KeySpec::EccNistEdwards25519) => return ed25519::generate(),
        (_, KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87) => {
            return ml_dsa::generate(spec);
        }
        (_, KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024) => {
            return ml_kem::generate(spec);
        }
        _ => {
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
            (KeyUsage::SignVerify, None) => match spec {
                KeySpec::EccNistEdwards25519 => Private::Ed25519(EdwardsPair::from_pkcs8(pkcs8)?),
                KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
                    Private::MlDsa(MlDsaPair::from_pkcs8(spec, pkcs8)?)
                }
                _ => {
                    let (signing, verifying) = ecdsa(spec)?;
                    let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8)?;
                    Private::EcdsaSigning { pair, verifying }
                }
            },
            (KeyUsage::KeyAgreement, None) => {
                let private = agreement::PrivateKey::from_private_key_der(ecdh(spec)?, pkcs8)?;
                // An uncompressed point: 0x04 and the coordinates.
                let coordinates = private.compute_public_key()?.as_ref().len().saturating_sub(1);
                let length = public_key(spec, pkcs8)?.len();
                Private::Agreeing { private, header: length.saturating_sub(coordinates) }
            }
            (KeyUsage::EncapsulateDecapsulate, None) => {
                Private::Encapsulating(MlKemPair::from_pkcs8(spec, pkcs8)?)
            }
            _ => return Err(PairError::OtherKind),
        };
        Ok(Self { public_key: public_key(spec, pkcs8)?, private })
    }

    /// What [`KeyPair::sign`] takes. With RSA_2048, the P-521 curve or ML_DSA_87 it is between a tenth
    /// and a half of a millisecond, with RSA_3072 one, with RSA_4096 two; the implementation that
    /// signs a μ makes its key anew each time.
    pub(crate) fn cost_of_signing(&self, signed: &Signable) -> Cost {
        match (&self.private, signed) {
            (Private::RsaSigning(pair), _) => cost_of_rsa(pair.public_modulus_len()),
            (_, Signable::Mu(_)) => Cost::Long,
            _ => Cost::Short,
        }
    }

    pub(crate) fn sign(
        &self,
        algorithm: &SigningAlgorithm,
        signed: &Signable,
    ) -> Result<Vec<u8>, PairError> {
        match (&self.private, &algorithm.scheme, signed) {
            (Private::RsaSigning(pair), Scheme::Rsa { encoding, .. }, Signable::Digest(digest)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(*encoding, digest, &mut signature)?;
                Ok(signature)
            }
            (
                Private::EcdsaSigning { pair, .. },
                Scheme::Ecdsa { .. },
                Signable::Digest(digest),
            ) => Ok(pair.sign_digest(digest)?.as_ref().to_vec()),
            (Private::Ed25519(pair), Scheme::Ed25519, Signable::Message(message)) => {
                pair.sign(message)
            }
            (Private::Ed25519(pair), Scheme::Ed25519ph, Signable::Message(message)) => {
                pair.sign_prehashed(message)
            }
            (Private::MlDsa(pair), Scheme::MlDsa, Signable::Message(message)) => pair.sign(message),
            (Private::MlDsa(pair), Scheme::MlDsa, Signable::Mu(mu)) => pair.sign_mu(mu),
            _ => Err(PairError::OtherKind),
        }
    }

    /// Takes less than half a millisecond, whatever the key.
    pub(crate) fn verify(
        &self,
        algorithm: &SigningAlgorithm,
        signed: &Signable,
        signature: &[u8],
    ) -> Result<(), PairError> {
        match (&self.private, &algorithm.scheme, signed) {
            (
                Private::RsaSigning(pair),
                Scheme::Rsa { parameters, .. },
                Signable::Digest(digest),
            ) => {
                let public = UnparsedPublicKey::new(*parameters, pair.public_key().as_ref());
                Ok(public.verify_digest(digest, signature)?)
            }
            (
                Private::EcdsaSigning { pair, verifying },
                Scheme::Ecdsa { .. },
                Signable::Digest(digest),
            ) => {
                let public = UnparsedPublicKey::new(*verifying, pair.public_key().as_ref());
                Ok(public.verify_digest(digest, signature)?)
            }
            (Private::Ed25519(pair), Scheme::Ed25519, Signable::Message(message)) => {
                pair.verify(message, signature)
            }
            (Private::Ed25519(pair), Scheme::Ed25519ph, Signable::Message(message)) => {
                pair.verify_prehashed(message, signature)
            }
            (Private::MlDsa(pair), Scheme::MlDsa, Signable::Message(message)) => {
                pair.verify(message, signature)
            }
            (Private::MlDsa(pair), Scheme::MlDsa, Signable::Mu(mu)) => {
                pair.verify_mu(mu, signature)
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

    /// What [`KeyPair::decrypt`] takes.
    pub(crate) fn cost_of_decrypting(&self) -> Cost {
        match &self.private {
            Private::Decrypting { private, .. } => cost_of_rsa(private.key_size_bytes()),
            _ => Cost::Short,
        }
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

    /// ECDH (SP 800-56A §5.7.1.2) with the holder of `peer`, a DER SubjectPublicKeyInfo of the same
    /// named curve with an uncompressed point, as AWS KMS gives them; nothing else is taken, though
    /// AWS-LC would read more.
    pub(crate) fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let Private::Agreeing { private, header } = &self.private else {
            return Err(PairError::OtherKind);
        };
        let own = self.public_key.as_slice();
        if peer.len() != own.len() || peer.get(..*header) != own.get(..*header) {
            return Err(PairError::Failed);
        }
        let peer = agreement::UnparsedPublicKey::new(private.algorithm(), peer);
        let peer = agreement::ParsedPublicKey::try_from(peer)?;
        if peer.format() != agreement::ParsedPublicKeyFormat::X509 {
            return Err(PairError::Failed);
        }
        let copy = |secret: &[u8]| Ok(Zeroizing::new(secret.to_vec()));
        agreement::agree(private, peer, PairError::Failed, copy)
    }

    /// ML-KEM.Encaps (FIPS 203 §7.2) to this key.
    pub(crate) fn encapsulate(&self) -> Result<Encapsulated, PairError> {
        match &self.private {
            Private::Encapsulating(pair) => pair.encapsulate(),
            _ => Err(PairError::OtherKind),
        }
    }

    /// How long the ciphertexts of ML-KEM are with this key.
    pub(crate) fn encapsulated_length(&self) -> Option<usize> {
        match &self.private {
            Private::Encapsulating(pair) => Some(pair.ciphertext_length()),
            _ => None,
        }
    }

    /// ML-KEM.Decaps (FIPS 203 §7.3): fails on a ciphertext of another length, and on nothing else.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        match &self.private {
            Private::Encapsulating(pair) => pair.decapsulate(ciphertext),
            _ => Err(PairError::OtherKind),
        }
    }
}

/// What a private operation takes with a modulus of so many bytes.
fn cost_of_rsa(length: usize) -> Cost {
    if length <= KeySize::Rsa2048.len() { Cost::Short } else { Cost::Long }
}

/// The DER SubjectPublicKeyInfo of a private key in PKCS #8, if it is one of this spec.
pub(crate) fn public_key(spec: KeySpec, pkcs8: &[u8]) -> Result<Vec<u8>, PairError> {
    if !is_whole(pkcs8) {
        return Err(PairError::Failed);
    }
    let der: PublicKeyX509Der<'_> = match (rsa_size(spec), spec) {
        (Some(size), _) => {
            let private = PrivateDecryptingKey::from_pkcs8(pkcs8)?;
            if private.key_size_bytes() != size.len() {
                return Err(PairError::OtherKind);
            }
            private.public_key().as_der()?
        }
        (_, KeySpec::EccNistEdwards25519) => return EdwardsPair::from_pkcs8(pkcs8)?.public_key(),
        (_, KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87) => {
            return MlDsaPair::from_pkcs8(spec, pkcs8)?.public_key();
        }
        (_, KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024) => {
            return MlKemPair::from_pkcs8(spec, pkcs8)?.public_key();
        }
        _ => EcdsaKeyPair::from_pkcs8(ecdsa(spec)?.0, pkcs8)?.public_key().as_der()?,
    };
    Ok(der.as_ref().to_vec())
}

/// Whether it is one DER sequence and nothing behind it, which AWS-LC does not look at.
fn is_whole(der: &[u8]) -> bool {
    match der {
        [0x30, 0x82, high, low, rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        [0x30, 0x81, length, rest @ ..] | [0x30, length @ ..=0x7f, rest @ ..] => {
            rest.len() == usize::from(*length)
        }
        _ => false,
    }
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
