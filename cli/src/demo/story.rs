//! The steps of the demo, in the order in which they are told.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_attestation::{PcrValue, Pcrs};
use sekisho_devkit::{Forgery, Recipient};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::aws::{Aws, AwsError, Signer};
use super::report::Report;
use super::search::{Haystack, Secret};
use crate::service::folder::{Folder, Wanted};
use crate::service::identity::{User, random};
use crate::service::nsm::{Caller, Development};
use crate::service::processes::{Log, Role, log_file};
use crate::service::{Options, Service};

/// The user whose access key the demo's application has.
const APPLICATION: &str = "payroll";
const CONTEXT: &str = "tenant=north,purpose=payroll";
const OTHER_CONTEXT: &str = "tenant=south,purpose=payroll";

/// Bytes of a sealed entry that must be in the store's files just as the worker sent them.
const STORED_PIECE: usize = 64;

/// What one step hands to the report: a value for later steps, and what was found.
type Told<T = ()> = Result<(T, String), String>;

/// Where the story takes place, and with whom.
pub(crate) struct Story {
    aws: Aws,
    folder: PathBuf,
}

/// The service and the parties, once they are there.
struct Scene {
    service: Service,
    aws: Aws,
    folder: PathBuf,
    development: Development,
    enclave: Recipient,
    /// What the application's enclave is measured as.
    measured: PcrValue,
    payroll: Vec<u8>,
}

/// What the application got, for the steps after it.
struct Sealed {
    key_arn: String,
    /// The file with the CiphertextBlob.
    payroll: PathBuf,
}

impl Story {
    pub(crate) fn new(aws: Aws, folder: &Path) -> Self {
        Self { aws, folder: folder.to_owned() }
    }

    /// Tells it. A step that later ones need and that fails is the last but one.
    pub(crate) async fn tell(self, report: &mut Report) {
        let begun = report.step("service attested", "starting host and worker", self.begin()).await;
        let Some(scene) = begun else { return };
        scene.tell(report).await;
        let stop = async {
            scene.service.stop().await.map_err(text)?;
            Ok(((), "host and worker ended in order".to_owned()))
        };
        report.step("service stopped", "stopping", stop).await;
    }

    async fn begin(self) -> Told<Scene> {
        let Self { aws, folder } = self;
        let logs = folder.join("logs");
        fs::create_dir(&logs).map_err(text)?;
        let data = Folder::open(&folder.join("data"), &Wanted::default()).map_err(text)?;
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![APPLICATION.parse::<User>()?],
            record_traffic: Some(folder.join("carried")),
            log: Log::Folder(logs.clone()),
        };
        let service = Service::start(data, options)
            .await
            .map_err(|error| format!("{error}{}", last_words(&logs)))?;
        let development = Development::read(&service.folder().pki()).map_err(text)?;
        let mut measured = [0; PcrValue::LENGTH];
        random(&mut measured).map_err(text)?;
        let found = format!(
            "{} over its own TLS connection, journal entry {}",
            service.attested().document.module_id(),
            service.attested().binding.journal_sequence,
        );
        let scene = Scene {
            aws: aws.at(&folder, service.environment()),
            service,
            development,
            enclave: Recipient::generate().map_err(text)?,
            measured: PcrValue::new(measured),
            payroll: payroll()?,
            folder,
        };
        fs::write(scene.path("payroll.csv"), &scene.payroll).map_err(text)?;
        Ok((scene, found))
    }
}

impl Scene {
    async fn tell(&self, report: &mut Report) {
        let created = report.step("key created", "aws kms create-key", self.create_key()).await;
        let Some(key_arn) = created else { return };
        let encrypted =
            report.step("file encrypted", "aws kms encrypt", self.encrypt(key_arn)).await;
        let Some(sealed) = encrypted else { return };

        let doing = "aws kms decrypt --recipient";
        report.step("attested decrypt", doing, self.attested_decrypt(&sealed)).await;
        let data_key = report
            .step("attested data key", "aws kms generate-data-key", self.attested_data_key(&sealed))
            .await;

        let bare = self.refused(&sealed, CONTEXT, None, "AccessDeniedException", "kms:Decrypt");
        report.step("no document", "aws kms decrypt", bare).await;
        for (step, caller, code, says) in [
            (
                "other code",
                Caller { pcrs: one_register(self.other_code()), ..self.caller() },
                "AccessDeniedException",
                "kms:Decrypt",
            ),
            (
                "forged document",
                Caller { forgery: Some(Forgery::SignedByAnotherKey), ..self.caller() },
                "ValidationException",
                "(document-signature)",
            ),
            (
                "foreign root",
                Caller { forgery: Some(Forgery::OtherRoot), ..self.caller() },
                "ValidationException",
                "(root-not-trusted)",
            ),
            (
                "debug enclave",
                Caller { debug: true, pcrs: None, ..self.caller() },
                "ValidationException",
                "(debug)",
            ),
        ] {
            let refused = self.refused(&sealed, CONTEXT, Some(caller), code, says);
            report.step(step, doing, refused).await;
        }
        let refused = self.refused(
            &sealed,
            OTHER_CONTEXT,
            Some(self.caller()),
            "InvalidCiphertextException",
            "",
        );
        report.step("other context", doing, refused).await;
        report.step("wrong signature", "aws kms decrypt", self.wrong_signature(&sealed)).await;

        let searched = self.search(data_key.as_deref());
        report.step("host knows nothing", "searching all that the host saw", searched).await;
    }

    async fn create_key(&self) -> Told<String> {
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

    async fn encrypt(&self, key_arn: String) -> Told<Sealed> {
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

    async fn attested_decrypt(&self, sealed: &Sealed) -> Told {
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
    async fn attested_data_key(&self, sealed: &Sealed) -> Told<Vec<u8>> {
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
    async fn refused(
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
    async fn wrong_signature(&self, sealed: &Sealed) -> Told {
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

    /// Everything that the host carried and stored, searched for what it must not know.
    async fn search(&self, data_key: Option<&[u8]>) -> Told {
        // The control: bytes that are sure to have passed the host in the clear.
        let mut control = [0; 32];
        random(&mut control).map_err(text)?;
        let control = hex::encode(control).into_bytes();
        let endpoint = self.service.endpoint();
        let mut stream =
            TcpStream::connect((endpoint.host(), endpoint.port())).await.map_err(text)?;
        stream.write_all(&control).await.map_err(text)?;
        stream.shutdown().await.map_err(text)?;
        drain(stream).await;

        let carried = Haystack::read(&self.folder.join("carried")).map_err(text)?;
        let to_store = Haystack::read_named(&self.folder.join("carried"), |name| {
            name.starts_with("store-") && name.ends_with("-from-worker.bin")
        })
        .map_err(text)?;
        let stored = Haystack::read(&self.service.folder().store()).map_err(text)?;
        if !carried.holds(&control) {
            return Err("the search does not even find bytes that were sent in the clear".into());
        }
        if !stored.shares(&to_store, STORED_PIECE) {
            return Err("what the worker sent to the store is not in the store's files".into());
        }

        let secrets = self.secrets(data_key)?;
        for (where_, haystack) in [("carried", &carried), ("stored", &stored)] {
            if let [first, ..] = haystack.leaks(&secrets).as_slice() {
                return Err(format!("the host {where_} {first}"));
            }
        }
        let found = format!(
            "{} KiB carried and {} KiB stored hold none of {} secrets in any form; both controls were found",
            carried.len() / 1024,
            stored.len() / 1024,
            secrets.len(),
        );
        Ok(((), found))
    }

    fn secrets(&self, data_key: Option<&[u8]>) -> Result<Vec<Secret>, String> {
        let lines = self.payroll.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut secrets: Vec<_> = lines
            .enumerate()
            .map(|(number, line)| Secret::new(format!("line {} of the file", number + 1), line))
            .collect();
        if let Some(data_key) = data_key {
            secrets.push(Secret::new("the data key", data_key));
        }
        for credential in self.service.credentials() {
            let name = format!("the secret access key of {}", credential.profile());
            secrets.push(Secret::new(name, credential.secret_access_key.as_bytes()));
        }
        let root_key = crate::service::root_key::open(&self.service.folder().root_key());
        secrets.push(Secret::new("the root key", root_key.map_err(text)?.as_ref()));
        Ok(secrets)
    }

    /// The application's enclave: measured as the policy wants it.
    fn caller(&self) -> Caller {
        Caller {
            public_key: self.enclave.public_key_der().to_vec(),
            pcrs: one_register(self.measured),
            ..Caller::default()
        }
    }

    /// One bit of difference.
    fn other_code(&self) -> PcrValue {
        let mut bytes = *self.measured.as_bytes();
        let [.., last] = &mut bytes;
        *last ^= 1;
        PcrValue::new(bytes)
    }

    async fn decrypt(
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

    async fn application(&self, arguments: &[&str]) -> Result<Value, AwsError> {
        self.aws.kms(&Signer::Profile(APPLICATION), arguments).await
    }

    /// `--recipient` with a fresh document of this caller's.
    fn recipient(&self, caller: &Caller) -> Result<String, String> {
        let path = self.path("document.bin");
        fs::write(&path, self.development.caller_document(caller)).map_err(text)?;
        Ok(format!(
            "KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@={}",
            fileb(&path)
        ))
    }

    /// What the enclave's key finds in an answer that has no plaintext.
    fn open(&self, answer: &Value) -> Result<Vec<u8>, String> {
        if answer.get("Plaintext").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            return Err("the answer holds the plaintext".to_owned());
        }
        self.enclave.open(&base64(answer, "/CiphertextForRecipient")?).map_err(text)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn one_register(pcr0: PcrValue) -> Option<Pcrs> {
    Pcrs::new([(0, pcr0)]).ok()
}

/// A file as a company has it, different each time so that it is found only where it was.
fn payroll() -> Result<Vec<u8>, String> {
    let mut file = String::from("employee,iban,net salary\n");
    for number in 1001..1041 {
        let mut digits = [0; 9];
        random(&mut digits).map_err(text)?;
        let account: String = digits.iter().map(|byte| format!("{:02}", byte % 100)).collect();
        file.push_str(&format!("{number},DE{account},{}.00 EUR\n", 2000 + number % 97 * 31));
    }
    Ok(file.into_bytes())
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

/// Reads to the end, so that all that was sent has passed.
async fn drain(mut stream: TcpStream) {
    let mut nowhere = tokio::io::sink();
    let ended = tokio::io::copy(&mut stream, &mut nowhere);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), ended).await;
}

/// What the processes wrote last, for the person who wonders why they do not start.
fn last_words(logs: &Path) -> String {
    let mut words = String::new();
    for role in [Role::Host, Role::Worker] {
        let log = fs::read_to_string(log_file(logs, role)).unwrap_or_default();
        if let Some(line) = log.lines().last() {
            words.push_str(&format!("; the {role} said: {line}"));
        }
    }
    words
}

fn text(error: impl std::fmt::Display) -> String {
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
