//! Key policies: which component decides for a key, and with what configuration.

use sekisho_policy_engine::{AdmissionError, ConfigureError, Engine, Module, Policy, stock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::panic::resume_unwind;
use std::thread;
use thiserror::Error;

/// The stock component that reads AWS policy documents.
const IAM: &str = "iam";

/// The admitted components, by name. They come with the worker and are part of its measurement.
pub(crate) struct Modules(Vec<(&'static str, Module)>);

/// A policy that decides: its document as the caller put it, and the configured component.
pub(crate) struct KeyPolicy {
    document: String,
    pub(crate) policy: Policy,
    pub(crate) digest: String,
}

impl KeyPolicy {
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    pub(crate) fn to_stored(&self) -> StoredPolicy {
        StoredPolicy {
            document: self.document.clone(),
            digest: self.digest.clone(),
            state: self.policy.state().to_vec(),
        }
    }
}

/// How a policy stands in its key's sealed record.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredPolicy {
    document: String,
    /// SHA-256 of the component that made `state`, lower-case hex.
    digest: String,
    #[serde(with = "serde_bytes")]
    state: Vec<u8>,
}

/// `{"module": "<name>", "config": …}`: a policy that is not an AWS policy document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModulePolicy<'a> {
    module: String,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
}

impl StoredPolicy {
    /// Whether it would restore to just this policy.
    pub(crate) fn is(&self, policy: &KeyPolicy) -> bool {
        self.document == policy.document
            && self.digest == policy.digest
            && self.state == policy.policy.state()
    }
}

impl Modules {
    /// Admits the stock components, each on a thread of its own: compiling them is most of a start.
    pub(crate) fn stock(engine: &Engine) -> Result<Self, AdmissionError> {
        let admitted = thread::scope(|scope| {
            let compiling = stock::ALL.map(|(_, bytes)| scope.spawn(|| engine.admit(bytes)));
            compiling.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let names = stock::ALL.into_iter().map(|(name, _)| name);
        let named = |(name, admitted): (_, Result<_, _>)| admitted.map(|module| (name, module));
        names.zip(admitted).map(named).collect::<Result<_, _>>().map(Self)
    }

    /// Reads what `PutKeyPolicy` takes: an AWS policy document for the `iam` component,
    /// or a component named with its configuration.
    pub(crate) fn configure(&self, document: &str) -> Result<KeyPolicy, PolicyRefused> {
        let (module, configuration) = match named_module(document)? {
            None => (self.named(IAM)?, document.as_bytes()),
            Some(named) => {
                let configuration = named.config.map_or("null", RawValue::get);
                (self.named(&named.module)?, configuration.as_bytes())
            }
        };
        let policy = module.configure(configuration)?;
        Ok(KeyPolicy { document: document.to_owned(), policy, digest: module.digest().to_string() })
    }

    /// A policy from its record. Where the component has changed since (another release of
    /// the worker), the document is read again by the component that has its name now.
    pub(crate) fn restore(&self, stored: StoredPolicy) -> Result<KeyPolicy, PolicyRefused> {
        let StoredPolicy { document, digest, state } = stored;
        match self.0.iter().find(|(_, module)| module.digest().to_string() == digest) {
            Some((_, module)) => {
                Ok(KeyPolicy { policy: module.policy_from_state(state), document, digest })
            }
            None => self.configure(&document),
        }
    }

    fn named(&self, name: &str) -> Result<&Module, PolicyRefused> {
        let found = self.0.iter().find(|(known, module)| {
            *known == name || module.digest().to_string().eq_ignore_ascii_case(name)
        });
        found.map(|(_, module)| module).ok_or_else(|| PolicyRefused::UnknownModule {
            name: name.to_owned(),
            known: self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// The module policy in `document`, if it is one: a JSON object with a member `module`.
fn named_module(document: &str) -> Result<Option<ModulePolicy<'_>>, PolicyRefused> {
    let members: std::collections::BTreeMap<String, &RawValue> =
        match serde_json::from_str(document) {
            Ok(members) => members,
            // Not an object, or not JSON: the iam component says what is wrong with it, and where.
            Err(_) => return Ok(None),
        };
    if !members.contains_key("module") {
        return Ok(None);
    }
    serde_json::from_str(document)
        .map(Some)
        .map_err(|error| PolicyRefused::NotAModulePolicy { reason: error.to_string() })
}

/// Why a policy document was not taken.
#[derive(Debug, Error)]
pub(crate) enum PolicyRefused {
    #[error("a policy with \"module\" has the form {{\"module\": name, \"config\": …}}: {reason}")]
    NotAModulePolicy { reason: String },
    #[error("no policy module is named '{name}'; there are: {known}")]
    UnknownModule { name: String, known: String },
    #[error(transparent)]
    Configuration(#[from] ConfigureError),
}

/// Who may do what belongs to no key: the account's root may do all of it. Everyone may make a
/// session of their own, which can do no more than they can.
pub(crate) fn account_document(root_arn: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Id": "account-default-1",
        "Statement": [{
            "Sid": "Root",
            "Effect": "Allow",
            "Principal": { "AWS": root_arn },
            "Action": ["kms:*", "sekisho:*"],
            "Resource": "*"
        }, {
            "Sid": "Sessions",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sekisho:CreateSession",
            "Resource": "*"
        }]
    })
    .to_string()
}

/// What AWS gives a key that was made without a policy: all to the account.
pub(crate) fn default_document(root_arn: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": root_arn },
            "Action": "kms:*",
            "Resource": "*"
        }]
    })
    .to_string()
}
