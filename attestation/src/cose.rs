//! The envelope: COSE_Sign1 (RFC 9052 §4.2) with ES384, as AWS signs attestation documents
//! (attestation process §3.1): `[h'a1013822', {}, payload, signature]`, tagged 18 or not.

use coset::{ProtectedHeader, SignatureContext, sig_structure_data};

use crate::backend::SIGNATURE_LENGTH;
use crate::cbor::{CborFault, Tokens};
use crate::rejection::{Place, Rejection};

/// `{1: -35}`: alg ES384 (RFC 9053 §2.1), the one protected header there may be. It is compared
/// as bytes: there is one shortest encoding.
const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

/// CBOR tag of a COSE_Sign1 (RFC 9052 §2).
const COSE_SIGN1_TAG: u64 = 18;

/// The greatest payload (attestation process §3.2.2.2).
const MAX_PAYLOAD: usize = 16384;

/// The greatest document: the payload and 109 bytes around it.
pub(crate) const MAX_DOCUMENT: usize = 1 + 1 + 5 + 1 + 3 + MAX_PAYLOAD + 2 + SIGNATURE_LENGTH;

/// A COSE_Sign1 envelope, its signature not verified.
pub(crate) struct Envelope<'d> {
    pub(crate) payload: &'d [u8],
    pub(crate) signature: &'d [u8; SIGNATURE_LENGTH],
}

impl<'d> Envelope<'d> {
    pub(crate) fn decode(document: &'d [u8]) -> Result<Self, Rejection> {
        if document.len() > MAX_DOCUMENT {
            return Err(Rejection::DocumentSize);
        }
        let at = |fault| Rejection::Cbor { place: Place::Envelope, fault };
        let mut tokens = Tokens::new(document);
        if let Some(tag) = tokens.tag().map_err(at)?
            && tag.as_u64() != COSE_SIGN1_TAG
        {
            return Err(Rejection::CoseTag);
        }
        if tokens.array().map_err(at)? != 4 {
            return Err(Rejection::CoseStructure);
        }
        let at = |fault| Rejection::Cbor { place: Place::ProtectedHeader, fault };
        if tokens.bytes().map_err(at)? != PROTECTED {
            return Err(Rejection::CoseProtectedHeader);
        }
        let at = |fault| Rejection::Cbor { place: Place::UnprotectedHeader, fault };
        if tokens.map().map_err(at)? != 0 {
            return Err(Rejection::CoseUnprotectedHeader);
        }
        let at = |fault| Rejection::Cbor { place: Place::Payload, fault };
        let payload = tokens.bytes().map_err(at)?;
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(Rejection::PayloadSize);
        }
        let at = |fault| Rejection::Cbor { place: Place::Signature, fault };
        let signature = tokens.bytes().map_err(at)?;
        let signature = signature.try_into().map_err(|_| Rejection::SignatureLength)?;
        tokens
            .finish()
            .map_err(|fault: CborFault| Rejection::Cbor { place: Place::Envelope, fault })?;
        Ok(Self { payload, signature })
    }

    /// The Sig_structure (RFC 9052 §4.4) that the signature is over; no external data.
    pub(crate) fn to_be_signed(&self) -> Vec<u8> {
        let protected =
            ProtectedHeader { original_data: Some(PROTECTED.to_vec()), ..Default::default() };
        sig_structure_data(SignatureContext::CoseSign1, protected, None, &[], self.payload)
    }
}
