//! The side that asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::{Limits, write_frames};
use crate::frame::{Frame, FrameError, MAX_FRAME, read_body, read_header};
use crate::log::{Event, log};

/// Calls that have waited too long are looked for this many times in the patience of a call.
const LOOKS: u32 = 4;

/// Makes calls over one stream. Cheap to clone; the stream closes with the last clone.
#[derive(Clone, Debug)]
pub struct Caller {
    requests: mpsc::Sender<Frame>,
    connection: Arc<Connection>,
}

impl Caller {
    /// Takes a stream over. Must be called within a tokio runtime.
    pub fn over<S>(stream: S, limits: Limits) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let in_flight = limits.in_flight.max(1);
        // Each request in the queue holds a permit, so the queue is never full.
        let (requests, queue) = mpsc::channel(in_flight);
        let connection = Arc::new(Connection {
            permits: Arc::new(Semaphore::new(in_flight)),
            calls: Mutex::default(),
            patience: limits.patience,
        });
        tokio::spawn(Connection::run(Arc::clone(&connection), stream, queue));
        Self { requests, connection }
    }

    /// Sends a request and waits for its answer of at most `max_answer` bytes.
    ///
    /// A longer answer breaks the stream before it is read: what a hostile peer can make us hold
    /// is what was asked for.
    ///
    /// Requests go out in the order in which calls are first polled. Dropping the future does
    /// not take the request back; its answer is thrown away.
    ///
    /// # Errors
    ///
    /// [`CallError::TooLarge`]: nothing was sent. [`CallError::Unavailable`] and
    /// [`CallError::TimedOut`]: the request may or may not have been carried out.
    pub async fn call(&self, body: Vec<u8>, max_answer: usize) -> Result<Vec<u8>, CallError> {
        if body.len() > MAX_FRAME {
            return Err(CallError::TooLarge);
        }
        let since = Instant::now();
        let permits = Arc::clone(&self.connection.permits);
        let permit = permits.acquire_owned().await.map_err(|_| self.connection.failure())?;
        let (sender, answer) = oneshot::channel();
        self.send(body, Waiting { sender, max_answer, since, _permit: permit })?;
        answer.await.map_err(|_| self.connection.failure())
    }

    /// Numbers and queues a request without an await between, so that a call is either not
    /// begun or known to the connection.
    fn send(&self, body: Vec<u8>, waiting: Waiting) -> Result<(), CallError> {
        let mut calls = self.connection.calls();
        if calls.broken.is_some() {
            return Err(CallError::Unavailable);
        }
        let request_id = calls.next_id;
        calls.next_id = request_id.wrapping_add(1);
        // The queue can only be full if the peer has answered requests that it never got.
        self.requests.try_send(Frame { request_id, body }).map_err(|_| CallError::Unavailable)?;
        calls.waiting.insert(request_id, waiting);
        Ok(())
    }

    /// Whether the stream is gone: every further call fails.
    pub fn is_broken(&self) -> bool {
        self.connection.calls().broken.is_some()
    }
}

/// What the calls and the task that moves their frames share.
#[derive(Debug)]
struct Connection {
    permits: Arc<Semaphore>,
    calls: Mutex<Calls>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Calls {
    next_id: u64,
    waiting: HashMap<u64, Waiting>,
    /// Why no call has an answer any more.
    broken: Option<CallError>,
}

/// Stays until the answer comes, also when nobody waits for it any more: what the peer has to
/// work on stays bounded.
#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Vec<u8>>,
    max_answer: usize,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run<S>(self: Arc<Self>, stream: S, queue: mpsc::Receiver<Frame>)
    where
        S: AsyncRead + AsyncWrite,
    {
        let (reader, writer) = tokio::io::split(stream);
        let mut failure = CallError::Unavailable;
        tokio::select! {
            ended = self.read_answers(BufReader::new(reader)) => match ended {
                Ok(()) => log(Event::StreamEnded),
                Err(AnswerError::Frame(error)) => log(Event::StreamBroke(&error)),
                Err(AnswerError::Unasked) => log(Event::AnswerUnasked),
                Err(AnswerError::TooLong { length }) => log(Event::AnswerTooLong { length }),
            },
            ended = write_frames(writer, queue) => if let Err(error) = ended {
                log(Event::StreamBroke(&error));
            },
            () = self.patience_ends() => {
                log(Event::StreamGivenUp);
                failure = CallError::TimedOut;
            }
        }
        self.break_off(failure);
    }

    /// Returns when a call has waited longer than it should. All calls share one timer: each time a
    /// timer ends sooner than those before it, tokio wakes its own thread by two system calls.
    async fn patience_ends(&self) {
        let is_late = |waiting: &Waiting| waiting.since.elapsed() >= self.patience;
        loop {
            sleep(self.patience / LOOKS).await;
            if self.calls().waiting.values().any(is_late) {
                return;
            }
        }
    }

    async fn read_answers<R>(&self, mut reader: R) -> Result<(), AnswerError>
    where
        R: AsyncRead + Unpin,
    {
        while let Some(header) = read_header(&mut reader).await? {
            let request_id = header.request_id;
            let max_answer = self.calls().waiting.get(&request_id).map(|found| found.max_answer);
            if header.length() > max_answer.ok_or(AnswerError::Unasked)? {
                return Err(AnswerError::TooLong { length: header.length() });
            }
            // The call waits until it has its whole answer, and not longer than its patience.
            let answer = read_body(&mut reader, header).await?;
            let waiting = self.calls().waiting.remove(&request_id);
            let waiting = waiting.ok_or(AnswerError::Unasked)?;
            // A dropped call has no use for its answer.
            let _ = waiting.sender.send(answer);
        }
        Ok(())
    }

    fn failure(&self) -> CallError {
        self.calls().broken.unwrap_or(CallError::Unavailable)
    }

    /// Fails what waits and what will come.
    fn break_off(&self, failure: CallError) {
        let waiting = {
            let mut calls = self.calls();
            calls.broken = Some(failure);
            std::mem::take(&mut calls.waiting)
        };
        self.permits.close();
        drop(waiting);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the peer answered a request that is not in flight")]
    Unasked,
    #[error("the peer answers with {length} bytes, more than the request can need")]
    TooLong { length: usize },
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request does not fit into a frame; it was not sent.
    #[error("the request is larger than a frame")]
    TooLarge,
    /// The stream broke or was broken. The request may have been carried out.
    #[error("the stream to the peer is broken")]
    Unavailable,
    /// No answer in time. The request may have been carried out.
    #[error("the peer did not answer in time")]
    TimedOut,
}
