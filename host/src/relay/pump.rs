//! Moves bytes both ways between two connections until both directions have ended.
//!
//! All connections of a thread share one buffer to read into. Only what the other side does not
//! take at once is kept with the connection, and nothing more is read until it has gone: an idle
//! connection holds no buffer, a slow one at most one read's worth in each direction.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use crate::metrics::{Counter, End, Family, Way};

/// One read: more than a Unix socket holds (`net.core.wmem_default`, 208 KiB). A download took a
/// quarter less processor time with 256 KiB than with 64. What was tried beside it took all three
/// parties together a fifth more and above: `splice(2)` through a pipe, since the pages come from
/// another processor's cache and a TLS record's are small change; and sockets that hold 512 KiB or
/// 1 MiB, which do not fit the cache.
const READ: usize = 256 * 1024;

/// One read while much is kept for readers that are slow.
const READ_WHEN_FULL: usize = 16 * 1024;

/// What all connections together may keep before reads are small: whoever stops reading leaves one
/// read's worth behind.
const MUCH: usize = 64 * 1024 * 1024;

/// What they keep.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// A silence is looked for this many times in its length: it may last a quarter longer.
const LOOKS: u32 = 4;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// How long a connection may carry nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// While both directions are open.
    pub(crate) idle: Duration,
    /// When one has ended.
    pub(crate) half_closed: Duration,
}

/// Carries bytes until both directions have ended or nothing has moved for too long; answers how it
/// ended.
///
/// The end of one direction is passed on by closing that direction alone. A side that no longer
/// takes bytes ends the direction to it; what it still has to say is carried to the end, and what
/// the caller still sends meanwhile is thrown away. An error of reading from the caller ends both
/// directions. A connection whose reader has stopped is as silent as one without a writer.
pub(crate) async fn pump<C, W>(
    client: &mut C,
    worker: &mut W,
    bytes: &Family<Way, Counter>,
    patience: Patience,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    W: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(Side::Caller, bytes.of(Way::ToWorker));
    let mut down = Direction::new(Side::Worker, bytes.of(Way::FromWorker));
    let mut silence = pin!(sleep(patience.idle / LOOKS));
    let (mut half_closed, mut carried, mut silent_looks) = (false, 0, 0);
    poll_fn(|cx| {
        loop {
            let (Ok(up_ended), Ok(down_ended)) =
                (ended(up.poll(cx, client, worker)), ended(down.poll(cx, worker, client)))
            else {
                return Poll::Ready(End::Broken);
            };
            if up_ended && down_ended {
                return Poll::Ready(End::Finished);
            }
            if (up_ended || down_ended) && !half_closed {
                (half_closed, silent_looks) = (true, 0);
                silence.as_mut().reset(Instant::now() + patience.half_closed / LOOKS);
            }
            ready!(silence.as_mut().poll(cx));
            let now = up.carried.saturating_add(down.carried);
            silent_looks = if now == carried { silent_looks + 1 } else { 0 };
            carried = now;
            if silent_looks >= LOOKS {
                return Poll::Ready(if half_closed { End::HalfClosed } else { End::Idle });
            }
            let limit = if half_closed { patience.half_closed } else { patience.idle };
            silence.as_mut().reset(Instant::now() + limit / LOOKS);
        }
    })
    .await
}

fn ended(direction: Poll<io::Result<()>>) -> io::Result<bool> {
    match direction {
        Poll::Pending => Ok(false),
        Poll::Ready(ended) => ended.map(|()| true),
    }
}

impl Drop for Direction<'_> {
    fn drop(&mut self) {
        self.forget_rest();
    }
}

struct Direction<'a> {
    from: Side,
    state: State,
    /// What was read and not yet written.
    rest: Vec<u8>,
    written: usize,
    carried: u64,
    /// Of all connections.
    count: &'a Counter,
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

impl<'a> Direction<'a> {
    fn new(from: Side, count: &'a Counter) -> Self {
        Self { from, state: State::Open, rest: Vec::new(), written: 0, carried: 0, count }
    }

    fn carried(&mut self, bytes: usize) {
        self.carried = self.carried.saturating_add(bytes as u64);
        self.count.add(bytes as u64);
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
                    self.carried(written);
                }
                Ok(_) | Err(_) => {
                    self.forget_rest();
                    self.refused();
                    return Poll::Ready(());
                }
            }
        }
        self.forget_rest();
        Poll::Ready(())
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        KEPT.fetch_add(rest.len(), Relaxed);
        self.rest = rest.to_vec();
        self.written = 0;
    }

    fn forget_rest(&mut self) {
        if !self.rest.is_empty() {
            KEPT.fetch_sub(self.rest.len(), Relaxed);
            self.rest = Vec::new();
        }
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
            let most = if KEPT.load(Relaxed) < MUCH { READ } else { READ_WHEN_FULL };
            let mut buffer = ReadBuf::new(shared.get_mut(..most).unwrap_or_default());
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
            self.carried(written);
            if let Some(rest) = read.get(written..).filter(|rest| !rest.is_empty()) {
                self.keep_rest(rest);
            }
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
