//! The rule in Rego, by regorus: by its interpreter, and by its virtual machine.

use crate::{USER, register};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::{Engine, Value};
use sekisho_policy_engine::{Attestation, AttestationKind, Key, Pair, Request};
use std::collections::BTreeMap;

const ENTRY: &str = "data.sekisho.allow";

pub fn policy() -> String {
    format!(
        r#"package sekisho
        default allow := false
        allow if {{
            input.principal.arn == "{USER}"
            input.action == "kms:Decrypt"
            input.attestation.pcrs["0"] == "{}"
            input.attestation.pcrs["8"] == "{}"
        }}"#,
        register(1),
        register(2),
    )
}

fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.add_policy("key.rego".into(), policy()).unwrap();
    engine
}

pub fn interpreter(request: Request) -> Box<dyn FnMut() -> bool> {
    let mut engine = engine();
    Box::new(move || {
        engine.set_input(input(&request));
        engine.eval_rule(ENTRY.into()).unwrap() == Value::from(true)
    })
}

pub fn virtual_machine(request: Request) -> Box<dyn FnMut() -> bool> {
    let compiled = engine().compile_with_entrypoint(&ENTRY.into()).unwrap();
    let program = Compiler::compile_from_policy(&compiled, &[ENTRY]).unwrap();
    let mut machine = RegoVM::new();
    machine.load_program(program);
    Box::new(move || {
        machine.set_input(input(&request));
        machine.execute_entry_point_by_name(ENTRY).unwrap() == Value::from(true)
    })
}

type Members = BTreeMap<Value, Value>;

fn input(request: &Request) -> Value {
    let principal = object([
        ("arn", text(&request.principal.arn)),
        ("account", text(&request.principal.account)),
        ("tags", pairs(&request.principal.tags)),
    ]);
    let grants: Vec<Value> =
        request.grants.iter().map(|grant| object([("id", text(&grant.id))])).collect();
    let mut members = vec![
        ("action", text(&request.action)),
        ("resource", text(&request.resource)),
        ("principal", principal),
        ("encryption_context", pairs(&request.encryption_context)),
        ("parameters", pairs(&request.parameters)),
        ("grants", grants.into()),
        ("time", request.time.into()),
    ];
    members.extend(request.key.as_ref().map(|key| ("key", described(key))));
    members.extend(request.attestation.as_ref().map(|value| ("attestation", measured(value))));
    members.extend(request.source_ip.as_ref().map(|address| ("source_ip", text(address))));
    object(members)
}

fn described(key: &Key) -> Value {
    let aliases: Vec<Value> = key.aliases.iter().map(|alias| text(alias)).collect();
    object([
        ("arn", text(&key.arn)),
        ("spec", text(&key.spec)),
        ("usage", text(&key.usage)),
        ("origin", text(&key.origin)),
        ("state", text(&key.state)),
        ("aliases", aliases.into()),
        ("tags", pairs(&key.tags)),
    ])
}

fn measured(attestation: &Attestation) -> Value {
    let kind = match attestation.kind {
        AttestationKind::Enclave => "enclave",
        AttestationKind::NitroTpm => "nitro-tpm",
    };
    let pcrs = attestation.pcrs.iter();
    let pcrs: Members = pcrs.map(|pcr| (pcr.index.to_string().into(), text(&pcr.value))).collect();
    let mut members = vec![
        ("kind", text(kind)),
        ("module_id", text(&attestation.module_id)),
        ("timestamp", attestation.timestamp.into()),
        ("age", attestation.age.into()),
        ("nonce_fresh", attestation.nonce_fresh.into()),
        ("pcrs", pcrs.into()),
    ];
    let digest = attestation.public_key_sha256.as_ref();
    members.extend(digest.map(|digest| ("public_key_sha256", text(digest))));
    object(members)
}

fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (text(name), value));
    members.collect::<Members>().into()
}

fn pairs(pairs: &[Pair]) -> Value {
    pairs.iter().map(|pair| (text(&pair.name), text(&pair.value))).collect::<Members>().into()
}

fn text(text: &str) -> Value {
    text.into()
}
