//! A development certificate chain shaped like AWS's: root, regional, zonal, instance, leaf, with
//! AWS's lifetimes and extensions, and names that say what it is.

use std::time::{Duration, SystemTime};

use p384::SecretKey;
use p384::ecdsa::SigningKey;
use p384::pkcs8::der::pem;
use p384::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};

use crate::certificate::{Extension, Template, Validity, name, public_key_info, usage};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Backdating of what is issued on demand; AWS's leaves begin three seconds before first use.
const BACKDATED: Duration = Duration::from_secs(3);

/// Lifetimes of AWS's certificates, 2021 to 2026.
const ROOT_LIFETIME: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
const REGIONAL_LIFETIME: Duration = Duration::from_secs(20 * 24 * 3600 + 3600);
const ZONAL_LIFETIME: Duration = Duration::from_secs(6 * 24 * 3600);
const INSTANCE_LIFETIME: Duration = DAY;
const LEAF_LIFETIME: Duration = Duration::from_secs(3 * 3600);

/// The common name of every development root. No production verifier trusts it: what it trusts is
/// AWS's root by its bytes.
pub const ROOT_COMMON_NAME: &str = "development.sekisho.invalid";

/// A development root: it proves nothing about any hardware.
///
/// Only the root is kept. What is below it lives days or hours and is made anew when needed.
#[derive(Clone)]
pub struct DevelopmentPki {
    root: Authority,
}

/// A certificate authority: its certificate and its key.
#[derive(Clone)]
pub struct Authority {
    /// DER.
    pub certificate: Vec<u8>,
    /// Its subject, DER.
    pub name: Vec<u8>,
    /// Its key.
    pub key: SigningKey,
}

/// Authorities below a root at some instant, ready to issue leaves.
#[derive(Clone)]
pub struct Chain {
    /// Root, regional, zonal, instance.
    pub authorities: [Authority; 4],
    /// When the first of them ends.
    pub not_after: SystemTime,
}

/// A leaf certificate and its key: what signs documents.
#[derive(Clone)]
pub struct Leaf {
    /// DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: SigningKey,
    /// When it ends.
    pub not_after: SystemTime,
}

impl DevelopmentPki {
    /// A new root, valid from `now` for thirty years.
    pub fn generate(now: SystemTime) -> Self {
        let key = random_key();
        let name = authority_name(ROOT_COMMON_NAME);
        let template = Template::new(&name, &name, &key, from(now, ROOT_LIFETIME))
            .with(Extension::basic_constraints(true, None))
            .with(Extension::subject_key_identifier(&key))
            .with(Extension::key_usage(true, authority_usage()));
        Self { root: Authority { certificate: template.sign(&key), name, key } }
    }

    /// The root certificate in DER, for `TrustAnchors::from_der`.
    pub fn root_der(&self) -> &[u8] {
        &self.root.certificate
    }

    /// The root certificate in PEM, for `sekisho attest verify --root`.
    pub fn root_pem(&self) -> String {
        encode_pem("CERTIFICATE", &self.root.certificate)
    }

    /// The root certificate and its private key in PEM, for a data folder. It is a secret only as
    /// far as a development root is one.
    pub fn to_pem(&self) -> String {
        let key = SecretKey::from(&self.root.key).to_pkcs8_der();
        let key = key.map(|key| encode_pem("PRIVATE KEY", key.as_bytes())).unwrap_or_default();
        self.root_pem() + &key
    }

    /// Reads what [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// [`InvalidPki`] if it is anything else.
    pub fn from_pem(text: &str) -> Result<Self, InvalidPki> {
        const CUT: &str = "-----BEGIN PRIVATE KEY-----";
        let at = text.find(CUT).ok_or(InvalidPki)?;
        let (certificate, key) = text.split_at(at);
        let (label, certificate) =
            pem::decode_vec(certificate.as_bytes()).map_err(|_| InvalidPki)?;
        let key = SecretKey::from_pkcs8_pem(key).map_err(|_| InvalidPki)?;
        let key = SigningKey::from(key);
        let public_key = public_key_info(&key);
        let certified = certificate.windows(public_key.len()).any(|part| part == public_key);
        if label != "CERTIFICATE" || !certified {
            return Err(InvalidPki);
        }
        Ok(Self { root: Authority { certificate, name: authority_name(ROOT_COMMON_NAME), key } })
    }

    /// Fresh authorities below the root, as they would be at `now`.
    pub fn chain(&self, now: SystemTime) -> Chain {
        let issue = |issuer: &Authority, common_name: &str, path_length, lifetime| {
            self.authority(issuer, common_name, path_length, from(now, lifetime))
        };
        let region = format!("local.{ROOT_COMMON_NAME}");
        let regional = issue(&self.root, &format!("regional.{region}"), 2, REGIONAL_LIFETIME);
        let zonal = issue(&regional, &format!("zonal.{region}"), 1, ZONAL_LIFETIME);
        let instance = issue(&zonal, &format!("instance.{region}"), 0, INSTANCE_LIFETIME);
        Chain {
            authorities: [self.root.clone(), regional, zonal, instance],
            not_after: from(now, INSTANCE_LIFETIME).not_after,
        }
    }

    fn authority(
        &self,
        issuer: &Authority,
        common_name: &str,
        path_length: u8,
        validity: Validity,
    ) -> Authority {
        let key = random_key();
        let name = authority_name(common_name);
        let template = Template::new(&issuer.name, &name, &key, validity)
            .with(Extension::basic_constraints(true, Some(path_length)))
            .with(Extension::authority_key_identifier(&issuer.key))
            .with(Extension::subject_key_identifier(&key))
            .with(Extension::key_usage(true, authority_usage()));
        Authority { certificate: template.sign(&issuer.key), name, key }
    }
}

impl Chain {
    /// The CA bundle of a document: the authorities' certificates, the root first.
    pub fn cabundle(&self) -> Vec<Vec<u8>> {
        self.authorities.iter().map(|authority| authority.certificate.clone()).collect()
    }

    /// The authority that issues leaves.
    pub fn instance(&self) -> &Authority {
        let [_, _, _, instance] = &self.authorities;
        instance
    }

    /// A leaf for a module, valid for three hours.
    pub fn leaf(&self, module_id: &str, now: SystemTime) -> Leaf {
        let key = random_key();
        let validity = from(now, LEAF_LIFETIME);
        let certificate = self.leaf_template(module_id, &key, validity).sign(&self.instance().key);
        Leaf { certificate, key, not_after: validity.not_after }
    }

    /// What a leaf of AWS's looks like, to be spoiled and signed.
    pub fn leaf_template(&self, module_id: &str, key: &SigningKey, validity: Validity) -> Template {
        let subject = authority_name(&format!("{module_id}.local.development"));
        Template::new(&self.instance().name, &subject, key, validity)
            .with(Extension::basic_constraints(false, None))
            .with(Extension::key_usage(false, usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION))
    }
}

/// The text is not what [`DevelopmentPki::to_pem`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a development root: a certificate and its private key in PEM")]
pub struct InvalidPki;

/// A random P-384 key.
pub fn random_key() -> SigningKey {
    loop {
        let mut bytes = [0; 48];
        // A failure leaves zeros, which are not a key; the generator of AWS-LC does not fail.
        let filled = aws_lc_rs::rand::fill(&mut bytes);
        if let (Ok(()), Ok(key)) = (filled, SigningKey::from_slice(&bytes)) {
            return key;
        }
    }
}

fn from(now: SystemTime, lifetime: Duration) -> Validity {
    Validity {
        not_before: now.checked_sub(BACKDATED).unwrap_or(now),
        not_after: now.checked_add(lifetime).unwrap_or(now),
    }
}

fn authority_usage() -> u8 {
    usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN | usage::CRL_SIGN
}

/// `O=Sekisho development, OU=proves nothing about hardware, CN=…`
fn authority_name(common_name: &str) -> Vec<u8> {
    const COMMON_NAME: u8 = 3;
    const ORGANIZATION: u8 = 10;
    const UNIT: u8 = 11;
    name(&[
        (ORGANIZATION, "Sekisho development"),
        (UNIT, "proves nothing about hardware"),
        (COMMON_NAME, common_name),
    ])
}

fn encode_pem(label: &str, der: &[u8]) -> String {
    // Fails for labels that are not ASCII only.
    pem::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}
