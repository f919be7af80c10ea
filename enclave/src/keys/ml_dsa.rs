//! ML-DSA (FIPS 204), with an empty context. Messages are signed and verified by AWS-LC. What its
//! Rust interface does not have, the message representative μ made by the caller ("external mu"), is
//! RustCrypto's, over the same seed.

use super::pair::PairError;
use super::spec::KeySpec;
use crate::secret::{RandomUnavailable, fill_random};
use ::ml_dsa::signature::rand_core::{TryCryptoRng, TryRng};
use ::ml_dsa::{
    ExpandedSigningKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, VerifyingKey,
};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    self, KeyPair as _, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
    UnparsedPublicKey,
};
use zeroize::Zeroizing;

/// The message representative μ of FIPS 204 §6.2.
pub(super) type Mu = [u8; MU_LENGTH];
pub(super) const MU_LENGTH: usize = 64;
/// ξ of FIPS 204 §5.1.
type Seed = [u8; 32];
type SignMu = fn(&Seed, &Mu) -> Result<Vec<u8>, PairError>;
type VerifyMu = fn(&[u8], &Mu, &[u8]) -> Result<(), PairError>;

/// One of the three parameter sets.
struct Parameters {
    signing: &'static PqdsaSigningAlgorithm,
    verifying: &'static PqdsaVerificationAlgorithm,
    sign_mu: SignMu,
    verify_mu: VerifyMu,
}

static ML_DSA_44: Parameters = Parameters {
    signing: &signature::ML_DSA_44_SIGNING,
    verifying: &signature::ML_DSA_44,
    sign_mu: sign_mu::<MlDsa44>,
    verify_mu: verify_mu::<MlDsa44>,
};
static ML_DSA_65: Parameters = Parameters {
    signing: &signature::ML_DSA_65_SIGNING,
    verifying: &signature::ML_DSA_65,
    sign_mu: sign_mu::<MlDsa65>,
    verify_mu: verify_mu::<MlDsa65>,
};
static ML_DSA_87: Parameters = Parameters {
    signing: &signature::ML_DSA_87_SIGNING,
    verifying: &signature::ML_DSA_87,
    sign_mu: sign_mu::<MlDsa87>,
    verify_mu: verify_mu::<MlDsa87>,
};

fn parameters(spec: KeySpec) -> Result<&'static Parameters, PairError> {
    match spec {
        KeySpec::MlDsa44 => Ok(&ML_DSA_44),
        KeySpec::MlDsa65 => Ok(&ML_DSA_65),
        KeySpec::MlDsa87 => Ok(&ML_DSA_87),
        _ => Err(PairError::OtherKind),
    }
}

/// A key pair. The expanded key of the second implementation is made when it is needed: it takes tens
/// of kilobytes.
pub(super) struct MlDsaPair {
    pair: PqdsaKeyPair,
    seed: Zeroizing<Seed>,
    parameters: &'static Parameters,
}

/// The private key of a new key pair as PKCS #8: its seed (RFC 9881 §6).
pub(super) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let pair = PqdsaKeyPair::generate(parameters(spec)?.signing)?;
    Ok(Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()))
}

impl MlDsaPair {
    /// A private key without its seed is refused.
    pub(super) fn from_pkcs8(spec: KeySpec, pkcs8: &[u8]) -> Result<Self, PairError> {
        let parameters = parameters(spec)?;
        let pair = PqdsaKeyPair::from_pkcs8(parameters.signing, pkcs8)?;
        // The document that AWS-LC writes ends with the seed.
        let document = pair.to_pkcs8v1()?;
        let seed = Zeroizing::new(*document.as_ref().last_chunk().ok_or(PairError::Failed)?);
        Ok(Self { pair, seed, parameters })
    }

    /// DER SubjectPublicKeyInfo (RFC 9881 §4).
    pub(super) fn public_key(&self) -> Result<Vec<u8>, PairError> {
        Ok(self.pair.public_key().as_der()?.as_ref().to_vec())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PairError> {
        let mut signature = vec![0; self.parameters.signing.signature_len()];
        self.pair.sign(message, &mut signature)?;
        Ok(signature)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PairError> {
        let key = self.pair.public_key().as_ref();
        Ok(UnparsedPublicKey::new(self.parameters.verifying, key).verify(message, signature)?)
    }

    /// Signs what [`MlDsaPair::sign`] makes of a message before it signs.
    pub(super) fn sign_mu(&self, mu: &Mu) -> Result<Vec<u8>, PairError> {
        (self.parameters.sign_mu)(&self.seed, mu)
    }

    pub(super) fn verify_mu(&self, mu: &Mu, signature: &[u8]) -> Result<(), PairError> {
        (self.parameters.verify_mu)(self.pair.public_key().as_ref(), mu, signature)
    }
}

/// ML-DSA.Sign_internal (FIPS 204, algorithm 7) from its step 6, hedged.
fn sign_mu<P: MlDsaParams>(seed: &Seed, mu: &Mu) -> Result<Vec<u8>, PairError> {
    let key = ExpandedSigningKey::<P>::from_seed(seed.into());
    let signature = key.sign_mu_randomized(mu.into(), &mut WorkerRandom);
    Ok(signature.map_err(|_| PairError::Failed)?.encode().to_vec())
}

/// ML-DSA.Verify_internal (FIPS 204, algorithm 8) from its step 7.
fn verify_mu<P: MlDsaParams>(
    public_key: &[u8],
    mu: &Mu,
    signature: &[u8],
) -> Result<(), PairError> {
    let public_key = public_key.try_into().map_err(|_| PairError::Failed)?;
    let signature = Signature::<P>::try_from(signature).map_err(|_| PairError::Failed)?;
    let valid = VerifyingKey::<P>::decode(public_key).verify_mu(mu.into(), &signature);
    valid.then_some(()).ok_or(PairError::Failed)
}

/// The worker's generator as RustCrypto wants it.
struct WorkerRandom;

impl TryRng for WorkerRandom {
    type Error = RandomUnavailable;

    fn try_next_u32(&mut self) -> Result<u32, RandomUnavailable> {
        let mut bytes = [0; 4];
        fill_random(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomUnavailable> {
        let mut bytes = [0; 8];
        fill_random(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable> {
        fill_random(out)
    }
}

impl TryCryptoRng for WorkerRandom {}
