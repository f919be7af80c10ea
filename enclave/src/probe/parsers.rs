//! The worker's parsers of hostile bytes, each by itself, for fuzzing.

use crate::api::Operation;
use crate::cms::OaepKey;
use crate::cms::open::{Envelope, EphemeralKey};
use crate::http;
use crate::keys::ber;
use crate::keys::ciphertext::CiphertextBlob;
use crate::keys::id::KeyId;
use crate::keys::import::NewMaterial;
use crate::keys::spec::{KeySpec, KeyUsage};
use crate::operations::Action;
use crate::secret::{RootKey, Subkeys};
use crate::signature::{Claim, SignedRequest};
use crate::storage::journal::{self, Cadence, Journal};
use sekisho_wire::StoreClient;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};

/// The region that [`signature`] expects.
pub const REGION: &str = "eu-central-1";

/// Serves one connection as it comes out of TLS, with the worker's bounds. Requests are read to
/// their end and refused for want of a signature.
pub async fn connection(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    http::serve_unsigned(stream).await;
}

/// Reads an operation's input; whether it is valid.
pub fn action(target: &str, body: &[u8]) -> bool {
    let Ok(operation) = Operation::from_target(target) else { return false };
    let Ok(action) = Action::parse(operation, body) else { return false };
    // What is told of an input before it is allowed.
    let facts = action.facts();
    assert!(facts.parameters.is_sorted(), "policies are promised an order");
    let context = facts.encryption_context.map_or(0, |context| context.iter().count());
    context <= body.len()
}

/// Verifies a signature with `secret` at `now`, seconds since 1970; header names are lower case.
pub fn signature(
    target: &str,
    headers: Vec<(String, String)>,
    body: &[u8],
    secret: &str,
    now: i64,
) -> bool {
    let Ok(operation) = Operation::from_target(target) else { return false };
    let Ok(now) = OffsetDateTime::from_unix_timestamp(now) else { return false };
    let request = SignedRequest { operation, headers, body: body.to_vec() };
    let claim = Claim::read(&request, &[REGION.to_owned()], now);
    claim.and_then(|claim| claim.verify(secret)).is_ok()
}

/// Reads a CiphertextBlob; whether it has the form of one.
pub fn ciphertext(bytes: &[u8]) -> bool {
    CiphertextBlob::parse(bytes).is_ok()
}

/// Reads what was unwrapped as the material of a key, by AWS's names; whether it is right for it.
pub fn key_material(spec: &str, usage: &str, bytes: &[u8]) -> bool {
    let kind = KeySpec::named(spec).zip(KeyUsage::named(usage));
    kind.is_some_and(|(spec, usage)| NewMaterial::read(KeyId::NIL, spec, usage, bytes).is_ok())
}

/// DER of an element of BER.
pub fn ber(bytes: &[u8]) -> Option<Vec<u8>> {
    ber::to_der(bytes).ok().map(|der| der.to_vec())
}

/// A recipient's key, for as many messages as wanted.
pub struct Recipient(EphemeralKey);

impl Recipient {
    /// A new key; none where the random generator fails.
    pub fn generate() -> Option<Self> {
        EphemeralKey::generate().ok().map(Self)
    }

    /// Reads a CiphertextForRecipient: whether it has the form of one, and whether it opens.
    pub fn open(&self, bytes: &[u8]) -> (bool, bool) {
        (Envelope::parse(bytes).is_ok(), self.0.try_open(bytes).is_ok())
    }

    /// DER SubjectPublicKeyInfo.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }
}

/// A CiphertextForRecipient for whoever holds the key of this SubjectPublicKeyInfo.
pub fn envelop(spki: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    OaepKey::from_spki(spki).ok()?.envelop(content).ok()
}

/// Reads the plaintexts of an entry, of a snapshot's manifest and of its chunks; how many of them
/// `bytes` may be.
pub fn journal_plaintexts(bytes: &[u8]) -> usize {
    journal::readable_as(bytes)
}

/// Opens the journal that `store` says it has; how many entries, if it is whole.
pub async fn journal(store: StoreClient, root: &RootKey) -> Option<u64> {
    let journal = Journal::open(store, Subkeys::derive(root).journal, Cadence::DEFAULT).await;
    journal.ok().map(|journal| journal.checkpoint().sequence)
}
