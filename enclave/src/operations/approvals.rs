//! Approve, Deny, ListApprovals: Sekisho's own. Everyone in the account may ask; who is not in a
//! request's groups finds nothing.

use super::{Input, MARKER, limit, page, seconds};
use crate::api::{AccountResource, ApiError, Facts, Fields, Text};
use crate::approvals::{Answer, AnswerError, ApprovalRequest};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Map, Value, json};

const REQUEST_ID: Text = Text { min: 1, max: 64, pattern: None };
const DEFAULT_LIMIT: i64 = 100;

pub(crate) struct Approve {
    id: String,
}

impl Input for Approve {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { id: fields.required_text("RequestId", REQUEST_ID)? })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        answered(service, &permit, &self.id, Answer::Approve).await
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Caller).parameter("RequestId", &self.id)
    }
}

pub(crate) struct Deny {
    id: String,
}

impl Input for Deny {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { id: fields.required_text("RequestId", REQUEST_ID)? })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        answered(service, &permit, &self.id, Answer::Deny).await
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Caller).parameter("RequestId", &self.id)
    }
}

pub(crate) struct ListApprovals {
    limit: usize,
    after: Option<String>,
}

impl Input for ListApprovals {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            limit: limit(fields, DEFAULT_LIMIT, DEFAULT_LIMIT)?,
            after: fields.text("Marker", MARKER)?,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let caller = permit.caller().arn();
        let mut found = service.approvals.of(caller, permit.time()).await?;
        let after = self.after.unwrap_or_default();
        found.retain(|request| request.id > after);
        found.truncate(self.limit.saturating_add(1));
        Ok(page(found, self.limit, "Approvals", |request| request.id.clone(), description))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Caller)
    }
}

async fn answered(
    service: &Service,
    permit: &Permit,
    id: &str,
    answer: Answer,
) -> Result<Value, ApiError> {
    let caller = permit.caller().arn();
    let answered = service.approvals.answer(id, caller, answer, permit.time()).await;
    let request = answered.map_err(|error| match error {
        AnswerError::NoSuchRequest => {
            ApiError::NotFound(format!("There is no approval request {id} that waits for you."))
        }
        AnswerError::Denied => ApiError::InvalidState(format!("Request {id}: {error}.")),
        AnswerError::Fault(fault) => fault.into(),
    })?;
    Ok(json!({ "Approval": description(&request) }))
}

fn description(request: &ApprovalRequest) -> Value {
    let groups = request.groups.iter().map(|group| {
        json!({
            "Name": group.name,
            "Needed": group.needed,
            "Approved": request.count(group),
            "Members": group.members,
        })
    });
    let status = match (&request.denied, request.satisfies(&request.groups)) {
        (Some(_), _) => "DENIED",
        (None, true) => "APPROVED",
        (None, false) => "PENDING",
    };
    let parameters = request.parameters.iter();
    let parameters: Map<String, Value> =
        parameters.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    json!({
        "RequestId": request.id,
        "Principal": request.principal,
        "Operation": request.operation,
        "Resource": request.resource,
        "Parameters": parameters,
        "BodySha256": request.body_sha256,
        "CreationDate": seconds(request.created),
        "ExpirationDate": seconds(request.expires),
        "Groups": groups.collect::<Vec<_>>(),
        "ApprovedBy": request.approved,
        "DeniedBy": request.denied,
        "Status": status,
    })
}
