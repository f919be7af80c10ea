//! Moves bytes both ways between two connections until both directions have ended.
//!
//! All connections of a thread share one buffer to read into. Only what the other side does not
//! take at once is kept with the connection, and nothing more is read until it has gone: an idle
//! connection holds no buffer, a slow one at most one read's worth in each direction.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// One read: what a loaded TCP socket has ready.
const READ: usize = 64 * 1024;

/// How long a connection of which one direction has ended may be silent in the other.
const HALF_CLOSED_PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Returns how many bytes went from `client` to `worker`, and back.
///
/// The end of one direction is passed on by closing that direction alone. A side that no longer
/// takes bytes ends the direction to it; what it still has to say is carried to the end, and what
/// the caller still sends meanwhile is thrown away.
///
/// # Errors
///
/// An error of reading from the caller, which ends both directions; `TimedOut` when one direction has ended and the
/// other was silent for a minute.
pub(super) async fn pump<C, W>(client: &mut C, worker: &mut W) -> io::Result<(u64, u64)>
where
    C: AsyncRead + AsyncWrite + Unpin,
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Direction::new(Side::Caller), Direction::new(Side::Worker));
    poll_fn(|cx| {
        let up = up.poll(cx, client, worker)?;
        let down = down.poll(cx, worker, client)?;
        if up.is_ready() || down.is_ready() {
            Poll::Ready(io::Result::Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await?;

    loop {
        let before = (up.carried, down.carried);
        let both = poll_fn(|cx| {
            let up = up.poll(cx, client, worker)?;
            let down = down.poll(cx, worker, client)?;
            if up.is_ready() && down.is_ready() {
                Poll::Ready(io::Result::Ok(()))
            } else {
                Poll::Pending
            }
        });
        match timeout(HALF_CLOSED_PATIENCE, both).await {
            Ok(ended) => return ended.map(|()| (up.carried, down.carried)),
            Err(_) if before == (up.carried, down.carried) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "half-closed and silent"));
            }
            Err(_) => {}
        }
    }
}

struct Direction {
    from: Side,
    state: State,
    /// What was read and not yet written.
    rest: Vec<u8>,
    written: usize,
    carried: u64,
}

/// Whose bytes a direction carries.
#[derive(Clone, Copy)]
enum Side {
    Caller,
    Worker,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    /// The reader has ended, the writer is yet to be told.
    Ending,
    /// What comes is thrown away. A TCP connection that is closed with unread bytes is reset, and
    /// the caller would lose the worker's last answer with it.
    Discarding,
    Ended,
}

impl Direction {
    fn new(from: Side) -> Self {
        Self { from, state: State::Open, rest: Vec::new(), written: 0, carried: 0 }
    }

    /// Nobody takes these bytes any more.
    fn refused(&mut self) {
        self.state = match self.from {
            Side::Caller => State::Discarding,
            Side::Worker => State::Ended,
        };
    }

    /// Reading failed. A caller that resets its connection is gone. A worker that closes its own
    /// before it has read everything resets it too (`unix(7)`), behind an answer that still has to
    /// reach the caller.
    fn broken(&mut self, error: io::Error) -> io::Result<()> {
        match self.from {
            Side::Caller => Err(error),
            Side::Worker => {
                self.state = State::Ending;
                Ok(())
            }
        }
    }

    /// Ready when this direction has ended. Sockets do not buffer, so nothing is flushed.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    // A peer that is gone needs no farewell.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.state = State::Ended;
                }
                State::Discarding => ready!(self.poll_discard(cx, from)),
                State::Open => {
                    ready!(self.poll_rest(cx, to));
                    if matches!(self.state, State::Open) {
                        ready!(self.poll_fresh(cx, from, to))?;
                    }
                }
            }
        }
    }

    /// Writes what is left of an earlier read.
    fn poll_rest<W>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<()>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(rest) = self.rest.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *to).poll_write(cx, rest)) {
                Ok(written) if written > 0 => {
                    self.written += written;
                    self.carried += written as u64;
                }
                Ok(_) | Err(_) => {
                    self.rest = Vec::new();
                    self.refused();
                    return Poll::Ready(());
                }
            }
        }
        self.rest = Vec::new();
        self.written = 0;
        Poll::Ready(())
    }

    /// Reads once, writes once, and keeps what was not taken.
    fn poll_fresh<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SHARED.with_borrow_mut(|shared| {
            let mut buffer = ReadBuf::new(shared);
            if let Err(error) = ready!(Pin::new(from).poll_read(cx, &mut buffer)) {
                return Poll::Ready(self.broken(error));
            }
            let read = buffer.filled();
            if read.is_empty() {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            let written = match Pin::new(to).poll_write(cx, read) {
                Poll::Ready(Ok(written)) if written > 0 => written,
                Poll::Ready(_) => {
                    self.refused();
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => 0,
            };
            self.carried += written as u64;
            self.rest.extend(read.get(written..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    fn poll_discard<R>(&mut self, cx: &mut Context<'_>, from: &mut R) -> Poll<()>
    where
        R: AsyncRead + Unpin,
    {
        SHARED.with_borrow_mut(|shared| {
            let mut buffer = ReadBuf::new(shared);
            let read = ready!(Pin::new(from).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                self.state = State::Ended;
            }
            Poll::Ready(())
        })
    }
}
