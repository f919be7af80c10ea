//! The side that answers.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Limits, write_frames};
use crate::frame::{Frame, FrameError, read_frame};

/// Answers the requests of a stream until it ends.
///
/// `handler` is called, and the future it returns polled for the first time, in the order in
/// which requests arrived; what a handler does before it first waits is therefore ordered.
/// Answers go out as they come. At most `limits.in_flight` requests are read ahead of their
/// answers being written: a peer that does not read its answers is not read from either.
///
/// At the end of the stream what is in flight is finished and answered. When the stream breaks,
/// or this future is dropped, what is in flight is dropped.
///
/// # Errors
///
/// [`ServeError`], by what broke the stream.
pub async fn serve<S, H, F>(stream: S, limits: Limits, handler: H) -> Result<(), ServeError>
where
    S: AsyncRead + AsyncWrite,
    H: FnMut(Vec<u8>) -> F,
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (answers, queue) = mpsc::channel(limits.in_flight.max(1));
    let writing = async { write_frames(writer, queue).await.map_err(ServeError::from) };
    let reader = BufReader::new(reader);
    tokio::try_join!(answer_requests(reader, limits, handler, answers), writing)?;
    Ok(())
}

async fn answer_requests<R, H, F>(
    mut reader: R,
    limits: Limits,
    mut handler: H,
    answers: mpsc::Sender<Frame>,
) -> Result<(), ServeError>
where
    R: AsyncRead + Unpin,
    H: FnMut(Vec<u8>) -> F,
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.in_flight.max(1)));
    let mut tasks = JoinSet::new();
    loop {
        while let Some(task) = tasks.try_join_next() {
            task.map_err(|_| ServeError::Handler)?;
        }
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let Some(Frame { request_id, body }) = read_frame(&mut reader).await? else { break };

        // Unconstrained: a first poll that returns for want of budget has not begun the work.
        let mut answer = Box::pin(tokio::task::unconstrained(handler(body)));
        let answers = answers.clone();
        match poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
            Poll::Ready(body) => {
                // A closed queue is the writer's error, which ends the whole stream.
                let _ = answers.send(Frame { request_id, body }).await;
            }
            Poll::Pending => {
                tasks.spawn(async move {
                    let body = answer.await;
                    let _ = answers.send(Frame { request_id, body }).await;
                    drop(permit);
                });
            }
        }
    }
    while let Some(task) = tasks.join_next().await {
        task.map_err(|_| ServeError::Handler)?;
    }
    Ok(())
}

/// Why a stream is no longer served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The peer's frames, or the stream itself.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A handler panicked; the log has its message.
    #[error("a request's handler panicked")]
    Handler,
}
