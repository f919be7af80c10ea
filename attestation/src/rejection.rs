use core::fmt;

use crate::Kind;
use crate::cbor::CborFault;
use crate::certificate::CertificateFault;
use crate::pcr::PcrIndex;

/// The rule that a document failed.
///
/// No variant carries bytes of the document: what an attacker wrote does not reach a log by way
/// of an error. [`Rejection::rule`] names the rule in a word that stays the same across versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    // The envelope (RFC 9052, attestation process §3.1).
    /// The document is longer than any valid one, 16493 bytes.
    #[error("the document is larger than any valid one")]
    DocumentSize,
    /// The bytes break the rules of CBOR that hold for attestation documents.
    #[error("{place}: {fault}")]
    Cbor {
        /// Where.
        place: Place,
        /// Which rule.
        fault: CborFault,
    },
    /// The document has a CBOR tag other than 18, COSE_Sign1 (RFC 9052 §2).
    #[error("the document's CBOR tag is not 18 (COSE_Sign1)")]
    CoseTag,
    /// The document is not an array of four items (RFC 9052 §4.2).
    #[error("the document is not an array of the four items of a COSE_Sign1")]
    CoseStructure,
    /// The protected header is not exactly `{1: -35}`, ES384 (attestation process §3.1).
    #[error("the protected header is not exactly {{alg: ES384}}")]
    CoseProtectedHeader,
    /// The unprotected header is not empty (attestation process §3.1).
    #[error("the unprotected header is not empty")]
    CoseUnprotectedHeader,
    /// The payload is empty or longer than 16384 bytes (attestation process §3.2.2.2).
    #[error("the payload is not 1 to 16384 bytes long")]
    PayloadSize,
    /// The signature is not 96 bytes, r ‖ s of P-384 (RFC 9053 §2.1).
    #[error("the signature is not 96 bytes long")]
    SignatureLength,

    // The payload's fields (attestation process §3.2.2.2).
    /// The payload has a field that attestation documents do not have.
    #[error("the payload has an unknown field")]
    UnknownField,
    /// A field comes twice.
    #[error("{0} comes twice")]
    DuplicateField(Field),
    /// A mandatory field is not there.
    #[error("{0} is missing")]
    MissingField(Field),
    /// A field's size is outside its limits.
    #[error("the size of {0} is outside its limits")]
    FieldSize(Field),
    /// The digest is not `SHA384`.
    #[error("the digest is not SHA384")]
    Digest,
    /// The timestamp is zero.
    #[error("the timestamp is zero")]
    TimestampZero,
    /// There are no PCRs, or more than 32.
    #[error("the number of PCRs is not 1 to 32")]
    PcrCount,
    /// A PCR's index is not 0 to 31.
    #[error("a PCR index is not 0 to 31")]
    PcrIndex,
    /// A PCR comes twice.
    #[error("{0} comes twice")]
    PcrDuplicate(PcrIndex),
    /// A PCR's value is not 48 bytes, a SHA-384 digest.
    #[error("{0} is not 48 bytes long")]
    PcrLength(PcrIndex),
    /// The document has both `pcrs` and `nitrotpm_pcrs`.
    #[error("the document has both pcrs and nitrotpm_pcrs")]
    PcrFields,
    /// The CA bundle is empty or has more certificates than will be looked at.
    #[error("the number of certificates in cabundle is not 1 to 8")]
    CabundleCount,

    // The certificates (RFC 5280, attestation process §3.2.3).
    /// A certificate breaks a rule by itself.
    #[error("{position}: {fault}")]
    Certificate {
        /// Which certificate.
        position: Position,
        /// Which rule.
        fault: CertificateFault,
    },
    /// `cabundle[0]` is not one of the trust anchors, byte for byte.
    #[error("cabundle[0] is not a trusted root")]
    RootNotTrusted,
    /// The document's signature is not the leaf certificate's.
    #[error("the document's signature does not verify under its certificate's key")]
    DocumentSignature,
    /// `module_id` is not the one in the leaf certificate's common name.
    #[error("module_id is not the one that the certificate names")]
    ModuleIdCertificate,
    /// `module_id` is not of the document's kind: `-enc` for enclaves, `-tpm` for NitroTPM.
    #[error("module_id is not of the kind that the document's PCRs are of")]
    ModuleIdKind,
    /// The timestamp is after the end of the leaf certificate's validity.
    #[error("the timestamp is after the certificate's end")]
    TimestampAfterCertificate,

    // The expectation.
    /// The document is of another kind than expected.
    #[error("a document of kind {expected} is expected, this one is of kind {found}")]
    Kind {
        /// The kind that was expected.
        expected: Kind,
        /// The document's kind.
        found: Kind,
    },
    /// PCR0 to 2 are all zero: the enclave runs in debug mode, where its console and its memory
    /// are open to the host, and that was not allowed.
    #[error("PCR0 to PCR2 are zero: a debug enclave, which is not allowed")]
    Debug,
    /// One of PCR0 to 2 is zero and another is not, which no enclave shows.
    #[error("{0} is zero while another of PCR0 to PCR2 is not")]
    ZeroMeasurement(PcrIndex),
    /// The document lacks a PCR that was expected.
    #[error("{0} is expected and not in the document")]
    PcrMissing(PcrIndex),
    /// A PCR has another value than expected.
    #[error("{0} is not the expected value")]
    PcrMismatch(PcrIndex),
    /// A nonce was expected, and the document has none or another one.
    #[error("the nonce is not the expected one")]
    Nonce,
    /// User data were expected, and the document has none or other ones.
    #[error("the user data are not the expected ones")]
    UserData,
    /// The document is older than allowed.
    #[error("the document is older than allowed")]
    TooOld,
    /// The document's timestamp is further ahead than the allowed clock skew.
    #[error("the document's timestamp is further in the future than allowed")]
    InTheFuture,
}

impl Rejection {
    /// The failed rule's name: lower-case words joined by hyphens, the same across versions.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::DocumentSize => "document-size",
            Self::Cbor { fault, .. } => match fault {
                CborFault::Malformed => "cbor-malformed",
                CborFault::NotShortest => "cbor-not-shortest",
                CborFault::Indefinite => "cbor-indefinite-length",
                CborFault::WrongType => "cbor-wrong-type",
                CborFault::NotUtf8 => "cbor-not-utf8",
                CborFault::TrailingBytes => "cbor-trailing-bytes",
            },
            Self::CoseTag => "cose-tag",
            Self::CoseStructure => "cose-structure",
            Self::CoseProtectedHeader => "cose-protected-header",
            Self::CoseUnprotectedHeader => "cose-unprotected-header",
            Self::PayloadSize => "payload-size",
            Self::SignatureLength => "signature-length",
            Self::UnknownField => "field-unknown",
            Self::DuplicateField(_) => "field-duplicate",
            Self::MissingField(_) => "field-missing",
            Self::FieldSize(_) => "field-size",
            Self::Digest => "digest",
            Self::TimestampZero => "timestamp-zero",
            Self::PcrCount => "pcr-count",
            Self::PcrIndex => "pcr-index",
            Self::PcrDuplicate(_) => "pcr-duplicate",
            Self::PcrLength(_) => "pcr-length",
            Self::PcrFields => "pcr-fields",
            Self::CabundleCount => "cabundle-count",
            Self::Certificate { fault, .. } => fault.rule(),
            Self::RootNotTrusted => "root-not-trusted",
            Self::DocumentSignature => "document-signature",
            Self::ModuleIdCertificate => "module-id-certificate",
            Self::ModuleIdKind => "module-id-kind",
            Self::TimestampAfterCertificate => "timestamp-after-certificate",
            Self::Kind { .. } => "kind",
            Self::Debug => "debug",
            Self::ZeroMeasurement(_) => "zero-measurement",
            Self::PcrMissing(_) => "pcr-missing",
            Self::PcrMismatch(_) => "pcr-mismatch",
            Self::Nonce => "nonce",
            Self::UserData => "user-data",
            Self::TooOld => "too-old",
            Self::InTheFuture => "in-the-future",
        }
    }
}

/// A field of the payload (attestation process §3.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `module_id`
    ModuleId,
    /// `digest`
    Digest,
    /// `timestamp`
    Timestamp,
    /// `pcrs`
    Pcrs,
    /// `nitrotpm_pcrs`
    NitroTpmPcrs,
    /// `certificate`
    Certificate,
    /// `cabundle`
    Cabundle,
    /// `public_key`
    PublicKey,
    /// `user_data`
    UserData,
    /// `nonce`
    Nonce,
}

impl Field {
    /// All fields, in the order in which AWS writes them.
    pub(crate) const ALL: [Self; 10] = [
        Self::ModuleId,
        Self::Digest,
        Self::Timestamp,
        Self::Pcrs,
        Self::NitroTpmPcrs,
        Self::Certificate,
        Self::Cabundle,
        Self::PublicKey,
        Self::UserData,
        Self::Nonce,
    ];

    /// The field's key in the payload.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModuleId => "module_id",
            Self::Digest => "digest",
            Self::Timestamp => "timestamp",
            Self::Pcrs => "pcrs",
            Self::NitroTpmPcrs => "nitrotpm_pcrs",
            Self::Certificate => "certificate",
            Self::Cabundle => "cabundle",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
            Self::Nonce => "nonce",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The COSE_Sign1 array.
    Envelope,
    /// Its protected header.
    ProtectedHeader,
    /// Its unprotected header.
    UnprotectedHeader,
    /// Its payload, as a whole.
    Payload,
    /// A field of the payload.
    Field(Field),
    /// Its signature.
    Signature,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "the COSE_Sign1",
            Self::ProtectedHeader => "the protected header",
            Self::UnprotectedHeader => "the unprotected header",
            Self::Payload => "the payload",
            Self::Field(field) => field.name(),
            Self::Signature => "the signature",
        })
    }
}

/// A certificate's place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// A certificate authority: `cabundle[n]`, the root being `cabundle[0]`.
    Cabundle(usize),
    /// The leaf, `certificate`, whose key signed the document.
    Leaf,
    /// A trust anchor that was given by the caller: the nth.
    Anchor(usize),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cabundle(index) => write!(f, "cabundle[{index}]"),
            Self::Leaf => f.write_str("certificate"),
            Self::Anchor(index) => write!(f, "trust anchor {index}"),
        }
    }
}
