use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};

use super::{BadSignature, POINT_LENGTH, SIGNATURE_LENGTH, SignatureAlgorithms};

/// ES384 by AWS-LC.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsLc;

impl SignatureAlgorithms for AwsLc {
    type PublicKey = ParsedPublicKey;

    fn public_key(&self, point: &[u8; POINT_LENGTH]) -> Option<ParsedPublicKey> {
        ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()
    }

    fn verify(
        &self,
        key: &ParsedPublicKey,
        message: &[u8],
        signature: &[u8; SIGNATURE_LENGTH],
    ) -> Result<(), BadSignature> {
        key.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}
