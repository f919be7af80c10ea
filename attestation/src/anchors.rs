use crate::Rejection;
use crate::certificate::{Certificate, CertificateFault};
use crate::rejection::Position;

/// AWS Nitro Enclaves Root G1, from the archive that the AWS Nitro Enclaves user guide names
/// ("Verifying the root of trust"); SHA-256
/// 641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b.
const AWS_NITRO_ENCLAVES_G1: &[u8] = include_bytes!("../roots/aws_nitro_enclaves_g1.der");

/// The roots that a document's certificates may lead to; one or more.
///
/// A document names its root itself, as `cabundle[0]`; it is trusted if it is one of these, byte
/// for byte. Roots of other AWS partitions (`CN=<partition>.nitro-enclaves`) and of development
/// chains are given with [`TrustAnchors::from_der`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchors(Vec<Box<[u8]>>);

impl TrustAnchors {
    /// AWS Nitro Enclaves Root G1, the root of the commercial partition.
    pub fn aws_nitro() -> Self {
        Self(vec![AWS_NITRO_ENCLAVES_G1.into()])
    }

    /// Roots given as X.509 certificates in DER.
    ///
    /// A root's own signature is not verified: its bytes are what is trusted.
    ///
    /// # Errors
    /// [`InvalidAnchors::Empty`] without a root; [`InvalidAnchors::Certificate`] if one is not a
    /// certificate with a P-384 key.
    pub fn from_der<Root: AsRef<[u8]>>(
        roots: impl IntoIterator<Item = Root>,
    ) -> Result<Self, InvalidAnchors> {
        let mut anchors = Vec::new();
        for (index, root) in roots.into_iter().enumerate() {
            let root = root.as_ref();
            Certificate::decode(root).map_err(|fault| InvalidAnchors::Certificate {
                position: Position::Anchor(index),
                fault,
            })?;
            anchors.push(root.into());
        }
        if anchors.is_empty() { Err(InvalidAnchors::Empty) } else { Ok(Self(anchors)) }
    }

    /// The roots in DER.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|anchor| &**anchor)
    }

    /// That `root` is one of these.
    pub(crate) fn check(&self, root: &[u8]) -> Result<(), Rejection> {
        if self.iter().any(|anchor| anchor == root) {
            Ok(())
        } else {
            Err(Rejection::RootNotTrusted)
        }
    }
}

/// Why certificates do not form [`TrustAnchors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnchors {
    /// There is no certificate.
    #[error("no trust anchor is given")]
    Empty,
    /// One is not a certificate that could be a root.
    #[error("{position}: {fault}")]
    Certificate {
        /// Which one.
        position: Position,
        /// What is wrong with it.
        fault: CertificateFault,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aws_root_is_the_one_that_aws_publishes() {
        use sha2::{Digest as _, Sha256};
        let digest = Sha256::digest(AWS_NITRO_ENCLAVES_G1);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
        assert!(TrustAnchors::from_der([AWS_NITRO_ENCLAVES_G1]).is_ok());
    }

    #[test]
    fn no_anchor_is_an_error() {
        assert_eq!(TrustAnchors::from_der::<&[u8]>([]), Err(InvalidAnchors::Empty));
    }
}
