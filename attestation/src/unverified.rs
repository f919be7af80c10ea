//! What a document claims, read leniently for people to look at. Nothing here is verified.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use crate::certificate::{Certificate, CertificateFault};
use crate::cose::MAX_DOCUMENT;
use crate::payload::MAX_CABUNDLE;
use crate::rejection::Position;
use crate::{Field, Kind, Timestamp};

/// The claims of a document that nobody has verified, as far as they can be read.
///
/// For showing to a person why a document does not verify, and for nothing else: what the strict
/// reader refuses is read here if it can be, and no signature is looked at. To act on a document,
/// take a [`VerifiedDocument`](crate::VerifiedDocument).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedDocument {
    /// Whether all of the payload could be read; if not, the fields are those before the damage.
    pub complete: bool,
    /// The CBOR tag around the document.
    pub tag: Option<u64>,
    /// Whether the payload is a map of indefinite length, as AWS writes it since 2025.
    pub indefinite: bool,
    /// Which of the two PCR fields there is.
    pub kind: Option<Kind>,
    /// `module_id`
    pub module_id: Option<String>,
    /// `digest`
    pub digest: Option<String>,
    /// `timestamp`
    pub timestamp: Option<Timestamp>,
    /// `pcrs` or `nitrotpm_pcrs`, in the document's order.
    pub pcrs: Vec<(u64, Vec<u8>)>,
    /// The certificates from the root to the leaf.
    pub certificates: Vec<UnverifiedCertificate>,
    /// `public_key`
    pub public_key: Option<Vec<u8>>,
    /// `user_data`
    pub user_data: Option<Vec<u8>>,
    /// `nonce`
    pub nonce: Option<Vec<u8>>,
    /// Keys that attestation documents do not have.
    pub unknown_fields: Vec<String>,
    /// The length of the signature in bytes.
    pub signature_length: usize,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedCertificate {
    /// Its place in the document.
    pub position: Position,
    /// Its bytes.
    pub der: Vec<u8>,
    /// What it says, or why that cannot be read.
    pub claims: Result<CertificateClaims, CertificateFault>,
}

/// The names and the lifetime in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateClaims {
    /// The subject's name.
    pub subject: String,
    /// The issuer's name.
    pub issuer: String,
    /// The serial number, big-endian.
    pub serial: Vec<u8>,
    /// The first instant at which it is valid.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
}

/// There is nothing to be read: the bytes are not a COSE_Sign1 with a map in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an attestation document: no CBOR map in a COSE_Sign1")]
pub struct Unreadable;

impl From<Error> for Unreadable {
    fn from(_: Error) -> Self {
        Self
    }
}

impl UnverifiedDocument {
    /// Reads as much as can be read.
    ///
    /// # Errors
    /// [`Unreadable`] if there is no payload to be found, or no field in it.
    pub fn read(document: &[u8]) -> Result<Self, Unreadable> {
        if document.len() > MAX_DOCUMENT {
            return Err(Unreadable);
        }
        let mut read = Self::default();
        let mut outer = Decoder::new(document);
        if outer.datatype()? == Type::Tag {
            read.tag = Some(outer.tag()?.as_u64());
        }
        outer.array()?;
        outer.skip()?;
        outer.skip()?;
        let start = outer.position();
        match bytes(&mut outer) {
            Ok(payload) => {
                let signature = bytes(&mut outer);
                read.signature_length = signature.map(|signature| signature.len()).unwrap_or(0);
                read.read_payload(&payload)?;
            }
            // Cut off, or its length is wrong: what there is of it.
            Err(_) => {
                let rest = document.get(start..).and_then(after_head).ok_or(Unreadable)?;
                read.read_payload(rest)?;
                read.complete = false;
            }
        }
        Ok(read)
    }

    fn read_payload(&mut self, payload: &[u8]) -> Result<(), Unreadable> {
        let mut fields = Decoder::new(payload);
        let length = fields.map()?;
        self.indefinite = length.is_none();
        let mut certificates = Certificates::default();
        let mut left = length.unwrap_or(u64::MAX);
        let mut read = 0_usize;
        self.complete = true;
        while left > 0 && fields.datatype().ok() != Some(Type::Break) {
            left = left.saturating_sub(1);
            if self.read_field(&mut fields, &mut certificates).is_err() {
                self.complete = false;
                break;
            }
            read = read.saturating_add(1);
        }
        let Certificates { authorities, leaf } = certificates;
        let authorities = authorities
            .iter()
            .enumerate()
            .map(|(index, der)| UnverifiedCertificate::read(Position::Cabundle(index), der));
        let leaf = leaf.iter().map(|der| UnverifiedCertificate::read(Position::Leaf, der));
        self.certificates = authorities.chain(leaf).collect();
        if read == 0 { Err(Unreadable) } else { Ok(()) }
    }

    fn read_field(
        &mut self,
        fields: &mut Decoder<'_>,
        certificates: &mut Certificates,
    ) -> Result<(), Unreadable> {
        let key = fields.str()?;
        let field = Field::ALL.into_iter().find(|field| field.name() == key);
        let Some(field) = field else {
            self.unknown_fields.push(key.to_owned());
            return Ok(fields.skip()?);
        };
        let start = fields.position();
        let read = match field {
            Field::ModuleId => text(fields).map(|text| self.module_id = Some(text)),
            Field::Digest => text(fields).map(|text| self.digest = Some(text)),
            Field::Timestamp => fields
                .u64()
                .map(|millis| self.timestamp = Some(Timestamp::from_millis(millis)))
                .map_err(Unreadable::from),
            Field::Pcrs => {
                self.kind = Some(Kind::Enclave);
                pcrs(fields, &mut self.pcrs)
            }
            Field::NitroTpmPcrs => {
                self.kind = Some(Kind::NitroTpm);
                pcrs(fields, &mut self.pcrs)
            }
            Field::Certificate => bytes(fields).map(|der| certificates.leaf = Some(der)),
            Field::Cabundle => authorities(fields, &mut certificates.authorities),
            Field::PublicKey => bytes(fields).map(|key| self.public_key = Some(key)),
            Field::UserData => bytes(fields).map(|data| self.user_data = Some(data)),
            Field::Nonce => bytes(fields).map(|nonce| self.nonce = Some(nonce)),
        };
        if read.is_err() {
            fields.set_position(start);
            fields.skip()?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Certificates {
    authorities: Vec<Vec<u8>>,
    leaf: Option<Vec<u8>>,
}

impl UnverifiedCertificate {
    fn read(position: Position, der: &[u8]) -> Self {
        let claims = Certificate::decode(der).map(|certificate| CertificateClaims {
            subject: certificate.subject.to_string(),
            issuer: certificate.issuer.to_string(),
            serial: certificate.serial.to_vec(),
            not_before: certificate.validity.not_before,
            not_after: certificate.validity.not_after,
        });
        Self { position, der: der.to_vec(), claims }
    }
}

/// A byte string, in one piece or in chunks. As long as what is read at most.
fn bytes(from: &mut Decoder<'_>) -> Result<Vec<u8>, Unreadable> {
    let mut joined = Vec::new();
    for chunk in from.bytes_iter()? {
        joined.extend_from_slice(chunk?);
    }
    Ok(joined)
}

/// What follows the head of a byte string of definite length.
fn after_head(item: &[u8]) -> Option<&[u8]> {
    const BYTE_STRING: u8 = 2 << 5;
    let head = match item.first()?.checked_sub(BYTE_STRING)? {
        0..=23 => 1,
        24 => 2,
        25 => 3,
        26 => 5,
        27 => 9,
        _ => return None,
    };
    item.get(head..)
}

fn text(from: &mut Decoder<'_>) -> Result<String, Unreadable> {
    Ok(from.str()?.to_owned())
}

fn pcrs(from: &mut Decoder<'_>, to: &mut Vec<(u64, Vec<u8>)>) -> Result<(), Unreadable> {
    let mut left = from.map()?.unwrap_or(u64::MAX);
    while left > 0 && from.datatype()? != Type::Break {
        left = left.saturating_sub(1);
        let index = from.u64()?;
        to.push((index, bytes(from)?));
    }
    skip_break(from, left);
    Ok(())
}

fn authorities(from: &mut Decoder<'_>, to: &mut Vec<Vec<u8>>) -> Result<(), Unreadable> {
    let mut left = from.array()?.unwrap_or(u64::MAX);
    while left > 0 && from.datatype()? != Type::Break {
        left = left.saturating_sub(1);
        let certificate = bytes(from)?;
        if to.len() < MAX_CABUNDLE {
            to.push(certificate);
        }
    }
    skip_break(from, left);
    Ok(())
}

/// Passes the break of a container of indefinite length, of which items seem left.
fn skip_break(from: &mut Decoder<'_>, left: u64) {
    if left > 0 && from.datatype().ok() == Some(Type::Break) {
        from.set_position(from.position().saturating_add(1));
    }
}
