//! The payload's fields, with the limits of the attestation process §3.2.2.2.

use crate::Kind;
use crate::cbor::{CborFault, Tokens};
use crate::pcr::{InvalidPcrs, PcrIndex, PcrValue, Pcrs};
use crate::rejection::{Field, Place, Rejection};
use crate::timestamp::Timestamp;

/// The greatest certificate and public key.
const MAX_CERTIFICATE: usize = 1024;
const MAX_PUBLIC_KEY: usize = 1024;

/// The greatest user data and nonce: 512 in the text, 1024 in the CDDL and on the AWS page; the
/// hypervisor enforces neither (aws-nitro-enclaves-nsm-api issue 52).
const MAX_USER_DATA: usize = 1024;
const MAX_NONCE: usize = 1024;

/// The greatest number of certificates in the CA bundle. AWS sends four; each costs a signature
/// verification, so this bounds the work that a document can ask for.
pub(crate) const MAX_CABUNDLE: usize = 8;

/// A payload whose form is right. Nothing in it is to be believed before the signature is
/// verified.
pub(crate) struct Payload<'d> {
    pub(crate) module_id: &'d str,
    pub(crate) timestamp: Timestamp,
    pub(crate) kind: Kind,
    pub(crate) pcrs: Pcrs,
    pub(crate) certificate: &'d [u8],
    pub(crate) cabundle: Cabundle<'d>,
    pub(crate) public_key: Option<&'d [u8]>,
    pub(crate) user_data: Option<&'d [u8]>,
    pub(crate) nonce: Option<&'d [u8]>,
}

/// The certificate authorities, from the root down.
pub(crate) struct Cabundle<'d> {
    /// The array as it stands in the payload. The encoding being strict, equal bytes are equal
    /// certificates: this is what verified chains are cached by.
    pub(crate) encoded: &'d [u8],
    pub(crate) root: &'d [u8],
    pub(crate) intermediates: Vec<&'d [u8]>,
}

impl<'d> Payload<'d> {
    pub(crate) fn decode(bytes: &'d [u8]) -> Result<Self, Rejection> {
        let at = |fault| Rejection::Cbor { place: Place::Payload, fault };
        let mut tokens = Tokens::new(bytes);
        let mut fields = Fields::default();
        // AWS has written an indefinite-length map here since 2025, and a definite one before.
        match tokens.map_of_any_length().map_err(at)? {
            // Whatever the count claims, an eleventh field is unknown or a repetition.
            Some(count) => {
                for _ in 0..count {
                    fields.decode_one(bytes, &mut tokens)?;
                }
            }
            None => {
                while !tokens.at_break().map_err(at)? {
                    fields.decode_one(bytes, &mut tokens)?;
                }
            }
        }
        tokens.finish().map_err(at)?;
        fields.complete()
    }
}

/// The fields met so far.
#[derive(Default)]
struct Fields<'d> {
    met: [bool; Field::ALL.len()],
    module_id: Option<&'d str>,
    digest: Option<()>,
    timestamp: Option<Timestamp>,
    pcrs: Option<Pcrs>,
    nitrotpm_pcrs: Option<Pcrs>,
    certificate: Option<&'d [u8]>,
    cabundle: Option<Cabundle<'d>>,
    public_key: Option<&'d [u8]>,
    user_data: Option<&'d [u8]>,
    nonce: Option<&'d [u8]>,
}

impl<'d> Fields<'d> {
    fn decode_one(&mut self, payload: &'d [u8], tokens: &mut Tokens<'d>) -> Result<(), Rejection> {
        let key =
            tokens.text().map_err(|fault| Rejection::Cbor { place: Place::Payload, fault })?;
        let (field, met) = Field::ALL
            .into_iter()
            .zip(&mut self.met)
            .find(|(field, _)| field.name() == key)
            .ok_or(Rejection::UnknownField)?;
        if core::mem::replace(met, true) {
            return Err(Rejection::DuplicateField(field));
        }
        match field {
            Field::ModuleId => self.module_id = Some(module_id(tokens)?),
            Field::Digest => self.digest = Some(digest(tokens)?),
            Field::Timestamp => self.timestamp = Some(timestamp(tokens)?),
            Field::Pcrs => self.pcrs = Some(pcrs(field, tokens)?),
            Field::NitroTpmPcrs => self.nitrotpm_pcrs = Some(pcrs(field, tokens)?),
            Field::Certificate => {
                self.certificate = Some(bytes(field, 1..=MAX_CERTIFICATE, tokens)?);
            }
            Field::Cabundle => self.cabundle = Some(cabundle(payload, tokens)?),
            Field::PublicKey => self.public_key = optional(field, 1..=MAX_PUBLIC_KEY, tokens)?,
            Field::UserData => self.user_data = optional(field, 0..=MAX_USER_DATA, tokens)?,
            Field::Nonce => self.nonce = optional(field, 0..=MAX_NONCE, tokens)?,
        }
        Ok(())
    }

    fn complete(self) -> Result<Payload<'d>, Rejection> {
        fn mandatory<T>(field: Field, value: Option<T>) -> Result<T, Rejection> {
            value.ok_or(Rejection::MissingField(field))
        }
        let (kind, pcrs) = match (self.pcrs, self.nitrotpm_pcrs) {
            (Some(pcrs), None) => (Kind::Enclave, pcrs),
            (None, Some(pcrs)) => (Kind::NitroTpm, pcrs),
            (None, None) => return Err(Rejection::MissingField(Field::Pcrs)),
            (Some(_), Some(_)) => return Err(Rejection::PcrFields),
        };
        mandatory(Field::Digest, self.digest)?;
        Ok(Payload {
            module_id: mandatory(Field::ModuleId, self.module_id)?,
            timestamp: mandatory(Field::Timestamp, self.timestamp)?,
            kind,
            pcrs,
            certificate: mandatory(Field::Certificate, self.certificate)?,
            cabundle: mandatory(Field::Cabundle, self.cabundle)?,
            public_key: self.public_key,
            user_data: self.user_data,
            nonce: self.nonce,
        })
    }
}

fn module_id<'d>(tokens: &mut Tokens<'d>) -> Result<&'d str, Rejection> {
    let text = tokens.text().map_err(within(Field::ModuleId))?;
    if text.is_empty() { Err(Rejection::FieldSize(Field::ModuleId)) } else { Ok(text) }
}

fn digest(tokens: &mut Tokens<'_>) -> Result<(), Rejection> {
    match tokens.text().map_err(within(Field::Digest))? {
        "SHA384" => Ok(()),
        _ => Err(Rejection::Digest),
    }
}

fn timestamp(tokens: &mut Tokens<'_>) -> Result<Timestamp, Rejection> {
    match tokens.unsigned().map_err(within(Field::Timestamp))? {
        0 => Err(Rejection::TimestampZero),
        millis => Ok(Timestamp::from_millis(millis)),
    }
}

/// PCRs in any order of their indices, each once.
fn pcrs(field: Field, tokens: &mut Tokens<'_>) -> Result<Pcrs, Rejection> {
    let count = tokens.map().map_err(within(field))?;
    if count == 0 || count > Pcrs::MAX_COUNT as u64 {
        return Err(Rejection::PcrCount);
    }
    let mut registers = Vec::with_capacity(Pcrs::MAX_COUNT);
    for _ in 0..count {
        // Compared as 64 bits: 2³² is not 0.
        let index = tokens.unsigned().map_err(within(field))?;
        let index = u8::try_from(index).ok().and_then(PcrIndex::new);
        let index = index.ok_or(Rejection::PcrIndex)?;
        let value = tokens.bytes().map_err(within(field))?;
        let value = PcrValue::try_from(value).map_err(|_| Rejection::PcrLength(index))?;
        registers.push((index.get(), value));
    }
    Pcrs::new(registers).map_err(|invalid| match invalid {
        InvalidPcrs::Empty => Rejection::PcrCount,
        InvalidPcrs::Index => Rejection::PcrIndex,
        InvalidPcrs::Duplicate(index) => Rejection::PcrDuplicate(index),
    })
}

fn cabundle<'d>(payload: &'d [u8], tokens: &mut Tokens<'d>) -> Result<Cabundle<'d>, Rejection> {
    let field = Field::Cabundle;
    let start = tokens.position();
    let count = tokens.array().map_err(within(field))?;
    if count == 0 || count > MAX_CABUNDLE as u64 {
        return Err(Rejection::CabundleCount);
    }
    let root = bytes(field, 1..=MAX_CERTIFICATE, tokens)?;
    let mut intermediates = Vec::with_capacity(MAX_CABUNDLE);
    for _ in 1..count {
        intermediates.push(bytes(field, 1..=MAX_CERTIFICATE, tokens)?);
    }
    let encoded = payload.get(start..tokens.position()).unwrap_or_default();
    Ok(Cabundle { encoded, root, intermediates })
}

/// A field that may be absent or null: every real document has null where AWS's text says that
/// no field may be.
fn optional<'d>(
    field: Field,
    size: core::ops::RangeInclusive<usize>,
    tokens: &mut Tokens<'d>,
) -> Result<Option<&'d [u8]>, Rejection> {
    if tokens.null().map_err(within(field))? {
        return Ok(None);
    }
    bytes(field, size, tokens).map(Some)
}

fn bytes<'d>(
    field: Field,
    size: core::ops::RangeInclusive<usize>,
    tokens: &mut Tokens<'d>,
) -> Result<&'d [u8], Rejection> {
    let bytes = tokens.bytes().map_err(within(field))?;
    if size.contains(&bytes.len()) { Ok(bytes) } else { Err(Rejection::FieldSize(field)) }
}

fn within(field: Field) -> impl Fn(CborFault) -> Rejection {
    move |fault| Rejection::Cbor { place: Place::Field(field), fault }
}
