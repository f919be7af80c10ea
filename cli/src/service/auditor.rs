//! Whom a development service encrypts its audit log to.

use std::path::Path;

use zeroize::Zeroizing;

use super::folder::{Folder, write_private, write_public};
use crate::key_pair::{self, KeyFileError};
use crate::pem;

/// The auditor's public key: the one in `given`, which is kept for later starts; the one of an
/// earlier start; or that of a pair that is made now.
pub(super) fn open(folder: &Folder, given: Option<&Path>) -> Result<Vec<u8>, KeyFileError> {
    let kept = folder.auditor_public();
    let public = match given {
        Some(given) => key_pair::public_key(given)?,
        None if kept.exists() => return key_pair::public_key(&kept),
        None => {
            let path = folder.auditor();
            let pair =
                if path.exists() { key_pair::private_key(&path)? } else { key_pair::generate()? };
            let text = Zeroizing::new(key_pair::private_pem(&pair)?);
            write_private(&path, text.as_bytes())
                .map_err(|source| KeyFileError::Io { path, source })?;
            pair.public_key().to_vec()
        }
    };
    write_public(&kept, pem::encode("PUBLIC KEY", &public).as_bytes())
        .map_err(|source| KeyFileError::Io { path: kept, source })?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Wanted;
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_pair_is_made_once_and_a_given_key_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(&parent.path().join("data"), &Wanted::default()).unwrap();
        let first = open(&folder, None).unwrap();
        assert_eq!(open(&folder, None).unwrap(), first);
        let private = key_pair::private_key(&folder.auditor()).unwrap();
        assert_eq!(private.public_key(), first);
        assert_eq!(fs::metadata(folder.auditor()).unwrap().permissions().mode() & 0o777, 0o600);

        let other = key_pair::generate().unwrap();
        let given = parent.path().join("other.pem");
        fs::write(&given, pem::encode("PUBLIC KEY", other.public_key())).unwrap();
        assert_eq!(open(&folder, Some(&given)).unwrap(), other.public_key());
        assert_eq!(open(&folder, None).unwrap(), other.public_key());
        // Our own pair is still there, for the blocks of before.
        assert_eq!(key_pair::private_key(&folder.auditor()).unwrap().public_key(), first);
    }
}
