//! `sekisho policy`: a new project becomes a component that decides as its table says; and decisions
//! that a real service recorded are replayed.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod running;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use running::{SEKISHO, STATE, Service, folder, recorded, words};
use sekisho_policy_engine::ModuleDigest;
use serde_json::{Value, json};

/// `sekisho policy <arguments>` in a folder.
fn policy(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(SEKISHO);
    command.arg("policy").args(arguments).current_dir(folder).env("XDG_STATE_HOME", STATE);
    command.output().expect("sekisho runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &Path, name: &str, content: &Value) {
    fs::write(folder.join(name), content.to_string()).expect("a file is written");
}

/// `c2VjcmV0`, which AWS's first CLI takes as it is, in base64.
const SECRET: &str = "YzJWamNtVjA=";

/// An AWS policy document that lets these principals decrypt.
fn document(principals: &[&str]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": principals },
        "Action": "kms:*", "Resource": "*",
    }] })
}

#[test]
fn a_new_project_is_built_tested_and_asked() {
    let folder = folder();
    let made = policy(folder.path(), &["new", "backup"]);
    assert!(made.status.success(), "{}", words(&made));
    let again = policy(folder.path(), &["new", "backup"]);
    assert_eq!(again.status.code(), Some(1), "{}", words(&again));

    let project = folder.path().join("backup");
    let unbuilt = policy(&project, &["test"]);
    assert_eq!(unbuilt.status.code(), Some(2), "{}", words(&unbuilt));
    assert!(said(&unbuilt).contains("is not built"), "{}", words(&unbuilt));

    let built = policy(&project, &["build"]);
    assert!(built.status.success(), "{}", words(&built));
    let tested = policy(&project, &["test", "--json"]);
    assert!(tested.status.success(), "{}", words(&tested));
    assert_eq!((&json(&tested)["passed"], &json(&tested)["failed"]), (&json!(6), &json!(0)));

    let inspected = policy(&project, &["inspect", "backup.wasm", "--json"]);
    assert!(inspected.status.success(), "{}", words(&inspected));
    assert_eq!(json(&inspected)["contract"], "0.2.0");
    assert_eq!(json(&inspected)["accepted_contracts"], json!(["0.2.0", "0.1.0"]));

    write(&project, "config.json", &json!({ "purpose": "backup" }));
    for (purpose, decision, status) in [("backup", "allow", 0), ("sale", "deny", 1)] {
        let context = json!({ "purpose": purpose });
        let request = json!({ "action": "kms:Decrypt", "encryption_context": context });
        write(&project, "request.json", &request);
        let asked = ["run", "backup.wasm", "--config", "config.json", "--request", "request.json"];
        let answer = policy(&project, &[&asked[..], &["--json"]].concat());
        assert_eq!(json(&answer)["decision"], decision);
        assert_eq!(answer.status.code(), Some(status), "{}", words(&answer));
        assert_eq!(json(&answer)["module"], json(&inspected)["sha256"]);
    }
    it_decides_for_a_key(&project, json(&inspected)["sha256"].as_str().expect("a digest"));
}

/// The project's component is installed in a service, and decides for a key over AWS's API, also
/// after a restart.
fn it_decides_for_a_key(project: &Path, digest: &str) {
    let data = folder();
    let service = Service::start(data.path());
    let sekisho = |service: &Service, profile: &str, arguments: &[&str]| {
        let mut command = service.client(SEKISHO);
        command.env("AWS_PROFILE", profile).current_dir(project).arg("policy").args(arguments);
        command.output().expect("sekisho runs")
    };
    let install = ["install", ".", "--name", "backup-1"];
    let bobs = sekisho(&service, "bob", &install);
    assert!(said(&bobs).contains("AccessDeniedException"), "{}", words(&bobs));
    for _ in 0..2 {
        let installed = sekisho(&service, "default", &[&install[..], &["--json"]].concat());
        assert_eq!(json(&installed)["PolicyModule"]["Sha256"], digest);
    }
    for (name, problem) in [("iam", "exists"), ("Backup", "failed to satisfy constraint")] {
        let refused = sekisho(&service, "default", &["install", ".", "--name", name]);
        assert!(said(&refused).contains(problem), "{}", words(&refused));
    }
    let listed = sekisho(&service, "default", &["list", "--json"]);
    assert_eq!(json(&listed)["ContractVersions"], json!(["0.2.0", "0.1.0"]));
    let listed: Vec<_> = json(&listed)["PolicyModules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|known| known["Name"].as_str().expect("a name").to_owned())
        .collect();
    let stock = sekisho_policy_engine::stock::ALL.map(|(name, _)| name);
    assert!(stock.iter().all(|name| listed.iter().any(|known| known == name)), "{listed:?}");
    assert!(listed.is_sorted() && listed.iter().any(|known| known == "backup-1"), "{listed:?}");

    let policy = json!({ "module": "backup-1", "config": { "purpose": "backup" } }).to_string();
    let unread = json!({ "module": "backup-1", "config": {} }).to_string();
    let refused = service.aws("default", &["create-key", "--policy", &unread]);
    assert!(said(&refused).contains("`purpose` is missing"), "{}", words(&refused));
    let created = service.aws("default", &["create-key", "--policy", &policy]);
    let key = json(&created)["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned();

    let encrypted = |service: &Service, purpose: &str| {
        let context = format!("purpose={purpose}");
        let encrypt = ["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"];
        let output =
            service.aws("default", &[&encrypt[..], &["--encryption-context", &context]].concat());
        let blob = json(&output)["CiphertextBlob"].as_str().expect("a ciphertext").to_owned();
        let file = project.join(purpose);
        let decoded = base64::engine::general_purpose::STANDARD.decode(blob).expect("base64");
        fs::write(&file, decoded).expect("a file is written");
        (format!("fileb://{}", file.display()), context)
    };
    let decrypt = |service: &Service, (file, context): &(String, String)| {
        let decrypt = ["decrypt", "--ciphertext-blob", file, "--encryption-context", context];
        service.aws("alice", &decrypt)
    };
    let (backup, sale) = (encrypted(&service, "backup"), encrypted(&service, "sale"));
    assert_eq!(json(&decrypt(&service, &backup))["Plaintext"], SECRET);
    let denied = decrypt(&service, &sale);
    assert!(said(&denied).contains("AccessDeniedException"), "{}", words(&denied));
    // Why is for the audit record alone.
    assert!(!said(&denied).contains("another purpose"), "{}", words(&denied));

    assert_eq!(service.stop(), Some(0));
    let service = Service::start(data.path());
    assert_eq!(json(&decrypt(&service, &backup))["Plaintext"], SECRET);
    let decisions = recorded(data.path(), "Decrypt");
    let expected = [("allowed", Value::Null), ("denied", json!("another purpose"))];
    for (decision, (outcome, reason)) in decisions.iter().zip(expected) {
        assert_eq!((&decision["outcome"], &decision["reason"]), (&json!(outcome), &reason));
        assert_eq!(decision["decision"]["module"], digest);
    }
    assert_eq!(decisions.len(), 3);

    // The module goes when no key needs it any more, and not before.
    let delete = |profile: &str, name: &str| sekisho(&service, profile, &["delete", name]);
    assert!(said(&delete("bob", "backup-1")).contains("AccessDeniedException"));
    assert!(said(&delete("default", "iam")).contains("comes with the worker"));
    assert!(said(&delete("default", "none")).contains("No policy module is named none"));
    let used = delete("default", "backup-1");
    assert!(said(&used).contains("DeleteConflictException"), "{}", words(&used));
    assert!(said(&used).contains(&format!("key/{key}")), "{}", words(&used));
    let open = document(&["*"]).to_string();
    let put = ["put-key-policy", "--key-id", &key, "--policy-name", "default", "--policy", &open];
    let put = service.aws("default", &put);
    assert!(put.status.success(), "{}", words(&put));
    let deleted = delete("default", "backup-1");
    assert!(deleted.status.success(), "{}", words(&deleted));
    let gone = service.aws("default", &["create-key", "--policy", &policy]);
    assert!(said(&gone).contains("no policy module is named 'backup-1'"), "{}", words(&gone));
    assert_eq!(service.stop(), Some(0));
    let service = Service::start(data.path());
    let listed = sekisho(&service, "default", &["list", "--json"]);
    let left = json(&listed)["PolicyModules"].as_array().expect("a list").clone();
    assert!(left.iter().all(|known| known["Stock"] == true), "{left:?}");
    assert_eq!(left.len(), stock.len());
    let again = sekisho(&service, "default", &install);
    assert!(again.status.success(), "{}", words(&again));
}

/// A policy of each other language: built, tested by its table, and deciding for a key.
#[test]
fn projects_in_other_languages_decide_too() {
    let folder = folder();
    let data = self::folder();
    let service = Service::start(data.path());
    let tool = |program: &str, arguments: &[&str], folder: &Path| {
        let run = Command::new(program).args(arguments).current_dir(folder).output();
        let there = run.is_ok_and(|output| output.status.success());
        if !there {
            eprintln!("SKIPPED: {program} {} does not work here", arguments.join(" "));
        }
        there
    };
    for lang in ["c", "js"] {
        let made = policy(folder.path(), &["new", lang, "--lang", lang]);
        assert!(made.status.success(), "{}", words(&made));
        let project = folder.path().join(lang);
        let ready = match lang {
            "c" => {
                tool("clang", &["--version"], &project) && tool("wasm-ld", &["--version"], &project)
            }
            _ => {
                // What is missing is said, with how to get it.
                let built = policy(&project, &["build"]);
                assert!(said(&built).contains("npm install"), "{}", words(&built));
                tool("npm", &["install", "--no-audit", "--no-fund"], &project)
            }
        };
        if !ready {
            continue;
        }
        it_is_built_and_decides(&service, &project, lang);
    }
    assert_eq!(service.stop(), Some(0));
}

/// The same in Python, whose component is ten times what a service admits unasked, and takes the time to
/// compile that goes with it: `scripts/policy-python` runs this, and says where the tool is.
#[test]
fn a_project_in_python_decides_too() {
    let Some(tools) = std::env::var_os("SEKISHO_TEST_COMPONENTIZE_PY") else {
        eprintln!(
            "SKIPPED: a policy in Python takes minutes to compile; run scripts/policy-python"
        );
        return;
    };
    let (folder, data) = (folder(), self::folder());
    let made = policy(folder.path(), &["new", "python", "--lang", "python"]);
    assert!(made.status.success(), "{}", words(&made));
    let project = folder.path().join("python");
    let mut without = Command::new(SEKISHO);
    without.args(["policy", "build"]).current_dir(&project).env("PATH", "/nowhere");
    let without = without.output().expect("sekisho runs");
    assert!(said(&without).contains("pip install componentize-py=="), "{}", words(&without));
    std::os::unix::fs::symlink(tools, project.join(".venv")).expect("a link is made");

    let service = Service::start_with(data.path(), &["--policy-module-size", "20MiB"]);
    let key = it_is_built_and_decides(&service, &project, "python");
    assert_eq!(service.stop(), Some(0));
    // The option is kept, and the first request for the key waits for its module.
    let service = Service::start(data.path());
    let described = service.aws("default", &["describe-key", "--key-id", &key]);
    assert!(described.status.success(), "{}", words(&described));
    assert_eq!(service.stop(), Some(0));

    let digest = ModuleDigest::of(&fs::read(project.join("python.wasm")).expect("a component"));
    let decisions = recorded(data.path(), "Decrypt");
    let outcomes: Vec<_> = decisions.iter().map(|decision| &decision["outcome"]).collect();
    assert_eq!(outcomes, ["allowed", "denied"]);
    for decision in &decisions {
        assert_eq!(decision["decision"]["module"], digest.to_string());
    }
}

/// A project whose tools are there becomes a component that meets its table, and decides for a key.
/// Answers with the key.
fn it_is_built_and_decides(service: &Service, project: &Path, lang: &str) -> String {
    let built = policy(project, &["build"]);
    assert!(built.status.success(), "{}", words(&built));
    let option = words(&built).contains("only with --policy-module-size 18MiB");
    assert_eq!(option, lang == "python", "{}", words(&built));
    let tested = policy(project, &["test"]);
    assert!(tested.status.success(), "{lang}: {}", words(&tested));
    let mut install = service.client(SEKISHO);
    install.current_dir(project).args(["policy", "install", ".", "--name", lang]);
    let installed = install.output().expect("sekisho runs");
    assert!(installed.status.success(), "{lang}: {}", words(&installed));

    let policy = json!({ "module": lang, "config": { "purpose": "backup" } }).to_string();
    let created = service.aws("default", &["create-key", "--policy", &policy]);
    let key = json(&created)["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned();
    for (purpose, allowed) in [("backup", true), ("sale", false)] {
        let context = format!("purpose={purpose}");
        let encrypt = ["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"];
        let context = ["--encryption-context", &context];
        let encrypted = service.aws("default", &[&encrypt[..], &context].concat());
        let blob = json(&encrypted)["CiphertextBlob"].as_str().expect("a blob").to_owned();
        let file = project.join(purpose);
        let decoded = base64::engine::general_purpose::STANDARD.decode(blob).expect("base64");
        fs::write(&file, decoded).expect("a file is written");
        let file = format!("fileb://{}", file.display());
        let decrypt = ["decrypt", "--ciphertext-blob", &file];
        let decrypted = service.aws("alice", &[&decrypt[..], &context].concat());
        assert_eq!(decrypted.status.success(), allowed, "{lang}: {}", words(&decrypted));
    }
    key
}

#[test]
fn a_table_that_is_not_met_fails_and_says_where() {
    let folder = folder();
    let table = json!({
        "configuration": document(&["arn:aws:iam::111122223333:user/alice"]),
        "request": { "action": "kms:Decrypt", "key": {} },
        "cases": [{ "name": "the root too", "expect": "allow" }],
    });
    write(folder.path(), "table.json", &table);
    let tested = policy(folder.path(), &["test", "iam", "--table", "table.json"]);
    assert_eq!(tested.status.code(), Some(1), "{}", words(&tested));
    let out = String::from_utf8_lossy(&tested.stdout);
    assert!(out.contains("FAIL  the root too: allow is expected, not no-opinion"), "{out}");
}

#[test]
fn what_no_service_would_take_is_refused_with_its_reason() {
    let folder = folder();
    for (name, bytes, reason) in [
        ("text.wasm", &b"(module)"[..], "it does not begin with"),
        ("module.wasm", b"\0asm\x01\0\0\0", "a core module, not a component"),
    ] {
        fs::write(folder.path().join(name), bytes).expect("a file is written");
        let inspected = policy(folder.path(), &["inspect", name]);
        assert_eq!(inspected.status.code(), Some(1), "{}", words(&inspected));
        assert!(said(&inspected).contains(reason), "{}", words(&inspected));
    }
    let missing = policy(folder.path(), &["inspect", "nothing.wasm"]);
    assert_eq!(missing.status.code(), Some(2), "{}", words(&missing));
    assert!(said(&missing).contains("the stock policies are: "), "{}", words(&missing));
}

#[test]
fn recorded_decisions_are_replayed() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let created = service.aws("default", &["create-key"]);
    let key = json(&created)["KeyMetadata"]["Arn"].as_str().expect("an ARN").to_owned();
    for _ in 0..2 {
        service.aws("default", &["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"]);
    }
    service.aws("bob", &["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"]);

    let log = files.path().join("decisions.jsonl");
    let exported = Command::new(SEKISHO)
        .args(["audit", "export", "--data-dir"])
        .arg(data.path())
        .arg("--out")
        .arg(&log)
        .env("XDG_STATE_HOME", STATE)
        .output()
        .expect("sekisho runs");
    assert!(exported.status.success(), "{}", words(&exported));

    let account = key.split(':').nth(4).expect("an account").to_owned();
    let arn = |name: &str| format!("arn:aws:iam::{account}:{name}");
    let simulate = |principals: &[&str]| {
        write(files.path(), "policy.json", &document(principals));
        let asked = ["simulate", "iam", "--config", "policy.json", "--against", "decisions.jsonl"];
        policy(files.path(), &[&asked[..], &["--key", &key, "--json"]].concat())
    };
    let same = simulate(&[&arn("root")]);
    assert!(same.status.success(), "{}", words(&same));
    assert!(said(&same).contains("3 decisions replayed, 0 would change"), "{}", words(&same));

    let other = simulate(&[&arn("user/bob")]);
    assert_eq!(other.status.code(), Some(1), "{}", words(&other));
    let changes: Vec<Value> = String::from_utf8_lossy(&other.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let was_and_would_be: Vec<_> = changes
        .iter()
        .map(|change| (change["was"].as_str(), change["would_be"].as_str()))
        .collect();
    let refused = (Some("allow"), Some("no-opinion"));
    assert_eq!(was_and_would_be, [refused, refused, (Some("deny"), Some("allow"))]);
}

/// A Cedar policy set decides for a key over AWS's API, and its component is in the audit record.
#[test]
fn a_cedar_policy_decides() {
    let data = folder();
    let service = Service::start(data.path());
    let alice = "arn:aws:iam::000000000000:user/alice";
    let policies = [
        "@id(\"owner\") permit (principal, action, resource)",
        "when { principal.arn like \"*:root\" };",
        "@id(\"readers\") permit (principal in Sekisho::Group::\"readers\",",
        "action == Sekisho::Action::\"kms:Decrypt\", resource);",
        "@id(\"purpose\") forbid (principal, action == Sekisho::Action::\"kms:Decrypt\", resource)",
        "unless { context.encryptionContext.hasTag(\"purpose\")",
        "  && context.encryptionContext.getTag(\"purpose\") == \"backup\" };",
    ];
    let config = |policies: &[&str]| {
        let config = json!({ "policies": policies, "groups": { "readers": [alice] } });
        json!({ "module": "cedar", "config": config }).to_string()
    };
    let unread = config(&["permit (principal, action, resource)", "when { context.tenant == 1 };"]);
    let refused = service.aws("default", &["create-key", "--policy", &unread]);
    assert!(said(&refused).contains("MalformedPolicyDocument"), "{}", words(&refused));
    assert!(said(&refused).contains("policies 2:8"), "{}", words(&refused));

    let created = service.aws("default", &["create-key", "--policy", &config(&policies)]);
    let key = json(&created)["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned();
    let encrypted = |purpose: &str| {
        let context = format!("purpose={purpose}");
        let encrypt = ["encrypt", "--key-id", &key, "--plaintext", "c2VjcmV0"];
        let context = ["--encryption-context", &context];
        let output = service.aws("default", &[&encrypt[..], &context].concat());
        let blob = json(&output)["CiphertextBlob"].as_str().expect("a ciphertext").to_owned();
        let decoded = base64::engine::general_purpose::STANDARD.decode(blob).expect("base64");
        fs::write(data.path().join(purpose), decoded).expect("a file is written");
    };
    let decrypt = |service: &Service, who: &str, purpose: &str| {
        let file = format!("fileb://{}", data.path().join(purpose).display());
        let context = format!("purpose={purpose}");
        let decrypt = ["decrypt", "--ciphertext-blob", &file, "--encryption-context", &context];
        service.aws(who, &decrypt)
    };
    encrypted("backup");
    encrypted("sale");
    assert_eq!(json(&decrypt(&service, "alice", "backup"))["Plaintext"], SECRET);
    for (who, purpose) in [("alice", "sale"), ("bob", "backup")] {
        let denied = decrypt(&service, who, purpose);
        assert!(said(&denied).contains("AccessDeniedException"), "{}", words(&denied));
    }
    // What is kept of the policies is an image of memory: it decides after a restart too.
    assert_eq!(service.stop(), Some(0));
    let service = Service::start(data.path());
    assert_eq!(json(&decrypt(&service, "alice", "backup"))["Plaintext"], SECRET);

    let inspected = policy(data.path(), &["inspect", "cedar", "--json"]);
    let digest = &json(&inspected)["sha256"];
    let decisions = recorded(data.path(), "Decrypt");
    let no_policy = json!("no policy allows the operation");
    let reasons = [Value::Null, json!("forbidden by purpose"), no_policy, Value::Null];
    assert_eq!(decisions.len(), reasons.len());
    for (decision, reason) in decisions.iter().zip(reasons) {
        assert_eq!(&decision["decision"]["module"], digest);
        assert_eq!(decision["reason"].is_null(), reason.is_null(), "{decision}");
        if reason.as_str().is_some_and(|reason| reason.starts_with("forbidden")) {
            assert_eq!(decision["reason"], reason);
        }
    }
    let named = json!([["policy", "readers"]]);
    assert_eq!(decisions[0]["decision"]["annotations"], named);
}
