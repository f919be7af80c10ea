//! What must be there, asked over the API and read from the audit log.

use super::caller::{Caller, Target};
use super::load::{LookedAt, Model, Status};
use super::processes::{Processes, ROOT_KEY};
use sekisho_enclave::RootKey;
use sekisho_enclave::probe::read_audit_log;
use sekisho_wire::{Address, StoreClient};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What was acknowledged, by what each caller remembers: all of it, or what has come since the last
/// look.
pub(crate) async fn acknowledged(
    processes: &Processes,
    target: &Target,
    models: Vec<Model>,
    since: Since,
) -> Vec<Model> {
    let listed = Arc::new(list_keys(&mut Caller::root(target)).await);
    let mut looking = Vec::new();
    for model in models {
        let (target, listed) = (target.clone(), listed.clone());
        looking.push(tokio::spawn(look(target, model, listed, since)));
    }
    let mut models = Vec::new();
    for looked in looking {
        models.push(looked.await.unwrap());
    }
    let request_ids = models.iter().flat_map(|model| &model.request_ids);
    audit(processes, request_ids).await;
    models
}

/// How far back one looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    LastLook,
    TheBeginning,
}

async fn look(
    target: Target,
    mut model: Model,
    listed: Arc<HashSet<String>>,
    since: Since,
) -> Model {
    if since == Since::TheBeginning {
        model.looked_at = Default::default();
    }
    let mut root = Caller::root(&target);
    keys(&mut root, &model, &listed).await;
    ciphertexts(&mut root, &model).await;
    access_keys(&target, &mut root, &model).await;
    model.looked_at = LookedAt {
        keys: model.keys.len(),
        sealed: model.sealed.len(),
        access_keys: model.access_keys.len(),
    };
    model
}

async fn list_keys(root: &mut Caller) -> HashSet<String> {
    let (mut ids, mut marker) = (HashSet::new(), Value::Null);
    loop {
        let mut body = json!({ "Limit": 1000 });
        if marker.is_string() {
            body["Marker"] = marker;
        }
        let page = root.ask("ListKeys", &body).await.unwrap();
        let keys = page["Keys"].as_array().unwrap();
        ids.extend(keys.iter().map(|key| key["KeyId"].as_str().unwrap().to_owned()));
        if page["Truncated"] != true {
            return ids;
        }
        marker = page["NextMarker"].clone();
    }
}

async fn keys(root: &mut Caller, model: &Model, listed: &HashSet<String>) {
    for key in &model.keys {
        assert!(listed.contains(&key.id), "key {} is not listed", key.id);
    }
    for key in &model.keys[model.looked_at.keys..] {
        let body = json!({ "KeyId": key.id });
        let described = root.ask("DescribeKey", &body).await.unwrap();
        assert_eq!(described["KeyMetadata"]["Description"], key.description.as_str());
        let policy = root.ask("GetKeyPolicy", &body).await.unwrap();
        let policy = policy["Policy"].as_str().unwrap().to_owned();
        assert!(key.policy.allows(&policy), "key {} has the policy {policy}", key.id);
    }
    for (alias, key) in &model.aliases {
        let described = root.ask("DescribeKey", &json!({ "KeyId": alias })).await.unwrap();
        assert_eq!(described["KeyMetadata"]["KeyId"], key.as_str(), "{alias}");
    }
}

async fn ciphertexts(root: &mut Caller, model: &Model) {
    for sealed in &model.sealed[model.looked_at.sealed..] {
        let body = json!({ "CiphertextBlob": sealed.blob, "EncryptionContext": sealed.context });
        let opened = root.ask("Decrypt", &body).await;
        let opened = opened.unwrap_or_else(|code| panic!("{code}: {}", sealed.blob));
        assert_eq!(opened["Plaintext"], sealed.plaintext.as_str());
    }
}

async fn access_keys(target: &Target, root: &mut Caller, model: &Model) {
    for key in &model.access_keys[model.looked_at.access_keys..] {
        let body = json!({ "PrincipalName": key.principal });
        root.ask("Sekisho.ListAccessKeys", &body).await.unwrap();
        let mut holder = Caller::with_key(target, &key.id, &key.secret);
        // Whoever is known may not list keys; whoever is not known is told so.
        let refusal = holder.ask("ListKeys", &json!({})).await.expect_err("it is refused");
        let allowed = match refusal.as_str() {
            "AccessDeniedException" => key.status.allows(&Status::Active),
            "UnrecognizedClientException" => {
                key.status.allows(&Status::Inactive) || key.status.allows(&Status::Deleted)
            }
            other => panic!("{other}"),
        };
        assert!(allowed, "{} of {}: {refusal}", key.id, key.principal);
    }
}

/// Each acknowledged request is in the audit log once, and its chain holds.
async fn audit(processes: &Processes, request_ids: impl Iterator<Item = &String>) {
    let store = StoreClient::dial(Address::Unix { path: processes.store() });
    let mut found: HashMap<String, u32> = HashMap::new();
    for entry in read_audit_log(&store, &RootKey::from_bytes(&ROOT_KEY)).await.unwrap() {
        *found.entry(entry.request_id).or_default() += 1;
    }
    for id in request_ids {
        assert_eq!(found.get(id), Some(&1), "request {id} in the audit log");
    }
}
