//! Key specs, key usages, and which algorithms go with which pair of them (AWS KMS Developer Guide,
//! "Key spec reference").

use serde::{Deserialize, Serialize};

/// AWS KMS `KeySpec`, as far as this version makes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeySpec {
    SymmetricDefault,
    Hmac224,
    Hmac256,
    Hmac384,
    Hmac512,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    EccNistP256,
    EccNistP384,
    EccNistP521,
    EccSecgP256k1,
    EccNistEdwards25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
    MlKem512,
    MlKem768,
    MlKem1024,
}

/// AWS KMS `KeyUsage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyUsage {
    EncryptDecrypt,
    SignVerify,
    GenerateVerifyMac,
    KeyAgreement,
    EncapsulateDecapsulate,
}

/// What AWS calls the type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    Symmetric,
    Hmac,
    Asymmetric,
}

/// `EncryptionAlgorithm` of symmetric keys.
pub(crate) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";
const RSA_ENCRYPTION: &[&str] = &["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];
const RSA_SIGNING: &[&str] = &[
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
];
/// `EncapsulationAlgorithm` of ML-KEM keys.
pub(crate) const ML_KEM: &str = "ML_KEM";

impl KeySpec {
    pub(crate) const ALL: [Self; 19] = [
        Self::SymmetricDefault,
        Self::Hmac224,
        Self::Hmac256,
        Self::Hmac384,
        Self::Hmac512,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccNistP256,
        Self::EccNistP384,
        Self::EccNistP521,
        Self::EccSecgP256k1,
        Self::EccNistEdwards25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::MlKem512,
        Self::MlKem768,
        Self::MlKem1024,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
            Self::Hmac224 => "HMAC_224",
            Self::Hmac256 => "HMAC_256",
            Self::Hmac384 => "HMAC_384",
            Self::Hmac512 => "HMAC_512",
            Self::Rsa2048 => "RSA_2048",
            Self::Rsa3072 => "RSA_3072",
            Self::Rsa4096 => "RSA_4096",
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::EccNistP521 => "ECC_NIST_P521",
            Self::EccSecgP256k1 => "ECC_SECG_P256K1",
            Self::EccNistEdwards25519 => "ECC_NIST_EDWARDS25519",
            Self::MlDsa44 => "ML_DSA_44",
            Self::MlDsa65 => "ML_DSA_65",
            Self::MlDsa87 => "ML_DSA_87",
            Self::MlKem512 => "ML_KEM_512",
            Self::MlKem768 => "ML_KEM_768",
            Self::MlKem1024 => "ML_KEM_1024",
        }
    }

    pub(crate) fn key_type(self) -> KeyType {
        match self {
            Self::SymmetricDefault => KeyType::Symmetric,
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => KeyType::Hmac,
            _ => KeyType::Asymmetric,
        }
    }

    /// The algorithms of a key of this spec and usage; none where the two do not go together.
    pub(crate) fn algorithms(self, usage: KeyUsage) -> &'static [&'static str] {
        use KeyUsage::{
            EncapsulateDecapsulate, EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify,
        };
        match (self, usage) {
            (Self::SymmetricDefault, EncryptDecrypt) => &[SYMMETRIC_DEFAULT],
            (Self::Hmac224, GenerateVerifyMac) => &["HMAC_SHA_224"],
            (Self::Hmac256, GenerateVerifyMac) => &["HMAC_SHA_256"],
            (Self::Hmac384, GenerateVerifyMac) => &["HMAC_SHA_384"],
            (Self::Hmac512, GenerateVerifyMac) => &["HMAC_SHA_512"],
            (Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096, EncryptDecrypt) => RSA_ENCRYPTION,
            (Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096, SignVerify) => RSA_SIGNING,
            (Self::EccNistP256 | Self::EccSecgP256k1, SignVerify) => &["ECDSA_SHA_256"],
            (Self::EccNistP384, SignVerify) => &["ECDSA_SHA_384"],
            (Self::EccNistP521, SignVerify) => &["ECDSA_SHA_512"],
            (Self::EccNistEdwards25519, SignVerify) => &["ED25519_PH_SHA_512", "ED25519_SHA_512"],
            (Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87, SignVerify) => &["ML_DSA_SHAKE_256"],
            (Self::EccNistP256 | Self::EccNistP384 | Self::EccNistP521, KeyAgreement) => &["ECDH"],
            (Self::MlKem512 | Self::MlKem768 | Self::MlKem1024, EncapsulateDecapsulate) => {
                &[ML_KEM]
            }
            _ => &[],
        }
    }
}

impl KeyUsage {
    const ALL: [Self; 5] = [
        Self::EncryptDecrypt,
        Self::SignVerify,
        Self::GenerateVerifyMac,
        Self::KeyAgreement,
        Self::EncapsulateDecapsulate,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "ENCRYPT_DECRYPT",
            Self::SignVerify => "SIGN_VERIFY",
            Self::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
            Self::KeyAgreement => "KEY_AGREEMENT",
            Self::EncapsulateDecapsulate => "ENCAPSULATE_DECAPSULATE",
        }
    }

    /// The member in which answers list the key's algorithms.
    pub(crate) fn algorithms_member(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "EncryptionAlgorithms",
            Self::SignVerify => "SigningAlgorithms",
            Self::GenerateVerifyMac => "MacAlgorithms",
            Self::KeyAgreement => "KeyAgreementAlgorithms",
            Self::EncapsulateDecapsulate => "EncapsulationAlgorithms",
        }
    }
}
