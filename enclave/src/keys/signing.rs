//! Signature algorithms of the AWS KMS API, and what AWS-LC calls them.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, RsaParameters, RsaSignatureEncoding};

/// A `SigningAlgorithm`.
pub(crate) struct SigningAlgorithm {
    pub(crate) name: &'static str,
    pub(super) digest: &'static digest::Algorithm,
    /// Of RSA; an ECDSA key's own curve says the rest.
    pub(super) rsa: Option<(&'static RsaSignatureEncoding, &'static RsaParameters)>,
}

/// `SigningAlgorithmSpec`, as far as this version signs.
static ALGORITHMS: [SigningAlgorithm; 9] = [
    rsa(
        "RSASSA_PSS_SHA_256",
        &digest::SHA256,
        &signature::RSA_PSS_SHA256,
        &signature::RSA_PSS_2048_8192_SHA256,
    ),
    rsa(
        "RSASSA_PSS_SHA_384",
        &digest::SHA384,
        &signature::RSA_PSS_SHA384,
        &signature::RSA_PSS_2048_8192_SHA384,
    ),
    rsa(
        "RSASSA_PSS_SHA_512",
        &digest::SHA512,
        &signature::RSA_PSS_SHA512,
        &signature::RSA_PSS_2048_8192_SHA512,
    ),
    rsa(
        "RSASSA_PKCS1_V1_5_SHA_256",
        &digest::SHA256,
        &signature::RSA_PKCS1_SHA256,
        &signature::RSA_PKCS1_2048_8192_SHA256,
    ),
    rsa(
        "RSASSA_PKCS1_V1_5_SHA_384",
        &digest::SHA384,
        &signature::RSA_PKCS1_SHA384,
        &signature::RSA_PKCS1_2048_8192_SHA384,
    ),
    rsa(
        "RSASSA_PKCS1_V1_5_SHA_512",
        &digest::SHA512,
        &signature::RSA_PKCS1_SHA512,
        &signature::RSA_PKCS1_2048_8192_SHA512,
    ),
    SigningAlgorithm { name: "ECDSA_SHA_256", digest: &digest::SHA256, rsa: None },
    SigningAlgorithm { name: "ECDSA_SHA_384", digest: &digest::SHA384, rsa: None },
    SigningAlgorithm { name: "ECDSA_SHA_512", digest: &digest::SHA512, rsa: None },
];

const fn rsa(
    name: &'static str,
    digest: &'static digest::Algorithm,
    encoding: &'static RsaSignatureEncoding,
    parameters: &'static RsaParameters,
) -> SigningAlgorithm {
    SigningAlgorithm { name, digest, rsa: Some((encoding, parameters)) }
}

impl SigningAlgorithm {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }

    /// The digest that is signed: of a message, or one that the caller made.
    pub(crate) fn digest(&self, message: &[u8], is_digest: bool) -> Result<Digest, WrongLength> {
        if is_digest {
            return Digest::import_less_safe(message, self.digest).map_err(|_| WrongLength);
        }
        Ok(digest::digest(self.digest, message))
    }
}

/// A digest that is not as long as the algorithm's digests are.
#[derive(Debug)]
pub(crate) struct WrongLength;
