//! One X.509 certificate (RFC 5280 §4), read from strict DER with nothing skipped.
//!
//! Only what AWS issues is understood: version 3, P-384 keys, ecdsa-with-SHA384. Everything else
//! is an error rather than a choice.

use x509_cert::der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UintRef, UtcTime,
};
use x509_cert::der::{self, Decode as _, Reader, SliceReader, Tag, TagNumber, Tagged as _};

use crate::backend::{POINT_LENGTH, SIGNATURE_LENGTH};
use crate::name::{self, Name};
use crate::timestamp::Timestamp;

/// `[0] EXPLICIT INTEGER 2` (RFC 5280 §4.1.2.1).
const VERSION_3: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];

/// `SEQUENCE { ecdsa-with-SHA384 }`: parameters absent (RFC 5758 §3.2).
const ECDSA_WITH_SHA384: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

/// `SEQUENCE { id-ecPublicKey, secp384r1 }` (RFC 5480 §2.1.1).
const EC_P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// Extensions that are looked at; AWS's certificates have at most five.
const MAX_EXTENSIONS: usize = 16;

/// A serial number's bytes (RFC 5280 §4.1.2.2). AWS makes use of all 20, sign bit included, so the
/// zero that DER then puts in front is not counted.
const MAX_SERIAL: usize = 20;

/// The rule that a certificate failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It is not a certificate in DER (X.690 §10, RFC 5280 §4.1).
    #[error("not a certificate in strict DER")]
    Der,
    /// It is not of version 3 (RFC 5280 §4.1.2.1).
    #[error("not a version 3 certificate")]
    Version,
    /// Its serial number is not positive, or is too long (RFC 5280 §4.1.2.2).
    #[error("the serial number is not a positive integer of at most 20 bytes")]
    SerialNumber,
    /// It is not signed with ecdsa-with-SHA384, or its two fields for that differ
    /// (RFC 5280 §4.1.1.2).
    #[error("not signed with ecdsa-with-SHA384")]
    SignatureAlgorithm,
    /// Its key is not an uncompressed point of P-384.
    #[error("the key is not an uncompressed P-384 point")]
    PublicKey,
    /// It has an issuer or subject unique identifier (RFC 5280 §4.1.2.8).
    #[error("it has a unique identifier")]
    UniqueIdentifier,
    /// An extension comes twice, or there are more than 16 (RFC 5280 §4.2).
    #[error("an extension comes twice, or there are too many")]
    Extensions,
    /// A critical extension is not one that is understood here (RFC 5280 §4.2).
    #[error("a critical extension is not understood")]
    CriticalExtension,
    /// Its subject is not the issuer of the next certificate, byte for byte (RFC 5280 §6.1.3).
    #[error("its issuer is not the subject of the certificate above")]
    Issuer,
    /// A certificate below the root is issued by its own subject.
    #[error("below the root, it names itself as its issuer")]
    SelfIssued,
    /// The instant is before its notBefore (RFC 5280 §4.1.2.5).
    #[error("not yet valid")]
    NotYetValid,
    /// The instant is after its notAfter (RFC 5280 §4.1.2.5).
    #[error("expired")]
    Expired,
    /// A CA without critical basicConstraints with cA; a leaf without basicConstraints or with cA
    /// (RFC 5280 §4.2.1.9).
    #[error("its basicConstraints are not those of its place")]
    BasicConstraints,
    /// More CAs follow than pathLenConstraint allows, or a leaf has one (RFC 5280 §4.2.1.9).
    #[error("its pathLenConstraint does not allow this path")]
    PathLength,
    /// A CA without keyCertSign; a leaf without digitalSignature, or with keyCertSign
    /// (RFC 5280 §4.2.1.3).
    #[error("its keyUsage is not that of its place")]
    KeyUsage,
    /// Its signature is not of the certificate above.
    #[error("its signature does not verify under the key of the certificate above")]
    Signature,
}

impl CertificateFault {
    /// The rule's name; see [`Rejection::rule`](crate::Rejection::rule).
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Der => "certificate-der",
            Self::Version => "certificate-version",
            Self::SerialNumber => "certificate-serial-number",
            Self::SignatureAlgorithm => "certificate-signature-algorithm",
            Self::PublicKey => "certificate-public-key",
            Self::UniqueIdentifier => "certificate-unique-identifier",
            Self::Extensions => "certificate-extensions",
            Self::CriticalExtension => "certificate-critical-extension",
            Self::Issuer => "certificate-issuer",
            Self::SelfIssued => "certificate-self-issued",
            Self::NotYetValid => "certificate-not-yet-valid",
            Self::Expired => "certificate-expired",
            Self::BasicConstraints => "certificate-basic-constraints",
            Self::PathLength => "certificate-path-length",
            Self::KeyUsage => "certificate-key-usage",
            Self::Signature => "certificate-signature",
        }
    }
}

impl From<der::Error> for CertificateFault {
    fn from(_: der::Error) -> Self {
        Self::Der
    }
}

/// A certificate whose form is right; nothing is said about its signature.
pub(crate) struct Certificate<'c> {
    /// The TBSCertificate as signed.
    pub(crate) signed: &'c [u8],
    pub(crate) signature: [u8; SIGNATURE_LENGTH],
    pub(crate) serial: &'c [u8],
    pub(crate) issuer: Name<'c>,
    pub(crate) subject: Name<'c>,
    pub(crate) validity: Validity,
    pub(crate) public_key: &'c [u8; POINT_LENGTH],
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
}

/// The instants from and to which something is valid, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Validity {
    pub(crate) fn check(self, at: Timestamp) -> Result<(), CertificateFault> {
        if at < self.not_before {
            Err(CertificateFault::NotYetValid)
        } else if at > self.not_after {
            Err(CertificateFault::Expired)
        } else {
            Ok(())
        }
    }

    pub(crate) fn intersection(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

/// RFC 5280 §4.2.1.9.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicConstraints {
    pub(crate) critical: bool,
    pub(crate) ca: bool,
    pub(crate) path_length: Option<u8>,
}

/// The two usages that matter here (RFC 5280 §4.2.1.3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyUsage {
    pub(crate) digital_signature: bool,
    pub(crate) key_cert_sign: bool,
}

impl<'c> Certificate<'c> {
    pub(crate) fn decode(der: &'c [u8]) -> Result<Self, CertificateFault> {
        let mut input = SliceReader::new(der)?;
        let certificate = sequence(&mut input)?;
        input.finish()?;

        let mut fields = SliceReader::new(certificate)?;
        let signed = fields.tlv_bytes()?;
        let algorithm = fields.tlv_bytes()?;
        let signature = BitStringRef::decode(&mut fields)?;
        fields.finish()?;
        if algorithm != ECDSA_WITH_SHA384 {
            return Err(CertificateFault::SignatureAlgorithm);
        }
        let signature = ecdsa_signature(signature.as_bytes().ok_or(CertificateFault::Der)?)?;
        Self::decode_signed(signed, signature)
    }

    /// TBSCertificate (RFC 5280 §4.1.2).
    fn decode_signed(
        signed: &'c [u8],
        signature: [u8; SIGNATURE_LENGTH],
    ) -> Result<Self, CertificateFault> {
        let mut input = SliceReader::new(signed)?;
        let mut fields = SliceReader::new(sequence(&mut input)?)?;

        if fields.tlv_bytes()? != VERSION_3 {
            return Err(CertificateFault::Version);
        }
        let serial = UintRef::decode(&mut fields).map_err(|_| CertificateFault::SerialNumber)?;
        if serial.as_bytes() == [0] || serial.as_bytes().len() > MAX_SERIAL {
            return Err(CertificateFault::SerialNumber);
        }
        if fields.tlv_bytes()? != ECDSA_WITH_SHA384 {
            return Err(CertificateFault::SignatureAlgorithm);
        }
        let issuer = Name::decode(fields.tlv_bytes()?)?;
        let validity = validity(sequence(&mut fields)?)?;
        let subject = Name::decode(fields.tlv_bytes()?)?;
        let public_key = public_key(sequence(&mut fields)?)?;

        let mut extensions = Extensions::default();
        if !fields.is_finished() {
            let trailer = AnyRef::decode(&mut fields)?;
            match trailer.tag() {
                Tag::ContextSpecific { number: TagNumber(3), constructed: true } => {}
                Tag::ContextSpecific { number: TagNumber(1 | 2), .. } => {
                    return Err(CertificateFault::UniqueIdentifier);
                }
                _ => return Err(CertificateFault::Der),
            }
            extensions = Extensions::decode(trailer.value())?;
        }
        fields.finish()?;
        Ok(Self {
            signed,
            signature,
            serial: serial.as_bytes(),
            issuer,
            subject,
            validity,
            public_key,
            basic_constraints: extensions.basic_constraints,
            key_usage: extensions.key_usage,
        })
    }
}

#[derive(Default)]
struct Extensions {
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
}

impl Extensions {
    /// `Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension`
    fn decode(bytes: &[u8]) -> Result<Self, CertificateFault> {
        let mut input = SliceReader::new(bytes)?;
        let mut list = SliceReader::new(sequence(&mut input)?)?;
        input.finish()?;
        if list.is_finished() {
            return Err(CertificateFault::Der);
        }
        let mut extensions = Self::default();
        let mut met = Vec::with_capacity(MAX_EXTENSIONS);
        while !list.is_finished() {
            let mut fields = SliceReader::new(sequence(&mut list)?)?;
            let id = ObjectIdentifier::decode(&mut fields)?;
            let critical = default_false(&mut fields)?;
            let value = <&OctetStringRef>::decode(&mut fields)?.as_bytes();
            fields.finish()?;
            if met.contains(&id) || met.len() == MAX_EXTENSIONS {
                return Err(CertificateFault::Extensions);
            }
            met.push(id);
            match id {
                BASIC_CONSTRAINTS => {
                    extensions.basic_constraints = Some(basic_constraints(critical, value)?);
                }
                KEY_USAGE => extensions.key_usage = Some(key_usage(value)?),
                _ if critical => return Err(CertificateFault::CriticalExtension),
                _ => {}
            }
        }
        Ok(extensions)
    }
}

fn basic_constraints(critical: bool, value: &[u8]) -> Result<BasicConstraints, CertificateFault> {
    let mut input = SliceReader::new(value)?;
    let mut fields = SliceReader::new(sequence(&mut input)?)?;
    input.finish()?;
    let ca = default_false(&mut fields)?;
    let path_length = if fields.is_finished() { None } else { Some(u8::decode(&mut fields)?) };
    fields.finish()?;
    Ok(BasicConstraints { critical, ca, path_length })
}

/// A named bit list: its last bit is set (X.690 §11.2.2).
fn key_usage(value: &[u8]) -> Result<KeyUsage, CertificateFault> {
    let bits = BitStringRef::from_der(value)?;
    let last = bits.raw_bytes().last().ok_or(CertificateFault::Der)?;
    if last.trailing_zeros() != u32::from(bits.unused_bits()) {
        return Err(CertificateFault::Der);
    }
    let bit = |number| bits.get(number).unwrap_or(false);
    Ok(KeyUsage { digital_signature: bit(0), key_cert_sign: bit(5) })
}

/// `Validity`, in UTCTime through 2049 and in GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
fn validity(bytes: &[u8]) -> Result<Validity, CertificateFault> {
    let mut fields = SliceReader::new(bytes)?;
    let not_before = time(&mut fields)?;
    let not_after = time(&mut fields)?;
    fields.finish()?;
    Ok(Validity { not_before, not_after })
}

fn time(fields: &mut SliceReader<'_>) -> Result<Timestamp, CertificateFault> {
    let time = AnyRef::decode(fields)?;
    let since_1970 = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>()?.to_unix_duration(),
        Tag::GeneralizedTime => {
            let time = time.decode_as::<GeneralizedTime>()?;
            if time.to_date_time().year() <= UtcTime::MAX_YEAR {
                return Err(CertificateFault::Der);
            }
            time.to_unix_duration()
        }
        _ => return Err(CertificateFault::Der),
    };
    Ok(Timestamp::from_seconds(since_1970.as_secs()))
}

/// The content of a SubjectPublicKeyInfo with a P-384 key (RFC 5480 §2).
fn public_key(bytes: &[u8]) -> Result<&[u8; POINT_LENGTH], CertificateFault> {
    let mut fields = SliceReader::new(bytes)?;
    let algorithm = fields.tlv_bytes()?;
    let key = BitStringRef::decode(&mut fields)?;
    fields.finish()?;
    let point: Option<&[u8; POINT_LENGTH]> = key.as_bytes().and_then(|bytes| bytes.try_into().ok());
    match point {
        Some(point @ [UNCOMPRESSED, ..]) if algorithm == EC_P384 => Ok(point),
        _ => Err(CertificateFault::PublicKey),
    }
}

/// `Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }` (RFC 5480 appendix A), as r ‖ s.
fn ecdsa_signature(der: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], CertificateFault> {
    let mut input = SliceReader::new(der)?;
    let mut fields = SliceReader::new(sequence(&mut input)?)?;
    input.finish()?;
    let mut signature = [0; SIGNATURE_LENGTH];
    let (r, s) = signature.split_at_mut(SIGNATURE_LENGTH / 2);
    for half in [r, s] {
        let number = UintRef::decode(&mut fields)?.as_bytes();
        let start = half.len().checked_sub(number.len()).ok_or(CertificateFault::Der)?;
        half.get_mut(start..).ok_or(CertificateFault::Der)?.copy_from_slice(number);
    }
    fields.finish()?;
    Ok(signature)
}

/// `BOOLEAN DEFAULT FALSE`: a default is not encoded (X.690 §11.5).
fn default_false(fields: &mut SliceReader<'_>) -> Result<bool, CertificateFault> {
    if fields.peek_byte() != Some(0x01) {
        return Ok(false);
    }
    if bool::decode(fields)? { Ok(true) } else { Err(CertificateFault::Der) }
}

/// The content of a SEQUENCE.
fn sequence<'c>(input: &mut SliceReader<'c>) -> Result<&'c [u8], CertificateFault> {
    let any = AnyRef::decode(input)?;
    if any.tag() == Tag::Sequence { Ok(any.value()) } else { Err(CertificateFault::Der) }
}

impl From<name::NotAName> for CertificateFault {
    fn from(_: name::NotAName) -> Self {
        Self::Der
    }
}
