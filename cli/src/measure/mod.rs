//! `sekisho measure`: what an enclave image measures to, and the key policy that asks for it.

mod image;

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use sekisho_attestation::PcrValue;
use sekisho_enclave::{BOOT_CONFIGURATION_PCR, Options};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::measurement::parse_pcr;
use image::Image;

/// Its register.
const BOOT_CONFIGURATION: u8 = BOOT_CONFIGURATION_PCR as u8;

const EXAMPLES: &str = "\
Examples:
  sekisho measure sekisho.eif
  sekisho measure sekisho.eif --kms-policy --account 111122223333 --role sekisho-host > policy.json
  aws kms create-key --policy file://policy.json
  sekisho measure sekisho.eif --worker-configuration worker.conf

Exit status: 0 it was measured, 1 it is no sound image (and why), 2 wrong usage.";

/// Compute the measurements of an enclave image file (EIF): PCR0, PCR1, PCR2, and PCR8 if it is signed.
///
/// They are what a Nitro Enclave that runs this file attests, and what nitro-cli prints. The
/// signature itself is not verified: an enclave with a wrong one does not start.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The image.
    file: PathBuf,

    /// The options that the host hands over to the worker: PCR16 as it is in a worker with them.
    #[arg(long, value_name = "FILE")]
    worker_configuration: Option<PathBuf>,

    /// Print JSON.
    #[arg(long, conflicts_with = "kms_policy")]
    json: bool,

    /// Print a key policy for AWS KMS with which the root key of a worker is released to this image
    /// alone.
    #[arg(long, requires_all = ["account", "role"])]
    kms_policy: bool,

    /// The AWS account of the key, twelve digits.
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    account: Option<String>,

    /// The IAM role of the instance, whose credentials the host hands to the worker.
    #[arg(long, value_name = "NAME", value_parser = role)]
    role: Option<String>,

    /// A further register that the policy asks for, such as PCR16, the worker's boot configuration;
    /// repeatable.
    #[arg(long = "pcr", value_name = "N=HEX", value_parser = parse_pcr, requires = "kms_policy")]
    pcrs: Vec<(u8, PcrValue)>,
}

fn account(text: &str) -> Result<String, &'static str> {
    let is_account = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    if is_account { Ok(text.into()) } else { Err("an account has twelve digits") }
}

/// IAM's `roleNameType`, with a path before it.
fn role(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&byte);
    let is_role = (1..=512).contains(&text.len()) && text.bytes().all(fits);
    if is_role { Ok(text.into()) } else { Err("a role is named by letters, digits and +=,.@-_") }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let no_image = |error: &dyn std::fmt::Display| {
        Failure::failed(format_args!("{}: {error}", file.display()))
    };
    let opened = File::open(file).map_err(|error| no_image(&error))?;
    let mut image = image::measure(opened).map_err(|error| no_image(&error))?;
    if let Some(file) = &arguments.worker_configuration {
        image.registers.push((BOOT_CONFIGURATION, boot_configuration(file)?));
    }
    match (&arguments.account, &arguments.role) {
        (Some(account), Some(role)) if arguments.kms_policy => {
            let policy = kms_policy(account, role, &image, &arguments.pcrs)?;
            println!("{policy:#}");
        }
        _ if arguments.json => println!("{:#}", to_json(&image)),
        _ => print!("{}", to_text(&image)),
    }
    Ok(())
}

/// By the same reading of the file as the worker's.
fn boot_configuration(file: &Path) -> Result<PcrValue, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format_args!("{}: {error}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let options = Options::from_text(&text).map_err(|error| failed(&error))?;
    let register = options.configuration().register().map_err(|error| failed(&error))?;
    Ok(PcrValue::new(register))
}

fn to_json(image: &Image) -> Value {
    let registers = image.registers.iter();
    let registers: serde_json::Map<_, _> =
        registers.map(|(index, value)| (index.to_string(), value.to_string().into())).collect();
    let sections = image.sections.iter();
    let sections: Vec<_> =
        sections.map(|(kind, size)| json!({ "kind": kind.name(), "bytes": size })).collect();
    json!({ "version": image.version, "pcrs": registers, "sections": sections })
}

fn to_text(image: &Image) -> String {
    let mut text = String::new();
    for (index, value) in &image.registers {
        text.push_str(&format!("PCR{index}  {value}\n"));
    }
    for (kind, size) in &image.sections {
        text.push_str(&format!("{:12}  {size} bytes\n", kind.name()));
    }
    text
}

/// The account administers the key and cannot use it. The role may have a data key made and opened,
/// for the enclave with these measurements alone; nobody may encrypt, so that nobody can make the
/// worker take a root key that somebody knows.
fn kms_policy(
    account: &str,
    role: &str,
    image: &Image,
    pcrs: &[(u8, PcrValue)],
) -> Result<Value, Failure> {
    let wanted = |index| image.registers.iter().filter(move |(found, _)| *found == index);
    let mut conditions = serde_json::Map::new();
    for (index, value) in wanted(0).chain(wanted(8)).chain(wanted(BOOT_CONFIGURATION)).chain(pcrs) {
        let name = format!("kms:RecipientAttestation:PCR{index}");
        if conditions.insert(name, value.to_string().into()).is_some() {
            return Err(Failure::usage(format_args!("PCR{index} is given twice")));
        }
    }
    let principal = |resource: &str| json!({ "AWS": format!("arn:aws:iam::{account}:{resource}") });
    Ok(json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TheAccountAdministers",
                "Effect": "Allow",
                "Principal": principal("root"),
                "Action": [
                    "kms:CancelKeyDeletion", "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey",
                    "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags",
                    "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource",
                    "kms:UntagResource",
                ],
                "Resource": "*",
            },
            {
                "Sid": "TheMeasuredWorkerUnseals",
                "Effect": "Allow",
                "Principal": principal(&format!("role/{role}")),
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": { "StringEqualsIgnoreCase": conditions },
            },
        ],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        image::measure(include_bytes!("vectors/signed.eif").as_slice()).unwrap()
    }

    #[test]
    fn the_policy_asks_for_the_image_its_signer_and_what_else_is_named() {
        let configuration = parse_pcr(&format!("16={}", "ab".repeat(48))).unwrap();
        let policy = kms_policy("111122223333", "host", &image(), &[configuration]).unwrap();
        let unseals = policy.pointer("/Statement/1").unwrap();
        let conditions = unseals.pointer("/Condition/StringEqualsIgnoreCase").unwrap();
        let wanted = |index: usize| image().registers.get(index).unwrap().1.to_string();
        assert_eq!(
            *conditions,
            json!({
                "kms:RecipientAttestation:PCR0": wanted(0),
                "kms:RecipientAttestation:PCR8": wanted(3),
                "kms:RecipientAttestation:PCR16": configuration.1.to_string(),
            })
        );
        // Nobody may make a ciphertext of a key of his own choice.
        for statement in policy.pointer("/Statement").and_then(Value::as_array).unwrap() {
            let actions = statement.pointer("/Action").unwrap().to_string();
            for refused in ["Encrypt", "ReEncrypt", "CreateGrant", "*"] {
                assert!(!actions.contains(refused), "{actions}");
            }
        }
        assert!(kms_policy("111122223333", "host", &image(), &[configuration; 2]).is_err());
    }

    #[test]
    fn a_file_of_options_is_pcr16_as_the_worker_computes_it() {
        let pair = sekisho_enclave::HpkePair::generate().unwrap();
        let auditor =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair.public_key());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.conf");
        let write = |region: &str| {
            let text =
                format!("region = {region}\naccount = 111122223333\nauditor-key = {auditor}");
            std::fs::write(&file, text).unwrap();
            boot_configuration(&file)
        };
        let value = write("eu-central-1").unwrap();
        assert_ne!(value, write("us-east-1").unwrap());
        let mut image = image();
        image.registers.push((BOOT_CONFIGURATION, value));
        let policy = kms_policy("111122223333", "host", &image, &[]).unwrap();
        assert!(policy.to_string().contains(&format!("PCR16\":\"{value}")));
        assert!(write("Europe").is_err());
    }
}
