//! One request, from its signature to its answer. Each stage takes what only the stage before it
//! can make, so that none can be left out:
//!
//! ```text
//! SignedRequest → Authenticated → Action → HeldKey → VerifiedRecipient → Permit → Outcome → Recorded → Response
//! ```

use crate::api::{
    ApiError, Denial, Facts, Operation, RequestDocument, Response, Subject, new_request_id,
};
use crate::approvals::{Asked, Settled, Unsettled};
use crate::audit::{AuditEntry, Outcome, Recorded};
use crate::authorize::{self, Case, Keys, Permit};
use crate::clock::milliseconds;
use crate::credentials::Authenticated;
use crate::keys::arn::KeyName;
use crate::keys::ciphertext::CiphertextBlob;
use crate::keys::id::KeyId;
use crate::keys::store::HeldKey;
use crate::keys::usage::LastUsage;
use crate::operations::{self, Action};
use crate::service::Service;
use crate::signature::SignedRequest;
use sekisho_attestation::Timestamp;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use time::OffsetDateTime;

/// Characters of a refusal that stand in the audit log.
const MAX_REASON: usize = 2048;

/// Answers one signed request of the AWS KMS API, from `source` as the host says it.
pub(crate) async fn answer(
    service: &Service,
    request: SignedRequest,
    source: Option<IpAddr>,
    now: OffsetDateTime,
) -> Response {
    let request_id = new_request_id();
    let authenticated = match service.credentials.authenticate(request, now).await {
        Ok(authenticated) => authenticated,
        // Nobody is known to have asked: there is no decision to record, and no result to release.
        Err(refusal) => return Response::refusal(request_id, &refusal),
    };
    service.first_key.used(authenticated.caller().access_key_id()).await;
    let Some(service) = service.in_region(authenticated.region()) else {
        return Response::refusal(request_id, &ApiError::Internal);
    };
    let mut used = Vec::new();
    let outcome = run(&service, &authenticated, source, request_id.clone(), now, &mut used).await;
    let usage = (!used.is_empty()).then(|| LastUsage {
        operation: outcome.entry.operation.clone(),
        time: outcome.entry.time,
        request_id: request_id.clone(),
    });
    match service.audit.record(outcome).await {
        Ok(recorded) => {
            if let Some(usage) = usage {
                service.keys.note_usage(&used, &usage);
            }
            Recorded::into_response(recorded)
        }
        Err(_) => Response::refusal(request_id, &ApiError::DependencyTimeout),
    }
}

/// A refusal of what is too long repeats it: the record has its beginning.
fn audited_reason(error: &ApiError) -> String {
    error.message().chars().take(MAX_REASON).collect()
}

/// Everything between the signature and the audit log; a refusal is an outcome like any other.
async fn run(
    service: &Service,
    authenticated: &Authenticated,
    source: Option<IpAddr>,
    request_id: String,
    now: OffsetDateTime,
    used: &mut Vec<KeyId>,
) -> Outcome {
    let mut entry = AuditEntry {
        time: milliseconds(now),
        request_id: request_id.clone(),
        operation: authenticated.operation().name().into(),
        principal: authenticated.caller().arn().into(),
        access_key_id: authenticated.caller().access_key_id().into(),
        session: authenticated.caller().session().map(str::to_owned),
        ..AuditEntry::default()
    };
    let result = decide_and_perform(service, authenticated, source, &mut entry, used).await;
    if let Err(error) = &result {
        entry.error = Some(error.code().into());
        if entry.reason.is_none() {
            entry.reason = Some(audited_reason(error)).filter(|text| !text.is_empty());
        }
    }
    Outcome { entry, response: Response::of(request_id, result) }
}

async fn decide_and_perform(
    service: &Service,
    authenticated: &Authenticated,
    source: Option<IpAddr>,
    entry: &mut AuditEntry,
    used: &mut Vec<KeyId>,
) -> Result<Value, ApiError> {
    let operation = authenticated.operation();
    let action = Action::parse(operation, authenticated.body())?;
    let facts = action.facts();
    let document = authenticated.document()?;
    let permit = permit(service, authenticated, source, &facts, document, entry).await?;
    let dry_run = facts.options.is_some_and(|options| options.dry_run);
    let keys = if operation.uses_keys() { permit.key_ids() } else { Vec::new() };
    let result = operations::perform(service, action, permit, dry_run).await;
    if result.is_ok() {
        *used = keys;
    }
    if let (Operation::CreateKey, Ok(answer)) = (operation, &result) {
        let made = answer.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        entry.key = made.map(str::to_owned);
    }
    result
}

/// From what a request tells to the policies' word.
async fn permit(
    service: &Service,
    authenticated: &Authenticated,
    source: Option<IpAddr>,
    facts: &Facts<'_>,
    document: Option<RequestDocument>,
    entry: &mut AuditEntry,
) -> Result<Permit, ApiError> {
    if let Some(context) = facts.encryption_context {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        entry.encryption_context = context.iter().map(owned).collect();
    }
    let elsewhere = || elsewhere(authenticated, facts);
    let first = find_subject(service, &facts.subject, elsewhere).await?;
    entry.key = first.as_ref().map(|held| held.arn.clone());
    let second = match &facts.second {
        Some(second) => find_subject(service, &second.subject, elsewhere).await?,
        None => None,
    };
    let (caller, time) = (authenticated.caller(), entry.time);
    entry.second_key = second.as_ref().map(|held| held.arn.clone());
    entry.resource = authorize::account_resource(service, facts, caller);

    let (operation, keys) = (authenticated.operation(), Keys { first, second });
    let meter = service.meter();
    let counted = meter.map_or(Ok(()), |meter| meter.count(operation, facts, &keys, time));
    if let Err(quota) = counted {
        entry.reason = Some(format!("the request quota {quota} is used up"));
        return Err(ApiError::Throttling);
    }
    let now = Timestamp::from_millis(time);
    let (verifier, principal) = (&service.recipients, caller.arn());
    let papers = verifier.verify(operation, facts.recipient, document, principal, now).await?;
    entry.attestation = papers.as_ref().map(|papers| papers.attestation().to_audit());

    let guardrail = service.guardrail.standing(&service.keys.modules).await?;
    let policies = service.policies_of(caller).await?;
    let case = Case { operation, facts, caller, guardrail, policies, keys, papers, source, time };
    authorize::compile(&case).await;
    let decided = authorize::decide(service, case);
    entry.decision = Some(decided.decision);
    entry.reason = decided.reason;
    let asked = Asked {
        principal: caller.arn(),
        operation,
        region: authenticated.region(),
        body: authenticated.body(),
        facts,
        resource: entry.key.clone().or_else(|| entry.resource.clone()),
        time,
    };
    let dry_run = facts.options.is_some_and(|options| options.dry_run);
    match service.approvals.settle(decided.permit?, asked, dry_run).await {
        Ok(Settled { permit, annotations }) => {
            if let Some(decision) = &mut entry.decision {
                decision.annotations.extend(annotations);
            }
            Ok(permit)
        }
        Err(Unsettled { error, reason }) => {
            entry.reason = reason;
            Err(error)
        }
    }
}

/// What is said of a ciphertext of another Region.
fn elsewhere(authenticated: &Authenticated, facts: &Facts<'_>) -> ApiError {
    let of_first = facts.second.as_ref().and_then(|second| second.actions);
    ApiError::AccessDenied {
        principal: authenticated.caller().arn().to_owned(),
        action: of_first.map_or(authenticated.operation().iam_action(), |(first, _)| first),
        resource: None,
        denial: Denial::NotInRegion,
    }
}

/// The key that a request is about; `elsewhere` says what is wrong with a ciphertext of another Region.
async fn find_subject(
    service: &Service,
    subject: &Subject<'_>,
    elsewhere: impl Fn() -> ApiError,
) -> Result<Option<Arc<HeldKey>>, ApiError> {
    let place = &service.keys.place;
    match *subject {
        Subject::Account => Ok(None),
        Subject::Named(name) => service.find(&place.parse(name)?).await.map(Some),
        Subject::Key(name) => service.find(&place.parse_key(name)?).await.map(Some),
        Subject::Related { key_id, region } => {
            let KeyName::Id(id) = place.parse_key(key_id)? else { return Ok(None) };
            match service.in_region(region).filter(|_| id.is_multi_region()) {
                Some(there) => Ok(there.keys.by_id(id).await?),
                None => Ok(None),
            }
        }
        Subject::Ciphertext { blob, key_id } => {
            let blob = CiphertextBlob::parse(blob).map_err(|_| ApiError::InvalidCiphertext)?;
            if let Some(key_id) = key_id {
                let wanted = service.find(&place.parse(key_id)?).await?;
                if wanted.key.id != blob.key_id {
                    return Err(ApiError::IncorrectKey);
                }
                return Ok(Some(wanted));
            }
            if let Some(held) = service.keys.by_id(blob.key_id).await? {
                return Ok(Some(held));
            }
            let others = service.regions.iter().filter_map(|region| service.in_region(region));
            for there in others {
                if there.keys.by_id(blob.key_id).await?.is_some() {
                    return Err(elsewhere());
                }
            }
            // A ciphertext of a key that is nowhere is told apart from a broken one by nobody.
            Err(ApiError::InvalidCiphertext)
        }
    }
}
