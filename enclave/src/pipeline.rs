//! One request, from its signature to its answer. Each stage takes what only the stage before it
//! can make, so that none can be left out:
//!
//! ```text
//! SignedRequest → Authenticated → Action → HeldKey → VerifiedRecipient → Permit → Outcome → Recorded → Response
//! ```

use crate::api::{Action, ApiError, Response, Subject, new_request_id};
use crate::audit::{AuditEntry, Outcome, Recorded};
use crate::authorize::{self, Case};
use crate::credentials::Authenticated;
use crate::keys::ciphertext::CiphertextBlob;
use crate::keys::store::HeldKey;
use crate::operations;
use crate::service::Service;
use crate::signature::SignedRequest;
use sekisho_attestation::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use time::OffsetDateTime;

/// Answers one signed request of the AWS KMS API.
pub(crate) async fn answer(
    service: &Service,
    request: SignedRequest,
    now: OffsetDateTime,
) -> Response {
    let request_id = new_request_id();
    let authenticated = match service.credentials.authenticate(request, now).await {
        Ok(authenticated) => authenticated,
        // Nobody is known to have asked: there is no decision to record, and no result to release.
        Err(refusal) => return Response::refusal(request_id, &refusal),
    };
    let outcome = run(service, &authenticated, request_id.clone(), now).await;
    match service.audit.record(outcome).await {
        Ok(recorded) => Recorded::into_response(recorded),
        Err(_) => Response::refusal(request_id, &ApiError::DependencyTimeout),
    }
}

/// Everything between the signature and the audit log; a refusal is an outcome like any other.
async fn run(
    service: &Service,
    authenticated: &Authenticated,
    request_id: String,
    now: OffsetDateTime,
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
    let result = decide_and_perform(service, authenticated, &mut entry).await;
    if let Err(error) = &result {
        entry.error = Some(error.code().into());
        if entry.reason.is_none() {
            entry.reason = Some(error.message()).filter(|text| !text.is_empty());
        }
    }
    Outcome { entry, response: Response::of(request_id, result) }
}

async fn decide_and_perform(
    service: &Service,
    authenticated: &Authenticated,
    entry: &mut AuditEntry,
) -> Result<Value, ApiError> {
    let operation = authenticated.operation();
    let action = Action::parse(operation, authenticated.body())?;
    if let Some(context) = action.encryption_context() {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        entry.encryption_context = context.iter().map(owned).collect();
    }

    let key = find_subject(service, action.subject()).await?;
    entry.key = key.as_ref().map(|held| held.arn.clone());

    let (caller, time) = (authenticated.caller(), entry.time);
    let now = Timestamp::from_millis(time);
    let recipient = match action.recipient() {
        Some(claimed) => Some(service.recipients.verify(claimed, caller.arn(), now).await?),
        None => None,
    };
    entry.attestation = recipient.as_ref().map(|recipient| recipient.to_audit());

    entry.resource = authorize::account_resource(service, &action, caller);
    let case = Case { operation, action: &action, caller, key, recipient, time };
    let decided = authorize::decide(service, case);
    entry.decision = Some(decided.decision);
    entry.reason = decided.reason;
    let permit = decided.permit?;

    if action.dry_run() {
        return Err(ApiError::DryRun);
    }
    operations::perform(service, action, permit).await
}

/// The key that a request is about.
async fn find_subject(
    service: &Service,
    subject: Subject<'_>,
) -> Result<Option<Arc<HeldKey>>, ApiError> {
    match subject {
        Subject::Account => Ok(None),
        Subject::Named(name) => {
            let name = service.keys.place.parse(name)?;
            service.find(&name).await.map(Some)
        }
        Subject::Ciphertext { blob, key_id } => {
            let blob = CiphertextBlob::parse(blob).map_err(|_| ApiError::InvalidCiphertext)?;
            if let Some(key_id) = key_id {
                let wanted = service.find(&service.keys.place.parse(key_id)?).await?;
                if wanted.key.id != blob.key_id {
                    return Err(ApiError::IncorrectKey);
                }
                return Ok(Some(wanted));
            }
            // A ciphertext of a key that is not here is told apart from a broken one by nobody.
            let held = service.keys.by_id(blob.key_id).await?;
            held.map(Some).ok_or(ApiError::InvalidCiphertext)
        }
    }
}

/// Milliseconds since 1970; a clock before that reads as 1970.
pub(crate) fn milliseconds(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}
