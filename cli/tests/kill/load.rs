//! The load, and what each caller remembers of it.
//!
//! A caller works on keys, aliases and principals of its own, so that it knows what it has to find:
//! what was acknowledged last, or one of the later changes whose fate is unknown.

use super::caller::{Answer, Caller, Target};
use super::processes::ACCOUNT;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_devkit::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Principals of a caller: fewer than the service takes of all.
const PRINCIPALS: usize = 300;
/// Keys of a caller, and aliases. The more records there are, the longer it is from one snapshot to
/// the next, and kills wait for them.
const KEYS: usize = 300;

/// What all callers share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// The first thing that must never happen.
    pub(crate) broken: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn breaks(&self, what: String) {
        self.broken.lock().unwrap().get_or_insert(what);
    }
}

/// The last acknowledged value, and later ones that may have taken its place.
#[derive(Clone)]
pub(crate) struct Expected<T> {
    pub(crate) acknowledged: T,
    pub(crate) possible: Vec<T>,
}

impl<T: PartialEq> Expected<T> {
    fn new(acknowledged: T) -> Self {
        Self { acknowledged, possible: Vec::new() }
    }

    /// A change that was asked for has ended so.
    fn changed(&mut self, value: T, answer: &Answer) {
        match answer {
            // What was on its way before it is settled too: changes of a caller are in order.
            Answer::Done { .. } => *self = Self::new(value),
            Answer::Unknown => self.possible.push(value),
            Answer::Refused { .. } => {}
        }
    }

    pub(crate) fn allows(&self, found: &T) -> bool {
        *found == self.acknowledged || self.possible.contains(found)
    }
}

pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) description: String,
    /// The policy's document.
    pub(crate) policy: Expected<String>,
}

/// A plaintext in a ciphertext, and the context that it is bound to.
pub(crate) struct Sealed {
    pub(crate) blob: String,
    pub(crate) plaintext: String,
    pub(crate) context: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Inactive,
    Deleted,
}

pub(crate) struct AccessKey {
    pub(crate) principal: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) status: Expected<Status>,
}

/// What one caller knows.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) keys: Vec<Key>,
    /// Alias to key id.
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) sealed: Vec<Sealed>,
    /// How many there are.
    pub(crate) principals: usize,
    pub(crate) access_keys: Vec<AccessKey>,
    /// Of all that was acknowledged.
    pub(crate) request_ids: Vec<String>,
    pub(crate) looked_at: LookedAt,
}

/// How much of each was looked at between the kills.
#[derive(Default)]
pub(crate) struct LookedAt {
    pub(crate) keys: usize,
    pub(crate) sealed: usize,
    pub(crate) access_keys: usize,
}

/// Names in the whole run never repeat.
fn name(kind: &str, caller: u64, counter: u64) -> String {
    format!("{kind}-{caller}-{counter}")
}

fn policy(note: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Id": note,
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

/// Asks for one thing after the other until it is told to stop.
pub(crate) async fn run(
    target: Target,
    shared: Arc<Shared>,
    number: u64,
    counter: Arc<AtomicU64>,
    mut random: Random,
    mut model: Model,
) -> Model {
    let mut caller = Caller::root(&target);
    while !shared.stop.load(Ordering::Relaxed) {
        let counter = counter.fetch_add(1, Ordering::Relaxed);
        let step = Step { shared: &shared, caller: &mut caller, number, counter };
        step.take(&mut random, &mut model).await;
        // All that is acknowledged is looked at later, which takes as long again.
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
    }
    model
}

struct Step<'a> {
    shared: &'a Shared,
    caller: &'a mut Caller,
    number: u64,
    counter: u64,
}

impl Step<'_> {
    async fn take(mut self, random: &mut Random, model: &mut Model) {
        match random.below(20) {
            0 | 1 => self.create_key(model).await,
            2 => self.create_alias(random, model).await,
            3..6 => self.put_policy(random, model).await,
            6..9 => self.encrypt(random, model).await,
            9 | 10 => self.generate_data_key(random, model).await,
            11..15 => self.decrypt(random, model).await,
            15 | 16 => self.create_access_key(model).await,
            _ => self.change_access_key(random, model).await,
        }
    }

    /// Asks once. `may` are refusals that can follow a request whose fate is unknown.
    async fn ask(&mut self, model: &mut Model, target: &str, body: &Value, may: &[&str]) -> Answer {
        let answer = self.caller.call(target, body).await;
        match &answer {
            Answer::Done { request_id, .. } => {
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                model.request_ids.push(request_id.clone());
            }
            Answer::Refused { code } if may.contains(&code.as_str()) => {}
            Answer::Refused { code } => self.shared.breaks(format!("{target}: {code}: {body}")),
            Answer::Unknown => {
                self.shared.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer
    }

    async fn create_key(&mut self, model: &mut Model) {
        if model.keys.len() == KEYS {
            return;
        }
        let description = name("key", self.number, self.counter);
        let policy = policy(&description);
        let body = json!({
            "Description": description,
            "Policy": policy,
            "Tags": [{ "TagKey": "caller", "TagValue": self.number.to_string() }],
        });
        if let Answer::Done { answer, .. } = self.ask(model, "CreateKey", &body, &[]).await {
            let id = answer["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
            model.keys.push(Key { id, description, policy: Expected::new(policy) });
        }
    }

    async fn create_alias(&mut self, random: &mut Random, model: &mut Model) {
        if model.aliases.len() == KEYS {
            return;
        }
        let Some(key) = random.of(&model.keys).map(|key| key.id.clone()) else { return };
        let alias = format!("alias/{}", name("name", self.number, self.counter));
        let body = json!({ "AliasName": alias, "TargetKeyId": key });
        let may = ["LimitExceededException"];
        if let Answer::Done { .. } = self.ask(model, "CreateAlias", &body, &may).await {
            model.aliases.insert(alias, key);
        }
    }

    async fn put_policy(&mut self, random: &mut Random, model: &mut Model) {
        if model.keys.is_empty() {
            return;
        }
        let at = random.below(model.keys.len() as u64) as usize;
        let policy = policy(&name("policy", self.number, self.counter));
        let body = json!({ "KeyId": model.keys[at].id, "Policy": policy });
        let answer = self.ask(model, "PutKeyPolicy", &body, &[]).await;
        model.keys[at].policy.changed(policy, &answer);
    }

    async fn encrypt(&mut self, random: &mut Random, model: &mut Model) {
        let Some(key) = random.of(&model.keys).map(|key| key.id.clone()) else { return };
        let plaintext = BASE64.encode(name("plaintext", self.number, self.counter));
        let context = json!({ "counter": self.counter.to_string() });
        let body = json!({ "KeyId": key, "Plaintext": plaintext, "EncryptionContext": context });
        if let Answer::Done { answer, .. } = self.ask(model, "Encrypt", &body, &[]).await {
            let blob = answer["CiphertextBlob"].as_str().unwrap().to_owned();
            model.sealed.push(Sealed { blob, plaintext, context });
        }
    }

    async fn generate_data_key(&mut self, random: &mut Random, model: &mut Model) {
        let Some(key) = random.of(&model.keys).map(|key| key.id.clone()) else { return };
        let body = json!({ "KeyId": key, "KeySpec": "AES_256" });
        if let Answer::Done { answer, .. } = self.ask(model, "GenerateDataKey", &body, &[]).await {
            let text = |name: &str| answer[name].as_str().unwrap().to_owned();
            let (blob, plaintext) = (text("CiphertextBlob"), text("Plaintext"));
            model.sealed.push(Sealed { blob, plaintext, context: json!({}) });
        }
    }

    async fn decrypt(&mut self, random: &mut Random, model: &mut Model) {
        let Some(sealed) = random.of(&model.sealed) else { return };
        let body = json!({ "CiphertextBlob": sealed.blob, "EncryptionContext": sealed.context });
        let plaintext = sealed.plaintext.clone();
        if let Answer::Done { answer, .. } = self.ask(model, "Decrypt", &body, &[]).await
            && answer["Plaintext"].as_str() != Some(&plaintext)
        {
            self.shared.breaks(format!("another plaintext than {plaintext}: {answer}"));
        }
    }

    async fn create_access_key(&mut self, model: &mut Model) {
        if model.principals == PRINCIPALS {
            return;
        }
        let principal = name("user", self.number, self.counter);
        let body = json!({ "PrincipalName": principal });
        let Answer::Done { .. } = self.ask(model, "Sekisho.CreatePrincipal", &body, &[]).await
        else {
            return;
        };
        model.principals += 1;
        let made = self.ask(model, "Sekisho.CreateAccessKey", &body, &[]).await;
        if let Answer::Done { answer, .. } = made {
            let text = |name: &str| answer["AccessKey"][name].as_str().unwrap().to_owned();
            let (id, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
            let status = Expected::new(Status::Active);
            model.access_keys.push(AccessKey { principal, id, secret, status });
        }
    }

    async fn change_access_key(&mut self, random: &mut Random, model: &mut Model) {
        if model.access_keys.is_empty() {
            return;
        }
        let at = random.below(model.access_keys.len() as u64) as usize;
        let key = &model.access_keys[at];
        if key.status.allows(&Status::Deleted) {
            return;
        }
        let status = match random.below(4) {
            0 => Status::Deleted,
            1 | 2 => Status::Inactive,
            _ => Status::Active,
        };
        let mut body = json!({ "PrincipalName": key.principal, "AccessKeyId": key.id });
        let operation = if status == Status::Deleted {
            "Sekisho.DeleteAccessKey"
        } else {
            body["Status"] = json!(format!("{status:?}"));
            "Sekisho.UpdateAccessKey"
        };
        let answer = self.ask(model, operation, &body, &[]).await;
        model.access_keys[at].status.changed(status, &answer);
    }
}
