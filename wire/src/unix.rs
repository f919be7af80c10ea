//! A Unix stream that hears of its peer's reads only while it waits for them.
//!
//! The kernel tells a Unix socket that it can be written to whenever its peer has read something
//! (`unix_write_space`), not only when a write had failed before, as TCP does. A stream that always
//! listens for that wakes its process at each of its peer's reads: for a relay, every second wakeup.
//! This one registers for readability alone, and for writability only when a write would block.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as Socket;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

#[derive(Debug)]
pub(crate) struct QuietUnixStream {
    socket: AsyncFd<Socket>,
    /// A second descriptor of the socket, while a write waits for room.
    waiting: Option<AsyncFd<Socket>>,
}

impl QuietUnixStream {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let socket = register(stream.into_std()?, Interest::READABLE)?;
        Ok(Self { socket, waiting: None })
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut &Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let result = match &self.waiting {
                None => write(&mut self.socket.get_ref()),
                Some(waiting) => {
                    let mut room = ready!(waiting.poll_write_ready(cx))?;
                    match room.try_io(|socket| write(&mut socket.get_ref())) {
                        Ok(result) => result,
                        Err(_would_block) => continue,
                    }
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = self.socket.get_ref().try_clone()?;
                    self.waiting = Some(register(socket, Interest::WRITABLE)?);
                }
                result => {
                    self.waiting = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe for types that may change their descriptor; a socket keeps its own"
)]
fn register(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for QuietUnixStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            match ready.try_io(|socket| socket.get_ref().read(room)) {
                Ok(Ok(read)) => {
                    // Less than there was room for is all that there was.
                    if 0 < read && read < room.len() {
                        ready.clear_ready();
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for QuietUnixStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |socket| socket.write_vectored(buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}
