use core::fmt;

use sha2::{Digest as _, Sha384};

use crate::pcr::Pcrs;
use crate::timestamp::Timestamp;

/// What made a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A Nitro enclave; the PCRs are in `pcrs`.
    Enclave,
    /// An EC2 instance with NitroTPM; the PCRs are in `nitrotpm_pcrs` and mean other things.
    NitroTpm,
}

impl Kind {
    /// `enclave` or `nitro-tpm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enclave => "enclave",
            Self::NitroTpm => "nitro-tpm",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An attestation document that was verified and that met an expectation.
///
/// Only [`Verifier::verify`](crate::Verifier::verify) makes one, so to hold one is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDocument {
    pub(crate) kind: Kind,
    pub(crate) module_id: Box<str>,
    pub(crate) timestamp: Timestamp,
    pub(crate) pcrs: Pcrs,
    pub(crate) public_key: Option<Box<[u8]>>,
    pub(crate) user_data: Option<Box<[u8]>>,
    pub(crate) nonce: Option<Box<[u8]>>,
    pub(crate) debug: bool,
    pub(crate) payload: Box<[u8]>,
    pub(crate) not_after: Timestamp,
}

impl VerifiedDocument {
    /// What made the document.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The security module that signed, such as `i-0827e799ec9232d44-enc019b5640fdf630d6`: the
    /// EC2 instance and the enclave on it. It is the one that the leaf certificate names.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// When the document was made, by the hypervisor's clock.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The locked PCRs.
    pub fn pcrs(&self) -> &Pcrs {
        &self.pcrs
    }

    /// The public key that the enclave put into the document: 1 to 1024 bytes.
    ///
    /// They are the enclave's own and not looked at: real ones are DER, PEM, raw points and
    /// arbitrary text. Validate before use.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// The user data that the enclave put into the document: 0 to 1024 bytes.
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }

    /// The nonce that the enclave put into the document: 0 to 1024 bytes.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Whether the enclave runs in debug mode: its PCR0 to 2 are zero and its memory is open to
    /// the host. Never without [`Expectation::allow_debug`](crate::Expectation::allow_debug).
    pub fn is_debug(&self) -> bool {
        self.debug
    }

    /// The SHA-384 digest of the signed payload: what to tell a document's repetition by.
    ///
    /// The document's bytes will not do, nor its signature: (r, n − s) verifies as well as (r, s),
    /// and the CBOR tag may be there or not, so anyone can give the same document other bytes.
    pub fn payload_sha384(&self) -> [u8; 48] {
        Sha384::digest(&self.payload).into()
    }

    /// The earliest end of validity among the document's certificates. Until then, and no longer,
    /// the document verifies again: a replay filter may forget it afterwards.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}
