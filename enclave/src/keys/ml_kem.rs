//! ML-KEM (FIPS 203). Secrets are encapsulated and decapsulated by AWS-LC. A private key is its
//! 64-byte seed, as AWS KMS has it; RustCrypto expands it, because AWS-LC's Rust interface takes the
//! expanded key alone.

use super::pair::PairError;
use super::spec::KeySpec;
use crate::secret::fill_random;
#[expect(deprecated, reason = "see `expand`")]
use ::ml_kem::ExpandedKeyEncoding;
use ::ml_kem::array::sizes::U64;
use ::ml_kem::kem::Decapsulator;
use ::ml_kem::{Kem, KeyExport, KeyInit, KeySizeUser, MlKem512, MlKem768, MlKem1024};
use aws_lc_rs::kem::{self, Algorithm, Ciphertext, DecapsulationKey, EncapsulationKey};
use zeroize::Zeroizing;

/// `d` and `z` of FIPS 203 §7.1.
const SEED_LENGTH: usize = 64;
/// AlgorithmIdentifier of id-alg-ml-kem-… (RFC 9935 §3) without its last byte, which names the
/// parameter set.
const ALGORITHM: [u8; 12] =
    [0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04];
/// What stands around the algorithm in a PrivateKeyInfo (RFC 5208) with the key as `[0] seed`
/// (RFC 9935 §6).
const BEFORE_ALGORITHM: [u8; 5] = [0x30, 0x54, 0x02, 0x01, 0x00];
const BEFORE_SEED: [u8; 4] = [0x04, 0x42, 0x80, 0x40];

/// One of the three parameter sets.
struct Parameters {
    algorithm: &'static Algorithm,
    /// The last byte of its object identifier.
    identifier: u8,
    ciphertext_length: usize,
    expand: fn(&[u8; SEED_LENGTH]) -> Expanded,
}

static ML_KEM_512: Parameters = Parameters {
    algorithm: &kem::ML_KEM_512,
    identifier: 1,
    ciphertext_length: 768,
    expand: expand::<MlKem512>,
};
static ML_KEM_768: Parameters = Parameters {
    algorithm: &kem::ML_KEM_768,
    identifier: 2,
    ciphertext_length: 1088,
    expand: expand::<MlKem768>,
};
static ML_KEM_1024: Parameters = Parameters {
    algorithm: &kem::ML_KEM_1024,
    identifier: 3,
    ciphertext_length: 1568,
    expand: expand::<MlKem1024>,
};

fn parameters(spec: KeySpec) -> Result<&'static Parameters, PairError> {
    match spec {
        KeySpec::MlKem512 => Ok(&ML_KEM_512),
        KeySpec::MlKem768 => Ok(&ML_KEM_768),
        KeySpec::MlKem1024 => Ok(&ML_KEM_1024),
        _ => Err(PairError::OtherKind),
    }
}

/// Both keys in FIPS 203's encoding.
struct Expanded {
    decapsulation: Zeroizing<Vec<u8>>,
    encapsulation: Vec<u8>,
}

/// ML-KEM.KeyGen_internal (FIPS 203, algorithm 16).
#[expect(deprecated, reason = "a warning to whoever stores this form; it goes to AWS-LC alone")]
fn expand<K: Kem>(seed: &[u8; SEED_LENGTH]) -> Expanded
where
    K::DecapsulationKey: KeyInit + KeySizeUser<KeySize = U64> + ExpandedKeyEncoding,
{
    let key = K::DecapsulationKey::new(seed.into());
    let encapsulation = key.encapsulation_key().to_bytes().to_vec();
    let decapsulation = Zeroizing::new(key.to_expanded_bytes());
    Expanded { decapsulation: Zeroizing::new(decapsulation.to_vec()), encapsulation }
}

/// A key pair, for who has its public key and for who has its private key.
pub(super) struct MlKemPair {
    decapsulating: DecapsulationKey,
    encapsulating: EncapsulationKey,
    parameters: &'static Parameters,
}

/// A secret that two parties share.
pub(crate) struct Encapsulated {
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) ciphertext: Vec<u8>,
}

/// The private key of a new key pair as PKCS #8.
pub(super) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let mut pkcs8 = before_seed(parameters(spec)?);
    let mut seed = Zeroizing::new([0; SEED_LENGTH]);
    fill_random(seed.as_mut_slice()).map_err(|_| PairError::Failed)?;
    pkcs8.extend_from_slice(seed.as_slice());
    Ok(pkcs8)
}

/// Has room for the seed.
fn before_seed(parameters: &Parameters) -> Zeroizing<Vec<u8>> {
    let mut document = Zeroizing::new(Vec::with_capacity(SEED_LENGTH.saturating_mul(2)));
    document.extend_from_slice(&BEFORE_ALGORITHM);
    document.extend_from_slice(&ALGORITHM);
    document.push(parameters.identifier);
    document.extend_from_slice(&BEFORE_SEED);
    document
}

impl MlKemPair {
    /// Takes the private key as a seed alone, as it is made here.
    pub(super) fn from_pkcs8(spec: KeySpec, pkcs8: &[u8]) -> Result<Self, PairError> {
        let parameters = parameters(spec)?;
        let seed = pkcs8.strip_prefix(before_seed(parameters).as_slice());
        let seed = seed.and_then(|seed| seed.try_into().ok()).ok_or(PairError::Failed)?;
        let expanded = (parameters.expand)(seed);
        let decapsulating = DecapsulationKey::new(parameters.algorithm, &expanded.decapsulation)?;
        let encapsulating = EncapsulationKey::new(parameters.algorithm, &expanded.encapsulation)?;
        Ok(Self { decapsulating, encapsulating, parameters })
    }

    /// DER SubjectPublicKeyInfo (RFC 9935 §4).
    pub(super) fn public_key(&self) -> Result<Vec<u8>, PairError> {
        let key = self.encapsulating.key_bytes()?;
        let bits = der(0x03, &[&[0], key.as_ref()]);
        Ok(der(0x30, &[&ALGORITHM, &[self.parameters.identifier], &bits]))
    }

    pub(super) fn encapsulate(&self) -> Result<Encapsulated, PairError> {
        let (ciphertext, secret) = self.encapsulating.encapsulate()?;
        let secret = Zeroizing::new(secret.as_ref().to_vec());
        Ok(Encapsulated { secret, ciphertext: ciphertext.as_ref().to_vec() })
    }

    pub(super) fn ciphertext_length(&self) -> usize {
        self.parameters.ciphertext_length
    }

    /// A ciphertext of the right length that is not for this key gives a secret that nobody else has
    /// (implicit rejection, FIPS 203 §6.3).
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        if ciphertext.len() != self.ciphertext_length() {
            return Err(PairError::Failed);
        }
        let secret = self.decapsulating.decapsulate(Ciphertext::from(ciphertext))?;
        Ok(Zeroizing::new(secret.as_ref().to_vec()))
    }
}

/// A DER value (X.690 §8.1) whose content takes up to 65,535 bytes, and more than 255.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[tag, 0x82], length.as_slice(), &content].concat()
}
