//! The encryption context: public pairs that a ciphertext is bound to.

use std::collections::BTreeMap;

/// Pairs sorted by name, each name once (AWS KMS `EncryptionContext`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The bytes that are authenticated: for each pair by rising name, name and value,
    /// each after its length in four big-endian bytes. No pair, no bytes.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            // A context is at most 8 KiB, as the API reads it: the length always fits.
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(text.as_bytes());
        }
        out
    }
}

impl FromIterator<(String, String)> for EncryptionContext {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
