//! The service, the parties, and what they do to each other in one step.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_devkit::Recipient;
use serde_json::{Value, json};

use super::aws::{Aws, AwsError, Signer};
use crate::service::Service;
use crate::service::nsm::{Caller, Development};

/// The user whose access key the demo's application has.
pub(crate) const APPLICATION: &str = "payroll";
pub(crate) const CONTEXT: &str = "tenant=north,purpose=payroll";
pub(crate) const OTHER_CONTEXT: &str = "tenant=south,purpose=payroll";

/// What one step hands to the report: a value for later steps, and what was found.
pub(crate) type Told<T = ()> = Result<(T, String), String>;

/// The service and the parties, once they are there.
pub(crate) struct Scene {
    pub(crate) service: Service,
    pub(crate) aws: Aws,
    pub(crate) folder: PathBuf,
    pub(crate) development: Development,
    pub(crate) enclave: Recipient,
    /// What the application's enclave is measured as.
    pub(crate) measured: PcrValue,
    pub(crate) payroll: Vec<u8>,
}

/// What the application got, for the steps after it.
pub(crate) struct Sealed {
    pub(crate) key_arn: String,
    /// The file with the CiphertextBlob.
    pub(crate) payroll: PathBuf,
}

impl Scene {
    pub(crate) async fn create_key(&self) -> Told<String> {
        let account = &self.service.folder().settings().account;
        let statement = |sid: &str, principal: &str, actions: Value| {
            json!({
                "Sid": sid,
                "Effect": "Allow",
                "Principal": { "AWS": format!("arn:aws:iam::{account}:{principal}") },
                "Action": actions,
                "Resource": "*",
            })
        };
        let application = format!("user/{APPLICATION}");
        let mut attested = statement(
            "OnlyMeasuredCodeGetsPlaintext",
            &application,
            json!(["kms:Decrypt", "kms:GenerateDataKey"]),
        );
        if let Some(attested) = attested.as_object_mut() {
            let condition = json!({
                "StringEqualsIgnoreCase": {
                    "kms:RecipientAttestation:PCR0": self.measured.to_string(),
                },
            });
            attested.insert("Condition".to_owned(), condition);
        }
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                statement("Administration", "root", json!([
                    "kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:CreateAlias",
                ])),
                statement("AnyoneInPayrollEncrypts", &application, json!("kms:Encrypt")),
                attested,
            ],
        });
        let arguments = ["create-key", "--policy", &policy.to_string()];
        let answer = self.aws.kms(&Signer::Profile("default"), &arguments).await.map_err(text)?;
        let arn = string(&answer, "/KeyMetadata/Arn")?;
        let found = format!("{arn}, decrypts for PCR0 {}… only", prefix(&self.measured));
        Ok((arn, found))
    }

    pub(crate) async fn encrypt(&self, key_arn: String) -> Told<Sealed> {
        let plaintext = fileb(&self.path("payroll.csv"));
        let arguments = [
            "encrypt",
            "--key-id",
            &key_arn,
            "--plaintext",
            &plaintext,
            "--encryption-context",
            CONTEXT,
        ];
        let answer = self.application(&arguments).await.map_err(text)?;
        let blob = base64(&answer, "/CiphertextBlob")?;
        let path = self.path("payroll.enc");
        fs::write(&path, &blob).map_err(text)?;
        let found = format!("payroll.csv, {} bytes, into {} bytes", self.payroll.len(), blob.len());
        Ok((Sealed { key_arn, payroll: path }, found))
    }

    pub(crate) async fn attested_decrypt(&self, sealed: &Sealed) -> Told {
        let answer =
            self.decrypt(&sealed.payroll, CONTEXT, Some(self.caller())).await.map_err(text)?;
        let opened = self.open(&answer)?;
        if opened != self.payroll {
            return Err("what the enclave's key opens is not the file".to_owned());
        }
        Ok((
            (),
            "opened by the enclave's key, equal to the file; no plaintext in the answer".into(),
        ))
    }

    /// A data key that exists in the worker and in the caller's enclave, and nowhere else.
    pub(crate) async fn attested_data_key(&self, sealed: &Sealed) -> Told<Vec<u8>> {
        let recipient = self.recipient(&self.caller())?;
        let arguments = [
            "generate-data-key",
            "--key-id",
            &sealed.key_arn,
            "--key-spec",
            "AES_256",
            "--encryption-context",
            CONTEXT,
            "--recipient",
            &recipient,
        ];
        let answer = self.application(&arguments).await.map_err(text)?;
        let data_key = self.open(&answer)?;
        let path = self.path("data-key.enc");
        fs::write(&path, base64(&answer, "/CiphertextBlob")?).map_err(text)?;
        let again = self.decrypt(&path, CONTEXT, Some(self.caller())).await.map_err(text)?;
        if data_key.len() != 32 || self.open(&again)? != data_key {
            return Err("the data key does not come back from its ciphertext".to_owned());
        }
        Ok((data_key, "32 bytes for the enclave, and the same again from their ciphertext".into()))
    }

    /// A Decrypt that must end with just this error.
    pub(crate) async fn refused(
        &self,
        sealed: &Sealed,
        context: &str,
        caller: Option<Caller>,
        code: &str,
        says: &str,
    ) -> Told {
        expect_refusal(self.decrypt(&sealed.payroll, context, caller).await, code, says)
    }

    /// The right access key id with a secret that differs in its last character.
    pub(crate) async fn wrong_signature(&self, sealed: &Sealed) -> Told {
        let credential = self
            .service
            .credentials()
            .iter()
            .find(|credential| credential.profile() == APPLICATION)
            .ok_or("the application has no access key")?;
        let mut secret = credential.secret_access_key.clone();
        let last = if secret.pop() == Some('A') { 'B' } else { 'A' };
        secret.push(last);
        let signer =
            Signer::Keys { access_key_id: &credential.access_key_id, secret_access_key: &secret };
        let recipient = self.recipient(&self.caller())?;
        let blob = fileb(&sealed.payroll);
        let arguments = [
            "decrypt",
            "--ciphertext-blob",
            &blob,
            "--encryption-context",
            CONTEXT,
            "--recipient",
            &recipient,
        ];
        let answer = self.aws.kms(&signer, &arguments).await;
        expect_refusal(answer, "InvalidSignatureException", "")
    }

    /// The application's enclave: measured as the policy wants it.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            public_key: Some(self.enclave.public_key_der().to_vec()),
            pcrs: one_register(self.measured),
            ..Caller::default()
        }
    }

    /// One bit of difference.
    pub(crate) fn other_code(&self) -> PcrValue {
        let mut bytes = *self.measured.as_bytes();
        let [.., last] = &mut bytes;
        *last ^= 1;
        PcrValue::new(bytes)
    }

    pub(crate) async fn decrypt(
        &self,
        blob: &Path,
        context: &str,
        caller: Option<Caller>,
    ) -> Result<Value, AwsError> {
        let blob = fileb(blob);
        let mut arguments =
            vec!["decrypt", "--ciphertext-blob", &blob, "--encryption-context", context];
        let recipient = match &caller {
            None => None,
            Some(caller) => Some(self.recipient(caller).map_err(AwsError::Client)?),
        };
        if let Some(recipient) = &recipient {
            arguments.extend(["--recipient", recipient]);
        }
        self.application(&arguments).await
    }

    pub(crate) async fn application(&self, arguments: &[&str]) -> Result<Value, AwsError> {
        self.aws.kms(&Signer::Profile(APPLICATION), arguments).await
    }

    /// `--recipient` with a fresh document of this caller's.
    pub(crate) fn recipient(&self, caller: &Caller) -> Result<String, String> {
        let path = self.path("document.bin");
        fs::write(&path, self.development.caller_document(caller)).map_err(text)?;
        Ok(format!(
            "KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@={}",
            fileb(&path)
        ))
    }

    /// What the enclave's key finds in an answer that has no plaintext.
    pub(crate) fn open(&self, answer: &Value) -> Result<Vec<u8>, String> {
        if answer.get("Plaintext").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            return Err("the answer holds the plaintext".to_owned());
        }
        self.enclave.open(&base64(answer, "/CiphertextForRecipient")?).map_err(text)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

pub(crate) fn one_register(pcr0: PcrValue) -> Option<Pcrs> {
    Pcrs::new([(0, pcr0)]).ok()
}

fn expect_refusal(answer: Result<Value, AwsError>, code: &str, says: &str) -> Told {
    match answer {
        Ok(_) => Err(format!("{code} expected, and it was answered")),
        Err(AwsError::Service { code: found, message })
            if found == code && message.contains(says) =>
        {
            Ok(((), if message.is_empty() { found } else { format!("{found}: {message}") }))
        }
        Err(error) => Err(format!("{code} expected: {error}")),
    }
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn prefix(value: &PcrValue) -> String {
    value.to_string().chars().take(12).collect()
}

/// A file as the AWS CLI takes its bytes.
fn fileb(path: &Path) -> String {
    format!("fileb://{}", path.display())
}

fn string(answer: &Value, pointer: &str) -> Result<String, String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("the answer has no {pointer}"))
}

fn base64(answer: &Value, pointer: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(string(answer, pointer)?).map_err(|_| format!("{pointer} is not base64"))
}
