//! What a slot holds: what the unseal provider unwraps, and sealed under that the keyring.
//!
//! Both change in one step, so whatever the slot holds at a kill opens the store. A root key that was
//! never rotated lies there alone, in the provider's own form.

use super::failure::Failure;
use crate::keyring::{Keyring, KeyringError};
use crate::secret::{OpenError, RootKey};
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// 1 is the providers' own forms.
const VERSION: u8 = 2;
/// Of a root key in a file there are two while the file is being replaced.
const MAX_KEYRINGS: usize = 2;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// In the provider's form; empty where a file has the root key.
    pub(super) wrapped: Vec<u8>,
    /// Each sealed under its newest root key.
    pub(super) keyrings: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    #[serde(with = "serde_bytes")]
    wrapped: Vec<u8>,
    keyrings: Vec<ByteBuf>,
}

impl Slot {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Failure> {
        let Self { wrapped, keyrings } = self;
        if keyrings.is_empty() {
            return Ok(wrapped.clone());
        }
        let keyrings = keyrings.iter().cloned().map(ByteBuf::from).collect();
        let stored = Stored { version: VERSION, wrapped: wrapped.clone(), keyrings };
        codec::encode(&stored).map_err(|_| Failure::Internal)
    }

    /// Reads what the host has given; what is not of this form is the provider's own.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let stored: Result<Stored, _> = codec::decode(bytes);
        let known = stored.ok().filter(|stored| {
            stored.version == VERSION && (1..=MAX_KEYRINGS).contains(&stored.keyrings.len())
        });
        match known {
            Some(Stored { wrapped, keyrings, .. }) => {
                Self { wrapped, keyrings: keyrings.into_iter().map(ByteBuf::into_vec).collect() }
            }
            None => Self { wrapped: bytes.to_vec(), keyrings: Vec::new() },
        }
    }

    /// The keyring of the root key that was unwrapped.
    pub(super) fn keyring(&self, root: &RootKey) -> Result<Keyring, KeyringError> {
        let open = |sealed| Keyring::open(RootKey::from_bytes(root.expose()), sealed);
        if self.keyrings.is_empty() {
            return open(None);
        }
        let mut opened = self.keyrings.iter().map(|sealed| open(Some(sealed)));
        opened.find(Result::is_ok).unwrap_or(Err(KeyringError::DoesNotOpen(OpenError)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(byte: u8) -> RootKey {
        RootKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn a_root_key_that_was_never_rotated_lies_in_its_providers_form() {
        let slot = Slot { wrapped: b"wrapped".to_vec(), keyrings: Vec::new() };
        assert_eq!(slot.encode().unwrap(), b"wrapped");
        assert_eq!(Slot::decode(b"wrapped"), slot);
        assert_eq!(slot.keyring(&root(1)).unwrap().generation(), 1);
    }

    #[test]
    fn the_keyring_is_the_one_of_the_root_key() {
        let first = Keyring::first(root(1));
        let next = first.with_next(root(2)).unwrap();
        let keyrings = vec![first.seal().unwrap(), next.seal().unwrap()];
        let slot = Slot { wrapped: Vec::new(), keyrings };
        let bytes = slot.encode().unwrap();
        assert!(bytes.len() < 1024);
        let read = Slot::decode(&bytes);
        assert_eq!(read, slot);
        assert_eq!(read.keyring(&root(1)).unwrap().generation(), 1);
        assert_eq!(read.keyring(&root(2)).unwrap().generation(), 2);
        assert!(read.keyring(&root(3)).is_err());
    }
}
