//! Key policies: which component decides for a key, and with what configuration.

use super::modules::{IAM, KnownModule, Modules};
use super::store::StoreFault;
use sekisho_policy_engine::{ConfigureError, Policy};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// What the `iam` component takes an identity policy in.
const PRINCIPAL_POLICY: &str = "IdentityPolicy";

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

    /// Has its component compiled, if it was not used since the start, on a thread of its own. If that
    /// fails, the policy says so when it is asked.
    pub(crate) async fn compile(&self) {
        let module = self.policy.module();
        if !module.is_compiled() {
            let module = module.clone();
            let _ = tokio::task::spawn_blocking(move || module.compile()).await;
        }
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
    pub(crate) digest: String,
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
    /// Reads what `PutKeyPolicy` takes: an AWS policy document for the `iam` component,
    /// or a component named with its configuration.
    pub(crate) fn configure(&self, document: &str) -> Result<KeyPolicy, PolicyRefused> {
        let (found, configuration) = self.chosen(document)?;
        let policy = found.module.configure(configuration.as_bytes())?;
        Ok(KeyPolicy { document: document.to_owned(), policy, digest: found.digest })
    }

    /// The same, where it may take long on a thread of its own: compiling a component that was not used
    /// before, and reading a configuration, which may cost a hundred times what a decision may.
    pub(crate) async fn configure_aside(&self, document: &str) -> Result<KeyPolicy, PolicyRefused> {
        let (found, configuration) = self.chosen(document)?;
        if found.name == IAM {
            return self.configure(document);
        }
        let (module, configuration) = (found.module, configuration.to_owned());
        let configuring =
            tokio::task::spawn_blocking(move || module.configure(configuration.as_bytes()));
        let policy = configuring.await.map_err(|_| PolicyRefused::Broken)??;
        Ok(KeyPolicy { document: document.to_owned(), policy, digest: found.digest })
    }

    /// The component that a document is for, and what it configures it with.
    fn chosen<'a>(&self, document: &'a str) -> Result<(KnownModule, &'a str), PolicyRefused> {
        let named = named_module(document)?;
        let (name, configuration) = match &named {
            None => (IAM, document),
            Some(named) => (named.module.as_str(), named.config.map_or("null", RawValue::get)),
        };
        let found = self.for_new_policies(name).ok_or_else(|| PolicyRefused::UnknownModule {
            name: name.to_owned(),
            known: self.names().join(", "),
        })?;
        Ok((found, configuration))
    }

    /// Waits until the component that `document` names is compiled, if it names one that is registered.
    pub(crate) async fn ready_for(&self, document: &str) -> Result<(), StoreFault> {
        match named_module(document) {
            Ok(Some(named)) => self.ready(&named.module).await,
            _ => Ok(()),
        }
    }

    /// Reads an identity policy: an AWS policy document without principals.
    pub(crate) fn configure_principal(&self, document: &str) -> Result<KeyPolicy, PolicyRefused> {
        // By itself, so that nothing in it can end what it is put into.
        let parsed: Result<&RawValue, _> = serde_json::from_str(document);
        let parsed =
            parsed.map_err(|error| PolicyRefused::NotJson { reason: error.to_string() })?;
        let configuration = format!(r#"{{"{PRINCIPAL_POLICY}":{parsed}}}"#);
        let found = self.named(IAM).ok_or_else(|| PolicyRefused::UnknownModule {
            name: IAM.to_owned(),
            known: self.names().join(", "),
        })?;
        let policy = found.module.configure(configuration.as_bytes()).map_err(within_document)?;
        Ok(KeyPolicy { document: document.to_owned(), policy, digest: found.digest })
    }

    /// An identity policy from its record, as [`Self::restore`].
    pub(crate) fn restore_principal(
        &self,
        stored: StoredPolicy,
    ) -> Result<KeyPolicy, PolicyRefused> {
        match self.restored(stored) {
            Ok(policy) => Ok(policy),
            Err(document) => self.configure_principal(&document),
        }
    }

    /// A policy from its record. Where the component has changed since (another release of
    /// the worker), the document is read again by the component that has its name now.
    pub(crate) async fn restore(&self, stored: StoredPolicy) -> Result<KeyPolicy, PolicyRefused> {
        match self.restored(stored) {
            Ok(policy) => Ok(policy),
            Err(document) => self.configure_aside(&document).await,
        }
    }

    /// A policy whose component is still there; its document otherwise.
    fn restored(&self, stored: StoredPolicy) -> Result<KeyPolicy, String> {
        let StoredPolicy { document, digest, state } = stored;
        match self.named(&digest) {
            Some(found) => {
                Ok(KeyPolicy { policy: found.module.policy_from_state(state), document, digest })
            }
            None => Err(document),
        }
    }
}

/// With the place in the document that the caller knows.
fn within_document(mut error: ConfigureError) -> ConfigureError {
    if let ConfigureError::Refused(refused) = &mut error
        && let Some(place) = refused.place.strip_prefix(PRINCIPAL_POLICY)
    {
        refused.place = place.trim_start_matches('.').to_owned();
    }
    error
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
    #[error("the document is not JSON: {reason}")]
    NotJson { reason: String },
    #[error(transparent)]
    Configuration(#[from] ConfigureError),
    #[error("reading the configuration ended unexpectedly")]
    Broken,
}

impl PolicyRefused {
    /// Whether it is about whom a statement of an AWS policy document names.
    pub(crate) fn is_of_principals(&self) -> bool {
        let Self::Configuration(ConfigureError::Refused(refused)) = self else { return false };
        let mut parts = refused.place.split('.');
        parts.any(|part| matches!(part, "Principal" | "NotPrincipal"))
            && refused.place.starts_with("Statement")
    }
}

/// Who may do what belongs to no key: the account's root may do all of it, and leaves the rest to
/// identity policies, as each statement for an account does. Everyone may make a
/// session of their own, which can do no more than they can, and ask for what waits for their approval.
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
            "Sid": "Everyone",
            "Effect": "Allow",
            "Principal": "*",
            "Action": [
                "sekisho:CreateSession",
                "sekisho:Approve", "sekisho:Deny", "sekisho:ListApprovals",
            ],
            "Resource": "*"
        }]
    })
    .to_string()
}

/// What AWS gives a key that was made without a policy, to the space: all to the account.
pub(crate) fn default_document(root_arn: &str) -> String {
    let text = r#"{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "ROOT"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}"#;
    text.replacen("ROOT", root_arn, 1)
}
