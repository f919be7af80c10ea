//! The Nitro Secure Module (NSM) as a trait, and the real device.
//!
//! An [`Nsm`] answers a [`Request`] with a [`Response`]; the types
//! are those of AWS's own `aws-nitro-enclaves-nsm-api`, whose CBOR is what crosses `/dev/nsm`. The
//! seven operations are methods on top, with errors as errors. [`Device`] is the module of the
//! enclave that the process runs in. The emulated one is `sekisho-devkit`'s, a crate that the
//! shipped worker does not link.

mod device;
mod error;

/// The requests and responses of the NSM, as AWS defines them.
pub use aws_nitro_enclaves_nsm_api::api as wire;
pub use device::{Device, NoDevice};
pub use error::NsmError;

use std::collections::BTreeSet;

use wire::{Request, Response};

/// The greatest request in bytes of CBOR (`NSM_REQUEST_MAX_SIZE`).
pub const MAX_REQUEST: usize = 0x1000;

/// The greatest response in bytes of CBOR (`NSM_RESPONSE_MAX_SIZE`).
pub const MAX_RESPONSE: usize = 0x3000;

/// A Nitro Secure Module.
///
/// Calls block, for milliseconds on the real device: an attestation takes a signature.
pub trait Nsm: Send + Sync {
    /// Answers one request. The only method to implement.
    fn process(&self, request: Request) -> Response;

    /// DescribeNSM: the module's identity and its registers.
    ///
    /// # Errors
    /// What the module answered instead.
    fn describe(&self) -> Result<Description, NsmError> {
        match self.process(Request::DescribeNSM) {
            Response::DescribeNSM {
                version_major,
                version_minor,
                version_patch,
                module_id,
                max_pcrs,
                locked_pcrs,
                digest,
            } => Ok(Description {
                version: (version_major, version_minor, version_patch),
                module_id,
                max_pcrs,
                locked_pcrs,
                digest,
            }),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// DescribePCR: a register's value, and whether it is locked.
    ///
    /// # Errors
    /// [`NsmError::InvalidIndex`] if there is no register `index`.
    fn describe_pcr(&self, index: u16) -> Result<PcrState, NsmError> {
        match self.process(Request::DescribePCR { index }) {
            Response::DescribePCR { lock, data } => Ok(PcrState { locked: lock, value: data }),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// ExtendPCR: sets a register to SHA-384(value ‖ data) and answers its new value.
    ///
    /// # Errors
    /// [`NsmError::ReadOnlyIndex`] if the register is locked, as 0 to 15 always are;
    /// [`NsmError::InvalidIndex`] if there is none.
    fn extend_pcr(&self, index: u16, data: &[u8]) -> Result<Vec<u8>, NsmError> {
        match self.process(Request::ExtendPCR { index, data: data.to_vec() }) {
            Response::ExtendPCR { data } => Ok(data),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// LockPCR: makes a register read-only, which also puts it into attestation documents.
    ///
    /// # Errors
    /// [`NsmError::ReadOnlyIndex`] if it is locked already; [`NsmError::InvalidIndex`] if there is
    /// no such register.
    fn lock_pcr(&self, index: u16) -> Result<(), NsmError> {
        match self.process(Request::LockPCR { index }) {
            Response::LockPCR => Ok(()),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// LockPCRs: makes all registers below `range` read-only.
    ///
    /// # Errors
    /// [`NsmError::InvalidIndex`] if there are fewer than `range` registers.
    fn lock_pcrs(&self, range: u16) -> Result<(), NsmError> {
        match self.process(Request::LockPCRs { range }) {
            Response::LockPCRs => Ok(()),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// Attestation: a signed document over the locked registers and what the caller adds.
    ///
    /// # Errors
    /// [`NsmError::InputTooLarge`] if the request is longer than [`MAX_REQUEST`].
    fn attestation(&self, request: AttestationRequest) -> Result<Vec<u8>, NsmError> {
        let request = Request::Attestation {
            user_data: request.user_data.map(Into::into),
            nonce: request.nonce.map(Into::into),
            public_key: request.public_key.map(Into::into),
        };
        match self.process(request) {
            Response::Attestation { document } => Ok(document),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }

    /// GetRandom: some random bytes, 256 on the real device.
    ///
    /// # Errors
    /// What the module answered instead.
    fn random(&self) -> Result<Vec<u8>, NsmError> {
        match self.process(Request::GetRandom) {
            Response::GetRandom { random } => Ok(random),
            other => Err(NsmError::instead_of_success(&other)),
        }
    }
}

/// What an attestation document shall hold besides the module's own fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestationRequest {
    /// Bytes that the enclave vouches for.
    pub user_data: Option<Vec<u8>>,
    /// The challenge of whoever will verify.
    pub nonce: Option<Vec<u8>>,
    /// A key that others may encrypt to.
    pub public_key: Option<Vec<u8>>,
}

/// A module's identity and its registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Major, minor and patch version.
    pub version: (u16, u16, u16),
    /// The EC2 instance and the enclave on it.
    pub module_id: String,
    /// How many registers there are.
    pub max_pcrs: u16,
    /// The registers that are locked.
    pub locked_pcrs: BTreeSet<u16>,
    /// The digest that the registers hold.
    pub digest: wire::Digest,
}

/// A platform configuration register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrState {
    /// Whether it is read-only.
    pub locked: bool,
    /// Its value.
    pub value: Vec<u8>,
}
