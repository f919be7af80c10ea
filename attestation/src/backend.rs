//! The signature algorithm of attestation documents and of their certificates: ES384.
//!
//! [`PureRust`] needs nothing but Rust and builds for WebAssembly. `AwsLc` (feature
//! `aws-lc-rs`) is about three times faster and is what a server wants. Both answer alike for
//! every input; the tests run over both.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod pure_rust;

#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::AwsLc;
pub use pure_rust::PureRust;

/// The length of an ES384 signature, r ‖ s (RFC 9053 §2.1).
pub const SIGNATURE_LENGTH: usize = 96;

/// The length of an uncompressed P-384 point (SEC 1 §2.3.3).
pub const POINT_LENGTH: usize = 97;

/// ECDSA over P-384 with SHA-384, by some implementation.
///
/// Implementations must accept both halves of s: AWS signs with high s as often as with low s.
pub trait SignatureAlgorithms {
    /// A public key that was found to be a point of the curve.
    type PublicKey: Clone + Send + Sync;

    /// Reads an uncompressed point; `None` if it is not on the curve.
    fn public_key(&self, point: &[u8; POINT_LENGTH]) -> Option<Self::PublicKey>;

    /// Whether `signature` is the signature of `message` by `key`.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not, including r or s that are zero or not below the order.
    fn verify(
        &self,
        key: &Self::PublicKey,
        message: &[u8],
        signature: &[u8; SIGNATURE_LENGTH],
    ) -> Result<(), BadSignature>;
}

/// The signature does not verify. There is no more to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;
