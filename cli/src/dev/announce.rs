//! What `sekisho dev` says, to a person or as JSON: what it waits for, and that it serves.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use sekisho_enclave::OperatorShares;
use serde_json::{Value, json};

use crate::checkpoints::Report;
use crate::service::folder::Folder;
use crate::service::{Service, default_folder};

pub(super) fn ready(service: &Service, checkpoints: &Report, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        serde_json::to_writer(&mut out, &ready_json(service, checkpoints))?;
        writeln!(out)?;
    } else {
        out.write_all(text(service).as_bytes())?;
    }
    out.flush()
}

/// Says what the key's policy has to ask for.
pub(super) fn sealed(service: &Service, as_json: bool) -> io::Result<()> {
    let folder = service.folder();
    if let Some(operators) = &folder.settings().operators {
        return ceremony(service, operators, as_json);
    }
    let Some(unseal) = &folder.settings().unseal else { return Ok(()) };
    let (attested, key) = (service.attested(), &unseal.kms.key);
    let mut out = io::stdout().lock();
    if as_json {
        let kms = unseal.kms.endpoint.to_string();
        let awaited = [("unseal_key", json!(key.as_str())), ("unseal_kms", json!(kms))];
        let sealed = sealed_json(service, awaited);
        serde_json::to_writer(&mut out, &sealed)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "\
Sekisho is sealed at {endpoint}, until
{key}
at {kms} unwraps its root key. That key's policy has to allow kms:GenerateDataKey and
kms:Decrypt under the condition of these registers (kms:RecipientAttestation:PCR<n>), and the KMS
to accept documents of {root}:
",
            endpoint = service.endpoint(),
            kms = unseal.kms.endpoint,
            root = folder.development_root().display(),
        )?;
        for (register, value) in attested.pcrs() {
            writeln!(out, "  PCR{register:<3} {value}")?;
        }
        writeln!(out)?;
    }
    out.flush()
}

/// Says what operators do next.
fn ceremony(service: &Service, operators: &OperatorShares, as_json: bool) -> io::Result<()> {
    let folder = service.folder();
    let OperatorShares { holders, threshold, .. } = operators;
    let mut out = io::stdout().lock();
    if as_json {
        let awaited = [("shares", json!(holders.len())), ("threshold", json!(threshold))];
        let sealed = sealed_json(service, awaited);
        serde_json::to_writer(&mut out, &sealed)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "\
Sekisho is sealed at {endpoint}, until {threshold} of {shares} operators have given their
shares. The first time, have the shares made:

  sekisho init --endpoint {endpoint} --root {root} \\
    --any-measurement --shares {shares} --threshold {threshold} --out shares

and then each of them:

  sekisho unseal --endpoint {endpoint} --root {root} \\
    --any-measurement --share shares/share-1.json --private-key THEIRS.pem
",
            endpoint = service.endpoint(),
            shares = holders.len(),
            root = folder.development_root().display(),
        )?;
    }
    out.flush()
}

/// A service that waits for what `awaited` says.
fn sealed_json<'a>(service: &Service, awaited: [(&'a str, Value); 2]) -> BTreeMap<&'a str, Value> {
    let folder = service.folder();
    let mut sealed = BTreeMap::from([
        ("sealed", json!(true)),
        ("endpoint", json!(service.endpoint().to_string())),
        ("data_dir", json!(folder.path())),
        ("development_root", json!(folder.development_root())),
        ("attestation", service.attested().to_json()),
    ]);
    sealed.extend(awaited);
    sealed
}

fn ready_json(service: &Service, checkpoints: &Report) -> Value {
    let folder = service.folder();
    let settings = folder.settings();
    let attested = service.attested();
    json!({
        "endpoint": service.endpoint().to_string(),
        "data_dir": folder.path(),
        "regions": settings.regions().map(ToString::to_string).collect::<Vec<_>>(),
        "environment": service.environment().into_iter().collect::<BTreeMap<_, _>>(),
        "environment_file": folder.environment(),
        "credentials": folder.credentials(),
        "principals": service
            .credentials()
            .iter()
            .map(|credential| json!({
                "profile": credential.profile(),
                "arn": credential.principal_arn(&settings.account),
                "access_key_id": credential.access_key_id,
            }))
            .collect::<Vec<_>>(),
        "development_root": folder.development_root(),
        "ca": folder.ca(),
        "attestation": attested.to_json(),
        "rollback": checkpoints.to_json(),
        "development": true,
    })
}

fn text(service: &Service) -> String {
    let folder = service.folder();
    let settings = folder.settings();
    let mut text = format!(
        "\
Sekisho serves AWS KMS at {endpoint}

  FOR DEVELOPMENT. The NSM is emulated and proves nothing about hardware; the root key is
  {root_key}. Whoever can read {data} can read every key.

  The worker's attestation was verified over this endpoint: module {module},
  journal entry {sequence}.

  Account {account}, in {regions}.

  Profiles in the credentials file:
",
        account = settings.account,
        regions = settings.regions().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        endpoint = service.endpoint(),
        root_key = match (&settings.unseal, &settings.operators) {
            (Some(_), _) => "unwrapped for whoever says what this NSM says",
            (None, Some(_)) => "wrapped under its operators' shares",
            (None, None) => "a file",
        },
        data = folder.path().display(),
        module = service.attested().document.module_id(),
        sequence = service.attested().binding.journal_sequence,
    );
    for credential in service.credentials() {
        text.push_str(&format!(
            "    {:<12} {}\n",
            credential.profile(),
            credential.principal_arn(&settings.account)
        ));
    }
    text.push_str(&audit_hint(folder));
    text.push_str("\nFor AWS clients:\n\n");
    text.push_str(&service.environment_file());
    text.push_str(&format!(
        "\nThe same lines are in {}. Ctrl-C stops the service.\n",
        folder.environment().display()
    ));
    text
}

/// Where the decisions are, and who can read them.
fn audit_hint(folder: &Folder) -> String {
    let default = default_folder().is_some_and(|default| default == folder.path());
    let data =
        if default { String::new() } else { format!(" --data-dir {}", folder.path().display()) };
    let key = folder.auditor_public();
    format!(
        "\n  Each decision is in the audit log, encrypted to {}:\n    sekisho audit tail --follow{data}\n",
        key.display()
    )
}
