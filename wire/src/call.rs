//! Calls: many requests in flight on one stream.
//!
//! [`Caller`] numbers requests and matches the answers, in whatever order they come.
//! [`serve`] starts requests in the order in which they arrived and answers each when it is
//! done. Nothing is ever sent twice: a caller whose stream breaks knows only that the outcome
//! of what was in flight is unknown.

mod caller;
mod serve;

pub use caller::{CallError, Caller};
pub use serve::{ServeError, serve};

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::mpsc;

use crate::frame::{Frame, FrameError, write_frame};

/// What one stream may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that wait for an answer at once. A [`Caller`] makes further calls wait; [`serve`]
    /// stops reading.
    pub in_flight: usize,
    /// How long a call waits for its turn and its answer; at most a quarter longer. When it has
    /// waited in vain the whole stream is given up: a peer that answers one request late cannot be
    /// told from one that is dead. [`serve`] does not use it.
    pub patience: Duration,
}

impl Default for Limits {
    /// 256 in flight: one for each request that a worker of two cores has in its pipeline at
    /// 64 connections, four times over. Ten seconds: beyond any fsync of a healthy disk.
    fn default() -> Self {
        Self { in_flight: 256, patience: Duration::from_secs(10) }
    }
}

/// Writes frames until their senders are gone; flushes whenever none is waiting.
async fn write_frames<W>(writer: W, mut frames: mpsc::Receiver<Frame>) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
{
    let mut writer = BufWriter::with_capacity(16 * 1024, writer);
    while let Some(frame) = frames.recv().await {
        write_frame(&mut writer, &frame).await?;
        while let Ok(frame) = frames.try_recv() {
            write_frame(&mut writer, &frame).await?;
        }
        writer.flush().await?;
    }
    writer.shutdown().await?;
    Ok(())
}
