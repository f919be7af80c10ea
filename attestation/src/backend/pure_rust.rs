use p384::ecdsa::signature::Verifier as _;
use p384::ecdsa::{Signature, VerifyingKey};

use super::{BadSignature, POINT_LENGTH, SIGNATURE_LENGTH, SignatureAlgorithms};

/// ES384 by the pure-Rust crates `p384` and `sha2`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PureRust;

impl SignatureAlgorithms for PureRust {
    type PublicKey = VerifyingKey;

    fn public_key(&self, point: &[u8; POINT_LENGTH]) -> Option<VerifyingKey> {
        VerifyingKey::from_sec1_bytes(point).ok()
    }

    fn verify(
        &self,
        key: &VerifyingKey,
        message: &[u8],
        signature: &[u8; SIGNATURE_LENGTH],
    ) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }
}
