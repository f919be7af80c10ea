//! The pending requests, in the journal.

use super::request::{ApprovalRequest, place_of};
use crate::api::ApiError;
use crate::keys::store::StoreFault;
use crate::storage::journal::{Journal, Write, Writer};
use crate::storage::record::RecordId;
use sekisho_wire::codec;
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// Requests of the whole service that wait at the same time, and of one principal. Each is a record of
/// some KiB, and a listing reads all.
const MAX_PENDING: usize = 256;
const MAX_OF_PRINCIPAL: usize = 16;
/// Bytes of one: groups of long ARNs.
const MAX_RECORD: usize = 256 * 1024;

/// All requests for approvals.
pub(crate) struct Approvals {
    journal: Arc<Journal>,
}

/// What became of a request that came again, or for the first time.
pub(super) enum Taken {
    /// By all who are needed; it is used up.
    Approved(ApprovalRequest),
    Denied(ApprovalRequest),
    Waits(ApprovalRequest),
}

/// What an approver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Approve,
    Deny,
}

impl Approvals {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal }
    }

    /// Uses up the approved request in the place of `wanted`, or writes `wanted` down.
    pub(super) async fn take(&self, wanted: ApprovalRequest) -> Result<Taken, TakeError> {
        if codec::encode(&wanted).map_err(StoreFault::from)?.len() > MAX_RECORD {
            return Err(TakeError::TooLarge);
        }
        let (place, now) = (wanted.place().to_owned(), wanted.created);
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let found = self.load(&place).await?.filter(|found| now < found.expires);
        if let Some(found) = found {
            if found.denied.is_some() {
                return Ok(Taken::Denied(found));
            }
            if found.satisfies(&wanted.groups) {
                commit(writer, vec![Write { id: record(&place), plaintext: None }]).await?;
                return Ok(Taken::Approved(found));
            }
            if found.groups == wanted.groups {
                return Ok(Taken::Waits(found));
            }
            // The policies ask others now: who has approved goes on to count.
            let wanted = ApprovalRequest { id: found.id, approved: found.approved, ..wanted };
            commit(writer, vec![put(&wanted)?]).await?;
            return Ok(Taken::Waits(wanted));
        }
        let mut writes = Vec::new();
        let (mut all, mut own): (usize, usize) = (0, 0);
        for pending in self.all().await? {
            if pending.expires <= now {
                if pending.place() != place {
                    writes.push(Write { id: record(pending.place()), plaintext: None });
                }
                continue;
            }
            all = all.saturating_add(1);
            own = own.saturating_add(usize::from(pending.principal == wanted.principal));
        }
        if own >= MAX_OF_PRINCIPAL {
            return Err(TakeError::TooManyOfPrincipal);
        }
        if all >= MAX_PENDING {
            return Err(TakeError::TooMany);
        }
        writes.push(put(&wanted)?);
        commit(writer, writes).await?;
        Ok(Taken::Waits(wanted))
    }

    /// Notes what `principal` says to the request with this id.
    pub(crate) async fn answer(
        &self,
        id: &str,
        principal: &str,
        answer: Answer,
        now: u64,
    ) -> Result<ApprovalRequest, AnswerError> {
        let place = place_of(id).ok_or(AnswerError::NoSuchRequest)?;
        let writer = self.journal.writer().await.map_err(StoreFault::from)?;
        let found = self.load(place).await?.filter(|found| found.id == id && now < found.expires);
        // Who is not asked is not told that it is there.
        let found = found.filter(|found| found.may_be_answered_by(principal));
        let mut request = found.ok_or(AnswerError::NoSuchRequest)?;
        if request.denied.is_some() {
            return Err(AnswerError::Denied);
        }
        match answer {
            Answer::Approve if request.approved.iter().any(|arn| arn == principal) => {
                return Ok(request);
            }
            Answer::Approve => request.approved.push(principal.to_owned()),
            Answer::Deny => request.denied = Some(principal.to_owned()),
        }
        commit(writer, vec![put(&request)?]).await?;
        Ok(request)
    }

    /// Those that `principal` asked for or may answer, by id.
    pub(crate) async fn of(
        &self,
        principal: &str,
        now: u64,
    ) -> Result<Vec<ApprovalRequest>, StoreFault> {
        let mut found = self.all().await?;
        found.retain(|one| {
            now < one.expires && (one.principal == principal || one.may_be_answered_by(principal))
        });
        Ok(found)
    }

    async fn all(&self) -> Result<Vec<ApprovalRequest>, StoreFault> {
        let is_approval = |id: &RecordId| matches!(id, RecordId::Approval(_));
        let mut found = Vec::new();
        for id in self.journal.ids(&record(""), MAX_PENDING.saturating_mul(2), is_approval) {
            let Some(bytes) = self.journal.get(&id).await? else { continue };
            found.push(codec::decode(&bytes)?);
        }
        Ok(found)
    }

    async fn load(&self, place: &str) -> Result<Option<ApprovalRequest>, StoreFault> {
        let bytes = self.journal.get(&record(place)).await?;
        Ok(bytes.map(|bytes| codec::decode(&bytes)).transpose()?)
    }
}

fn record(place: &str) -> RecordId {
    RecordId::Approval(place.to_owned())
}

fn put(request: &ApprovalRequest) -> Result<Write, StoreFault> {
    let plaintext = Some(Zeroizing::new(codec::encode(request)?));
    Ok(Write { id: record(request.place()), plaintext })
}

async fn commit(writer: Writer<'_>, writes: Vec<Write>) -> Result<(), StoreFault> {
    writer.commit(writes).await?;
    Ok(())
}

/// Why a request was neither found nor written down.
#[derive(Debug, Error)]
pub(super) enum TakeError {
    #[error("{MAX_OF_PRINCIPAL} operations of this principal wait for approvals already")]
    TooManyOfPrincipal,
    #[error("{MAX_PENDING} operations wait for approvals already")]
    TooMany,
    #[error("the groups of the policies and the operation's parameters are too long to be kept")]
    TooLarge,
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

impl From<TakeError> for ApiError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Fault(fault) => fault.into(),
            TakeError::TooLarge => Self::LimitExceeded(format!("{error}.")),
            other => Self::LimitExceeded(format!("{other}; try again when some have ended.")),
        }
    }
}

/// Why an answer does not count.
#[derive(Debug, Error)]
pub(crate) enum AnswerError {
    #[error("there is no such request that waits for you")]
    NoSuchRequest,
    #[error("the request was denied already")]
    Denied,
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

#[cfg(test)]
mod tests;
