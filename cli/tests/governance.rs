//! Who has a say beside a key's policy: the guardrail, a principal's own policies, and people who
//! approve. Driven by the AWS CLI and the `sekisho` command.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod running;

use running::{SEKISHO, Service, folder, recorded, words};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

const SECRET: &str = "c2VjcmV0";

fn arn(name: &str) -> String {
    format!("arn:aws:iam::000000000000:{name}")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn works(output: &Output) {
    assert!(output.status.success(), "{}", words(output));
}

fn fails(output: &Output, problem: &str) -> String {
    let said = said(output);
    assert!(!output.status.success() && said.contains(problem), "{problem}: {}", words(output));
    said
}

/// `sekisho <arguments>` as a profile of the service's.
fn sekisho(service: &Service, profile: &str, arguments: &[&str]) -> Output {
    let mut command = service.client(SEKISHO);
    command.env("AWS_PROFILE", profile).args(arguments).output().expect("sekisho runs")
}

fn key(service: &Service, policy: Option<&Value>) -> String {
    let policy = policy.map(Value::to_string);
    let mut arguments = vec!["create-key", "--bypass-policy-lockout-safety-check"];
    arguments.extend(policy.as_ref().into_iter().flat_map(|policy| ["--policy", policy]));
    let created = service.aws("default", &arguments);
    works(&created);
    let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
    created["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned()
}

fn encrypt(service: &Service, profile: &str, key: &str) -> Output {
    service.aws(profile, &["encrypt", "--key-id", key, "--plaintext", SECRET])
}

/// The newest recorded decision about an operation.
fn newest(data: &Path, operation: &str) -> Value {
    recorded(data, operation).pop().unwrap_or_else(|| panic!("no {operation} is recorded"))
}

fn statement(effect: &str, action: &str) -> Value {
    json!({ "Effect": effect, "Action": action, "Resource": "*" })
}

fn document(statement: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[test]
fn identity_policies_allow_what_a_key_leaves_to_the_account() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let principal =
        |arguments: &[&str]| sekisho(&service, "default", &[&["principal"], arguments].concat());
    let file = |name: &str, content: &Value| {
        let path = files.path().join(name);
        std::fs::write(&path, content.to_string()).expect("a file is written");
        path.to_str().expect("a path").to_owned()
    };
    let delegating = key(&service, None);
    let only_bob = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": arn("user/bob") }, "Action": "kms:*",
          "Resource": "*" } ] });
    let closed = key(&service, Some(&only_bob));

    fails(&encrypt(&service, "alice", &delegating), "AccessDeniedException");
    let may = file("may.json", &document(&statement("Allow", "kms:Encrypt")));
    works(&principal(&["put-policy", "alice", "may", &may]));
    works(&encrypt(&service, "alice", &delegating));
    let decided = newest(data.path(), "Encrypt");
    let by = json!(["principal-policy", "may"]);
    let annotations = decided["decision"]["annotations"].as_array().expect("annotations").clone();
    assert!(annotations.contains(&by), "{decided}");
    // What a key does not leave to the account, no identity policy allows; and what the policy does
    // not speak of stays denied.
    fails(&encrypt(&service, "alice", &closed), "because no resource-based policy allows");
    fails(&service.aws("alice", &["list-keys"]), "because no identity-based policy allows");
    works(&encrypt(&service, "bob", &closed));

    // An explicit deny wins over the key's own policy, until it goes.
    let no = file("no.json", &document(&statement("Deny", "kms:Encrypt")));
    works(&principal(&["put-policy", "bob", "no", &no]));
    fails(&encrypt(&service, "bob", &closed), "with an explicit deny in an identity-based policy");
    let reason = newest(data.path(), "Encrypt")["reason"].clone();
    assert_eq!(reason, "policy no of the principal: explicit deny: Statement[0]");
    works(&principal(&["delete-policy", "bob", "no"]));
    works(&encrypt(&service, "bob", &closed));

    // What belongs to no key is the account's, which leaves it to them too.
    let list = file("list.json", &document(&statement("Allow", "kms:ListKeys")));
    works(&principal(&["put-policy", "alice", "list", &list]));
    works(&service.aws("alice", &["list-keys"]));

    // In which Region belongs to every request, and the tags of a new key are asked for beside it.
    let mut create = statement("Allow", "kms:CreateKey");
    create["Condition"] = json!({ "StringEquals": { "aws:RequestedRegion": "us-east-1" } });
    let create = file("create.json", &document(&create));
    works(&principal(&["put-policy", "alice", "create", &create]));
    works(&service.aws("alice", &["create-key", "--bypass-policy-lockout-safety-check"]));
    let tagged = ["create-key", "--bypass-policy-lockout-safety-check", "--tags"];
    let tagged = [&tagged[..], &["TagKey=stage,TagValue=test"]].concat();
    fails(&service.aws("alice", &tagged), "don't have the kms:TagResource permission");
    let mut tag = statement("Allow", "kms:TagResource");
    tag["Resource"] = json!("arn:aws:kms:us-east-1:000000000000:key/*");
    tag["Condition"] = json!({ "StringEquals": { "aws:RequestTag/stage": "test" } });
    let tag = file("tag.json", &document(&tag));
    works(&principal(&["put-policy", "alice", "tag", &tag]));
    works(&service.aws("alice", &tagged));
    for own in ["create", "tag"] {
        works(&principal(&["delete-policy", "alice", own]));
    }

    let listed = principal(&["list-policies", "alice"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "list\nmay\n");
    let shown = principal(&["get-policy", "alice", "may"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown, document(&statement("Allow", "kms:Encrypt")));

    let mut named = statement("Allow", "kms:Encrypt");
    named["Principal"] = "*".into();
    let named = file("named.json", &document(&named));
    let refused = principal(&["put-policy", "alice", "named", &named]);
    fails(&refused, "MalformedPolicyDocumentException: Statement[0].Principal: ");
    let broken = files.path().join("broken.json");
    std::fs::write(&broken, "{").expect("a file is written");
    let broken = broken.to_str().expect("a path");
    fails(&principal(&["put-policy", "alice", "broken", broken]), "is not JSON");
    fails(&principal(&["put-policy", "nobody", "may", &may]), "NotFoundException");
    fails(&principal(&["get-policy", "alice", "none"]), "NotFoundException");
    fails(&principal(&["delete-policy", "alice", "none"]), "NotFoundException");
    let bobs = sekisho(&service, "bob", &["principal", "put-policy", "bob", "may", &may]);
    fails(&bobs, "AccessDeniedException");

    // A principal does not go with its policies, so that nobody inherits them.
    service.learn_from(&principal(&["create", "dora"]));
    works(&principal(&["put-policy", "dora", "may", &may]));
    fails(&principal(&["delete", "dora", "--with-keys"]), "DeleteConflictException");
    works(&principal(&["delete-policy", "dora", "may"]));
    works(&principal(&["delete", "dora"]));

    assert_eq!(service.stop(), Some(0));
    let service = Service::start(data.path());
    works(&encrypt(&service, "alice", &delegating));
}

#[test]
fn a_guardrail_denies_what_any_policy_allows() {
    let (data, files) = (folder(), folder());
    let service = Service::start(data.path());
    let key = key(&service, None);
    let everybody = |effect: &str, action: &str| {
        let mut statement = statement(effect, action);
        statement["Principal"] = "*".into();
        document(&statement)
    };
    let set = |service: &Service, profile: &str, policy: &Value, more: &[&str]| {
        let file = files.path().join("guardrail.json");
        std::fs::write(&file, policy.to_string()).expect("a file is written");
        let file = file.to_str().expect("a path");
        sekisho(service, profile, &[&["policy", "guardrail", "set", file], more].concat())
    };
    let guardrail =
        |service: &Service, what: &str| sekisho(service, "default", &["policy", "guardrail", what]);
    fails(&guardrail(&service, "show"), "NotFoundException");
    fails(&guardrail(&service, "remove"), "NotFoundException");
    works(&encrypt(&service, "default", &key));

    let policy = everybody("Deny", "kms:Encrypt");
    fails(&set(&service, "bob", &policy, &[]), "AccessDeniedException");
    works(&set(&service, "default", &policy, &[]));
    let by_guardrail = "with an explicit deny in a service control policy";
    let refused = fails(&encrypt(&service, "default", &key), by_guardrail);
    assert!(!refused.contains("guardrail"), "the caller is not told why: {refused}");
    let decided = newest(data.path(), "Encrypt");
    assert_eq!(decided["reason"], "guardrail: explicit deny: Statement[0]");
    let shown = guardrail(&service, "show");
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), policy.to_string());
    works(&service.aws("default", &["list-keys"]));

    assert_eq!(service.stop(), Some(0));
    let service = Service::start(data.path());
    fails(&encrypt(&service, "default", &key), "AccessDeniedException");

    // An allow allows nobody.
    works(&set(&service, "default", &everybody("Allow", "*"), &[]));
    fails(&encrypt(&service, "bob", &key), "AccessDeniedException");
    works(&encrypt(&service, "default", &key));

    // A stock policy: no plaintext for callers without an enclave.
    works(&set(&service, "default", &json!({ "module": "deny-plaintext-export" }), &[]));
    let data_key = ["generate-data-key", "--key-id", &key, "--key-spec", "AES_256"];
    fails(&service.aws("default", &data_key), "AccessDeniedException");
    works(&encrypt(&service, "default", &key));

    let locked = everybody("Deny", "sekisho:*Guardrail");
    fails(&set(&service, "default", &locked, &[]), "will not allow you to update the guardrail");
    fails(
        &set(&service, "default", &json!({ "module": "none" }), &[]),
        "no policy module is named",
    );
    works(&guardrail(&service, "remove"));
    works(&service.aws("default", &data_key));
    works(&set(&service, "default", &locked, &["--bypass-lockout-check"]));
    fails(&guardrail(&service, "remove"), "AccessDeniedException");
}

#[test]
fn an_operation_waits_for_approvals_and_happens_once() {
    let data = folder();
    let users = ["alice", "bob", "carol"].map(|user| ["--user", user]);
    let users = users.as_flattened();
    let service = Service::start_with(data.path(), users);
    let key = key(
        &service,
        Some(&json!({ "module": "two-person", "config": {
        "actions": ["kms:ScheduleKeyDeletion"], "group": "custodians",
        "members": [arn("root"), arn("user/bob"), arn("user/carol")],
        "needed": 2, "within_minutes": 60, "users": [arn("root")],
    } })),
    );
    let schedule = |service: &Service, days: &str| {
        let window = ["--pending-window-in-days", days];
        service
            .aws("default", &[&["schedule-key-deletion", "--key-id", &key][..], &window].concat())
    };
    let asked = |output: &Output| {
        let said = fails(output, "ApprovalRequiredException");
        let (_, rest) = said.split_once("Request ").unwrap_or_else(|| panic!("{said}"));
        rest.split(' ').next().expect("an id").to_owned()
    };
    let approvals = |service: &Service, profile: &str, arguments: &[&str]| {
        sekisho(service, profile, &[&["approvals", "--json"], arguments].concat())
    };

    // Everything else of the key's users happens at once.
    works(&service.aws("default", &["describe-key", "--key-id", &key]));
    let first = schedule(&service, "7");
    let id = asked(&first);
    assert!(said(&first).contains("2 approvals of the group \"custodians\" (0 there)"));
    assert_eq!(asked(&schedule(&service, "7")), id, "the same operation is the same request");
    assert_ne!(asked(&schedule(&service, "8")), id, "another body is another request");

    // Who asked does not approve, nor does anybody who is not in the group.
    for profile in ["default", "alice"] {
        fails(&approvals(&service, profile, &["approve", &id]), "NotFoundException");
    }
    let listed = approvals(&service, "bob", &["list"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let mine = listed["Approvals"].as_array().expect("a list");
    let mine = mine.iter().find(|request| request["RequestId"] == id).expect("it is listed");
    assert_eq!(mine["Parameters"], json!({ "PendingWindowInDays": "7" }));
    assert_eq!((&mine["Status"], &mine["Principal"]), (&json!("PENDING"), &json!(arn("root"))));
    let none = approvals(&service, "alice", &["list"]);
    let none: Value = serde_json::from_slice(&none.stdout).expect("JSON");
    assert_eq!(none["Approvals"], json!([]));

    for _ in 0..2 {
        works(&approvals(&service, "bob", &["approve", &id]));
        assert!(said(&schedule(&service, "7")).contains("(1 there)"));
    }
    assert_eq!(service.stop(), Some(0));
    let service = Service::start_with(data.path(), users);
    works(&approvals(&service, "carol", &["approve", &id]));
    works(&schedule(&service, "7"));
    let decided = newest(data.path(), "ScheduleKeyDeletion");
    let annotations = decided["decision"]["annotations"].as_array().expect("annotations").clone();
    for (name, value) in [
        ("approval", id.clone()),
        ("approved-by", arn("user/bob")),
        ("approved-by", arn("user/carol")),
    ] {
        assert!(annotations.contains(&json!([name, value])), "{decided}");
    }

    // Once.
    works(&service.aws("default", &["cancel-key-deletion", "--key-id", &key]));
    let again = asked(&schedule(&service, "7"));
    assert_ne!(again, id);
    fails(&approvals(&service, "carol", &["approve", &id]), "NotFoundException");

    works(&approvals(&service, "bob", &["deny", &again]));
    let denied = fails(&schedule(&service, "7"), "AccessDeniedException");
    assert!(!denied.contains("bob"), "{denied}");
    let reason = newest(data.path(), "ScheduleKeyDeletion")["reason"].clone();
    assert_eq!(reason, format!("approval request {again} was denied by {}", arn("user/bob")));
    fails(&approvals(&service, "carol", &["approve", &again]), "KMSInvalidStateException");
}
