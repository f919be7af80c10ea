//! Each group of operations with keys that are not symmetric, and what its primitive alone takes.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey as Peer};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    self, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Result;
use crate::kms::Kms;
use crate::load::{Call, Target};
use crate::raw::{Cost, cost};

const MESSAGE: [u8; 32] = [7; 32];

/// A row: a request again and again, beside one use of AWS-LC.
pub(crate) struct Primitive {
    pub(crate) name: &'static str,
    pub(crate) call: Call,
    pub(crate) raw: Cost,
}

/// What a row asks of a new key: an operation, perhaps after another one that makes what it takes.
struct Wanted {
    name: &'static str,
    key: [&'static str; 2],
    before: Option<(&'static str, Value, &'static str)>,
    operation: &'static str,
    body: Value,
    answer: &'static str,
    raw: fn() -> Result<Cost>,
}

/// All of them.
pub(crate) async fn rows(kms: &Kms, target: &Target) -> Result<Vec<Primitive>> {
    let mut found = Vec::new();
    for wanted in all()? {
        let Wanted { name, key: [spec, usage], before, operation, body, answer, raw } = wanted;
        let created = json!({ "KeySpec": spec, "KeyUsage": usage });
        let created = kms.call(target, "CreateKey", &created).await?;
        let key_id = created.pointer("/KeyMetadata/KeyId").ok_or("no key")?.clone();
        let mut body = and(body, "KeyId", key_id.clone());
        if let Some((operation, before, member)) = before {
            let made = kms.call(target, operation, &and(before, "KeyId", key_id)).await?;
            body = and(body, member, made.get(member).ok_or("no answer")?.clone());
        }
        let call = kms.signed(operation, &body, answer.as_bytes())?;
        found.push(Primitive { name, call, raw: raw()? });
    }
    Ok(found)
}

/// A request with one member more.
fn and(mut body: Value, name: &str, value: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.into(), value);
    }
    body
}

fn all() -> Result<Vec<Wanted>> {
    let message = BASE64.encode(MESSAGE);
    let peer = PrivateKey::generate(&agreement::ECDH_P256)?.compute_public_key()?;
    let peer: aws_lc_rs::encoding::PublicKeyX509Der<'_> = peer.as_der()?;
    let mac = json!({ "Message": message, "MacAlgorithm": "HMAC_SHA_256" });
    let oaep = json!({ "EncryptionAlgorithm": "RSAES_OAEP_SHA_256" });
    let oaep_plaintext =
        json!({ "Plaintext": message, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256" });
    let kem = json!({ "EncapsulationAlgorithm": "ML_KEM" });
    let ecdh =
        json!({ "KeyAgreementAlgorithm": "ECDH", "PublicKey": BASE64.encode(peer.as_ref()) });
    let blob = "SharedSecretCiphertextBlob";
    let row = |name, key, before, operation, body, answer, raw| Wanted {
        name,
        key,
        before,
        operation,
        body,
        answer,
        raw,
    };
    let mut rows = vec![
        row(
            "GenerateMac HMAC_256",
            ["HMAC_256", "GENERATE_VERIFY_MAC"],
            None,
            "GenerateMac",
            mac.clone(),
            "\"Mac\"",
            raw_mac as fn() -> _,
        ),
        row(
            "VerifyMac HMAC_256",
            ["HMAC_256", "GENERATE_VERIFY_MAC"],
            Some(("GenerateMac", mac.clone(), "Mac")),
            "VerifyMac",
            mac,
            "\"MacValid\"",
            raw_mac,
        ),
        row(
            "Encrypt RSA_2048",
            ["RSA_2048", "ENCRYPT_DECRYPT"],
            None,
            "Encrypt",
            oaep_plaintext.clone(),
            "\"CiphertextBlob\"",
            || raw_oaep(true),
        ),
        row(
            "Decrypt RSA_2048",
            ["RSA_2048", "ENCRYPT_DECRYPT"],
            Some(("Encrypt", oaep_plaintext, "CiphertextBlob")),
            "Decrypt",
            oaep,
            "\"Plaintext\"",
            || raw_oaep(false),
        ),
        row(
            "DeriveSharedSecret P-256",
            ["ECC_NIST_P256", "KEY_AGREEMENT"],
            None,
            "DeriveSharedSecret",
            ecdh,
            "\"SharedSecret\"",
            raw_ecdh,
        ),
        row(
            "Encapsulate ML_KEM_768",
            ["ML_KEM_768", "ENCAPSULATE_DECAPSULATE"],
            None,
            "Encapsulate",
            kem.clone(),
            "\"SharedSecret\"",
            || raw_kem(true),
        ),
        row(
            "Decapsulate ML_KEM_768",
            ["ML_KEM_768", "ENCAPSULATE_DECAPSULATE"],
            Some(("Encapsulate", kem.clone(), blob)),
            "Decapsulate",
            kem,
            "\"SharedSecret\"",
            || raw_kem(false),
        ),
    ];
    for (sign, verify, spec, algorithm, raw_sign, raw_verify) in [
        (
            "Sign RSA_2048 PSS",
            "Verify RSA_2048 PSS",
            "RSA_2048",
            "RSASSA_PSS_SHA_256",
            (|| raw_rsa(true)) as fn() -> _,
            (|| raw_rsa(false)) as fn() -> _,
        ),
        (
            "Sign P-256",
            "Verify P-256",
            "ECC_NIST_P256",
            "ECDSA_SHA_256",
            || raw_ecdsa(true),
            || raw_ecdsa(false),
        ),
        (
            "Sign Ed25519",
            "Verify Ed25519",
            "ECC_NIST_EDWARDS25519",
            "ED25519_SHA_512",
            || raw_ed25519(true),
            || raw_ed25519(false),
        ),
        (
            "Sign ML_DSA_65",
            "Verify ML_DSA_65",
            "ML_DSA_65",
            "ML_DSA_SHAKE_256",
            || raw_ml_dsa(true),
            || raw_ml_dsa(false),
        ),
    ] {
        let body = json!({ "Message": message, "SigningAlgorithm": algorithm });
        let key = [spec, "SIGN_VERIFY"];
        rows.push(row(sign, key, None, "Sign", body.clone(), "\"Signature\"", raw_sign));
        let before = Some(("Sign", body.clone(), "Signature"));
        rows.push(row(verify, key, before, "Verify", body, "\"SignatureValid\"", raw_verify));
    }
    Ok(rows)
}

fn raw_mac() -> Result<Cost> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &MESSAGE);
    cost(|| {
        std::hint::black_box(hmac::sign(&key, &MESSAGE));
        Ok(())
    })
}

fn raw_oaep(encrypts: bool) -> Result<Cost> {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
    let public = OaepPublicEncryptingKey::new(private.public_key())?;
    let private = OaepPrivateDecryptingKey::new(private)?;
    let mut room = vec![0; public.ciphertext_size()];
    let algorithm = &OAEP_SHA256_MGF1SHA256;
    let sealed = public.encrypt(algorithm, &MESSAGE, &mut room, None)?.to_vec();
    cost(|| {
        if encrypts {
            public.encrypt(algorithm, &MESSAGE, &mut room, None)?;
        } else {
            private.decrypt(algorithm, &sealed, &mut room, None)?;
        }
        Ok(())
    })
}

fn raw_ecdh() -> Result<Cost> {
    let private = PrivateKey::generate(&agreement::ECDH_P256)?;
    let peer = PrivateKey::generate(&agreement::ECDH_P256)?.compute_public_key()?;
    cost(|| {
        let peer = Peer::new(&agreement::ECDH_P256, peer.as_ref());
        Ok(agreement::agree(&private, peer, "no agreement", |_| Ok(()))?)
    })
}

fn raw_kem(encapsulates: bool) -> Result<Cost> {
    let private = DecapsulationKey::generate(&ML_KEM_768)?;
    let public = private.encapsulation_key()?;
    let (sealed, _) = public.encapsulate()?;
    cost(|| {
        if encapsulates {
            public.encapsulate()?;
        } else {
            private.decapsulate(Ciphertext::from(sealed.as_ref()))?;
        }
        Ok(())
    })
}

fn raw_rsa(signs: bool) -> Result<Cost> {
    let pair = rsa::KeyPair::generate(KeySize::Rsa2048)?;
    let mut made = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&signature::RSA_PSS_SHA256, &random, &MESSAGE, &mut made)?;
    let parameters = &signature::RSA_PSS_2048_8192_SHA256;
    let public = UnparsedPublicKey::new(parameters, pair.public_key().as_ref());
    cost(|| {
        if signs {
            let mut room = made.clone();
            Ok(pair.sign(&signature::RSA_PSS_SHA256, &random, &MESSAGE, &mut room)?)
        } else {
            Ok(public.verify(&MESSAGE, &made)?)
        }
    })
}

fn raw_ecdsa(signs: bool) -> Result<Cost> {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let random = SystemRandom::new();
    let made = pair.sign(&random, &MESSAGE)?;
    let algorithm = &signature::ECDSA_P256_SHA256_ASN1;
    let public = UnparsedPublicKey::new(algorithm, pair.public_key().as_ref());
    cost(|| {
        if signs {
            pair.sign(&random, &MESSAGE)?;
            Ok(())
        } else {
            Ok(public.verify(&MESSAGE, made.as_ref())?)
        }
    })
}

fn raw_ed25519(signs: bool) -> Result<Cost> {
    let pair = Ed25519KeyPair::generate()?;
    let made = pair.try_sign(&MESSAGE)?;
    let public = UnparsedPublicKey::new(&signature::ED25519, pair.public_key().as_ref());
    cost(|| {
        if signs {
            pair.try_sign(&MESSAGE)?;
            Ok(())
        } else {
            Ok(public.verify(&MESSAGE, made.as_ref())?)
        }
    })
}

fn raw_ml_dsa(signs: bool) -> Result<Cost> {
    let pair = PqdsaKeyPair::generate(&signature::ML_DSA_65_SIGNING)?;
    let mut made = vec![0; pair.algorithm().signature_len()];
    pair.sign(&MESSAGE, &mut made)?;
    let public = UnparsedPublicKey::new(&signature::ML_DSA_65, pair.public_key().as_ref());
    cost(|| {
        if signs {
            let mut room = made.clone();
            pair.sign(&MESSAGE, &mut room)?;
            Ok(())
        } else {
            Ok(public.verify(&MESSAGE, &made)?)
        }
    })
}
