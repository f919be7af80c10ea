//! Certificates shaped like those that AWS issues, every part of which a test may spoil.

use std::time::SystemTime;

use p384::ecdsa::signature::hazmat::PrehashSigner as _;
use p384::ecdsa::{Signature, SigningKey};
use sha2::{Digest as _, Sha256, Sha384};

use crate::der::{self, tlv};

/// `AlgorithmIdentifier` of ecdsa-with-SHA384 (RFC 5758 §3.2): all of AWS's certificates.
pub const ECDSA_WITH_SHA384: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

/// `AlgorithmIdentifier` of ecdsa-with-SHA256: no certificate of AWS's.
pub const ECDSA_WITH_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// Object identifiers of extensions, their contents (RFC 5280 §4.2.1).
pub mod extension {
    /// basicConstraints
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    /// keyUsage
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    /// subjectKeyIdentifier
    pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
    /// authorityKeyIdentifier
    pub const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
}

/// Bits of keyUsage (RFC 5280 §4.2.1.3), as in the first byte of its bit string.
pub mod usage {
    /// digitalSignature
    pub const DIGITAL_SIGNATURE: u8 = 0x80;
    /// nonRepudiation
    pub const NON_REPUDIATION: u8 = 0x40;
    /// keyCertSign
    pub const KEY_CERT_SIGN: u8 = 0x04;
    /// cRLSign
    pub const CRL_SIGN: u8 = 0x02;
}

/// The parts of a certificate that is to be signed, each as DER.
#[derive(Debug, Clone)]
pub struct Template {
    /// `[0] EXPLICIT Version`
    pub version: Vec<u8>,
    /// `INTEGER`
    pub serial: Vec<u8>,
    /// `AlgorithmIdentifier` inside what is signed.
    pub algorithm: Vec<u8>,
    /// `AlgorithmIdentifier` beside it; also decides the digest.
    pub outer_algorithm: Vec<u8>,
    /// `Name`
    pub issuer: Vec<u8>,
    /// `Validity`
    pub validity: Vec<u8>,
    /// `Name`
    pub subject: Vec<u8>,
    /// `SubjectPublicKeyInfo`
    pub public_key: Vec<u8>,
    /// What comes before the extensions, such as unique identifiers.
    pub before_extensions: Vec<u8>,
    /// The extensions, in order.
    pub extensions: Vec<Extension>,
}

/// An extension (RFC 5280 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The content of its object identifier.
    pub id: Vec<u8>,
    /// Whether whoever does not understand it must refuse.
    pub critical: bool,
    /// Its value, inside of the OCTET STRING.
    pub value: Vec<u8>,
}

impl Template {
    /// A certificate without extensions, for `subject` and its key, by `issuer`.
    pub fn new(issuer: &[u8], subject: &[u8], key: &SigningKey, validity: Validity) -> Self {
        Self {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: der::unsigned(&serial(key, validity)),
            algorithm: ECDSA_WITH_SHA384.to_vec(),
            outer_algorithm: ECDSA_WITH_SHA384.to_vec(),
            issuer: issuer.to_vec(),
            validity: tlv(
                der::SEQUENCE,
                &[&der::time(validity.not_before), &der::time(validity.not_after)],
            ),
            subject: subject.to_vec(),
            public_key: public_key_info(key),
            before_extensions: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// With an extension more.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Without the extension `id`.
    #[must_use]
    pub fn without(mut self, id: &[u8]) -> Self {
        self.extensions.retain(|extension| extension.id != id);
        self
    }

    /// The certificate, signed by `issuer`.
    pub fn sign(&self, issuer: &SigningKey) -> Vec<u8> {
        let extensions: Vec<u8> = self.extensions.iter().flat_map(Extension::to_der).collect();
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa3, &[&tlv(der::SEQUENCE, &[&extensions])])
        };
        let signed = tlv(
            der::SEQUENCE,
            &[
                &self.version,
                &self.serial,
                &self.algorithm,
                &self.issuer,
                &self.validity,
                &self.subject,
                &self.public_key,
                &self.before_extensions,
                &extensions,
            ],
        );
        let signature = self.signature(issuer, &signed);
        tlv(
            der::SEQUENCE,
            &[&signed, &self.outer_algorithm, &tlv(der::BIT_STRING, &[&[0], &signature])],
        )
    }

    fn signature(&self, issuer: &SigningKey, signed: &[u8]) -> Vec<u8> {
        let signature: Result<Signature, _> = if self.outer_algorithm == ECDSA_WITH_SHA256 {
            issuer.sign_prehash(&Sha256::digest(signed))
        } else {
            issuer.sign_prehash(&Sha384::digest(signed))
        };
        // Signing a digest of 32 or 48 bytes does not fail; an empty signature would not verify.
        signature.map(|signature| signature.to_der().as_bytes().to_vec()).unwrap_or_default()
    }
}

impl Extension {
    /// An extension with this value.
    pub fn new(id: &[u8], critical: bool, value: impl Into<Vec<u8>>) -> Self {
        Self { id: id.to_vec(), critical, value: value.into() }
    }

    /// Critical basicConstraints: of a CA, with its path length if it has one, or of a leaf.
    pub fn basic_constraints(authority: bool, path_length: Option<u8>) -> Self {
        let authority: &[u8] = if authority { &[1, 1, 0xff] } else { &[] };
        let path_length = path_length.map(|length| der::unsigned(&[length])).unwrap_or_default();
        let value = tlv(der::SEQUENCE, &[authority, &path_length]);
        Self::new(extension::BASIC_CONSTRAINTS, true, value)
    }

    /// keyUsage with these bits of its first byte.
    pub fn key_usage(critical: bool, bits: u8) -> Self {
        let unused = bits.trailing_zeros().min(7) as u8;
        Self::new(extension::KEY_USAGE, critical, tlv(der::BIT_STRING, &[&[unused, bits]]))
    }

    /// subjectKeyIdentifier.
    pub fn subject_key_identifier(key: &SigningKey) -> Self {
        let value = tlv(der::OCTET_STRING, &[&key_identifier(key)]);
        Self::new(extension::SUBJECT_KEY_IDENTIFIER, false, value)
    }

    /// authorityKeyIdentifier.
    pub fn authority_key_identifier(issuer: &SigningKey) -> Self {
        let value = tlv(der::SEQUENCE, &[&tlv(0x80, &[&key_identifier(issuer)])]);
        Self::new(extension::AUTHORITY_KEY_IDENTIFIER, false, value)
    }

    fn to_der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[1, 1, 0xff] } else { &[] };
        let value = tlv(der::OCTET_STRING, &[&self.value]);
        tlv(der::SEQUENCE, &[&der::oid(&self.id), critical, &value])
    }
}

/// From when to when a certificate is valid, in whole seconds and both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: SystemTime,
    /// The last second.
    pub not_after: SystemTime,
}

/// A name: the attributes' object identifiers (under 2.5.4) and values, in order.
pub fn name(attributes: &[(u8, &str)]) -> Vec<u8> {
    let relative: Vec<u8> = attributes
        .iter()
        .flat_map(|(kind, value)| {
            let id = der::oid(&[0x55, 0x04, *kind]);
            let value = tlv(der::UTF8_STRING, &[value.as_bytes()]);
            tlv(der::SET, &[&tlv(der::SEQUENCE, &[&id, &value])])
        })
        .collect();
    tlv(der::SEQUENCE, &[&relative])
}

/// `SubjectPublicKeyInfo` of a P-384 key.
pub fn public_key_info(key: &SigningKey) -> Vec<u8> {
    const EC_P384: &[u8] = &[
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
        0x04, 0x00, 0x22,
    ];
    tlv(der::SEQUENCE, &[EC_P384, &tlv(der::BIT_STRING, &[&[0], &point(key)])])
}

fn point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

/// 20 bytes, as everyone expects; from SHA-384 rather than SHA-1, which RFC 7093 allows.
fn key_identifier(key: &SigningKey) -> Vec<u8> {
    Sha384::digest(point(key)).get(..20).unwrap_or_default().to_vec()
}

/// A serial number that differs where the key or the validity does.
fn serial(key: &SigningKey, validity: Validity) -> Vec<u8> {
    let mut hash = Sha384::new();
    hash.update(point(key));
    hash.update(der::time(validity.not_before));
    hash.update(der::time(validity.not_after));
    let mut serial = hash.finalize().get(..16).unwrap_or_default().to_vec();
    if let Some(first) = serial.first_mut() {
        *first |= 0x40;
    }
    serial
}
