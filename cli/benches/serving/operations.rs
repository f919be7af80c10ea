//! What each group of operations costs the worker, beside the primitive that it cannot do without.

#![expect(clippy::indexing_slicing, reason = "members of JSON that is made here")]

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::agreement::{self, EphemeralPrivateKey};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair};
use aws_lc_rs::{aead, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Result;
use crate::kms::Kms;
use crate::load::{Call, Target, load};
use crate::raw::time;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 2] = [1, 16];
/// What is signed, authenticated and encrypted.
const MESSAGE: [u8; 32] = [7; 32];

struct Row {
    group: &'static str,
    name: String,
    call: Call,
    /// What the primitive takes one core; none where there is no cryptography.
    primitive: Option<Duration>,
}

/// Measures every group for `duration` a cell and prints a table.
pub(crate) async fn measure(folder: &Path, duration: Duration) -> Result {
    let kms = Kms::start(folder)?;
    let target = kms.target()?;
    let worker = kms.worker()?;
    let rows = rows(&kms, &target).await?;
    println!("\n{} s a cell; the worker's processor time a request, in µs\n", duration.as_secs());
    println!(
        "| | | primitive | 1 conn.: req/s | p50 | worker | above it | 16 conn.: req/s | p50 | worker | above it |"
    );
    println!("|---|---|{}", "---:|".repeat(9));
    for row in rows {
        let primitive = row.primitive.unwrap_or_default().as_secs_f64() * 1e6;
        print!("| {} | {} | {primitive:.1} |", row.group, row.name);
        for connections in CONNECTIONS {
            let before = worker.processor_time()?;
            let load = load(&target, &row.call, connections, duration).await?;
            let spent = worker.processor_time()? - before;
            let each = spent.as_secs_f64() * 1e6 / load.all as f64;
            let above = each - primitive;
            print!(" {:.0} | {} | {each:.0} | {above:.0} |", load.rate, load.p50);
        }
        println!();
    }
    Ok(())
}

async fn rows(kms: &Kms, target: &Target) -> Result<Vec<Row>> {
    let mut rows = symmetric(kms, target).await?;
    rows.extend(macs(kms, target).await?);
    rows.extend(rsa(kms, target).await?);
    for curve in &CURVES {
        rows.extend(ecdsa(kms, target, curve).await?);
    }
    rows.push(agreement(kms, target).await?);
    rows.extend(control(kms, target).await?);
    Ok(rows)
}

/// Makes a key, and calls it once so as to have a ciphertext or a signature to work on.
async fn key(kms: &Kms, target: &Target, spec: &str, usage: &str) -> Result<String> {
    let made =
        kms.call(target, "CreateKey", &json!({ "KeySpec": spec, "KeyUsage": usage })).await?;
    text(&made, "/KeyMetadata/KeyId")
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    Ok(found.map(str::to_owned).ok_or_else(|| format!("no {pointer} in {answer}"))?)
}

async fn symmetric(kms: &Kms, target: &Target) -> Result<Vec<Row>> {
    let id = key(kms, target, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await?;
    let plaintext = BASE64.encode(MESSAGE);
    let encrypt = json!({ "KeyId": id, "Plaintext": plaintext });
    let sealed = text(&kms.call(target, "Encrypt", &encrypt).await?, "/CiphertextBlob")?;
    let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &MESSAGE)?);
    let aes = time(|| {
        let mut room = MESSAGE.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        Ok(cipher.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut room)?)
    })?;
    let row = |name: &str, body: Value, wants: &[u8], times: u32| -> Result<Row> {
        let call = kms.signed(name, &body, wants)?;
        Ok(Row { group: "AES-256-GCM", name: name.into(), call, primitive: Some(aes * times) })
    };
    Ok(vec![
        row("Encrypt", encrypt, b"\"CiphertextBlob\"", 1)?,
        row("Decrypt", json!({ "CiphertextBlob": sealed }), b"\"Plaintext\"", 1)?,
        row(
            "ReEncrypt",
            json!({ "CiphertextBlob": sealed, "DestinationKeyId": id }),
            b"\"CiphertextBlob\"",
            2,
        )?,
        row("GenerateDataKey", json!({ "KeyId": id, "KeySpec": "AES_256" }), b"\"Plaintext\"", 1)?,
    ])
}

async fn macs(kms: &Kms, target: &Target) -> Result<Vec<Row>> {
    let id = key(kms, target, "HMAC_256", "GENERATE_VERIFY_MAC").await?;
    let mut body =
        json!({ "KeyId": id, "Message": BASE64.encode(MESSAGE), "MacAlgorithm": "HMAC_SHA_256" });
    let mac = text(&kms.call(target, "GenerateMac", &body).await?, "/Mac")?;
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &MESSAGE);
    let primitive = Some(time(|| {
        let _ = hmac::sign(&secret, &MESSAGE);
        Ok(())
    })?);
    let generate = kms.signed("GenerateMac", &body, b"\"Mac\"")?;
    body["Mac"] = mac.into();
    let verify = kms.signed("VerifyMac", &body, b"\"MacValid\"")?;
    let row = |name: &str, call| Row { group: "HMAC", name: name.into(), call, primitive };
    Ok(vec![row("GenerateMac", generate), row("VerifyMac", verify)])
}

async fn rsa(kms: &Kms, target: &Target) -> Result<Vec<Row>> {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
    let pkcs8: Pkcs8V1Der<'_> = private.as_der()?;
    let pair = RsaKeyPair::from_pkcs8(pkcs8.as_ref())?;
    let random = SystemRandom::new();
    let mut signed = vec![0; pair.public_modulus_len()];
    let sign =
        time(|| Ok(pair.sign(&signature::RSA_PSS_SHA256, &random, &MESSAGE, &mut signed)?))?;
    let public =
        ParsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, pair.public_key().as_ref())?;
    let verify = time(|| Ok(public.verify_sig(&MESSAGE, &signed)?))?;
    let oaep = OaepPublicEncryptingKey::new(private.public_key())?;
    let mut room = vec![0; oaep.ciphertext_size()];
    let sealed = oaep.encrypt(&OAEP_SHA256_MGF1SHA256, &MESSAGE, &mut room, None)?.to_vec();
    let encrypt = time(|| {
        oaep.encrypt(&OAEP_SHA256_MGF1SHA256, &MESSAGE, &mut room, None)?;
        Ok(())
    })?;
    let oaep = OaepPrivateDecryptingKey::new(private)?;
    let decrypt = time(|| {
        oaep.decrypt(&OAEP_SHA256_MGF1SHA256, &sealed, &mut room, None)?;
        Ok(())
    })?;

    let group = "RSA-2048";
    let signer = key(kms, target, "RSA_2048", "SIGN_VERIFY").await?;
    let [signing, verifying] = signatures(kms, target, &signer, "RSASSA_PSS_SHA_256").await?;
    let id = key(kms, target, "RSA_2048", "ENCRYPT_DECRYPT").await?;
    let algorithm = "RSAES_OAEP_SHA_256";
    let plaintext = BASE64.encode(MESSAGE);
    let body = json!({ "KeyId": id, "EncryptionAlgorithm": algorithm, "Plaintext": plaintext });
    let blob = text(&kms.call(target, "Encrypt", &body).await?, "/CiphertextBlob")?;
    let encrypting = kms.signed("Encrypt", &body, b"\"CiphertextBlob\"")?;
    let body = json!({ "KeyId": id, "EncryptionAlgorithm": algorithm, "CiphertextBlob": blob });
    let decrypting = kms.signed("Decrypt", &body, b"\"Plaintext\"")?;
    let row =
        |name: &str, call, took| Row { group, name: name.into(), call, primitive: Some(took) };
    Ok(vec![
        row("Sign, PSS", signing, sign),
        row("Verify, PSS", verifying, verify),
        row("Encrypt, OAEP", encrypting, encrypt),
        row("Decrypt, OAEP", decrypting, decrypt),
    ])
}

/// `Sign` and the `Verify` that belongs to it.
async fn signatures(kms: &Kms, target: &Target, id: &str, algorithm: &str) -> Result<[Call; 2]> {
    let message = BASE64.encode(MESSAGE);
    let mut body = json!({ "KeyId": id, "SigningAlgorithm": algorithm, "Message": message });
    let signed = text(&kms.call(target, "Sign", &body).await?, "/Signature")?;
    let sign = kms.signed("Sign", &body, b"\"Signature\"")?;
    body["Signature"] = signed.into();
    Ok([sign, kms.signed("Verify", &body, b"\"SignatureValid\"")?])
}

struct Curve {
    group: &'static str,
    spec: &'static str,
    algorithm: &'static str,
    signing: &'static signature::EcdsaSigningAlgorithm,
    verifying: &'static signature::EcdsaVerificationAlgorithm,
}

const CURVES: [Curve; 4] = [
    Curve {
        group: "P-256",
        spec: "ECC_NIST_P256",
        algorithm: "ECDSA_SHA_256",
        signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        verifying: &signature::ECDSA_P256_SHA256_ASN1,
    },
    Curve {
        group: "P-384",
        spec: "ECC_NIST_P384",
        algorithm: "ECDSA_SHA_384",
        signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        verifying: &signature::ECDSA_P384_SHA384_ASN1,
    },
    Curve {
        group: "P-521",
        spec: "ECC_NIST_P521",
        algorithm: "ECDSA_SHA_512",
        signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        verifying: &signature::ECDSA_P521_SHA512_ASN1,
    },
    Curve {
        group: "secp256k1",
        spec: "ECC_SECG_P256K1",
        algorithm: "ECDSA_SHA_256",
        signing: &signature::ECDSA_P256K1_SHA256_ASN1_SIGNING,
        verifying: &signature::ECDSA_P256K1_SHA256_ASN1,
    },
];

async fn ecdsa(kms: &Kms, target: &Target, curve: &Curve) -> Result<[Row; 2]> {
    let pair = EcdsaKeyPair::generate(curve.signing)?;
    let random = SystemRandom::new();
    let signed = pair.sign(&random, &MESSAGE)?;
    let sign = time(|| {
        pair.sign(&random, &MESSAGE)?;
        Ok(())
    })?;
    let public = ParsedPublicKey::new(curve.verifying, pair.public_key().as_ref())?;
    let verify = time(|| Ok(public.verify_sig(&MESSAGE, signed.as_ref())?))?;
    let id = key(kms, target, curve.spec, "SIGN_VERIFY").await?;
    let [signing, verifying] = signatures(kms, target, &id, curve.algorithm).await?;
    let row = |name: &str, call, took| Row {
        group: curve.group,
        name: name.into(),
        call,
        primitive: Some(took),
    };
    Ok([row("Sign", signing, sign), row("Verify", verifying, verify)])
}

async fn agreement(kms: &Kms, target: &Target) -> Result<Row> {
    let random = SystemRandom::new();
    let peer = agreement::PrivateKey::generate(&agreement::ECDH_P256)?;
    let spki: PublicKeyX509Der<'_> = peer.compute_public_key()?.as_der()?;
    let public = peer.compute_public_key()?;
    let public = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, public.as_ref());
    let fresh = time(|| {
        EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random)?;
        Ok(())
    })?;
    let both = time(|| {
        let own = EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random)?;
        agreement::agree_ephemeral(own, public, "no agreement".into(), |_| Ok(()))
    })?;
    let id = key(kms, target, "ECC_NIST_P256", "KEY_AGREEMENT").await?;
    let body = json!({
        "KeyId": id,
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": BASE64.encode(spki.as_ref()),
    });
    Ok(Row {
        group: "P-256",
        name: "DeriveSharedSecret".into(),
        call: kms.signed("DeriveSharedSecret", &body, b"\"SharedSecret\"")?,
        primitive: Some(both.saturating_sub(fresh)),
    })
}

/// Operations without cryptography of their own: reading, listing, changing.
async fn control(kms: &Kms, target: &Target) -> Result<Vec<Row>> {
    let id = key(kms, target, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await?;
    let of_key = json!({ "KeyId": id });
    let tags = json!({ "KeyId": id, "Tags": [{ "TagKey": "bench", "TagValue": "mark" }] });
    let row = |group, name: &str, body: &Value, wants: &[u8]| -> Result<Row> {
        let call = kms.signed(name, body, wants)?;
        Ok(Row { group, name: name.into(), call, primitive: None })
    };
    Ok(vec![
        row("reading", "DescribeKey", &of_key, b"\"KeyMetadata\"")?,
        row("reading", "GetKeyPolicy", &of_key, b"\"Policy\"")?,
        row("reading", "ListKeys", &json!({ "Limit": 10 }), b"\"Keys\"")?,
        row("reading", "GenerateRandom", &json!({ "NumberOfBytes": 32 }), b"\"Plaintext\"")?,
        row("changing", "TagResource", &tags, b"{}")?,
    ])
}
