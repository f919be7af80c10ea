//! The root key of a development service: a file, which is exactly what production must not have.

use std::fs::File;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::folder::write_private;
use super::identity::{RandomUnavailable, random};

const HEADER: &str = "\
# Root key of a Sekisho DEVELOPMENT service. Whoever can read this file can read every key of it.
# A production worker has no such file: its root key is unwrapped for its measurement only.
";

/// 256 bits.
const LENGTH: usize = 32;

/// Reads the root key, or makes one where there is none.
pub(crate) fn open(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>, RootKeyError> {
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = Zeroizing::new([0; LENGTH]);
            random(key.as_mut())?;
            replace(path, &key)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts a root key in the file's place, durably, as a whole or not at all.
pub(crate) fn replace(path: &Path, key: &[u8; LENGTH]) -> io::Result<()> {
    let digits = Zeroizing::new(hex::encode(key));
    let text = Zeroizing::new(format!("{HEADER}{}\n", digits.as_str()));
    write_private(path, text.as_bytes())?;
    // The name too: the worker goes on under the key as soon as this returns.
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn parse(text: &str) -> Result<Zeroizing<[u8; LENGTH]>, RootKeyError> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(RootKeyError::Malformed);
    };
    let mut key = Zeroizing::new([0; LENGTH]);
    hex::decode_to_slice(line.trim(), key.as_mut()).map_err(|_| RootKeyError::Malformed)?;
    Ok(key)
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootKeyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a development root key: one line of 64 hexadecimal digits")]
    Malformed,
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_finds_the_key_of_the_first() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let first = open(&path).unwrap();
        assert_ne!(*first, [0; LENGTH]);
        assert_eq!(*open(&path).unwrap(), *first);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().contains("DEVELOPMENT"));
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        for text in ["", "abcd\n", "zz\n", &"00".repeat(33)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(open(&path), Err(RootKeyError::Malformed)), "{text}");
        }
    }
}
