//! The steps of the demo, in the order in which they are told.

use std::fs;
use std::path::{Path, PathBuf};

use sekisho_attestation::PcrValue;
use sekisho_devkit::{Forgery, Recipient};
use sekisho_enclave::Quotas;

use super::aws::Aws;
use super::report::Report;
use super::scene::{APPLICATION, CONTEXT, OTHER_CONTEXT, Scene, Told, one_register, text};
use crate::service::folder::Folder;
use crate::service::identity::{User, random};
use crate::service::nsm::{Caller, Development};
use crate::service::processes::{Log, Role, log_file};
use crate::service::settings::Wanted;
use crate::service::{Options, Service};

/// Where the story takes place, and with whom.
pub(crate) struct Story {
    aws: Aws,
    folder: PathBuf,
}

impl Story {
    pub(crate) fn new(aws: Aws, folder: &Path) -> Self {
        Self { aws, folder: folder.to_owned() }
    }

    /// Tells it. A step that later ones need and that fails is the last but one.
    pub(crate) async fn tell(self, report: &mut Report) {
        let begun = report.step("service attested", "starting host and worker", self.begin()).await;
        let Some(scene) = begun else { return };
        tell(&scene, report).await;
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
            metrics_listen: None,
            record_traffic: Some(folder.join("carried")),
            auditor_key: None,
            quotas: Quotas::none(),
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

/// The steps in a service that is there.
async fn tell(scene: &Scene, report: &mut Report) {
    let created = report.step("key created", "aws kms create-key", scene.create_key()).await;
    let Some(key_arn) = created else { return };
    let encrypted = report.step("file encrypted", "aws kms encrypt", scene.encrypt(key_arn)).await;
    let Some(sealed) = encrypted else { return };

    let doing = "aws kms decrypt --recipient";
    report.step("attested decrypt", doing, scene.attested_decrypt(&sealed)).await;
    let data_key = report
        .step("attested data key", "aws kms generate-data-key", scene.attested_data_key(&sealed))
        .await;

    let bare = scene.refused(&sealed, CONTEXT, None, "AccessDeniedException", "kms:Decrypt");
    report.step("no document", "aws kms decrypt", bare).await;
    for (step, caller, code, says) in [
        (
            "other code",
            Caller { pcrs: one_register(scene.other_code()), ..scene.caller() },
            "AccessDeniedException",
            "kms:Decrypt",
        ),
        (
            "forged document",
            Caller { forgery: Some(Forgery::SignedByAnotherKey), ..scene.caller() },
            "ValidationException",
            "(document-signature)",
        ),
        (
            "foreign root",
            Caller { forgery: Some(Forgery::OtherRoot), ..scene.caller() },
            "ValidationException",
            "(root-not-trusted)",
        ),
        (
            "debug enclave",
            Caller { debug: true, pcrs: None, ..scene.caller() },
            "ValidationException",
            "(debug)",
        ),
    ] {
        let refused = scene.refused(&sealed, CONTEXT, Some(caller), code, says);
        report.step(step, doing, refused).await;
    }
    let refused = scene.refused(
        &sealed,
        OTHER_CONTEXT,
        Some(scene.caller()),
        "InvalidCiphertextException",
        "",
    );
    report.step("other context", doing, refused).await;
    report.step("wrong signature", "aws kms decrypt", scene.wrong_signature(&sealed)).await;

    let searched = scene.search(data_key.as_deref());
    report.step("host knows nothing", "searching all that the host saw", searched).await;
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
