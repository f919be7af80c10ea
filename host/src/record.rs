//! Recording: a debugging aid that keeps every byte that passes, in files.
//!
//! It is also how the tests show that no plaintext passes. Files are written on the relay's own
//! thread, so a host that records is slower; a byte that cannot be recorded ends its connection,
//! so that a recording is never silently short.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes `<kind>-<number>-to-worker.bin` and `<kind>-<number>-from-worker.bin` for each
/// connection, of kind `relay`, `store` or `egress`.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    folder: PathBuf,
    run: u32,
    connections: Arc<AtomicU64>,
}

impl Recorder {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // The process id keeps the recordings of a restarted host apart.
        let run = std::process::id();
        Ok(Self { folder: folder.to_owned(), run, connections: Arc::default() })
    }

    /// Records what is read from the worker at the other end of a stream, and written to it.
    pub(crate) fn record<S>(&self, kind: &str, stream: S) -> io::Result<Recorded<S>> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let create = |direction: &str| {
            let name = format!("{kind}-{:010}-{number:06}-{direction}-worker.bin", self.run);
            File::create_new(self.folder.join(name))
        };
        Ok(Recorded { from_worker: create("from")?, to_worker: create("to")?, stream })
    }
}

/// A stream whose bytes are kept.
#[derive(Debug)]
pub(crate) struct Recorded<S> {
    stream: S,
    from_worker: File,
    to_worker: File,
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(read) = buffer.filled().get(before..) {
            self.from_worker.write_all(read)?;
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &poll {
            self.to_worker.write_all(bytes.get(..*written).unwrap_or_default())?;
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
