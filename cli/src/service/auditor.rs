//! Whom a development service encrypts its audit log to.

use std::path::Path;

use zeroize::Zeroizing;

use super::folder::{Folder, write_private, write_public};
use crate::audit::keys::{self, AuditorKeyError};
use crate::pem;

/// The auditor's public key: the one in `given`, which is kept for later starts; the one of an
/// earlier start; or that of a pair that is made now.
pub(super) fn open(folder: &Folder, given: Option<&Path>) -> Result<Vec<u8>, AuditorKeyError> {
    let kept = folder.auditor_public();
    let public = match given {
        Some(given) => keys::public_key(given)?,
        None if kept.exists() => return keys::public_key(&kept),
        None => {
            let path = folder.auditor();
            let pair = if path.exists() { keys::private_key(&path)? } else { keys::generate()? };
            let text = Zeroizing::new(keys::private_pem(&pair)?);
            write_private(&path, text.as_bytes())
                .map_err(|source| AuditorKeyError::Io { path, source })?;
            pair.public_key().to_vec()
        }
    };
    write_public(&kept, pem::encode("PUBLIC KEY", &public).as_bytes())
        .map_err(|source| AuditorKeyError::Io { path: kept, source })?;
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
        let private = keys::private_key(&folder.auditor()).unwrap();
        assert_eq!(private.public_key(), first);
        assert_eq!(fs::metadata(folder.auditor()).unwrap().permissions().mode() & 0o777, 0o600);

        let other = keys::generate().unwrap();
        let given = parent.path().join("other.pem");
        fs::write(&given, pem::encode("PUBLIC KEY", other.public_key())).unwrap();
        assert_eq!(open(&folder, Some(&given)).unwrap(), other.public_key());
        assert_eq!(open(&folder, None).unwrap(), other.public_key());
        // Our own pair is still there, for the blocks of before.
        assert_eq!(keys::private_key(&folder.auditor()).unwrap().public_key(), first);
    }
}
