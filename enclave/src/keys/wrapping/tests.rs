//! What a token opens, and what unwraps.

use super::*;
use crate::keys::pair;
use crate::secret::fill_random;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use std::sync::OnceLock;

const KEY: KeyId = KeyId::from_u128(7);
const MATERIAL: &[u8] = b"thirty-two bytes of key material";

fn private() -> PrivateMaterial {
    static MADE: OnceLock<PrivateMaterial> = OnceLock::new();
    let make = || PrivateMaterial::new(pair::generate(KeySpec::Rsa2048).unwrap());
    MADE.get_or_init(make).clone()
}

fn wrapping_key(algorithm: WrappingAlgorithm) -> WrappingKey {
    let wrapping = Wrapping { algorithm, spec: KeySpec::Rsa2048 };
    WrappingKey { wrapping, expires: 1000, private: private() }
}

fn encrypt(hash: OaepHash, plaintext: &[u8]) -> Vec<u8> {
    let private = PrivateDecryptingKey::from_pkcs8(private().expose()).unwrap();
    let public = private.public_key().as_der().unwrap();
    let public = PublicEncryptingKey::from_der(public.as_ref()).unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let algorithm = match hash {
        OaepHash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepHash::Sha256 => &OAEP_SHA256_MGF1SHA256,
    };
    let mut room = vec![0; public.ciphertext_size()];
    public.encrypt(algorithm, plaintext, &mut room, None).unwrap().to_vec()
}

fn wrap(algorithm: WrappingAlgorithm, material: &[u8]) -> Vec<u8> {
    match algorithm {
        WrappingAlgorithm::Direct(hash) => encrypt(hash, material),
        WrappingAlgorithm::Hybrid(hash) => {
            let mut key = [0; 32];
            fill_random(&mut key).unwrap();
            let mut room = vec![0; material.len() + 15];
            let kek = AesKek::new(&AES_256, &key).unwrap();
            let wrapped = kek.wrap_with_padding(material, &mut room).unwrap();
            [encrypt(hash, &key), wrapped.to_vec()].concat()
        }
    }
}

const ALL: [WrappingAlgorithm; 4] = [
    WrappingAlgorithm::Direct(OaepHash::Sha1),
    WrappingAlgorithm::Direct(OaepHash::Sha256),
    WrappingAlgorithm::Hybrid(OaepHash::Sha1),
    WrappingAlgorithm::Hybrid(OaepHash::Sha256),
];

#[test]
fn what_was_wrapped_unwraps_by_its_own_algorithm_alone() {
    for algorithm in ALL {
        let wrapped = wrap(algorithm, MATERIAL);
        for other in ALL {
            let unwrapped = wrapping_key(other).unwrap(&wrapped);
            let right = algorithm == other;
            assert_eq!(unwrapped.is_ok(), right, "{algorithm:?} {other:?}");
            assert!(!right || unwrapped.unwrap().as_slice() == MATERIAL);
        }
    }
}

#[test]
fn every_change_and_cut_is_one_error() {
    for algorithm in [ALL[1], ALL[3]] {
        let (key, good) = (wrapping_key(algorithm), wrap(algorithm, MATERIAL));
        for position in (0..good.len()).step_by(7).chain([255, good.len() - 1]) {
            let mut changed = good.clone();
            changed[position] ^= 1;
            assert!(key.unwrap(&changed).is_err(), "{algorithm:?} {position}");
            assert!(key.unwrap(&good[..position]).is_err(), "{algorithm:?} {position}");
        }
        assert!(key.unwrap(&[good.as_slice(), &[0]].concat()).is_err());
        assert!(key.unwrap(&[good.as_slice(), &[0; 8]].concat()).is_err());
        assert!(key.unwrap(&[]).is_err());
    }
    // A key of another length than AES-256 wraps nothing.
    let short = [encrypt(OaepHash::Sha256, &[1; 16]), vec![0; 40]].concat();
    assert!(wrapping_key(ALL[3]).unwrap(&short).is_err());
}

#[test]
fn a_token_opens_for_its_key_and_its_time() {
    let tokens = ImportTokens::new(Secret::from_bytes(&[1; 32]));
    let sealed = wrapping_key(ALL[0]);
    let token = tokens.seal(KEY, &sealed).unwrap();
    let opened = tokens.open(KEY, &token, 999).unwrap();
    assert_eq!((opened.wrapping, opened.expires), (sealed.wrapping, 1000));
    assert_eq!(opened.private.expose(), sealed.private.expose());
    assert_eq!(tokens.open(KEY, &token, 1000).err(), Some(OpenToken::Expired));
    let invalid = Some(OpenToken::Invalid);
    assert_eq!(tokens.open(KeyId::NIL, &token, 999).err(), invalid);
    let others = ImportTokens::new(Secret::from_bytes(&[2; 32]));
    assert_eq!(others.open(KEY, &token, 999).err(), invalid);
    // An expired token of somebody else's says nothing of its time.
    assert_eq!(others.open(KEY, &token, 1000).err(), invalid);
    for position in (0..token.len()).step_by(5) {
        let mut changed = token.clone();
        changed[position] ^= 1;
        assert_eq!(tokens.open(KEY, &changed, 999).err(), invalid, "{position}");
        assert_eq!(tokens.open(KEY, &token[..position], 999).err(), invalid, "{position}");
    }
    // The holder of a token reads nothing in it.
    let modulus = &sealed.private.expose()[200..264];
    assert!(!token.windows(modulus.len()).any(|window| window == modulus));
}

#[test]
fn the_longest_token_is_within_awss_limit() {
    let tokens = ImportTokens::new(Secret::from_bytes(&[1; 32]));
    // An RSA-4096 private key in PKCS #8 has up to 2376 bytes.
    let private = PrivateMaterial::new(Zeroizing::new(vec![7; 2400]));
    let wrapping = Wrapping { algorithm: ALL[3], spec: KeySpec::Rsa4096 };
    let token = tokens.seal(KEY, &WrappingKey { wrapping, expires: u64::MAX, private }).unwrap();
    assert!(token.len() <= 6144, "{}", token.len());
}

/// AWS KMS API Reference, GetParametersForImport, `WrappingAlgorithm` and `WrappingKeySpec`.
#[test]
fn what_wraps_what() {
    fn wraps(algorithm: &str, spec: &str, material: KeySpec) -> bool {
        Wrapping::named(algorithm, spec, material).is_some()
    }
    for spec in ["RSA_2048", "RSA_3072", "RSA_4096"] {
        for hash in ["1", "256"] {
            let (direct, hybrid) =
                (format!("RSAES_OAEP_SHA_{hash}"), format!("RSA_AES_KEY_WRAP_SHA_{hash}"));
            // Of keys of lattices AWS imports no material.
            let imported = KeySpec::ALL.into_iter().filter(|spec| !spec.name().starts_with("ML_"));
            for material in imported {
                let is_rsa = material.name().starts_with("RSA_");
                let is_ecc = material.name().starts_with("ECC_");
                let named = material.name();
                let is_long = matches!(named, "ECC_NIST_P521" | "ECC_NIST_EDWARDS25519");
                let is_too_long = is_long && spec == "RSA_2048";
                assert_eq!(wraps(&hybrid, spec, material), is_rsa || is_ecc, "{hybrid} {named}");
                assert_eq!(wraps(&direct, spec, material), !is_rsa && !is_too_long, "{named}");
            }
        }
        for algorithm in ["RSAES_PKCS1_V1_5", "SM2PKE", "", "RSAES_OAEP_SHA_512"] {
            assert!(!wraps(algorithm, spec, KeySpec::SymmetricDefault), "{algorithm}");
        }
    }
    for spec in ["SM2", "RSA_1024", "ECC_NIST_P256", "SYMMETRIC_DEFAULT"] {
        assert!(!wraps("RSAES_OAEP_SHA_256", spec, KeySpec::SymmetricDefault), "{spec}");
    }
}
