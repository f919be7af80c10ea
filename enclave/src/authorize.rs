//! May they? A policy component answers, and only its yes becomes a [`Permit`].
//!
//! An action on a key is decided by the key's policy. An action on something of the account
//! (a listing, a new key, an alias) is decided by the account's policy; CreateAlias by both, as in
//! AWS. Anything but a clear yes is a no.

use crate::api::{AccountResource, Action, ApiError, Operation, Recipient, Subject};
use crate::audit::AuditedDecision;
use crate::credentials::Caller;
use crate::keys::Key;
use crate::keys::policy::{KeyPolicy, PolicyRefused};
use crate::keys::store::HeldKey;
use crate::recipient::VerifiedRecipient;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_policy_engine::{Decision, Evaluation, Pair, Permit as Allowed, Principal, Request};
use std::sync::Arc;

/// Leave to carry out one operation. Only [`decide`] makes one.
pub(crate) struct Permit {
    _allowed: Allowed,
    caller: Arc<Caller>,
    key: Option<Arc<HeldKey>>,
    recipient: Option<VerifiedRecipient>,
    /// Milliseconds since 1970.
    time: u64,
}

/// What a decision is about, gathered from the stages before it.
pub(crate) struct Case<'a> {
    pub(crate) operation: Operation,
    pub(crate) action: &'a Action,
    pub(crate) caller: &'a Arc<Caller>,
    pub(crate) key: Option<Arc<HeldKey>>,
    pub(crate) recipient: Option<VerifiedRecipient>,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
}

/// A decision: the permit or the refusal, and what the audit log keeps of it.
pub(crate) struct Decided {
    pub(crate) permit: Result<Permit, ApiError>,
    pub(crate) decision: AuditedDecision,
    /// The policy's reason, for the audit log only.
    pub(crate) reason: Option<String>,
}

/// Asks every policy that has a say; the first no ends it.
pub(crate) fn decide(service: &Service, case: Case<'_>) -> Decided {
    let mut asked: Vec<(String, &KeyPolicy)> = Vec::with_capacity(2);
    // What a session makes would outlive it: it asks nothing of Sekisho's own, as in AWS the
    // credentials of GetSessionToken ask nothing of IAM.
    if case.caller.session().is_none() || !case.operation.is_own() {
        let of_account = account_resource(service, case.action, case.caller);
        asked.extend(of_account.map(|resource| (resource, &service.account_policy)));
        asked.extend(case.key.iter().map(|held| (held.arn.clone(), held.policy.as_ref())));
    }
    // Where nothing is asked, nothing allows it.
    let mut decided: Result<Allowed, Refused> = Err(Refused::unasked());
    for (resource, policy) in asked {
        let subject = case.key.as_deref().map(|held| (&held.key, held.aliases.as_slice()));
        let request = request(service, &case, &resource, subject);
        decided = policy.policy.evaluate(&request).into_permit().map_err(|evaluation| Refused {
            decision: audited(&evaluation, false),
            reason: reason(&evaluation),
            resource,
        });
        if decided.is_err() {
            break;
        }
    }
    let Case { caller, key, recipient, time, operation, .. } = case;
    let caller = caller.clone();
    match decided {
        Ok(allowed) => {
            let decision = audited(allowed.evaluation(), true);
            let permit = Permit { _allowed: allowed, caller, key, recipient, time };
            Decided { permit: Ok(permit), decision, reason: None }
        }
        Err(Refused { resource, decision, reason }) => {
            let (principal, action) = (caller.arn().to_owned(), operation.iam_action());
            let refusal = ApiError::AccessDenied { principal, action, resource };
            Decided { permit: Err(refusal), decision, reason: Some(reason) }
        }
    }
}

/// What of the account's is asked for, as policies name it.
pub(crate) fn account_resource(
    service: &Service,
    action: &Action,
    caller: &Caller,
) -> Option<String> {
    let place = &service.keys.place;
    action.account_resource().map(|resource| match resource {
        AccountResource::Any => "*".to_owned(),
        AccountResource::Alias(name) => place.alias_arn(name),
        AccountResource::Principal(name) => place.user_arn(name),
        AccountResource::Caller => caller.arn().to_owned(),
    })
}

/// A no: on what, and what the audit log keeps of it.
struct Refused {
    resource: String,
    decision: AuditedDecision,
    reason: String,
}

impl Refused {
    fn unasked() -> Self {
        let decision =
            AuditedDecision { allowed: false, module: String::new(), annotations: Vec::new() };
        Self { resource: "*".into(), decision, reason: "no policy was asked".into() }
    }
}

impl Permit {
    /// The key that the permit is for.
    pub(crate) fn key(&self) -> Result<&HeldKey, ApiError> {
        self.key.as_deref().ok_or(ApiError::Internal)
    }

    /// To whom it was given.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When it was given, milliseconds since 1970.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// The only way out for a secret: as plaintext to a caller without a document, and encrypted
    /// to the attested key for a caller with one, who never gets the plaintext. Answers with the
    /// member's name and its value in base64.
    pub(crate) fn release(&self, secret: &[u8]) -> Result<(&'static str, String), ApiError> {
        match &self.recipient {
            Some(recipient) => Ok(("CiphertextForRecipient", recipient.envelop(secret)?)),
            None => Ok(("Plaintext", BASE64.encode(secret))),
        }
    }

    /// Configures a new policy for `key`, and refuses one that would lock its author out (AWS's
    /// lockout safety check) unless `bypass` says that this is meant.
    pub(crate) fn new_policy(
        &self,
        service: &Service,
        key: &Key,
        aliases: &[String],
        document: &str,
        bypass: bool,
    ) -> Result<KeyPolicy, ApiError> {
        let malformed =
            |refused: PolicyRefused| ApiError::MalformedPolicyDocument(refused.to_string());
        let policy = service.keys.modules.configure(document).map_err(malformed)?;
        if !bypass {
            let arn = service.keys.place.key_arn(key.id);
            let request = Request {
                action: Operation::PutKeyPolicy.iam_action().into(),
                resource: arn.clone(),
                principal: principal(service, &self.caller),
                key: Some(policy_key(arn, key, aliases)),
                encryption_context: Vec::new(),
                parameters: Vec::new(),
                attestation: self.recipient.as_ref().map(VerifiedRecipient::to_policy),
                grants: Vec::new(),
                time: self.time,
                source_ip: None,
            };
            if policy.policy.evaluate(&request).into_permit().is_err() {
                return Err(ApiError::MalformedPolicyDocument(
                    "The new key policy will not allow you to update the key policy in the future."
                        .into(),
                ));
            }
        }
        Ok(policy)
    }
}

fn request(
    service: &Service,
    case: &Case<'_>,
    resource: &str,
    key: Option<(&Key, &[String])>,
) -> Request {
    let context = case.action.encryption_context();
    Request {
        action: case.operation.iam_action().into(),
        resource: resource.to_owned(),
        principal: principal(service, case.caller),
        key: key.map(|(key, aliases)| policy_key(service.keys.place.key_arn(key.id), key, aliases)),
        encryption_context: context
            .map(|context| context.iter().map(pair).collect())
            .unwrap_or_default(),
        parameters: parameters(case.action),
        attestation: case.recipient.as_ref().map(VerifiedRecipient::to_policy),
        grants: Vec::new(),
        time: case.time,
        source_ip: None,
    }
}

/// The operation's own parameters, the key as the caller named it (`kms:RequestAlias` reads it),
/// and how a recipient wants its answer, by rising name.
fn parameters(action: &Action) -> Vec<Pair> {
    let mut parameters = action.parameters();
    let key_id = match action.subject() {
        Subject::Account => None,
        Subject::Named(key_id) => Some(key_id),
        Subject::Ciphertext { key_id, .. } => key_id,
    };
    parameters.extend(key_id.map(|key_id| ("KeyId", key_id.to_owned())));
    let recipient = action.recipient();
    parameters
        .extend(recipient.map(|found| (Recipient::ALGORITHM, found.algorithm.name().to_owned())));
    parameters.sort();
    parameters.iter().map(|(name, value)| pair((name, value))).collect()
}

fn principal(service: &Service, caller: &Caller) -> Principal {
    let account = service.keys.place.account.clone();
    let tags = caller.tags().iter().map(|(name, value)| pair((name, value))).collect();
    Principal { arn: caller.arn().to_owned(), account, tags }
}

fn policy_key(arn: String, key: &Key, aliases: &[String]) -> sekisho_policy_engine::Key {
    sekisho_policy_engine::Key {
        arn,
        spec: key.spec.name().into(),
        usage: key.usage.name().into(),
        origin: "AWS_KMS".into(),
        state: key.state.name().into(),
        aliases: aliases.to_vec(),
        tags: key.tags.iter().map(|(name, value)| pair((name, value))).collect(),
    }
}

fn pair((name, value): (&str, &str)) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

fn audited(evaluation: &Evaluation, allowed: bool) -> AuditedDecision {
    let owned = |pair: &Pair| (pair.name.clone(), pair.value.clone());
    AuditedDecision {
        allowed,
        module: evaluation.module().to_string(),
        annotations: evaluation.annotations().map(owned).collect(),
    }
}

fn reason(evaluation: &Evaluation) -> String {
    match (evaluation.failure(), evaluation.decision()) {
        (Some(failure), _) => failure.to_string(),
        (None, Decision::Deny(reason)) => reason.clone(),
        (None, Decision::NoOpinion | Decision::Allow) => "no policy allows it".into(),
    }
}
