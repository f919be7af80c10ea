//! A development service, and requests to it that are signed before they are sent.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use sekisho_devkit::{
    Chain, DevelopmentPki, EmulatedNsm, Measurements, Options, Recipient, Signer,
};
use sekisho_nsm::AttestationRequest;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::Result;
use crate::load::{Call, Target, send};
use crate::process::{Parties, Process, Running};

/// What the attested caller is measured as.
const PCR0: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

/// `sekisho dev` and the access key of its root.
pub(crate) struct Kms {
    ready: Value,
    pki: DevelopmentPki,
    chain: Chain,
    recipient: Recipient,
    signer: Signer,
    process: Process,
}

/// A key, and a ciphertext of it.
pub(crate) struct Sealed {
    key_id: String,
    ciphertext: String,
}

impl Kms {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let data = folder.join("kms");
        let (process, line) = Process::start(
            Command::new(env!("CARGO_BIN_EXE_sekisho"))
                .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
                .arg(&data),
        )?;
        let credentials = std::fs::read_to_string(data.join("credentials"))?;
        let value = |name: &str| {
            let line = credentials.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(" = "));
            value.map(|(_, value)| value.to_owned()).ok_or("credentials")
        };
        let pki = std::fs::read_to_string(data.join("development-pki.pem"))?;
        let pki = DevelopmentPki::from_pem(&pki)?;
        Ok(Self {
            ready: serde_json::from_str(&line)?,
            chain: pki.chain(SystemTime::now()),
            pki,
            recipient: Recipient::generate()?,
            signer: Signer {
                access_key_id: value("aws_access_key_id")?,
                secret_access_key: value("aws_secret_access_key")?,
                session_token: None,
                region: "us-east-1".into(),
            },
            process,
        })
    }

    /// The sealed worker's process.
    pub(crate) fn worker(&self) -> Result<Running> {
        self.process.child("internal-worker")
    }

    /// The process that relays to it.
    pub(crate) fn host(&self) -> Result<Running> {
        self.process.child("internal-host")
    }

    /// Where a host reaches the worker of the service that was started in `folder`.
    pub(crate) fn worker_socket(folder: &Path) -> PathBuf {
        folder.join("kms/run/worker.sock")
    }

    pub(crate) fn parties(&self) -> Result<Parties> {
        Ok(Parties::new(self.worker()?, self.host()?))
    }

    fn said(&self, name: &str) -> Result<&str> {
        Ok(self.ready.get(name).and_then(Value::as_str).ok_or("sekisho dev says less")?)
    }

    pub(crate) fn target(&self) -> Result<Target> {
        let address = self.said("endpoint")?.trim_start_matches("https://").parse()?;
        Target::tls(address, Path::new(self.said("ca")?))
    }

    /// A key that its owner may use, and 32 bytes encrypted with it.
    pub(crate) async fn seal(&self, target: &Target) -> Result<Sealed> {
        self.seal_under(target, json!({})).await
    }

    /// The same with a key that decrypts only for the measurement [`PCR0`].
    pub(crate) async fn seal_for_measurement(&self, target: &Target) -> Result<Sealed> {
        let root = "arn:aws:iam::000000000000:root";
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": root },
                    "Action": ["kms:Encrypt", "kms:PutKeyPolicy"],
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": root },
                    "Action": "kms:Decrypt",
                    "Resource": "*",
                    "Condition": {
                        "StringEqualsIgnoreCase": { "kms:RecipientAttestation:PCR0": PCR0 },
                    },
                },
            ],
        });
        self.seal_under(target, json!({ "Policy": policy.to_string() })).await
    }

    async fn seal_under(&self, target: &Target, key: Value) -> Result<Sealed> {
        let text = |answer: &Value, pointer: &str| {
            let found = answer.pointer(pointer).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| format!("no {pointer} in {answer}"))
        };
        let created = self.call(target, "CreateKey", &key).await?;
        let key_id = text(&created, "/KeyMetadata/KeyId")?;
        let encrypt = json!({ "KeyId": key_id, "Plaintext": BASE64.encode([7; 32]) });
        let encrypted = self.call(target, "Encrypt", &encrypt).await?;
        Ok(Sealed { key_id, ciphertext: text(&encrypted, "/CiphertextBlob")? })
    }

    pub(crate) async fn call(
        &self,
        target: &Target,
        operation: &str,
        body: &Value,
    ) -> Result<Value> {
        let call = self.signed(operation, body, b"")?;
        let sent = send(&mut target.connect().await?, &call).await;
        let (status, body) = sent.map_err(|error| error.to_string())?;
        if status != StatusCode::OK {
            return Err(format!("{operation}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    pub(crate) fn encrypt(&self, sealed: &Sealed) -> Result<Call> {
        let body = json!({ "KeyId": sealed.key_id, "Plaintext": BASE64.encode([7; 32]) });
        self.signed("Encrypt", &body, b"\"CiphertextBlob\"")
    }

    pub(crate) fn generate_data_key(&self, sealed: &Sealed) -> Result<Call> {
        let body = json!({ "KeyId": sealed.key_id, "KeySpec": "AES_256" });
        self.signed("GenerateDataKey", &body, b"\"Plaintext\"")
    }

    pub(crate) fn decrypt(&self, sealed: &Sealed) -> Result<Call> {
        self.signed("Decrypt", &json!({ "CiphertextBlob": sealed.ciphertext }), b"\"Plaintext\"")
    }

    /// Decrypt with a document under a leaf certificate that the worker has not seen.
    pub(crate) fn attested_decrypt(&self, sealed: &Sealed) -> Result<Call> {
        let body = json!({
            "CiphertextBlob": sealed.ciphertext,
            "Recipient": {
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": BASE64.encode(self.document()?),
            },
        });
        self.signed("Decrypt", &body, b"\"CiphertextForRecipient\"")
    }

    /// A document of a caller that has a leaf certificate of its own, under the one chain.
    fn document(&self) -> Result<Vec<u8>> {
        let pcr0 = hex::decode(PCR0)?.try_into().map_err(|_| "PCR0")?;
        let measurements = Measurements { pcr0, ..Measurements::of(b"caller") };
        let nsm = EmulatedNsm::new(self.pki.clone(), &measurements, Options::default());
        let (mut document, _) = nsm.document(AttestationRequest {
            public_key: Some(self.recipient.public_key_der().to_vec()),
            ..AttestationRequest::default()
        });
        let leaf = self.chain.leaf(&document.module_id, SystemTime::now());
        document.certificate.clone_from(&leaf.certificate);
        document.cabundle = self.chain.cabundle();
        Ok(document.sign(&leaf.key))
    }

    /// A request as any AWS client makes it.
    pub(crate) fn signed(&self, operation: &str, body: &Value, wants: &[u8]) -> Result<Call> {
        let body = serde_json::to_vec(body)?;
        let host = self.said("endpoint")?.trim_start_matches("https://");
        let target = format!("TrentService.{operation}");
        let headers = self.signer.headers(host, &target, &body, OffsetDateTime::now_utc());
        let header = |(name, value): (String, String)| -> Result<(HeaderName, HeaderValue)> {
            Ok((name.parse()?, value.parse()?))
        };
        let headers = headers.into_iter().map(header).collect::<Result<_>>()?;
        Ok(Call { headers, body: body.into(), wants: wants.to_vec() })
    }
}
