//! HPKE (RFC 9180) to a P-384 key: base mode of DHKEM(P-384, HKDF-SHA384), HKDF-SHA384, AES-256-GCM.
//!
//! CiphertextForRecipient for a P-384 key in the document is one message for each encapsulation,
//! written down in docs/hpke-recipient.md. Beyond AWS: an EC key is made in a millisecond where an
//! RSA key takes an enclave a second. The audit log exports the key of an epoch instead
//! (docs/audit.md).

mod pair;

pub use pair::{HpkePair, InvalidPrivateKey};

use crate::secret::{Secret, fill_random};
use ::hpke::aead::AesGcm256;
use ::hpke::kdf::HkdfSha384;
use ::hpke::kem::DhP384HkdfSha384;
use ::hpke::rand_core::{TryCryptoRng, TryRng};
use ::hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng,
    single_shot_open, single_shot_seal_with_rng,
};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use thiserror::Error;
use zeroize::Zeroizing;

/// `info` of the key schedule (RFC 9180 §5.1): binds every message to this use and this version.
const INFO: &[u8] = b"sekisho v1 ciphertext for recipient";
/// The first byte of what the recipient gets.
const VERSION: u8 = 1;

/// A SubjectPublicKeyInfo (RFC 5480) up to the point: id-ecPublicKey, the named curve secp384r1,
/// and a BIT STRING whose first byte, 04, says that the point is uncompressed.
pub(crate) const P384_SPKI: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// Bytes of an encapsulated key: an uncompressed P-384 point.
pub(crate) const ENCAPSULATED_LENGTH: usize = 97;

/// An encapsulated key, `enc` of RFC 9180.
pub(crate) type Encapsulated = [u8; ENCAPSULATED_LENGTH];

/// The P-384 key that something is encrypted to.
pub(crate) struct HpkeKey {
    key: <DhP384HkdfSha384 as Kem>::PublicKey,
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub(crate) identifier: [u8; 32],
}

/// A public key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "not a P-384 key in DER SubjectPublicKeyInfo form with a named curve and an uncompressed point"
)]
pub struct UnusableKey;

/// The answer could not be encrypted.
#[derive(Debug, Error)]
#[error("the random generator or HPKE failed")]
pub(crate) struct SealFailed;

impl HpkeKey {
    /// Reads a DER SubjectPublicKeyInfo. The enclave chose these bytes: nothing in them is trusted.
    ///
    /// A P-384 key has exactly one encoding here, so the bytes before the point are compared as
    /// they are; that the point is on the curve and not at infinity is checked when it is read
    /// (NIST SP 800-56A §5.6.2.3.4; the curve's cofactor is 1).
    pub(crate) fn from_spki(spki: &[u8]) -> Result<Self, UnusableKey> {
        let point = spki.strip_prefix(P384_SPKI).ok_or(UnusableKey)?;
        let key = <DhP384HkdfSha384 as Kem>::PublicKey::from_bytes(point);
        Ok(Self { key: key.map_err(|_| UnusableKey)?, identifier: Sha256::digest(spki).into() })
    }

    /// Encrypts `content` so that only the holder of the private key reads it:
    /// version, encapsulated key (97 bytes), ciphertext, tag (16).
    pub(crate) fn seal(&self, content: &[u8]) -> Result<Vec<u8>, SealFailed> {
        self.seal_for(INFO, b"", content)
    }

    /// [`HpkeKey::seal`] for another use, which `info` names, bound to `associated_data`.
    /// [`HpkePair::open`] is the other side.
    pub(crate) fn seal_for(
        &self,
        info: &[u8],
        associated_data: &[u8],
        content: &[u8],
    ) -> Result<Vec<u8>, SealFailed> {
        let mut random = WorkerRandom { failed: false };
        let sealed = self.seal_with(info, associated_data, content, &mut random)?;
        if random.failed {
            return Err(SealFailed);
        }
        Ok(sealed)
    }

    /// [`HpkeKey::seal_for`] that the recipient knows to come from `sender`: Auth mode (RFC 9180
    /// §5.1.3). [`HpkePair::open_from`] is the other side.
    pub(crate) fn seal_from(
        &self,
        sender: &HpkePair,
        info: &[u8],
        associated_data: &[u8],
        content: &[u8],
    ) -> Result<Vec<u8>, SealFailed> {
        let mut random = WorkerRandom::default();
        let sender = sender.private.0.clone();
        let public = DhP384HkdfSha384::sk_to_pk(&sender);
        let (encapsulated, ciphertext) =
            single_shot_seal_with_rng::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
                &OpModeS::Auth((sender, public)),
                &self.key,
                info,
                content,
                associated_data,
                &mut random,
            )
            .map_err(|_| SealFailed)?;
        if random.failed {
            return Err(SealFailed);
        }
        Ok([[VERSION].as_slice(), &encapsulated.to_bytes(), &ciphertext].concat())
    }

    /// One encapsulation for many messages: a key exported from its context (RFC 9180 §5.3).
    pub(crate) fn export(
        &self,
        info: &[u8],
        exporter_context: &[u8],
    ) -> Result<(Encapsulated, Secret), SealFailed> {
        let mut random = WorkerRandom { failed: false };
        let exported = self.export_with(info, exporter_context, &mut random)?;
        if random.failed {
            return Err(SealFailed);
        }
        Ok(exported)
    }

    pub(crate) fn export_with(
        &self,
        info: &[u8],
        exporter_context: &[u8],
        random: &mut impl TryCryptoRng<Error = Infallible>,
    ) -> Result<(Encapsulated, Secret), SealFailed> {
        let (encapsulated, context) = setup_sender_with_rng::<
            AesGcm256,
            HkdfSha384,
            DhP384HkdfSha384,
        >(&OpModeS::Base, &self.key, info, random)
        .map_err(|_| SealFailed)?;
        let encapsulated = Encapsulated::try_from(encapsulated.to_bytes().as_slice());
        let mut exported = Zeroizing::new([0; 32]);
        context.export(exporter_context, exported.as_mut_slice()).map_err(|_| SealFailed)?;
        Ok((encapsulated.map_err(|_| SealFailed)?, Secret::from_bytes(&exported)))
    }

    fn seal_with(
        &self,
        info: &[u8],
        associated_data: &[u8],
        content: &[u8],
        random: &mut impl TryCryptoRng<Error = Infallible>,
    ) -> Result<Vec<u8>, SealFailed> {
        let (encapsulated, ciphertext) =
            single_shot_seal_with_rng::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
                &OpModeS::Base,
                &self.key,
                info,
                content,
                associated_data,
                random,
            )
            .map_err(|_| SealFailed)?;
        Ok([[VERSION].as_slice(), &encapsulated.to_bytes(), &ciphertext].concat())
    }
}

/// The other side of [`HpkeKey::export`].
pub(crate) struct HpkePrivateKey(<DhP384HkdfSha384 as Kem>::PrivateKey);

impl HpkePrivateKey {
    /// Reads a scalar, 48 bytes, big endian; 1 to the curve's order less one.
    pub(crate) fn from_scalar(scalar: &[u8]) -> Option<Self> {
        <DhP384HkdfSha384 as Kem>::PrivateKey::from_bytes(scalar).ok().map(Self)
    }

    /// What [`HpkeKey::seal_for`] was given; none for anything else.
    pub(crate) fn open(
        &self,
        info: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.open_as(&OpModeR::Base, info, associated_data, sealed)
    }

    /// What [`HpkeKey::seal_from`] was given by the holder of `sender`; none for anything else.
    pub(crate) fn open_from(
        &self,
        sender: &HpkeKey,
        info: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.open_as(&OpModeR::Auth(sender.key.clone()), info, associated_data, sealed)
    }

    fn open_as(
        &self,
        mode: &OpModeR<'_, DhP384HkdfSha384>,
        info: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (encapsulated, ciphertext) = rest.split_at_checked(ENCAPSULATED_LENGTH)?;
        let encapsulated = <DhP384HkdfSha384 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let opened = single_shot_open::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            mode,
            &self.0,
            &encapsulated,
            info,
            ciphertext,
            associated_data,
        );
        opened.ok().filter(|_| *version == VERSION).map(Zeroizing::new)
    }

    /// The key that the sender exported; none where `encapsulated` is no point of the curve.
    pub(crate) fn export(
        &self,
        encapsulated: &Encapsulated,
        info: &[u8],
        exporter_context: &[u8],
    ) -> Option<Secret> {
        let encapsulated = <DhP384HkdfSha384 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let context = setup_receiver::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            info,
        )
        .ok()?;
        let mut exported = Zeroizing::new([0; 32]);
        context.export(exporter_context, exported.as_mut_slice()).ok()?;
        Some(Secret::from_bytes(&exported))
    }
}

/// The worker's generator as `hpke` wants it: without an error. A failure is remembered instead,
/// and whatever was made with it is thrown away.
#[derive(Default)]
pub(crate) struct WorkerRandom {
    failed: bool,
}

impl WorkerRandom {
    /// Whether what was made with it must be thrown away.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }
}

impl TryRng for WorkerRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.failed |= fill_random(out).is_err();
        Ok(())
    }
}

impl TryCryptoRng for WorkerRandom {}

/// For test vectors: gives the same byte for ever.
#[cfg(test)]
pub(crate) struct Fixed(pub(crate) u8);

#[cfg(test)]
impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

#[cfg(test)]
impl TryCryptoRng for Fixed {}

#[cfg(test)]
mod tests {
    use super::*;

    type P384 = DhP384HkdfSha384;

    /// The recipient of docs/hpke-recipient.md: DeriveKeyPair of 48 bytes.
    fn recipient() -> (<P384 as Kem>::PrivateKey, Vec<u8>) {
        let (private, public) = P384::derive_keypair(&[0x11; 48]);
        (private, [P384_SPKI, &public.to_bytes()].concat())
    }

    fn open(private: &<P384 as Kem>::PrivateKey, sealed: &[u8]) -> Option<Vec<u8>> {
        let private = HpkePrivateKey::from_scalar(&private.to_bytes())?;
        private.open(INFO, b"", sealed).map(|opened| opened.to_vec())
    }

    fn documented(name: &str) -> String {
        let document = include_str!("../../docs/hpke-recipient.md");
        let block = document.split(&format!("```{name}\n")).nth(1).unwrap();
        block.split("```").next().unwrap().split_whitespace().collect()
    }

    /// The vector of docs/hpke-recipient.md, which independent implementations made again and
    /// opened.
    #[test]
    fn test_vector() {
        let (private, spki) = recipient();
        assert_eq!(hex::encode(&spki), documented("spki"));
        assert_eq!(hex::encode(private.to_bytes()), documented("private"));
        let key = HpkeKey::from_spki(&spki).unwrap();
        let sealed =
            key.seal_with(INFO, b"", b"a key passes the checkpoint", &mut Fixed(0x22)).unwrap();
        assert_eq!(hex::encode(&sealed), documented("vector"));
        assert_eq!(open(&private, &sealed).unwrap(), b"a key passes the checkpoint");
    }

    #[test]
    fn only_the_recipient_opens_and_only_what_was_sealed() {
        let (private, spki) = recipient();
        let (other, _) = P384::derive_keypair(&[0x12; 48]);
        let key = HpkeKey::from_spki(&spki).unwrap();
        let sealed = key.seal(&[7; 4096]).unwrap();
        assert_eq!(sealed.len(), 1 + 97 + 4096 + 16);
        assert_eq!(open(&private, &sealed).unwrap(), [7; 4096]);
        assert_eq!(open(&other, &sealed), None);
        for position in (0..120).chain(sealed.len() - 20..sealed.len()) {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(open(&private, &changed), None, "byte {position}");
        }
        assert_ne!(key.seal(b"x").unwrap(), key.seal(b"x").unwrap());
    }

    #[test]
    fn a_message_is_for_one_use_and_what_it_is_bound_to() {
        let pair = HpkePair::generate().unwrap();
        let key = HpkeKey::from_spki(pair.public_key()).unwrap();
        let sealed = key.seal_for(b"use", b"bound", b"content").unwrap();
        let open = |info: &[u8], bound: &[u8]| pair.open(info, bound, &sealed);
        assert_eq!(open(b"use", b"bound").unwrap().as_slice(), b"content");
        assert!(open(b"other", b"bound").is_none());
        assert!(open(b"use", b"other").is_none());
        assert!(open(INFO, b"").is_none());
        let other = HpkePair::generate().unwrap();
        assert!(other.open(b"use", b"bound", &sealed).is_none());
    }

    #[test]
    fn every_other_form_of_a_key_is_refused() {
        let (_, good) = recipient();
        let at = P384_SPKI.len();
        let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut spki = good.clone();
            edit(&mut spki);
            spki
        };
        let p256 = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
        let p256 = [hex::decode(p256).unwrap(), vec![1; 64]].concat();
        let cases = [
            ("nothing", Vec::new()),
            ("trailing byte", edited(&|spki| spki.push(0))),
            ("cut", edited(&|spki| spki.truncate(119))),
            ("point alone", good[at..].to_vec()),
            ("off the curve", edited(&|spki| spki[119] ^= 1)),
            ("a coordinate above the prime", edited(&|spki| spki[at + 1..at + 49].fill(0xff))),
            ("point at infinity", [P384_SPKI, &[0]].concat()),
            ("compressed point", edited(&|spki| spki[at] = 2)),
            ("hybrid point", edited(&|spki| spki[at] = 6)),
            ("unused bits", edited(&|spki| spki[at - 1] = 1)),
            ("another curve's name", edited(&|spki| spki[at - 4] = 0x23)),
            ("long form of a length", [&[0x30, 0x81, 0x76], &good[2..]].concat()),
            ("P-256", p256),
            ("PEM", b"-----BEGIN PUBLIC KEY-----".to_vec()),
        ];
        HpkeKey::from_spki(&good).unwrap();
        for (name, spki) in cases {
            assert!(HpkeKey::from_spki(&spki).is_err(), "{name}");
        }
    }
}
