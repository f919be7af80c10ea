//! The header `X-Sekisho-Attestation`: an attestation document that was made for the request it comes
//! with, and has not been verified (docs/attested-requests.md).

use super::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

/// The header's name, as HTTP/2 has it.
pub(crate) const ATTESTATION_HEADER: &str = "x-sekisho-attestation";
/// Letters of base64: a document of 16 KiB. Nitro enclaves' have five to six, and a list of headers of
/// HTTP/2 is at most 32 KiB here.
const MAX_LETTERS: usize = 21_848;

/// A document, and the nonce that binds it to the request.
#[derive(Debug)]
pub(crate) struct RequestDocument {
    pub(crate) document: Vec<u8>,
    /// SHA-256 of the request's body.
    pub(crate) nonce: [u8; 32],
}

impl RequestDocument {
    /// Reads the header's values, of which there may be one, for a request with this body.
    pub(crate) fn read(values: &[String], body: &[u8]) -> Result<Option<Self>, ApiError> {
        let value = match values {
            [] => return Ok(None),
            [one] => one,
            _ => return Err(refused("is there more than once")),
        };
        if value.len() > MAX_LETTERS {
            return Err(refused(&format!("is longer than {MAX_LETTERS} characters")));
        }
        let document = BASE64.decode(value);
        let document = document.map_err(|_| {
            refused("is not base64: the letters of RFC 4648 §4, padded, in one line")
        })?;
        if document.is_empty() {
            return Err(refused("is empty"));
        }
        Ok(Some(Self { document, nonce: Sha256::digest(body).into() }))
    }
}

fn refused(problem: &str) -> ApiError {
    ApiError::Validation(format!("The header X-Sekisho-Attestation {problem}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<RequestDocument>, String> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        RequestDocument::read(&values, b"{}").map_err(|error| {
            assert_eq!((error.code(), error.status()), ("ValidationException", 400));
            error.message()
        })
    }

    #[test]
    fn a_document_is_bound_to_the_body() {
        assert!(read(&[]).unwrap().is_none());
        let read = read(&["aGVsbG8="]).unwrap().unwrap();
        assert_eq!(read.document, b"hello");
        // sha256sum of {}
        assert_eq!(
            hex::encode(read.nonce),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }

    #[test]
    fn what_is_no_document_is_refused_by_name() {
        let longest = "A".repeat(MAX_LETTERS);
        assert_eq!(read(&[&longest]).unwrap().unwrap().document.len(), 16 * 1024 + 2);
        let longer = "A".repeat(MAX_LETTERS + 4);
        for (values, problem) in [
            (&[""][..], "is empty"),
            (&["aGVsbG8=", "aGVsbG8="], "is there more than once"),
            (&["aGVsbG8"], "is not base64"),
            (&["aGVs bG8="], "is not base64"),
            (&["aGVs_G8="], "is not base64"),
            (&[&longer], "is longer than 21848 characters"),
        ] {
            let message = read(values).unwrap_err();
            assert!(message.contains(problem), "{message}");
        }
    }
}
