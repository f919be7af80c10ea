//! Every primitive of the API against good and bad inputs of other implementations:
//! `tests/vectors/primitives.json`, which `tests/vectors/generate.py` makes.

use super::ciphertext::CiphertextBlob;
use super::context::EncryptionContext;
use super::material::KeyMaterial;
use super::pair::KeyPair;
use super::private::PrivateMaterial;
use super::signing::{MessageType, Signable, SigningAlgorithm};
use super::spec::{KeySpec, KeyUsage, SYMMETRIC_DEFAULT};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Vectors of one key.
struct Group {
    kind: String,
    spec: KeySpec,
    private_key: Vec<u8>,
    public_key: Vec<u8>,
    tests: Vec<Value>,
}

fn groups(kind: &str) -> Vec<Group> {
    let file: Value =
        serde_json::from_str(include_str!("../../tests/vectors/primitives.json")).unwrap();
    let read = |group: &Value| Group {
        kind: group["kind"].as_str().unwrap().into(),
        spec: KeySpec::named(group["spec"].as_str().unwrap()).unwrap(),
        private_key: BASE64.decode(group["private_key"].as_str().unwrap()).unwrap(),
        public_key: BASE64.decode(group["public_key"].as_str().unwrap_or_default()).unwrap(),
        tests: group["tests"].as_array().unwrap().clone(),
    };
    let all = file["groups"].as_array().unwrap().iter().map(read);
    all.filter(|group| group.kind == kind).collect()
}

impl Group {
    fn pair(&self, usage: KeyUsage) -> KeyPair {
        let pair = KeyPair::from_pkcs8(self.spec, usage, &self.private_key).unwrap();
        assert_eq!(pair.public_key, self.public_key, "the public key of {:?}", self.spec);
        pair
    }

    /// The bytes of a field: in base64, or as another test's with a change in the middle.
    fn bytes(&self, test: &Value, field: &str) -> Option<Vec<u8>> {
        if let Some(text) = test[field].as_str() {
            return Some(BASE64.decode(text).unwrap());
        }
        let edit = test[field].as_array()?;
        let number = |at: usize| usize::try_from(edit[at].as_u64().unwrap()).unwrap();
        let like = self.bytes(&self.tests[number(0)], field).unwrap();
        let middle = BASE64.decode(edit[2].as_str().unwrap()).unwrap();
        Some([&like[..number(1)], &middle, &like[like.len() - number(3)..]].concat())
    }

    fn name(&self, test: &Value) -> String {
        format!("{} {}: {} {}", self.kind, self.spec.name(), test["algorithm"], test["name"])
    }

    /// Compares what each test gives with what it must give; says of all that differ.
    fn check<T: PartialEq + std::fmt::Debug>(&self, outcome: impl Fn(&Value) -> (T, T)) -> usize {
        let mut wrong = Vec::new();
        for test in &self.tests {
            let (found, wanted) = outcome(test);
            if found != wanted {
                wrong.push(format!("{}: {found:?} and not {wanted:?}", self.name(test)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.tests.len()
    }
}

/// How many vectors of each spec there are: a file that lost some is noticed.
fn assert_numbers(found: &BTreeMap<&'static str, usize>, specs: &[&str], least: usize) {
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), specs);
    assert!(found.values().all(|number| *number >= least), "{found:?}");
}

#[test]
fn signatures() {
    let mut numbers = BTreeMap::new();
    for group in groups("signature") {
        let pair = group.pair(KeyUsage::SignVerify);
        let number = group.check(|test| {
            let valid = test["valid"].as_bool().unwrap();
            let message = Zeroizing::new(group.bytes(test, "message").unwrap());
            let algorithm = SigningAlgorithm::named(test["algorithm"].as_str().unwrap()).unwrap();
            let signed = match test["type"].as_str() {
                Some(name) => {
                    let of = MessageType::ALL.into_iter().find(|of| of.name() == name).unwrap();
                    algorithm.signable(of, message)
                }
                None => Ok(Signable::Message(message)),
            };
            let Ok(signed) = signed else { return (false, valid) };
            let signature = group.bytes(test, "signature").unwrap();
            // What we sign ourselves is good again, and not what we are to refuse.
            if let Ok(ours) = pair.sign(algorithm, &signed) {
                assert!(pair.verify(algorithm, &signed, &ours).is_ok(), "{}", group.name(test));
            }
            (pair.verify(algorithm, &signed, &signature).is_ok(), valid)
        });
        let fitting = group.spec.algorithms(KeyUsage::SignVerify);
        for name in KeySpec::ALL.iter().flat_map(|spec| spec.algorithms(KeyUsage::SignVerify)) {
            let algorithm = SigningAlgorithm::named(name).unwrap();
            let signs = MessageType::ALL.into_iter().any(|of| {
                let signed = algorithm.signable(of, Zeroizing::new(vec![7; 64]));
                signed.is_ok_and(|signed| pair.sign(algorithm, &signed).is_ok())
            });
            assert_eq!(signs, fitting.contains(name), "{:?} with {name}", group.spec);
        }
        *numbers.entry(group.spec.name()).or_default() += number;
    }
    let specs = [
        "ECC_NIST_EDWARDS25519",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "ML_DSA_44",
        "ML_DSA_65",
        "ML_DSA_87",
        "RSA_2048",
        "RSA_3072",
        "RSA_4096",
    ];
    assert_numbers(&numbers, &specs, 19);
}

#[test]
fn encryption() {
    let mut numbers = BTreeMap::new();
    for group in groups("encryption") {
        let pair = group.pair(KeyUsage::EncryptDecrypt);
        let number = group.check(|test| {
            let algorithm = test["algorithm"].as_str().unwrap();
            let opened = pair.decrypt(algorithm, &group.bytes(test, "ciphertext").unwrap());
            let opened = opened.ok().map(|plaintext| plaintext.to_vec());
            if let Some(plaintext) = &opened {
                let ours = pair.encrypt(algorithm, plaintext).unwrap();
                assert_eq!(pair.decrypt(algorithm, &ours).unwrap().as_slice(), plaintext);
            }
            (opened, group.bytes(test, "plaintext"))
        });
        numbers.insert(group.spec.name(), number);
    }
    assert_numbers(&numbers, &["RSA_2048", "RSA_3072", "RSA_4096"], 12);
}

#[test]
fn agreement() {
    let mut numbers = BTreeMap::new();
    for group in groups("agreement") {
        let pair = group.pair(KeyUsage::KeyAgreement);
        let number = group.check(|test| {
            let secret = pair.agree(&group.bytes(test, "public_key").unwrap());
            (secret.ok().map(|secret| secret.to_vec()), group.bytes(test, "secret"))
        });
        numbers.insert(group.spec.name(), number);
    }
    assert_numbers(&numbers, &["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"], 27);
}

#[test]
fn encapsulation() {
    let mut numbers = BTreeMap::new();
    for group in groups("encapsulation") {
        let pair = group.pair(KeyUsage::EncapsulateDecapsulate);
        let number = group.check(|test| {
            let secret = pair.decapsulate(&group.bytes(test, "ciphertext").unwrap());
            (secret.ok().map(|secret| secret.to_vec()), group.bytes(test, "secret"))
        });
        let (first, second) = (pair.encapsulate().unwrap(), pair.encapsulate().unwrap());
        assert_ne!(first.secret, second.secret);
        assert_eq!(pair.decapsulate(&first.ciphertext).unwrap(), first.secret);
        numbers.insert(group.spec.name(), number);
    }
    assert_numbers(&numbers, &["ML_KEM_1024", "ML_KEM_512", "ML_KEM_768"], 8);
}

#[test]
fn macs() {
    let mut numbers = BTreeMap::new();
    for group in groups("mac") {
        let key = PrivateMaterial::new(Zeroizing::new(group.private_key.clone()));
        let number = group.check(|test| {
            let (message, mac) = (group.bytes(test, "message"), group.bytes(test, "mac"));
            let (message, mac) = (message.unwrap(), mac.unwrap());
            let valid = test["valid"].as_bool().unwrap();
            assert_eq!(
                key.mac(group.spec, &message).unwrap() == mac,
                valid,
                "{}",
                group.name(test)
            );
            (key.verify_mac(group.spec, &message, &mac).is_ok(), valid)
        });
        *numbers.entry(group.spec.name()).or_default() += number;
    }
    assert_numbers(&numbers, &["HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"], 50);
}

#[test]
fn ciphertext_blobs() {
    let mut numbers = BTreeMap::new();
    for group in groups("ciphertext") {
        let secret = Secret::from_bytes(group.private_key.as_slice().try_into().unwrap());
        let material = KeyMaterial::from_secret(secret, 0);
        let number = group.check(|test| {
            let context: EncryptionContext =
                serde_json::from_value::<BTreeMap<String, String>>(test["context"].clone())
                    .unwrap()
                    .into_iter()
                    .collect();
            let opened = CiphertextBlob::parse(&group.bytes(test, "blob").unwrap()).ok().filter(
                // As the operation finds the key and its material by what the blob names.
                |blob| blob.material_id == material.id(),
            );
            let opened = opened.and_then(|blob| blob.open(&material, &context).ok());
            (opened.map(|plaintext| plaintext.to_vec()), group.bytes(test, "plaintext"))
        });
        numbers.insert(group.spec.name(), number);
    }
    assert_numbers(&numbers, &[SYMMETRIC_DEFAULT], 30);
}

/// A private key of one kind is none of another.
#[test]
fn private_keys_of_other_kinds_are_refused() {
    let all: Vec<Group> =
        ["signature", "encryption", "encapsulation"].into_iter().flat_map(groups).collect();
    let usages = [
        KeyUsage::EncryptDecrypt,
        KeyUsage::SignVerify,
        KeyUsage::GenerateVerifyMac,
        KeyUsage::KeyAgreement,
        KeyUsage::EncapsulateDecapsulate,
    ];
    for group in &all {
        for usage in usages {
            for spec in KeySpec::ALL {
                let fits = spec == group.spec && !spec.algorithms(usage).is_empty();
                let pair = KeyPair::from_pkcs8(spec, usage, &group.private_key);
                assert_eq!(pair.is_ok(), fits, "{:?} as {spec:?} for {usage:?}", group.spec);
            }
            for cut in [0, 1, group.private_key.len() - 1] {
                let pair = KeyPair::from_pkcs8(group.spec, usage, &group.private_key[..cut]);
                assert!(pair.is_err(), "{:?}, {cut} bytes", group.spec);
            }
            let longer = [group.private_key.as_slice(), &[0]].concat();
            let pair = KeyPair::from_pkcs8(group.spec, usage, &longer);
            assert!(pair.is_err(), "{:?} and a byte behind it", group.spec);
        }
    }
}

/// What is made can be read again, and is of the size that its format has.
#[test]
fn generated_pairs_are_compact() {
    for (spec, usage, length) in [
        (KeySpec::EccNistEdwards25519, KeyUsage::SignVerify, 48),
        (KeySpec::MlDsa44, KeyUsage::SignVerify, 54),
        (KeySpec::MlDsa65, KeyUsage::SignVerify, 54),
        (KeySpec::MlDsa87, KeyUsage::SignVerify, 54),
        (KeySpec::MlKem512, KeyUsage::EncapsulateDecapsulate, 86),
        (KeySpec::MlKem768, KeyUsage::EncapsulateDecapsulate, 86),
        (KeySpec::MlKem1024, KeyUsage::EncapsulateDecapsulate, 86),
    ] {
        let private = super::pair::generate(spec).unwrap();
        assert_eq!(private.len(), length, "{spec:?}");
        let pair = KeyPair::from_pkcs8(spec, usage, &private).unwrap();
        assert_eq!(pair.public_key, super::pair::public_key(spec, &private).unwrap());
        let other = super::pair::generate(spec).unwrap();
        assert_ne!(other, private);
    }
}
