//! Approvals: what a policy lets happen only when members of a group agree.
//!
//! The first request is written down and refused, with an id that others approve. The same request
//! again (principal, operation, Region, body) is carried out once when all groups have agreed, within
//! the time that the policies gave. All of it is in the journal, so that it survives a restart.

mod request;
mod store;

pub(crate) use request::{ApprovalRequest, Asked};
pub(crate) use store::{Answer, AnswerError, Approvals};

use crate::api::ApiError;
use crate::authorize::{Permit, Provisional};

/// A permit, and the approvals that it took.
pub(crate) struct Settled {
    pub(crate) permit: Permit,
    /// For the audit record: the request's id, and who approved.
    pub(crate) annotations: Vec<(String, String)>,
}

/// Why there is no permit.
pub(crate) struct Unsettled {
    pub(crate) error: ApiError,
    /// For the audit record, where the caller is told less.
    pub(crate) reason: Option<String>,
}

impl From<ApiError> for Unsettled {
    fn from(error: ApiError) -> Self {
        Self { error, reason: None }
    }
}

impl Approvals {
    /// Turns what the policies allowed into a permit, if nobody else has to agree or all have.
    pub(crate) async fn settle(
        &self,
        provisional: Provisional,
        asked: Asked<'_>,
        dry_run: bool,
    ) -> Result<Settled, Unsettled> {
        let provisional = match provisional.without_approvals() {
            Ok(permit) => return Ok(Settled { permit, annotations: Vec::new() }),
            Err(provisional) => provisional,
        };
        // An approval is not used up by what cannot succeed.
        provisional.check_state()?;
        let wanted = ApprovalRequest::new(&asked, provisional.needed())?;
        if dry_run {
            return Err(ApiError::ApprovalRequired(format!(
                "This operation needs {}. A dry run asks nobody.",
                wanted.still_needed()
            ))
            .into());
        }
        match self.take(wanted).await.map_err(ApiError::from)? {
            store::Taken::Approved(request) => {
                let id = ("approval".to_owned(), request.id.clone());
                let by = |arn: &String| ("approved-by".to_owned(), arn.clone());
                let annotations = [id].into_iter().chain(request.approved.iter().map(by)).collect();
                Ok(Settled { permit: provisional.approved(), annotations })
            }
            store::Taken::Denied(request) => Err(Unsettled {
                error: provisional.refusal(),
                reason: Some(format!(
                    "approval request {} was denied by {}",
                    request.id,
                    request.denied.unwrap_or_default()
                )),
            }),
            store::Taken::Waits(request) => Err(ApiError::ApprovalRequired(format!(
                "This operation needs {}. Request {} waits for them until {}: repeat the operation, \
                 unchanged, when they are there.",
                request.still_needed(),
                request.id,
                request.ends()
            ))
            .into()),
        }
    }
}
