//! A connection between host and worker, and the listener that accepts one.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio_vsock::{VsockAddr, VsockListener, VsockStream};

use crate::address::Address;
use crate::unix::QuietUnixStream;

/// The largest write handed to an AF_VSOCK socket at once.
///
/// vhost-device-vsock takes one data descriptor a packet and silently loses what a
/// guest wrote beyond it, from 28 KiB on; half of the power of two below that.
const VSOCK_WRITE_LIMIT: usize = 16 * 1024;

/// How long a connection may take, with the `CONNECT` exchange of `hybrid:`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `OK 4294967295\n` is the longest answer to `CONNECT` that means anything.
const CONNECT_ANSWER_LIMIT: usize = 32;

/// As many connections as the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

impl Address {
    /// Connects to this address; gives up after five seconds.
    ///
    /// # Errors
    ///
    /// The socket's error; `TimedOut`; for `hybrid:` also `ConnectionRefused` when the VM's
    /// device closes or answers anything but `OK …`.
    pub async fn connect(&self) -> io::Result<Stream> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect_patiently())
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer did not answer"))?
    }

    async fn connect_patiently(&self) -> io::Result<Stream> {
        match self {
            Self::Vsock { cid, port } => {
                VsockStream::connect(VsockAddr::new(*cid, *port)).await.map(Stream::from)
            }
            Self::Hybrid { path, port } => Stream::unix(connect_hybrid(path, *port).await?),
            Self::Unix { path } => Stream::unix(UnixStream::connect(path).await?),
        }
    }

    /// Listens on this address.
    ///
    /// A Unix socket is open to its owner alone (mode 0600) before anyone can connect to it. One
    /// that is left over at its path is removed if nobody answers on it any more.
    ///
    /// # Errors
    ///
    /// The socket's error; `AddrInUse` when another process answers at the path;
    /// `AlreadyExists` when what is at the path is no socket.
    pub async fn listen(&self) -> io::Result<Listener> {
        match (self, self.listening_path()) {
            (Self::Vsock { cid, port }, _) => {
                let listener = VsockListener::bind(VsockAddr::new(*cid, *port))?;
                Ok(Listener(AnyListener::Vsock(listener)))
            }
            (_, Some(path)) => listen_unix(path).await,
            (_, None) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// The host's side of Firecracker's hybrid vsock: `CONNECT <port>\n`, answered `OK <port>\n`.
///
/// <https://github.com/firecracker-microvm/firecracker/blob/main/docs/vsock.md>
async fn connect_hybrid(path: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;

    // Byte by byte: what follows the line belongs to the connection.
    let mut answer = Vec::with_capacity(CONNECT_ANSWER_LIMIT);
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) if answer.len() < CONNECT_ANSWER_LIMIT => answer.push(byte),
            Ok(_) => return Err(refused("the answer to CONNECT is too long")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(refused("nothing listens on this port of the VM"));
            }
            Err(error) => return Err(error),
        }
    }
    if answer.starts_with(b"OK ") {
        Ok(stream)
    } else {
        Err(refused("the answer to CONNECT is not OK"))
    }
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, reason)
}

async fn listen_unix(path: PathBuf) -> io::Result<Listener> {
    remove_stale_socket(&path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(&path)?;
    // Between bind and listen, when nobody can connect yet.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let listener = socket.listen(BACKLOG)?;
    let metadata = std::fs::symlink_metadata(&path)?;
    let file = SocketFile { path, device: metadata.dev(), inode: metadata.ino() };
    Ok(Listener(AnyListener::Unix { listener, _file: file }))
}

async fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is not a socket"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process is listening on the socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Accepts connections at an [`Address`]; made by [`Address::listen`].
///
/// A Unix socket's file goes away with its listener.
#[derive(Debug)]
pub struct Listener(AnyListener);

#[derive(Debug)]
enum AnyListener {
    Vsock(VsockListener),
    // The file's field comes second: the listener is still open when the file is compared.
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Listener {
    /// The next connection. Cancellation safe.
    ///
    /// # Errors
    ///
    /// The socket's error, such as too many open files: wait a little, then accept again.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            AnyListener::Vsock(listener) => Ok(Stream::from(listener.accept().await?.0)),
            AnyListener::Unix { listener, .. } => Stream::unix(listener.accept().await?.0),
        }
    }
}

/// Removes a socket's file on drop, unless a successor has bound the path since.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A connection at an [`Address`]. Shutting it down closes the writing half alone.
#[derive(Debug)]
pub struct Stream(AnyStream);

#[derive(Debug)]
enum AnyStream {
    Vsock(VsockStream),
    Unix(QuietUnixStream),
}

impl Stream {
    fn unix(stream: UnixStream) -> io::Result<Self> {
        Ok(Self(AnyStream::Unix(QuietUnixStream::new(stream)?)))
    }
}

impl From<VsockStream> for Stream {
    fn from(stream: VsockStream) -> Self {
        Self(AnyStream::Vsock(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            AnyStream::Vsock(stream) => Pin::new(stream).poll_read(cx, buffer),
            AnyStream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            AnyStream::Vsock(stream) => Pin::new(stream).poll_write(cx, vsock_part(bytes)),
            AnyStream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            AnyStream::Vsock(stream) => {
                let first = buffers.iter().find(|buffer| !buffer.is_empty());
                Pin::new(stream).poll_write(cx, vsock_part(first.map_or(&[], |buffer| buffer)))
            }
            AnyStream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            AnyStream::Vsock(_) => false,
            AnyStream::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            AnyStream::Vsock(stream) => Pin::new(stream).poll_flush(cx),
            AnyStream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            AnyStream::Vsock(stream) => Pin::new(stream).poll_shutdown(cx),
            AnyStream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn vsock_part(bytes: &[u8]) -> &[u8] {
    bytes.get(..VSOCK_WRITE_LIMIT).unwrap_or(bytes)
}
