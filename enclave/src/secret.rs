//! The root key, the subkeys made from it, and the one way in which this worker seals bytes.
//!
//! Subkeys: HKDF-SHA-256 (RFC 5869) of the root key with a label each.
//! Sealing: AES-256-GCM (NIST SP 800-38D) under a key and nonce derived for each message
//! from 32 fresh random bytes, so that no number of messages wears a key out
//! (random 96-bit nonces under one key would stop at 2^32 messages).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const LABEL_JOURNAL: &[u8] = b"sekisho v1 subkey journal";
const LABEL_RECORDS: &[u8] = b"sekisho v1 subkey records";
const LABEL_RECORD_NAMES: &[u8] = b"sekisho v1 subkey record names";
const LABEL_AUDIT_SIGNATURE: &[u8] = b"sekisho v1 subkey audit signature";
const LABEL_SESSIONS: &[u8] = b"sekisho v1 subkey sessions";
const LABEL_IMPORT_TOKENS: &[u8] = b"sekisho v1 subkey import tokens";
const LABEL_KEYRING: &[u8] = b"sekisho v1 subkey keyring";

/// Random bytes in front of every sealed message.
pub(crate) const SALT_LENGTH: usize = 32;
/// The tag of AES-GCM.
pub(crate) const TAG_LENGTH: usize = 16;

/// A 256-bit secret: on the heap, wiped when dropped, silent in `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret(Box<[u8; 32]>);

impl Secret {
    pub(crate) fn generate() -> Result<Self, RandomUnavailable> {
        let mut bytes = Box::new([0; 32]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, label: &[u8]) -> Self {
        let mut out = Box::new([0; 32]);
        expand(self, None, &[label], out.as_mut_slice());
        Self(out)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The key that everything in storage hangs from: 256 bits, in worker memory only.
#[derive(Debug)]
pub struct RootKey(Secret);

impl RootKey {
    /// Takes over 32 bytes that an unseal provider unwrapped. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    pub(crate) fn generate() -> Result<Self, RandomUnavailable> {
        Secret::generate().map(Self)
    }

    /// For whoever encrypts it to a peer, or wraps it.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(crate) fn sealing_keys(&self, generation: u32) -> SealingKeys {
        let (entries, records) = (self.0.derive(LABEL_JOURNAL), self.0.derive(LABEL_RECORDS));
        SealingKeys { generation, entries, records }
    }

    pub(crate) fn record_names(&self) -> Secret {
        self.0.derive(LABEL_RECORD_NAMES)
    }

    pub(crate) fn audit_signature(&self) -> Secret {
        self.0.derive(LABEL_AUDIT_SIGNATURE)
    }

    pub(crate) fn sessions(&self) -> Secret {
        self.0.derive(LABEL_SESSIONS)
    }

    pub(crate) fn import_tokens(&self) -> Secret {
        self.0.derive(LABEL_IMPORT_TOKENS)
    }

    /// What the keyring beside it is sealed under.
    pub(crate) fn keyring(&self) -> Secret {
        self.0.derive(LABEL_KEYRING)
    }
}

/// One key for each purpose: of a first root key, or of the generations in a
/// [`Keyring`](crate::keyring::Keyring).
#[derive(Debug)]
pub(crate) struct Subkeys {
    pub(crate) journal: JournalKeys,
    /// The seed of the key that signs audit blocks.
    pub(crate) audit_signature: Secret,
    pub(crate) sessions: Secret,
    pub(crate) import_tokens: Secret,
}

/// What the journal seals with.
#[derive(Debug)]
pub(crate) struct JournalKeys {
    pub(crate) record_names: Secret,
    /// By rising generation; of those that are held.
    sealing: RwLock<Vec<Arc<SealingKeys>>>,
}

/// What entries and records are sealed with under one generation of the root key.
#[derive(Debug)]
pub(crate) struct SealingKeys {
    pub(crate) generation: u32,
    pub(crate) entries: Secret,
    pub(crate) records: Secret,
}

impl Subkeys {
    /// All keys of a root key that is the first.
    pub(crate) fn derive(root: &RootKey) -> Self {
        Self {
            journal: JournalKeys::new(root.record_names(), vec![root.sealing_keys(1)]),
            audit_signature: root.audit_signature(),
            sessions: root.sessions(),
            import_tokens: root.import_tokens(),
        }
    }
}

impl JournalKeys {
    /// `sealing` by rising generation.
    pub(crate) fn new(record_names: Secret, sealing: Vec<SealingKeys>) -> Self {
        let sealing = sealing.into_iter().map(Arc::new).collect();
        Self { record_names, sealing: RwLock::new(sealing) }
    }

    /// The keys of a generation, if they are held.
    pub(crate) fn of(&self, generation: u32) -> Option<Arc<SealingKeys>> {
        let sealing = self.sealing.read().unwrap_or_else(PoisonError::into_inner);
        sealing.iter().find(|keys| keys.generation == generation).cloned()
    }

    /// The newest generation that is held; 0 where there is none.
    pub(crate) fn newest(&self) -> u32 {
        let sealing = self.sealing.read().unwrap_or_else(PoisonError::into_inner);
        sealing.last().map_or(0, |keys| keys.generation)
    }

    /// Adds a generation after all others.
    pub(crate) fn add(&self, keys: SealingKeys) {
        let mut sealing = self.sealing.write().unwrap_or_else(PoisonError::into_inner);
        if sealing.iter().all(|held| held.generation < keys.generation) {
            sealing.push(Arc::new(keys));
        }
    }

    /// Forgets all generations before this one.
    pub(crate) fn forget_before(&self, generation: u32) {
        let mut sealing = self.sealing.write().unwrap_or_else(PoisonError::into_inner);
        sealing.retain(|keys| keys.generation >= generation);
    }
}

/// Seals `plaintext` as `salt (32) ‖ ciphertext ‖ tag (16)`, bound to `associated_data`.
pub(crate) fn seal(
    key: &Secret,
    label: &[u8],
    associated_data: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut salt = [0; SALT_LENGTH];
    fill_random(&mut salt)?;
    seal_with_salt(key, label, &salt, associated_data, plaintext)
}

/// [`seal`] with the random bytes given: for test vectors, and for formats with a header.
pub(crate) fn seal_with_salt(
    key: &Secret,
    label: &[u8],
    salt: &[u8; SALT_LENGTH],
    associated_data: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (cipher, nonce) = message_cipher(key, label, salt);
    let sealed = cipher
        .encrypt(&nonce, Payload { msg: plaintext, aad: associated_data })
        .map_err(|_| SealError::TooLong)?;
    Ok([salt.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] made. Every failure is the same error.
pub(crate) fn open(
    key: &Secret,
    label: &[u8],
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (salt, ciphertext) = sealed.split_first_chunk::<SALT_LENGTH>().ok_or(OpenError)?;
    let (cipher, nonce) = message_cipher(key, label, salt);
    cipher
        .decrypt(&nonce, Payload { msg: ciphertext, aad: associated_data })
        .map(Zeroizing::new)
        .map_err(|_| OpenError)
}

fn message_cipher(
    key: &Secret,
    label: &[u8],
    salt: &[u8; SALT_LENGTH],
) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
    let mut derived = Zeroizing::new([0; 44]);
    expand(key, Some(salt), &[label], derived.as_mut_slice());
    let (message_key, rest) = derived.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    let nonce = rest.first_chunk::<12>().unwrap_or(&[0; 12]);
    (Aes256Gcm::new(message_key.into()), (*nonce).into())
}

/// HKDF-SHA-256 into at most 255 × 32 bytes; every caller asks for 32 or 44, which cannot fail.
pub(crate) fn expand(key: &Secret, salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) {
    expand_bytes(key.expose(), salt, info, out);
}

/// [`expand`] of a secret of any length.
pub(crate) fn expand_bytes(secret: &[u8], salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) {
    let expanded = Hkdf::<Sha256>::new(salt, secret).expand_multi_info(info, out);
    debug_assert!(expanded.is_ok(), "HKDF output of {} bytes", out.len());
}

/// Fills `out` from the operating system's seeded generator (AWS-LC's CTR-DRBG).
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), RandomUnavailable> {
    aws_lc_rs::rand::fill(out).map_err(|_| RandomUnavailable)
}

/// The random generator gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the random generator failed")]
pub struct RandomUnavailable;

/// Why bytes could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// No salt.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// More than AES-GCM's 64 GiB.
    #[error("the message is too long for AES-GCM")]
    TooLong,
    /// The material of the key was deleted, or has expired.
    #[error("the key material is not there")]
    NoMaterial,
}

/// Sealed bytes that do not open: another key, other associated data, or changed.
#[derive(Debug, Error)]
#[error("the sealed bytes do not open: they were changed, moved, or sealed under another key")]
pub struct OpenError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_under_its_own_key_label_and_associated_data() {
        let (key, other) = (Secret::from_bytes(&[1; 32]), Secret::from_bytes(&[2; 32]));
        let sealed = seal(&key, b"label", b"aad", b"plaintext").unwrap();
        assert_eq!(open(&key, b"label", b"aad", &sealed).unwrap().as_slice(), b"plaintext");
        assert!(open(&other, b"label", b"aad", &sealed).is_err());
        assert!(open(&key, b"other", b"aad", &sealed).is_err());
        assert!(open(&key, b"label", b"other", &sealed).is_err());
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_refused() {
        let key = Secret::from_bytes(&[1; 32]);
        let sealed = seal(&key, b"label", b"aad", b"plaintext").unwrap();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(open(&key, b"label", b"aad", &changed).is_err(), "byte {position}");
            assert!(open(&key, b"label", b"aad", &sealed[..position]).is_err(), "cut {position}");
        }
    }

    #[test]
    fn subkeys_differ_and_never_print() {
        let subkeys = Subkeys::derive(&RootKey::from_bytes(&[7; 32]));
        let sealing = subkeys.journal.of(1).unwrap();
        assert_ne!(sealing.entries.expose(), sealing.records.expose());
        assert_ne!(subkeys.audit_signature.expose(), subkeys.journal.record_names.expose());
        assert!(!format!("{subkeys:?}").contains("07"));
    }
}
