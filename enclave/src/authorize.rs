//! May they? Policy components answer, and only a yes of theirs, or a grant where the key's policy has
//! no opinion, becomes a [`Permit`]. What each answer means beside the others is in [`weigh`].
//!
//! An action on a key is decided by the key's policy. An action on something of the account
//! (a listing, a new key, an alias) is decided by the account's policy; CreateAlias by both, as in
//! AWS. Where a request is about two keys, the policies of both decide. Anything but a
//! clear yes is a no.

mod question;
mod request;
mod weigh;

pub(crate) use question::account_resource;
pub(crate) use request::MULTI_REGION_KEY_TYPE;

use crate::api::{ApiError, Denial, Facts, Operation, Subject};
use crate::audit::AuditedDecision;
use crate::credentials::Caller;
use crate::guardrail::Standing;
use crate::keys::Key;
use crate::keys::grants::Grant;
use crate::keys::id::KeyId;
use crate::keys::policy::{KeyPolicy, PolicyRefused};
use crate::keys::store::HeldKey;
use crate::principals::policies::Own;
use crate::recipient::Papers;
use crate::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use question::{Question, questions};
use request::{policy_key, principal, request};
use sekisho_policy_engine::{Approvals, Decision, Request};
use serde_json::Value;
use std::mem::replace;
use std::net::IpAddr;
use std::sync::Arc;
use weigh::{Leave, No, Policies, weigh};

/// AWS KMS's quota "Key policy document size", bytes; the service model's maximum is above it.
const MAX_POLICY: usize = 32_768;
/// AWS's words, which clients look for; the place and the reason come behind them.
const INVALID_PRINCIPALS: &str =
    "Policy contains a statement with one or more invalid principals. ";

/// Leave to carry out one operation. Only [`decide`] makes one.
pub(crate) struct Permit {
    leave: Leave,
    operation: Operation,
    caller: Arc<Caller>,
    keys: Keys,
    papers: Option<Papers>,
    source: Option<IpAddr>,
    /// Milliseconds since 1970.
    time: u64,
}

/// What the policies allow, if nobody else has to agree. Only [`decide`] makes one.
pub(crate) struct Provisional {
    permit: Permit,
    needed: Vec<Approvals>,
}

impl Provisional {
    /// The permit, where no approvals are needed.
    pub(crate) fn without_approvals(self) -> Result<Permit, Box<Self>> {
        let exempt = self.permit.operation.is_about_approvals();
        if self.needed.is_empty() || exempt { Ok(self.permit) } else { Err(Box::new(self)) }
    }

    /// The approvals that are needed.
    pub(crate) fn needed(&self) -> &[Approvals] {
        &self.needed
    }

    /// The permit, where they are there: for [`crate::approvals`] alone.
    pub(crate) fn approved(self) -> Permit {
        self.permit
    }

    pub(crate) fn check_state(&self) -> Result<(), ApiError> {
        self.permit.check_state()
    }

    pub(crate) fn refusal(&self) -> ApiError {
        self.permit.refusal()
    }
}

/// The keys that a request is about, as they were found.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) first: Option<Arc<HeldKey>>,
    pub(crate) second: Option<Arc<HeldKey>>,
}

/// What a decision is about, gathered from the stages before it.
pub(crate) struct Case<'a> {
    pub(crate) operation: Operation,
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) caller: &'a Arc<Caller>,
    pub(crate) guardrail: Standing,
    /// The caller's own.
    pub(crate) policies: Own,
    pub(crate) keys: Keys,
    pub(crate) papers: Option<Papers>,
    /// Where the request comes from, as the host says it.
    pub(crate) source: Option<IpAddr>,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
}

impl Case<'_> {
    fn refused(&self, refused: Refused) -> Decided {
        let Refused { action, resource, denial, decision, reason } = refused;
        let principal = self.caller.arn().to_owned();
        // Who has but a ciphertext does not learn whose it is.
        let is_unnamed = matches!(self.facts.subject, Subject::Ciphertext { key_id: None, .. });
        let is_first = self.keys.first.as_ref().is_some_and(|held| held.arn == resource);
        let resource = (!(is_unnamed && is_first)).then_some(resource);
        let refusal = ApiError::AccessDenied { principal, action, resource, denial };
        Decided { permit: Err(refusal), decision, reason: Some(reason) }
    }
}

/// A decision: the permit or the refusal, and what the audit log keeps of it.
pub(crate) struct Decided {
    pub(crate) permit: Result<Provisional, ApiError>,
    pub(crate) decision: AuditedDecision,
    /// The policy's reason, for the audit log only.
    pub(crate) reason: Option<String>,
}

/// Asks every policy that has a say; the first no ends it.
pub(crate) fn decide(service: &Service, case: Case<'_>) -> Decided {
    if matches!(case.guardrail, Standing::Unreadable) && !may_mend(service, &case) {
        let refused = Refused::unasked(&case, Denial::ByGuardrail, "the guardrail cannot be read");
        return case.refused(refused);
    }
    let guardrail = case.guardrail.policy();
    // Where nothing is asked, nothing allows it.
    let unasked = Refused::unasked(&case, Denial::NoIdentityPolicy, "no policy was asked");
    let mut decided = Err(unasked);
    let mut needed = Vec::new();
    let mut earlier = Vec::new();
    for question in questions(service, &case) {
        let grants = question.grants(&case);
        let request = request(service, &case, &question, &grants);
        let policies = Policies { guardrail, policy: question.policy, principal: &case.policies };
        match weigh(&policies, &grants, &request) {
            Ok(leave) => {
                needed.extend(leave.needed().iter().cloned());
                if let Ok((resource, leave)) = replace(&mut decided, Ok((question.resource, leave)))
                {
                    earlier.extend(as_annotations(&resource, leave.audited()));
                }
            }
            Err(No { denial, decision, reason }) => {
                let denial = if question.tags_new_key { Denial::Tagging } else { denial };
                let Question { action, resource, .. } = question;
                return case.refused(Refused { action, resource, denial, decision, reason });
            }
        }
    }
    match decided {
        Ok((_, leave)) => {
            let mut decision = leave.audited();
            decision.annotations.extend(earlier);
            let Case { caller, keys, papers, source, time, operation, .. } = case;
            let caller = caller.clone();
            let permit = Permit { leave, operation, caller, keys, papers, source, time };
            Decided { permit: Ok(Provisional { permit, needed }), decision, reason: None }
        }
        Err(refused) => case.refused(refused),
    }
}

/// Has what is to be asked compiled, beside the thread that answers requests: a stock policy that most
/// services never name is compiled when it is first used.
pub(crate) async fn compile(case: &Case<'_>) {
    let guardrail = case.guardrail.policy();
    let keys = [&case.keys.first, &case.keys.second].into_iter().flatten();
    for policy in guardrail.into_iter().chain(keys.map(|held| held.policy.as_ref())) {
        policy.compile().await;
    }
}

/// One of several decisions on a request, beside the one that has the record's own members.
fn as_annotations(
    resource: &str,
    decision: AuditedDecision,
) -> impl Iterator<Item = (String, String)> {
    let decided = (["policy for ", resource].concat(), decision.module);
    [decided].into_iter().chain(decision.annotations)
}

/// Whether this is how the account's root gets rid of a guardrail that cannot be read.
fn may_mend(service: &Service, case: &Case<'_>) -> bool {
    let mends = matches!(
        case.operation,
        Operation::PutGuardrail | Operation::GetGuardrail | Operation::DeleteGuardrail
    );
    mends && case.caller.arn() == service.keys.place.root_arn()
}

/// A no: on what, and what the audit log keeps of it.
struct Refused {
    action: &'static str,
    resource: String,
    denial: Denial,
    decision: AuditedDecision,
    reason: String,
}

impl Refused {
    fn unasked(case: &Case<'_>, denial: Denial, reason: &str) -> Self {
        let decision =
            AuditedDecision { allowed: false, module: String::new(), annotations: Vec::new() };
        let action = case.operation.iam_action();
        Self { action, resource: "*".into(), denial, decision, reason: reason.into() }
    }
}

impl Permit {
    /// The key that the permit is for.
    pub(crate) fn key(&self) -> Result<&Arc<HeldKey>, ApiError> {
        self.keys.first.as_ref().ok_or(ApiError::Internal)
    }

    /// The other key that it is for.
    pub(crate) fn second_key(&self) -> Result<&Arc<HeldKey>, ApiError> {
        self.keys.second.as_ref().ok_or(ApiError::Internal)
    }

    /// The ids of both.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        let both = self.keys.first.iter().chain(&self.keys.second);
        both.map(|held| held.key.id).collect()
    }

    /// The grants that let them, where no policy did.
    pub(crate) fn granted(&self) -> Option<&[Grant]> {
        self.leave.granted()
    }

    /// What is said where the permit does not go as far as what is asked for.
    pub(crate) fn refusal(&self) -> ApiError {
        ApiError::AccessDenied {
            principal: self.caller.arn().to_owned(),
            action: self.operation.iam_action(),
            resource: Some(self.keys.first.as_ref().map_or("*", |held| &held.arn).to_owned()),
            denial: Denial::NoResourcePolicy,
        }
    }

    /// What it was given for.
    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    /// Refuses a key in a state that forbids the operation.
    pub(crate) fn check_state(&self) -> Result<(), ApiError> {
        let needed = self.operation.needed_state();
        let mut keys = self.keys.first.iter().chain(&self.keys.second);
        keys.try_for_each(|held| held.key.state_at(self.time).check(needed, &held.arn))
    }

    /// To whom it was given.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When it was given, milliseconds since 1970.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// Whether secrets leave encrypted to an attested key.
    pub(crate) fn has_recipient(&self) -> bool {
        self.papers.as_ref().and_then(Papers::recipient).is_some()
    }

    /// The only way out for a secret: as plaintext in `member` to a caller without a document, and
    /// encrypted to the attested key for a caller with one, who never gets the plaintext.
    pub(crate) fn release(
        &self,
        member: &str,
        secret: &[u8],
        answer: &mut Value,
    ) -> Result<(), ApiError> {
        let (member, released) = match self.papers.as_ref().and_then(Papers::recipient) {
            Some(recipient) => ("CiphertextForRecipient", recipient.envelop(secret)?),
            None => (member, BASE64.encode(secret)),
        };
        let members = answer.as_object_mut().ok_or(ApiError::Internal)?;
        members.insert(member.into(), released.into());
        Ok(())
    }

    /// Configures a new guardrail, and refuses one that would keep its author from putting another,
    /// unless `bypass` says that this is meant.
    pub(crate) async fn new_guardrail(
        &self,
        service: &Service,
        document: &str,
        bypass: bool,
    ) -> Result<KeyPolicy, ApiError> {
        let policy = configure(service, document).await?;
        let request = self.to_change(service, Operation::PutGuardrail, "*".into(), None);
        let evaluation = policy.policy.evaluate(&request);
        if !bypass && matches!(evaluation.decision(), Decision::Deny(_)) {
            return Err(ApiError::MalformedPolicyDocument(
                "The new guardrail will not allow you to update the guardrail in the future."
                    .into(),
            ));
        }
        Ok(policy)
    }

    /// Configures a new policy for `key`, and refuses one that would lock its author out (AWS's
    /// lockout safety check) unless `bypass` says that this is meant.
    pub(crate) async fn new_policy(
        &self,
        service: &Service,
        key: &Key,
        aliases: &[String],
        document: &str,
        bypass: bool,
    ) -> Result<KeyPolicy, ApiError> {
        let policy = configure(service, document).await?;
        if !bypass {
            let arn = service.keys.place.key_arn(key.id);
            let key = policy_key(arn.clone(), key, aliases);
            let request = self.to_change(service, Operation::PutKeyPolicy, arn, Some(key));
            if policy.policy.evaluate(&request).into_permit().is_err() {
                return Err(ApiError::MalformedPolicyDocument(
                    "The new key policy will not allow you to update the key policy in the future."
                        .into(),
                ));
            }
        }
        Ok(policy)
    }

    /// The same caller, who changes the policy again.
    fn to_change(
        &self,
        service: &Service,
        operation: Operation,
        resource: String,
        key: Option<sekisho_policy_engine::Key>,
    ) -> Request {
        Request {
            action: operation.iam_action().into(),
            resource,
            principal: principal(service, &self.caller),
            key,
            encryption_context: Vec::new(),
            parameters: Vec::new(),
            attestation: self.papers.as_ref().map(|papers| papers.attestation().to_policy()),
            grants: Vec::new(),
            time: self.time,
            source_ip: self.source.map(|source| source.to_string()),
        }
    }
}

async fn configure(service: &Service, document: &str) -> Result<KeyPolicy, ApiError> {
    if document.len() > MAX_POLICY {
        return Err(ApiError::LimitExceeded(format!(
            "The policy document is larger than {MAX_POLICY} bytes."
        )));
    }
    let malformed = |refused: PolicyRefused| {
        let words = if refused.is_of_principals() { INVALID_PRINCIPALS } else { "" };
        ApiError::MalformedPolicyDocument(format!("{words}{refused}"))
    };
    service.keys.modules.ready_for(document).await?;
    service.keys.modules.configure_aside(document).await.map_err(malformed)
}
