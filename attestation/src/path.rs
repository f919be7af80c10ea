//! The certification path (RFC 5280 §6.1; attestation process §3.2.3): root, intermediates, leaf,
//! in the order in which the document gives them. There is no search: the order is part of the
//! format, so a path is right or wrong.
//!
//! Revocation is not checked, as the attestation process has it ("CRL disabled"): a leaf lives
//! three hours.

use crate::TrustAnchors;
use crate::backend::SignatureAlgorithms;
use crate::certificate::{Certificate, CertificateFault, Validity};
use crate::payload::Cabundle;
use crate::rejection::{Position, Rejection};
use crate::timestamp::Timestamp;

/// The certificate authorities of a document, verified down to the one that issues leaves.
pub(crate) struct Issuer<Key> {
    key: Key,
    /// The DER of its subject.
    subject: Box<[u8]>,
    /// What all of its chain's certificates are valid in.
    pub(crate) validity: Validity,
}

/// A leaf certificate, verified up to a trust anchor.
pub(crate) struct Leaf<Key> {
    pub(crate) key: Key,
    pub(crate) common_name: Box<str>,
    /// What it and all of its chain's certificates are valid in.
    pub(crate) validity: Validity,
}

impl<Key> Issuer<Key> {
    /// Verifies the CA bundle at the instant `at`: one signature for each intermediate.
    pub(crate) fn verify<B: SignatureAlgorithms<PublicKey = Key>>(
        backend: &B,
        anchors: &TrustAnchors,
        cabundle: &Cabundle<'_>,
        at: Timestamp,
    ) -> Result<Self, Rejection> {
        anchors.check(cabundle.root)?;
        let position = Position::Cabundle(0);
        let root = decode(position, cabundle.root)?;
        let below = cabundle.intermediates.len();
        check_authority(&root, below, at).map_err(at_position(position))?;
        let mut issuer = Self::of(backend, position, &root, root.validity)?;

        for (index, der) in cabundle.intermediates.iter().enumerate() {
            let position = Position::Cabundle(index.saturating_add(1));
            let authority = decode(position, der)?;
            let below = below.saturating_sub(index).saturating_sub(1);
            issuer.check_named(&authority).map_err(at_position(position))?;
            check_authority(&authority, below, at).map_err(at_position(position))?;
            issuer.check_signed(backend, &authority).map_err(at_position(position))?;
            let validity = issuer.validity.intersection(authority.validity);
            issuer = Self::of(backend, position, &authority, validity)?;
        }
        Ok(issuer)
    }

    /// Verifies a leaf at the instant `at`: one signature.
    pub(crate) fn verify_leaf<B: SignatureAlgorithms<PublicKey = Key>>(
        &self,
        backend: &B,
        certificate: &[u8],
        at: Timestamp,
    ) -> Result<Leaf<Key>, Rejection> {
        let position = Position::Leaf;
        let leaf = decode(position, certificate)?;
        self.check_named(&leaf).map_err(at_position(position))?;
        check_leaf(&leaf, at).map_err(at_position(position))?;
        self.check_signed(backend, &leaf).map_err(at_position(position))?;
        Ok(Leaf {
            key: public_key(backend, position, &leaf)?,
            common_name: leaf.subject.common_name().ok_or(Rejection::ModuleIdCertificate)?.into(),
            validity: self.validity.intersection(leaf.validity),
        })
    }

    fn of<B: SignatureAlgorithms<PublicKey = Key>>(
        backend: &B,
        position: Position,
        certificate: &Certificate<'_>,
        validity: Validity,
    ) -> Result<Self, Rejection> {
        Ok(Self {
            key: public_key(backend, position, certificate)?,
            subject: certificate.subject.as_der().into(),
            validity,
        })
    }

    /// That `certificate` names this authority as its issuer (RFC 5280 §6.1.3 (a)(4)).
    fn check_named(&self, certificate: &Certificate<'_>) -> Result<(), CertificateFault> {
        if certificate.issuer == certificate.subject {
            Err(CertificateFault::SelfIssued)
        } else if certificate.issuer.as_der() != &*self.subject {
            Err(CertificateFault::Issuer)
        } else {
            Ok(())
        }
    }

    /// That this authority signed `certificate` (RFC 5280 §6.1.3 (a)(1)).
    fn check_signed<B: SignatureAlgorithms<PublicKey = Key>>(
        &self,
        backend: &B,
        certificate: &Certificate<'_>,
    ) -> Result<(), CertificateFault> {
        backend
            .verify(&self.key, certificate.signed, &certificate.signature)
            .map_err(|_| CertificateFault::Signature)
    }
}

/// The rules for a CA with `below` CAs below it (attestation process §3.2.3.1; RFC 5280 §6.1.4).
fn check_authority(
    certificate: &Certificate<'_>,
    below: usize,
    at: Timestamp,
) -> Result<(), CertificateFault> {
    certificate.validity.check(at)?;
    let constraints = certificate.basic_constraints.ok_or(CertificateFault::BasicConstraints)?;
    if !constraints.ca || !constraints.critical {
        return Err(CertificateFault::BasicConstraints);
    }
    if constraints.path_length.is_some_and(|allowed| below > usize::from(allowed)) {
        return Err(CertificateFault::PathLength);
    }
    match certificate.key_usage {
        Some(usage) if usage.key_cert_sign => Ok(()),
        _ => Err(CertificateFault::KeyUsage),
    }
}

/// The rules for a leaf (attestation process §3.2.3.2; RFC 5280 §4.2.1.3, §4.2.1.9).
fn check_leaf(certificate: &Certificate<'_>, at: Timestamp) -> Result<(), CertificateFault> {
    certificate.validity.check(at)?;
    let constraints = certificate.basic_constraints.ok_or(CertificateFault::BasicConstraints)?;
    if constraints.ca {
        return Err(CertificateFault::BasicConstraints);
    }
    if constraints.path_length.is_some() {
        return Err(CertificateFault::PathLength);
    }
    match certificate.key_usage {
        Some(usage) if usage.digital_signature && !usage.key_cert_sign => Ok(()),
        _ => Err(CertificateFault::KeyUsage),
    }
}

fn decode(position: Position, der: &[u8]) -> Result<Certificate<'_>, Rejection> {
    Certificate::decode(der).map_err(at_position(position))
}

fn public_key<B: SignatureAlgorithms>(
    backend: &B,
    position: Position,
    certificate: &Certificate<'_>,
) -> Result<B::PublicKey, Rejection> {
    let fault = CertificateFault::PublicKey;
    backend.public_key(certificate.public_key).ok_or(Rejection::Certificate { position, fault })
}

fn at_position(position: Position) -> impl Fn(CertificateFault) -> Rejection {
    move |fault| Rejection::Certificate { position, fault }
}
