//! The worker's side of a stream of store messages.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::message::{Request, Response};
use super::{
    Commit, MAX_AUDIT_RECORD, MAX_BLOB, MAX_PAGE_BYTES, MAX_PAGE_ITEMS, MAX_SLOT, Page, RecordKey,
    Store, StoreError,
};
use crate::address::Address;
use crate::call::{CallError, Caller, Limits};
use crate::codec::{decode, encode};
use crate::log::{Event, log};

/// How long a call waits for a connection during an outage, before it fails.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(3);

/// Pauses between attempts to connect: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A store at the other end of a stream. Cheap to clone, for use from several tasks.
///
/// What the host answers is bounded and checked for its form: the right kind of answer, no more
/// than was asked for, sequence numbers without a gap. It is not authenticated: that is the
/// business of whoever sealed the blobs.
///
/// A request is sent once. If the stream breaks before its answer, the call fails with
/// [`StoreError::Unavailable`] and the next one dials again.
#[derive(Clone, Debug)]
pub struct StoreClient {
    link: Arc<Link>,
    limits: Limits,
}

#[derive(Debug)]
enum Link {
    Fixed(Caller),
    Dialled { address: Address, state: Mutex<Dialled> },
}

#[derive(Debug)]
struct Dialled {
    caller: Option<Caller>,
    pause: Duration,
    not_before: Instant,
}

impl StoreClient {
    /// A client on one stream; when that breaks, so does the client.
    pub fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::over_with(stream, Limits::default())
    }

    /// [`StoreClient::over`] with other limits than the default.
    pub fn over_with<S>(stream: S, limits: Limits) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self { link: Arc::new(Link::Fixed(Caller::over(stream, limits))), limits }
    }

    /// A client that connects when it is first used, and again whenever its stream has broken.
    ///
    /// During an outage a call waits up to three seconds for a connection. Attempts are made
    /// only while calls wait, with a pause that grows from 20 ms to a second.
    pub fn dial(address: Address) -> Self {
        Self::dial_with(address, Limits::default())
    }

    /// [`StoreClient::dial`] with other limits than the default.
    pub fn dial_with(address: Address, limits: Limits) -> Self {
        let state = Dialled { caller: None, pause: FIRST_PAUSE, not_before: Instant::now() };
        Self { link: Arc::new(Link::Dialled { address, state: Mutex::new(state) }), limits }
    }

    async fn call(&self, request: Request) -> Result<Response, StoreError> {
        let body = encode(&request).map_err(|_| StoreError::TooLarge)?;
        let max_answer = longest_answer(&request);
        drop(request);
        let caller = self.caller().await?;
        let answer = caller.call(body, max_answer).await.map_err(|error| match error {
            CallError::TooLarge => StoreError::TooLarge,
            CallError::Unavailable | CallError::TimedOut => StoreError::Unavailable,
        })?;
        match decode(&answer) {
            Ok(Response::Refused(error)) => Err(error),
            Ok(response) => Ok(response),
            Err(error) => {
                log(Event::AnswerMalformed(error));
                Err(StoreError::Malformed)
            }
        }
    }

    async fn caller(&self) -> Result<Caller, StoreError> {
        match &*self.link {
            Link::Fixed(caller) => Ok(caller.clone()),
            Link::Dialled { address, state } => {
                let connecting = async { state.lock().await.connected(address, self.limits).await };
                timeout(OUTAGE_PATIENCE, connecting).await.map_err(|_| StoreError::Unavailable)
            }
        }
    }
}

impl Dialled {
    /// The present connection, or a new one however long it takes.
    async fn connected(&mut self, address: &Address, limits: Limits) -> Caller {
        if let Some(caller) = self.caller.take_if(|caller| caller.is_broken()) {
            drop(caller);
            log(Event::StoreLost(address));
        }
        loop {
            if let Some(caller) = &self.caller {
                return caller.clone();
            }
            sleep_until(self.not_before).await;
            match address.connect().await {
                Ok(stream) => {
                    log(Event::StoreConnected(address));
                    self.caller = Some(Caller::over(stream, limits));
                    self.pause = FIRST_PAUSE;
                }
                Err(error) => {
                    if self.pause == FIRST_PAUSE {
                        log(Event::StoreUnreachable(address, error.kind()));
                    }
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                }
            }
            // Also after a success: a host that accepts and hangs up is not dialled in a loop.
            self.not_before = Instant::now() + self.pause;
        }
    }
}

impl Store for StoreClient {
    async fn head(&self) -> Result<u64, StoreError> {
        match self.call(Request::Head).await? {
            Response::Head(head) => Ok(head),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.check_limits()?;
        match self.call(Request::Commit(commit)).await? {
            Response::Done => Ok(()),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        match self.call(Request::Get(key)).await? {
            Response::Record(record) => Ok(record),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        match self.call(Request::Entries { from, limit }).await? {
            Response::Page(page) => check_page(page, from, limit),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        match self.call(Request::Compact { before, head }).await? {
            Response::Oldest(oldest) => Ok(oldest),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        if record.len() > MAX_AUDIT_RECORD {
            return Err(StoreError::TooLarge);
        }
        match self.call(Request::AppendAudit { sequence, record }).await? {
            Response::Done => Ok(()),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        match self.call(Request::Audit { from, limit }).await? {
            Response::Page(page) => check_page(page, from, limit),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        match self.call(Request::AuditTail).await? {
            Response::Page(page) if page.len() <= 1 => Ok(page.into_iter().next()),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        match self.call(Request::Slot(slot)).await? {
            Response::Record(content) => Ok(content),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn fill_slot(&self, slot: RecordKey, content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if content.len() > MAX_SLOT {
            return Err(StoreError::TooLarge);
        }
        match self.call(Request::FillSlot { slot, content }).await? {
            Response::Record(Some(held)) => Ok(held),
            _ => Err(StoreError::Malformed),
        }
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if held.len() > MAX_SLOT || content.len() > MAX_SLOT {
            return Err(StoreError::TooLarge);
        }
        match self.call(Request::ReplaceSlot { slot, held, content }).await? {
            Response::Record(now) => Ok(now),
            _ => Err(StoreError::Malformed),
        }
    }
}

/// The longest answer that makes sense, with some room for names and numbers.
fn longest_answer(request: &Request) -> usize {
    const NAMES: usize = 128;
    const HEADS_OF_AN_ITEM: usize = 16;
    NAMES
        + match request {
            Request::Head
            | Request::Commit(_)
            | Request::Compact { .. }
            | Request::AppendAudit { .. } => 0,
            Request::Get(_) => MAX_BLOB,
            Request::Slot(_) | Request::FillSlot { .. } | Request::ReplaceSlot { .. } => MAX_SLOT,
            // A page may be one blob that is longer than what pages are otherwise bounded by.
            Request::Entries { limit, .. } => {
                MAX_BLOB + (*limit).min(MAX_PAGE_ITEMS) as usize * HEADS_OF_AN_ITEM
            }
            Request::Audit { limit, .. } => {
                let items = (*limit).min(MAX_PAGE_ITEMS) as usize;
                (items * (MAX_AUDIT_RECORD + HEADS_OF_AN_ITEM))
                    .min(MAX_PAGE_BYTES + items * HEADS_OF_AN_ITEM)
            }
            Request::AuditTail => MAX_AUDIT_RECORD + HEADS_OF_AN_ITEM,
        }
}

/// A page may start later than asked, where old entries have been compacted away, but it has no
/// gap and no more items than were asked for.
fn check_page(page: Page, from: u64, limit: u32) -> Result<Page, StoreError> {
    let sequences = || page.iter().map(|(sequence, _)| *sequence);
    let in_range = sequences().all(|sequence| sequence >= from);
    let without_gap =
        sequences().zip(sequences().skip(1)).all(|(one, next)| one.checked_add(1) == Some(next));
    if in_range && without_gap && page.len() <= limit as usize {
        Ok(page)
    } else {
        Err(StoreError::Malformed)
    }
}
