//! The certificate authority of the service: what clients trust, once it was attested to them.
//!
//! Its certificate ends after ten years. In its last year it is signed again with the same name and
//! the same key: leaves verify against the old certificate and the new one alike, so clients have a
//! year to fetch the new one by attestation, and none is cut off on a day.

use super::{BACKDATED, TlsError};
use crate::secret;
use crate::storage::journal::{Journal, Write};
use crate::storage::record::RecordId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sekisho_wire::codec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::{Zeroize, Zeroizing};

/// The names that every leaf has.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
/// What may be left of it before it is signed again.
const AUTHORITY_RESERVE: Duration = Duration::days(365);
/// RFC 5280 §4.1.2.2: at most 20 octets, of a positive number.
const SERIAL_LENGTH: usize = 16;

/// The service's certificate authority.
pub(crate) struct ServiceAuthority {
    certificate: CertificateDer<'static>,
    /// End of the certificate.
    not_after: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

/// How the authority stands in its sealed record.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "serde_bytes")]
    certificate: Vec<u8>,
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
    /// End of the certificate, seconds since 1970. A record of before this field was there reads
    /// as ended, and is signed again.
    #[serde(default)]
    not_after: i64,
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
        let (certificate, not_after) = sign_itself(&key, now)?;
        Ok(Self { certificate, not_after, issuer: issuer(key) })
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
            let not_after = OffsetDateTime::from_unix_timestamp(stored.not_after)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH);
            return Ok(Self { certificate, not_after, issuer: issuer(key) });
        }
        let made = Self::generate(now)?;
        made.keep(journal).await?;
        Ok(made)
    }

    /// Whether the certificate is in its last year.
    pub(crate) fn ends_soon(&self, now: OffsetDateTime) -> bool {
        self.not_after - now < AUTHORITY_RESERVE
    }

    /// The same name and key under a new certificate, kept in the journal if there is one.
    pub(crate) async fn sign_again(
        &mut self,
        journal: Option<&Journal>,
        now: OffsetDateTime,
    ) -> Result<(), TlsError> {
        let (certificate, not_after) = sign_itself(self.issuer.key(), now)?;
        let before = std::mem::replace(&mut self.certificate, certificate);
        let ended = std::mem::replace(&mut self.not_after, not_after);
        if let Some(journal) = journal
            && let Err(error) = self.keep(journal).await
        {
            (self.certificate, self.not_after) = (before, ended);
            return Err(error);
        }
        Ok(())
    }

    async fn keep(&self, journal: &Journal) -> Result<(), TlsError> {
        let stored = Stored {
            certificate: self.certificate.to_vec(),
            key: self.issuer.key().serialize_der(),
            not_after: self.not_after.unix_timestamp(),
        };
        let plaintext = Some(Zeroizing::new(codec::encode(&stored)?));
        let write = Write { id: RecordId::ServiceAuthority, plaintext };
        journal.writer().await?.commit(vec![write]).await?;
        Ok(())
    }

    /// SHA-256 of the certificate's DER.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        pem(&self.certificate)
    }

    /// A certificate for a new key, which never outlives its authority's.
    pub(super) fn issue(
        &self,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Issued, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let all_names: Vec<String> =
            LOCAL_NAMES.iter().map(ToString::to_string).chain(names.iter().cloned()).collect();
        let mut parameters = CertificateParams::new(all_names)?;
        parameters.distinguished_name.push(DnType::CommonName, "Sekisho");
        parameters.not_before = now - BACKDATED;
        parameters.not_after = (now + lifetime).min(self.not_after);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Issued {
            chain: vec![certificate, self.certificate.clone()],
            public_key: key.subject_public_key_info(),
            private_key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            not_after: parameters.not_after,
        })
    }
}

/// A leaf's key with its certificate and the authority's.
pub(super) struct Issued {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// DER SubjectPublicKeyInfo.
    pub(super) public_key: Vec<u8>,
    pub(super) private_key: PrivateKeyDer<'static>,
    pub(super) not_after: OffsetDateTime,
}

fn sign_itself(
    key: &KeyPair,
    now: OffsetDateTime,
) -> Result<(CertificateDer<'static>, OffsetDateTime), TlsError> {
    let mut parameters = authority_parameters(key);
    let mut serial = [0; SERIAL_LENGTH];
    // Never the number that the same name has given to an earlier certificate.
    secret::fill_random(&mut serial)?;
    if let Some(first) = serial.first_mut() {
        *first &= 0x7f;
    }
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.not_before = now - BACKDATED;
    parameters.not_after = now + AUTHORITY_LIFETIME;
    Ok((parameters.self_signed(key)?.der().clone(), parameters.not_after))
}

fn issuer(key: KeyPair) -> Issuer<'static, KeyPair> {
    Issuer::new(authority_parameters(&key), key)
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
