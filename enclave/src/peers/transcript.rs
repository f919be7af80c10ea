//! What both workers have said, as one digest: the root key is encrypted for that and nothing else.

use sha2::{Digest, Sha256};

/// Where a joining worker asks for the giving one's document and nonce.
pub(crate) const CHALLENGE_PATH: &str = "/peer/challenge";
/// Where it hands in its own.
pub(crate) const JOIN_PATH: &str = "/peer/join";

/// `info` of the key schedule (RFC 9180 §5.1).
const INFO: &[u8] = b"sekisho v1 root key for a peer";
const LABEL_TRANSCRIPT: &[u8] = b"sekisho v1 peer transcript";
const LABEL_USER_DATA: &[u8] = b"sekisho v1 peer joins";

/// The documents, as they went over the wire, and the joining worker's configuration.
pub(crate) struct Transcript<'a> {
    pub(crate) giving: &'a [u8],
    pub(crate) joining: &'a [u8],
    pub(crate) configuration: &'a [u8],
}

impl Transcript<'_> {
    /// `info` and associated data of the answer. The documents hold both nonces, the giving
    /// worker's TLS key and the joining one's ephemeral key.
    pub(crate) fn binding(&self) -> (&'static [u8], [u8; 32]) {
        let mut digest = Sha256::new_with_prefix(LABEL_TRANSCRIPT);
        for part in [self.giving, self.joining, self.configuration] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        (INFO, digest.finalize().into())
    }
}

/// The user data of a joining worker's document: whom it wants to join, by the document that this
/// one gave it. So a document that was made for one worker is of no use with another.
pub(crate) fn joining_user_data(giving: &[u8]) -> Vec<u8> {
    [LABEL_USER_DATA, &Sha256::digest(giving)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpke::{HpkeKey, HpkePair};

    /// A replayed or swapped answer: it opens with the key, and is not of this exchange.
    #[test]
    fn an_answer_is_of_one_exchange() {
        let pair = HpkePair::generate().unwrap();
        let key = HpkeKey::from_spki(pair.public_key()).unwrap();
        let parts = [b"giving".as_slice(), b"joining", b"configuration"];
        let of = |[giving, joining, configuration]: [&[u8]; 3]| {
            Transcript { giving, joining, configuration }.binding()
        };
        let (info, bound) = of(parts);
        let sealed = key.seal_for(info, &bound, &[7; 32]).unwrap();
        assert_eq!(pair.open(info, &bound, &sealed).unwrap().as_slice(), [7; 32]);
        for at in 0..3 {
            let mut others = parts;
            others[at] = b"another";
            assert!(pair.open(info, &of(others).1, &sealed).is_none());
        }
        // Where one part ends and the next begins counts too.
        assert_ne!(of([b"a", b"bc", b"d"]).1, of([b"ab", b"c", b"d"]).1);
        assert_ne!(joining_user_data(b"a"), joining_user_data(b"b"));
    }
}
