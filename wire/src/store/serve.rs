//! The host's side of a stream of store messages.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::message::{Request, Response};
use super::{MAX_AUDIT_RECORD, MAX_SLOT, Store, StoreError};
use crate::call::{Limits, ServeError, serve};
use crate::codec::{decode, encode};
use crate::log::{Event, log};

/// Answers store messages on a stream until it ends.
///
/// Requests reach the store in the order of their arrival, as far as it takes them up before it
/// first waits (see [`serve`]). A message that cannot be decoded is answered `Malformed`; a
/// frame that cannot be read ends the stream.
///
/// # Errors
///
/// [`ServeError`], by what broke the stream.
pub async fn serve_store<S, T>(stream: S, store: Arc<T>) -> Result<(), ServeError>
where
    S: AsyncRead + AsyncWrite,
    T: Store,
{
    serve(stream, Limits::default(), move |body| answer(Arc::clone(&store), body)).await
}

async fn answer<T: Store>(store: Arc<T>, body: Vec<u8>) -> Vec<u8> {
    let response = match decode(&body) {
        Ok(request) => {
            drop(body);
            carry_out(&*store, request).await.unwrap_or_else(Response::Refused)
        }
        Err(error) => {
            log(Event::RequestMalformed(error));
            Response::Refused(StoreError::Malformed)
        }
    };
    encode(&response)
        .or_else(|_| encode(&Response::Refused(StoreError::TooLarge)))
        .unwrap_or_default()
}

async fn carry_out<T: Store>(store: &T, request: Request) -> Result<Response, StoreError> {
    match request {
        Request::Head => store.head().await.map(Response::Head),
        Request::Commit(commit) => {
            commit.check_limits()?;
            store.commit(commit).await.map(|()| Response::Done)
        }
        Request::Get(key) => store.get(key).await.map(Response::Record),
        Request::Entries { from, limit } => store.entries(from, limit).await.map(Response::Page),
        Request::Compact { before, head } => {
            store.compact(before, head).await.map(Response::Oldest)
        }
        Request::AppendAudit { sequence, record } => {
            if record.len() > MAX_AUDIT_RECORD {
                return Err(StoreError::TooLarge);
            }
            store.append_audit(sequence, record).await.map(|()| Response::Done)
        }
        Request::Audit { from, limit } => store.audit(from, limit).await.map(Response::Page),
        Request::AuditTail => {
            let tail = store.audit_tail().await?;
            Ok(Response::Page(tail.into_iter().collect()))
        }
        Request::Slot(slot) => store.slot(slot).await.map(Response::Record),
        Request::FillSlot { slot, content } => {
            if content.len() > MAX_SLOT {
                return Err(StoreError::TooLarge);
            }
            let held = store.fill_slot(slot, content).await?;
            Ok(Response::Record(Some(held)))
        }
        Request::ReplaceSlot { slot, held, content } => {
            if held.len() > MAX_SLOT || content.len() > MAX_SLOT {
                return Err(StoreError::TooLarge);
            }
            store.replace_slot(slot, held, content).await.map(Response::Record)
        }
    }
}
