//! `Recipient`: an attestation document that has not been verified.

use super::{ApiError, Fields};

/// The member `Recipient` of a request.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) algorithm: KeyEncryptionAlgorithm,
    pub(crate) document: Vec<u8>,
}

/// `KeyEncryptionMechanism` of AWS's service model, and what Sekisho has beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeyEncryptionAlgorithm {
    #[default]
    RsaesOaepSha256,
    /// Not in AWS: docs/hpke-recipient.md.
    HpkeP384,
}

impl KeyEncryptionAlgorithm {
    const ALL: [Self; 2] = [Self::RsaesOaepSha256, Self::HpkeP384];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::HpkeP384 => "HPKE_P384_HKDF_SHA384_AES_256_GCM",
        }
    }
}

impl Recipient {
    /// The member that names the algorithm; policies see it under the same name.
    pub(crate) const ALGORITHM: &str = "KeyEncryptionAlgorithm";
    /// AWS's limit for `AttestationDocument`.
    const MAX_DOCUMENT: usize = 262_144;

    /// Reads the member `Recipient`. Both its members are needed for a document to count.
    pub(crate) fn read(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        const NAME: &str = "Recipient";
        let Some(mut recipient) = fields.structure(NAME)? else {
            return Ok(None);
        };
        let names = KeyEncryptionAlgorithm::ALL.map(KeyEncryptionAlgorithm::name);
        let name = recipient.choice(Self::ALGORITHM, &names)?;
        let algorithm =
            KeyEncryptionAlgorithm::ALL.into_iter().find(|one| Some(one.name()) == name);
        let algorithm = recipient.required(Self::ALGORITHM, algorithm);
        let document =
            recipient.required_public_blob("AttestationDocument", 1, Self::MAX_DOCUMENT)?;
        fields.absorb(NAME, recipient);
        Ok(Some(Self { algorithm, document }))
    }
}
