//! How the wrapped root key lies in the host's store.

use super::failure::Failure;
use super::provider::KeyArn;
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};

/// The only version so far.
const VERSION: u8 = 1;
/// The longest CiphertextBlob of AWS KMS (`CiphertextType` in its service model), bytes.
const MAX_CIPHERTEXT: usize = 6144;

/// A root key under a key of a KMS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrappedKey {
    /// The key that wraps it.
    pub(super) key: KeyArn,
    /// The KMS's CiphertextBlob.
    pub(super) ciphertext: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    key: KeyArn,
    #[serde(with = "serde_bytes")]
    ciphertext: Vec<u8>,
}

impl WrappedKey {
    pub(super) fn encode(self) -> Result<Vec<u8>, Failure> {
        let Self { key, ciphertext } = self;
        if ciphertext.is_empty() || ciphertext.len() > MAX_CIPHERTEXT {
            return Err(Failure::Malformed);
        }
        codec::encode(&Stored { version: VERSION, key, ciphertext }).map_err(|_| Failure::Malformed)
    }

    /// Reads what the host has given; whose it is, the KMS and the journal tell.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        let Stored { version, key, ciphertext } =
            codec::decode(bytes).map_err(|_| Failure::WrappedKeyMalformed)?;
        let fits = (1..=MAX_CIPHERTEXT).contains(&ciphertext.len());
        if version != VERSION || !fits {
            return Err(Failure::WrappedKeyMalformed);
        }
        Ok(Self { key, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(length: usize) -> WrappedKey {
        let key = "arn:aws:kms:eu-central-1:111122223333:key/1".parse().unwrap();
        WrappedKey { key, ciphertext: vec![7; length] }
    }

    #[test]
    fn read_as_it_was_written_and_no_part_of_it() {
        let bytes = wrapped(6144).encode().unwrap();
        assert!(bytes.len() <= sekisho_wire::store::MAX_SLOT);
        assert_eq!(WrappedKey::decode(&bytes).unwrap(), wrapped(6144));
        let bytes = wrapped(200).encode().unwrap();
        for end in 0..bytes.len() {
            let error = WrappedKey::decode(&bytes[..end]).unwrap_err();
            assert_eq!(error, Failure::WrappedKeyMalformed);
        }
        for length in [0, 6145] {
            assert_eq!(wrapped(length).encode(), Err(Failure::Malformed));
        }
    }
}
