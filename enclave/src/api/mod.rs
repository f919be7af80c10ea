//! The AWS KMS API as this worker speaks it: operations, how their inputs are read, answers and
//! errors. The operations' own inputs are in `operations/`.

mod denial;
mod error;
mod facts;
mod fields;
mod operation;
mod recipient;
mod request_document;

pub(crate) use denial::Denial;
pub(crate) use error::ApiError;
pub(crate) use facts::{AccountResource, Facts, Options, Second, Subject};
pub(crate) use fields::{Fields, Form, GRANT_TOKEN, Pattern, Text};
pub(crate) use operation::{NeededState, Operation, for_each_operation};
pub(crate) use recipient::{KeyEncryptionAlgorithm, Recipient};
pub(crate) use request_document::{ATTESTATION_HEADER, RequestDocument};

use crate::secret::fill_random;
use serde_json::{Value, json};
use uuid::Uuid;

/// An answer on its way out: HTTP status and JSON body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) request_id: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn of(request_id: String, result: Result<Value, ApiError>) -> Self {
        match result {
            Ok(body) => Self { request_id, status: 200, body },
            Err(error) => Self::refusal(request_id, &error),
        }
    }

    /// An error. It holds no result, so it may also leave unrecorded.
    pub(crate) fn refusal(request_id: String, error: &ApiError) -> Self {
        let message = error.message();
        let body = match message.is_empty() {
            // Where AWS has no text, its answer has no member for one.
            true => json!({ "__type": error.code() }),
            false => json!({ "__type": error.code(), "message": message }),
        };
        Self { request_id, status: error.status(), body }
    }
}

/// `x-amzn-RequestId` of an answer. From AWS-LC's generator, which does not ask the kernel for each.
pub(crate) fn new_request_id() -> String {
    let mut bytes = [0; 16];
    let id = match fill_random(&mut bytes) {
        Ok(()) => uuid::Builder::from_random_bytes(bytes).into_uuid(),
        Err(_) => Uuid::new_v4(),
    };
    id.to_string()
}
