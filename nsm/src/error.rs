use crate::wire::{ErrorCode, Response};

/// Why the module did not do what it was asked: its error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NsmError {
    /// An argument is invalid.
    #[error("the NSM refused an argument as invalid")]
    InvalidArgument,
    /// There is no such register.
    #[error("the NSM has no PCR with this index")]
    InvalidIndex,
    /// The answer is not one to this request.
    #[error("the NSM's answer does not belong to the request")]
    InvalidResponse,
    /// The register is locked.
    #[error("the PCR is locked")]
    ReadOnlyIndex,
    /// The module does not know such a request.
    #[error("the NSM cannot do this operation")]
    InvalidOperation,
    /// The answer does not fit.
    #[error("the NSM's answer does not fit into the buffer for it")]
    BufferTooSmall,
    /// The request is too long.
    #[error("the request is longer than the NSM takes")]
    InputTooLarge,
    /// The module failed.
    #[error("the NSM failed")]
    InternalError,
}

impl NsmError {
    /// The error in an answer that is not the one hoped for.
    pub(crate) fn instead_of_success(response: &Response) -> Self {
        match response {
            Response::Error(code) => match code {
                ErrorCode::Success | ErrorCode::InvalidResponse => Self::InvalidResponse,
                ErrorCode::InvalidArgument => Self::InvalidArgument,
                ErrorCode::InvalidIndex => Self::InvalidIndex,
                ErrorCode::ReadOnlyIndex => Self::ReadOnlyIndex,
                ErrorCode::InvalidOperation => Self::InvalidOperation,
                ErrorCode::BufferTooSmall => Self::BufferTooSmall,
                ErrorCode::InputTooLarge => Self::InputTooLarge,
                ErrorCode::InternalError => Self::InternalError,
            },
            _ => Self::InvalidResponse,
        }
    }
}
