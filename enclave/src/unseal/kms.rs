//! Two operations of AWS KMS as the worker calls them: GenerateDataKey and Decrypt, both with a
//! `Recipient`, over TLS that ends in the KMS.
//!
//! Source: the AWS KMS API reference, and "Cryptographic attestation for AWS Nitro Enclaves in AWS
//! KMS" in its developer guide.

use super::conversation::{Conversation, PATIENCE};
use super::failure::Failure;
use super::provider::{AwsKms, InvalidKms, KeyArn};
use crate::cms::open::EphemeralKey;
use crate::secret::fill_random;
use crate::signature::sign::AccessKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sekisho_nsm::{AttestationRequest, Nsm};
use sekisho_wire::{Address, Stream, egress};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

/// What the wrapped key is for, in its encryption context: a key's policy can ask for it, and no
/// other ciphertext under that key opens as a root key.
const PURPOSE: (&str, &str) = ("sekisho-purpose", "root-key");
/// Whose root key it is: the account in the boot configuration.
const ACCOUNT: &str = "sekisho-account";
/// Random bytes in the document: no two are the same.
const NONCE: usize = 32;
/// Where a port goes without saying.
const HTTPS: u16 = 443;

/// Asks the KMS.
pub(super) struct KmsClient {
    provider: AwsKms,
    server_name: ServerName<'static>,
    /// As it is signed and sent.
    host: String,
    encryption_context: Value,
    tls: TlsConnector,
    egress: Address,
    nsm: Arc<dyn Nsm>,
}

/// What both operations answer, as far as it counts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    key_id: String,
    ciphertext_blob: Option<String>,
    ciphertext_for_recipient: Option<String>,
    plaintext: Option<String>,
}

impl KmsClient {
    pub(super) fn new(
        provider: AwsKms,
        account: &str,
        egress: Address,
        nsm: Arc<dyn Nsm>,
    ) -> Result<Self, InvalidKms> {
        let cryptography = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(cryptography)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_| InvalidKms::Tls)?
            .with_root_certificates(provider.pinned()?)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let host = match provider.endpoint.port() {
            HTTPS => {
                let with_port = provider.endpoint.to_string();
                with_port.rsplit_once(':').map(|(host, _)| host.to_owned()).unwrap_or_default()
            }
            _ => provider.endpoint.to_string(),
        };
        let (name, value) = PURPOSE;
        Ok(Self {
            server_name: provider.server_name()?,
            host,
            encryption_context: json!({ name: value, ACCOUNT: account }),
            tls: TlsConnector::from(Arc::new(tls)),
            egress,
            nsm,
            provider,
        })
    }

    pub(super) fn key(&self) -> &KeyArn {
        &self.provider.key
    }

    /// A new key of 256 bits, wrapped and as it is.
    pub(super) async fn generate_data_key(&self) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Failure> {
        let input = [("KeySpec", "AES_256".into())];
        let (answer, plaintext) = self.ask("TrentService.GenerateDataKey", &input).await?;
        let wrapped = answer.ciphertext_blob.ok_or(Failure::Malformed)?;
        Ok((BASE64.decode(wrapped).map_err(|_| Failure::Malformed)?, plaintext))
    }

    /// What was wrapped.
    pub(super) async fn decrypt(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let input = [
            ("CiphertextBlob", BASE64.encode(wrapped)),
            ("EncryptionAlgorithm", "SYMMETRIC_DEFAULT".into()),
        ];
        Ok(self.ask("TrentService.Decrypt", &input).await?.1)
    }

    /// One operation; the answer's key is the one that was asked for, and what is encrypted to
    /// this worker is open.
    async fn ask(
        &self,
        target: &str,
        own: &[(&str, String)],
    ) -> Result<(Answer, Zeroizing<Vec<u8>>), Failure> {
        let (recipient, document) = self.recipient().await?;
        let recipient_parameter = json!({
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": BASE64.encode(document),
        });
        let mut input = serde_json::Map::new();
        input.insert("KeyId".into(), self.key().as_str().into());
        input.insert("EncryptionContext".into(), self.encryption_context.clone());
        input.insert("Recipient".into(), recipient_parameter);
        input.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())));
        let body = Value::Object(input).to_string().into_bytes();
        let credentials = egress::credentials(&self.egress).await?;
        let credentials = AccessKey {
            id: credentials.access_key_id,
            secret: Zeroizing::new(credentials.secret_access_key),
            session_token: credentials.session_token.map(Zeroizing::new),
        };
        let stream = egress::connect(&self.egress, &self.provider.endpoint).await?;
        let exchange = self.exchange(stream, &credentials, target, body);
        let body = timeout(PATIENCE, exchange).await.map_err(|_| Failure::Late)??;

        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Failure::Malformed)?;
        if answer.key_id != self.key().as_str() {
            return Err(Failure::OtherKey);
        }
        if answer.plaintext.as_ref().is_some_and(|plaintext| !plaintext.is_empty()) {
            return Err(Failure::InTheClear);
        }
        let envelope = answer.ciphertext_for_recipient.as_ref().ok_or(Failure::Malformed)?;
        let envelope = BASE64.decode(envelope).map_err(|_| Failure::Malformed)?;
        let plaintext = recipient.open(&envelope)?;
        if plaintext.len() != super::ROOT_KEY {
            return Err(Failure::Malformed);
        }
        Ok((answer, plaintext))
    }

    /// A key for one answer, and a document that holds it.
    async fn recipient(&self) -> Result<(EphemeralKey, Vec<u8>), Failure> {
        let nsm = self.nsm.clone();
        // Both take their time.
        let making = move || {
            let mut nonce = vec![0; NONCE];
            fill_random(&mut nonce)?;
            let key = EphemeralKey::generate().map_err(|_| Failure::Internal)?;
            let document = nsm.attestation(AttestationRequest {
                public_key: Some(key.public_key().to_vec()),
                user_data: None,
                nonce: Some(nonce),
            })?;
            Ok((key, document))
        };
        tokio::task::spawn_blocking(making).await.map_err(|_| Failure::Internal)?
    }

    /// One request and its answer's body, over a connection of its own.
    async fn exchange(
        &self,
        stream: Stream,
        credentials: &AccessKey,
        target: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, Failure> {
        let stream = self.tls.connect(self.server_name.clone(), stream).await;
        let stream: TlsStream<Stream> = stream.map_err(|error| of_handshake(&error))?;
        let mut conversation = Conversation::over(stream).await?;
        let now = OffsetDateTime::now_utc();
        let mut request = Request::post("/");
        for (name, value) in credentials.sign(self.key().region(), &self.host, target, &body, now) {
            request = request.header(name, value);
        }
        // Only the credentials can have bytes that no header takes.
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|_| Failure::CredentialsRefused)?;
        let (status, body) = conversation.ask(request).await?;
        if status.is_success() { Ok(body) } else { Err(Failure::of_answer(status.as_u16(), &body)) }
    }
}

/// A stranger, or a line that broke.
fn of_handshake(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::NotTheKms,
        _ => Failure::Broken,
    }
}
