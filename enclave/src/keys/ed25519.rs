//! Ed25519 (RFC 8032): PureEdDSA is AWS-LC's. Ed25519ph, which its Rust interface does not have, is
//! ed25519-dalek's, over the same seed.

use super::pair::PairError;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ed25519_dalek::{Signature, SigningKey};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// A key pair for both variants.
pub(super) struct EdwardsPair {
    pure: Ed25519KeyPair,
    prehashing: SigningKey,
}

/// The private key of a new key pair as PKCS #8 (RFC 8410 §7): its seed.
pub(super) fn generate() -> Result<Zeroizing<Vec<u8>>, PairError> {
    Ok(Zeroizing::new(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec()))
}

impl EdwardsPair {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, PairError> {
        let pure = Ed25519KeyPair::from_pkcs8(pkcs8)?;
        // The document of version 1 ends with the seed.
        let document = pure.to_pkcs8v1()?;
        let seed = document.as_ref().last_chunk().ok_or(PairError::Failed)?;
        let prehashing = SigningKey::from_bytes(seed);
        if prehashing.verifying_key().as_bytes().as_slice() != pure.public_key().as_ref() {
            return Err(PairError::Failed);
        }
        Ok(Self { pure, prehashing })
    }

    /// DER SubjectPublicKeyInfo (RFC 8410 §4).
    pub(super) fn public_key(&self) -> Result<Vec<u8>, PairError> {
        Ok(self.pure.public_key().as_der()?.as_ref().to_vec())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PairError> {
        Ok(self.pure.try_sign(message)?.as_ref().to_vec())
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PairError> {
        let public = UnparsedPublicKey::new(&ED25519, self.pure.public_key().as_ref());
        Ok(public.verify(message, signature)?)
    }

    /// Ed25519ph with an empty context; the message is hashed here.
    pub(super) fn sign_prehashed(&self, message: &[u8]) -> Result<Vec<u8>, PairError> {
        let digest = Sha512::new_with_prefix(message);
        let signature = self.prehashing.sign_prehashed(digest, None);
        Ok(signature.map_err(|_| PairError::Failed)?.to_bytes().to_vec())
    }

    pub(super) fn verify_prehashed(
        &self,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), PairError> {
        let signature = Signature::from_slice(signature).map_err(|_| PairError::Failed)?;
        let digest = Sha512::new_with_prefix(message);
        let public = self.prehashing.verifying_key();
        public.verify_prehashed_strict(digest, None, &signature).map_err(|_| PairError::Failed)
    }
}
