//! Searches everything that the host carried and stored for what it must not know.
//!
//! A search that finds nothing proves something only if it could have found it. So each secret is
//! looked for in every form in which it could have passed, and the same search has to find bytes
//! that are known to have passed and to have been stored.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use memchr::memmem;

/// Shorter needles would be found by chance.
const SHORTEST: usize = 12;

/// A secret, and its name for the report.
#[derive(Debug)]
pub struct Secret {
    name: String,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    /// The bytes themselves, in hexadecimal, and in base64 wherever they may begin in it.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        let mut forms = vec![
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
        ];
        for skipped in 0..3 {
            let rest = bytes.get(skipped..).unwrap_or_default();
            let (whole, _) = rest.as_chunks::<3>();
            forms.push(BASE64.encode(whole.as_flattened()).into_bytes());
        }
        forms.retain(|form| form.len() >= SHORTEST);
        Self { name: name.into(), forms }
    }
}

/// Files that were read whole.
#[derive(Debug)]
pub struct Haystack(Vec<Vec<u8>>);

impl Haystack {
    /// Bytes that are in memory already.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(vec![bytes])
    }

    /// Every file below a folder.
    ///
    /// # Errors
    /// A file or a folder cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        collect(folder, &|_| true, &mut files)?;
        Ok(Self(files))
    }

    /// Every file below a folder whose name passes.
    ///
    /// # Errors
    /// A file or a folder cannot be read.
    pub fn read_named(folder: &Path, name: impl Fn(&str) -> bool) -> io::Result<Self> {
        let mut files = Vec::new();
        collect(folder, &name, &mut files)?;
        Ok(Self(files))
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Whether there is nothing to search.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these bytes are somewhere in it.
    pub fn holds(&self, needle: &[u8]) -> bool {
        let finder = memmem::Finder::new(needle);
        self.0.iter().any(|file| finder.find(file).is_some())
    }

    /// The names of the secrets that are in it, in whatever form.
    pub fn leaks<'a>(&self, secrets: &'a [Secret]) -> Vec<&'a str> {
        secrets
            .iter()
            .filter(|secret| secret.forms.iter().any(|form| self.holds(form)))
            .map(|secret| secret.name.as_str())
            .collect()
    }

    /// Whether some stretch of `length` bytes of `other` is in it too.
    pub fn shares(&self, other: &Self, length: usize) -> bool {
        other.0.iter().any(|file| file.chunks_exact(length).rev().any(|piece| self.holds(piece)))
    }
}

fn collect(folder: &Path, name: &dyn Fn(&str) -> bool, files: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), name, files)?;
        } else if kind.is_file() && name(&entry.file_name().to_string_lossy()) {
            files.push(fs::read(entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haystack(bytes: &[u8]) -> Haystack {
        Haystack(vec![b"another file".to_vec(), bytes.to_vec()])
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = b"IBAN DE89 3704 0044 0532 0130 00";
        let secrets = [Secret::new("an account", secret)];
        for before in 0..6 {
            let mut text = vec![b'x'; before];
            text.extend_from_slice(secret);
            text.extend_from_slice(b"and more");
            for passed in [
                text.clone(),
                hex::encode(&text).into_bytes(),
                hex::encode_upper(&text).into_bytes(),
                BASE64.encode(&text).into_bytes(),
            ] {
                assert_eq!(haystack(&passed).leaks(&secrets), ["an account"]);
            }
        }
        assert!(haystack(b"IBAN DE89 3704 0044 0532 0130 01").leaks(&secrets).is_empty());
    }

    #[test]
    fn what_two_haystacks_share_is_seen() {
        let of = |bytes: &[u8]| Haystack(vec![bytes.to_vec()]);
        let stored = of(b"header SEALED-ENTRY-NUMBER-ONE trailer");
        assert!(stored.shares(&of(b"SEALED-E"), 8));
        assert!(!stored.shares(&of(b"SEALED-F"), 8));
        assert!(!stored.shares(&of(b"SEALED"), 8));
    }
}
