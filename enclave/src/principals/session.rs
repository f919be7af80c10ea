//! Sessions: credentials that end by themselves, kept by whoever holds them and by nobody else.
//!
//! The session token is the session, sealed: base64 of version (1), salt (32), ciphertext, tag (16)
//! under a subkey of the root key, bound to the session's access key id. The worker stores nothing.
//! What ends a session before its time is the access key that it was made with: a session is as
//! good as that key is at the moment, so disabling or deleting the key ends its sessions at once.

use super::{SecretAccessKey, TEMPORARY, access_key_id};
use crate::secret::{self, OpenError, RandomUnavailable, SealError, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL_TOKEN: &[u8] = b"sekisho v1 session token";
const VERSION: u8 = 1;
/// Letters of a token that are looked at: far more than any token that was given out has.
const MAX_TOKEN: usize = 2048;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The access key id that asked for it: whose principal it stands for.
    pub(crate) parent: String,
    /// As its maker named it; for the audit log.
    pub(crate) name: String,
    /// Milliseconds since 1970; from then on it does not sign.
    pub(crate) expires: u64,
    pub(crate) secret: SecretAccessKey,
}

/// A session as it is handed out.
pub(crate) struct Issued {
    pub(crate) access_key_id: String,
    pub(crate) token: String,
    pub(crate) session: Session,
}

/// Makes and opens session tokens, under the newest root key alone.
#[derive(Debug)]
pub(crate) struct Sessions(RwLock<Secret>);

impl Sessions {
    pub(crate) fn new(key: Secret) -> Self {
        Self(RwLock::new(key))
    }

    /// After a rotation of the root key: ends all sessions of before.
    pub(crate) fn replace(&self, key: Secret) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn key(&self) -> RwLockReadGuard<'_, Secret> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session of the principal behind the access key `parent`.
    pub(crate) fn issue(
        &self,
        parent: &str,
        name: String,
        expires: u64,
    ) -> Result<Issued, IssueError> {
        let access_key_id = access_key_id(TEMPORARY)?;
        let secret = SecretAccessKey::generate()?;
        let session = Session { parent: parent.to_owned(), name, expires, secret };
        let plaintext = Zeroizing::new(codec::encode(&session)?);
        let sealed = secret::seal(&self.key(), LABEL_TOKEN, access_key_id.as_bytes(), &plaintext)?;
        let token = BASE64.encode([[VERSION].as_slice(), &sealed].concat());
        Ok(Issued { access_key_id, token, session })
    }

    /// The session of a token that came with `access_key_id`. Whether it has expired, and whether
    /// its parent still signs, is the caller's to check.
    pub(crate) fn open(&self, access_key_id: &str, token: &str) -> Result<Session, OpenError> {
        if token.len() > MAX_TOKEN {
            return Err(OpenError);
        }
        let bytes = BASE64.decode(token).map_err(|_| OpenError)?;
        let sealed = bytes.strip_prefix(&[VERSION]).ok_or(OpenError)?;
        let plaintext = secret::open(&self.key(), LABEL_TOKEN, access_key_id.as_bytes(), sealed)?;
        codec::decode(&plaintext).map_err(|_| OpenError)
    }
}

/// Why there is no session.
#[derive(Debug, Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(byte: u8) -> Sessions {
        Sessions::new(Secret::from_bytes(&[byte; 32]))
    }

    #[test]
    fn a_token_says_what_it_was_made_with_and_only_for_its_access_key() {
        let issued = sessions(1).issue("AKIAPARENT", "deploy".into(), 99).unwrap();
        assert!(issued.access_key_id.starts_with("ASIA"));
        let session = sessions(1).open(&issued.access_key_id, &issued.token).unwrap();
        assert_eq!((session.parent.as_str(), session.name.as_str()), ("AKIAPARENT", "deploy"));
        assert_eq!(session.expires, 99);
        assert_eq!(session.secret.expose(), issued.session.secret.expose());
        assert!(sessions(1).open("ASIAOTHER", &issued.token).is_err());
        assert!(sessions(2).open(&issued.access_key_id, &issued.token).is_err());
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let Issued { access_key_id, token, .. } =
            sessions(1).issue("AKIAPARENT", "deploy".into(), 99).unwrap();
        let bytes = BASE64.decode(&token).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            let changed = BASE64.encode(changed);
            assert!(sessions(1).open(&access_key_id, &changed).is_err(), "byte {position}");
            let cut = BASE64.encode(&bytes[..position]);
            assert!(sessions(1).open(&access_key_id, &cut).is_err(), "cut {position}");
        }
        for token in ["", "*", "AQ==", &"A".repeat(MAX_TOKEN + 4)] {
            assert!(sessions(1).open(&access_key_id, token).is_err());
        }
    }

    #[test]
    fn the_holder_reads_nothing_in_a_token() {
        let issued = sessions(1).issue("AKIAPARENT", "deploy".into(), 99).unwrap();
        let bytes = BASE64.decode(&issued.token).unwrap();
        for secret in [b"AKIAPARENT".as_slice(), issued.session.secret.expose().as_bytes()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}
