//! TLS 1.3, ended inside the worker: a certificate authority of the service, sealed in its
//! journal, and a leaf whose key is made anew at every start.

use crate::storage::journal::{Journal, JournalError, Write};
use crate::storage::record::RecordId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use zeroize::{Zeroize, Zeroizing};

/// The names that every leaf has.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// A clock may be behind the worker's.
const BACKDATED: Duration = Duration::hours(1);
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
const LEAF_LIFETIME: Duration = Duration::days(90);

/// The service's certificate authority.
pub(crate) struct ServiceAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// How the authority stands in its sealed record.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "serde_bytes")]
    certificate: Vec<u8>,
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl ServiceAuthority {
    /// A new authority, in memory only.
    pub(crate) fn generate(now: OffsetDateTime) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = authority_parameters(&key);
        parameters.not_before = now - BACKDATED;
        parameters.not_after = now + AUTHORITY_LIFETIME;
        let certificate = parameters.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// The authority of the journal; at the service's first start it is made and kept.
    pub(crate) async fn open(journal: &Journal, now: OffsetDateTime) -> Result<Self, TlsError> {
        if let Some(record) = journal.get(&RecordId::ServiceAuthority).await? {
            let stored: Stored = codec::decode(&record)?;
            let key = KeyPair::from_pkcs8_der_and_sign_algo(
                &PrivatePkcs8KeyDer::from(stored.key.as_slice()),
                &PKCS_ECDSA_P256_SHA256,
            )?;
            let certificate = CertificateDer::from(stored.certificate.clone());
            return Ok(Self { certificate, issuer: Issuer::new(authority_parameters(&key), key) });
        }
        let made = Self::generate(now)?;
        let stored = Stored {
            certificate: made.certificate.to_vec(),
            key: made.issuer.key().serialize_der(),
        };
        let plaintext = Some(Zeroizing::new(codec::encode(&stored)?));
        let write = Write { id: RecordId::ServiceAuthority, plaintext };
        journal.writer().await?.commit(vec![write]).await?;
        Ok(made)
    }

    /// SHA-256 of the certificate's DER.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        pem(&self.certificate)
    }

    /// A leaf for this start, and the TLS configuration that serves it.
    pub(crate) fn issue(&self, names: &[String], now: OffsetDateTime) -> Result<Leaf, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let all_names: Vec<String> =
            LOCAL_NAMES.iter().map(ToString::to_string).chain(names.iter().cloned()).collect();
        let mut parameters = CertificateParams::new(all_names)?;
        parameters.distinguished_name.push(DnType::CommonName, "Sekisho");
        parameters.not_before = now - BACKDATED;
        parameters.not_after = now + LEAF_LIFETIME;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.signed_by(&key, &self.issuer)?.der().clone();
        let public_key = key.subject_public_key_info();
        let private_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate, self.certificate.clone()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, private_key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Leaf { config: Arc::new(config), public_key })
    }
}

/// What serves TLS during one start.
pub(crate) struct Leaf {
    pub(crate) config: Arc<ServerConfig>,
    /// DER SubjectPublicKeyInfo, as an attestation binds it.
    pub(crate) public_key: Vec<u8>,
}

/// Name and extensions of the authority; made again from the key at every start, so that leaves
/// name their issuer as the kept certificate does.
fn authority_parameters(key: &KeyPair) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let fingerprint = hex::encode(Sha256::digest(key.subject_public_key_info()));
    let short = fingerprint.get(..8).unwrap_or_default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("Sekisho service CA {short}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    if !rest.is_empty() {
        pem.push_str(rest);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The service's TLS identity could not be made or read.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The journal did not give or take the authority's record.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The record is malformed.
    #[error("the record of the service CA is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// A certificate could not be made; a name in the boot configuration is the usual reason.
    #[error("the TLS certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS refused it.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
