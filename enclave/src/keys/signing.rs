//! Signature algorithms of the AWS KMS API: what of a message each of them signs.

use super::ml_dsa::{MU_LENGTH, Mu};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, RsaParameters, RsaSignatureEncoding};
use zeroize::Zeroizing;

/// A `SigningAlgorithm`.
pub(crate) struct SigningAlgorithm {
    pub(crate) name: &'static str,
    pub(super) scheme: Scheme,
}

/// What AWS-LC calls it.
pub(super) enum Scheme {
    Rsa {
        digest: &'static digest::Algorithm,
        encoding: &'static RsaSignatureEncoding,
        parameters: &'static RsaParameters,
    },
    /// The key's own curve says the rest.
    Ecdsa {
        digest: &'static digest::Algorithm,
    },
    Ed25519,
    Ed25519ph,
    MlDsa,
}

/// `MessageType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    Raw,
    Digest,
    ExternalMu,
}

impl MessageType {
    pub(crate) const ALL: [Self; 3] = [Self::Raw, Self::Digest, Self::ExternalMu];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Digest => "DIGEST",
            Self::ExternalMu => "EXTERNAL_MU",
        }
    }
}

/// What is signed.
pub(crate) enum Signable {
    Digest(Digest),
    Message(Zeroizing<Vec<u8>>),
    /// The message representative of FIPS 204 §6.2.
    Mu(Mu),
}

/// `SigningAlgorithmSpec` but for SM2DSA, which AWS has in China Regions alone.
static ALGORITHMS: [SigningAlgorithm; 12] = [
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
    SigningAlgorithm { name: "ECDSA_SHA_256", scheme: Scheme::Ecdsa { digest: &digest::SHA256 } },
    SigningAlgorithm { name: "ECDSA_SHA_384", scheme: Scheme::Ecdsa { digest: &digest::SHA384 } },
    SigningAlgorithm { name: "ECDSA_SHA_512", scheme: Scheme::Ecdsa { digest: &digest::SHA512 } },
    SigningAlgorithm { name: "ED25519_SHA_512", scheme: Scheme::Ed25519 },
    SigningAlgorithm { name: "ED25519_PH_SHA_512", scheme: Scheme::Ed25519ph },
    SigningAlgorithm { name: "ML_DSA_SHAKE_256", scheme: Scheme::MlDsa },
];

const fn rsa(
    name: &'static str,
    digest: &'static digest::Algorithm,
    encoding: &'static RsaSignatureEncoding,
    parameters: &'static RsaParameters,
) -> SigningAlgorithm {
    SigningAlgorithm { name, scheme: Scheme::Rsa { digest, encoding, parameters } }
}

impl SigningAlgorithm {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }

    /// Whether it signs messages of this type and length (AWS KMS API Reference, Sign, `MessageType`).
    pub(crate) fn accepts(&self, of: MessageType, length: usize) -> Result<(), Unfit> {
        let wanted = match (&self.scheme, of) {
            (
                Scheme::Rsa { .. } | Scheme::Ecdsa { .. } | Scheme::Ed25519 | Scheme::MlDsa,
                MessageType::Raw,
            ) => return Ok(()),
            (Scheme::Rsa { digest, .. } | Scheme::Ecdsa { digest }, MessageType::Digest) => {
                digest.output_len
            }
            (Scheme::Ed25519ph, MessageType::Digest) => digest::SHA512_OUTPUT_LEN,
            (Scheme::MlDsa, MessageType::ExternalMu) => MU_LENGTH,
            _ => return Err(Unfit::MessageType),
        };
        if length == wanted { Ok(()) } else { Err(Unfit::Length) }
    }

    /// What is signed of a message. Ed25519ph hashes the caller's digest once more, as AWS KMS does.
    pub(crate) fn signable(
        &self,
        of: MessageType,
        message: Zeroizing<Vec<u8>>,
    ) -> Result<Signable, Unfit> {
        self.accepts(of, message.len())?;
        match (&self.scheme, of) {
            (Scheme::Rsa { digest, .. } | Scheme::Ecdsa { digest }, MessageType::Raw) => {
                Ok(Signable::Digest(digest::digest(digest, &message)))
            }
            (Scheme::Rsa { digest, .. } | Scheme::Ecdsa { digest }, _) => {
                let digest = Digest::import_less_safe(&message, digest);
                digest.map(Signable::Digest).map_err(|_| Unfit::Length)
            }
            (Scheme::MlDsa, MessageType::ExternalMu) => {
                message.as_slice().try_into().map(Signable::Mu).map_err(|_| Unfit::Length)
            }
            _ => Ok(Signable::Message(message)),
        }
    }
}

/// Why an algorithm does not sign a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has no use for messages of this type.
    MessageType,
    /// The digest, or μ, is not as long as the algorithm's are.
    Length,
}
