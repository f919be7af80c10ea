//! Where a caller's connection came from, as the host says it: a PROXY protocol header, version 2,
//! in front of the connection's own bytes
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.2).
//!
//! The host may say anything, or nothing: TLS begins with another byte, so that a connection
//! without a header is taken as it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2; `LOCAL`, a connection of the host's own, and `PROXY`, one of a caller.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// TCP over IPv4 and over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Two addresses and two ports, bytes.
const TCP4_LENGTH: usize = 12;
const TCP6_LENGTH: usize = 36;
/// What is read of a header's addresses and extensions, bytes.
const MAX_LENGTH: usize = 512;

/// The header of a connection from `source` that was accepted at `destination`.
pub fn header(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let addresses = (source.ip().to_canonical(), destination.ip().to_canonical());
    let (family, addresses) = match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (TCP4, [source.octets(), destination.octets()].concat())
        }
        (source, destination) => (TCP6, [mapped(source), mapped(destination)].concat()),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let length = if family == TCP4 { [0, TCP4_LENGTH as u8] } else { [0, TCP6_LENGTH as u8] };
    [&SIGNATURE[..], &[PROXY, family], &length, &addresses, &ports].concat()
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Takes the header off, where there is one: what follows it, and the caller's address.
///
/// # Errors
///
/// The connection's error; `InvalidData` for what begins like a header and is none, or is one that
/// announces more than 512 bytes.
pub async fn take_header<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<(Sourced<S>, Option<IpAddr>)> {
    let first = stream.read_u8().await?;
    if first != SIGNATURE[0] {
        return Ok((Sourced { first: Some(first), stream }, None));
    }
    let mut rest = [0; SIGNATURE.len() + 3];
    stream.read_exact(&mut rest).await?;
    let [signature @ .., version, family, high, low] = rest;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if signature != SIGNATURE[1..] || !matches!(version, LOCAL | PROXY) || length > MAX_LENGTH {
        return Err(invalid("this is no PROXY protocol header of version 2"));
    }
    let mut announced = vec![0; length];
    stream.read_exact(&mut announced).await?;
    let source = match (version, family) {
        (PROXY, TCP4) if length >= TCP4_LENGTH => {
            announced.first_chunk().map(|octets: &[u8; 4]| IpAddr::V4(Ipv4Addr::from(*octets)))
        }
        (PROXY, TCP6) if length >= TCP6_LENGTH => {
            announced.first_chunk().map(|octets: &[u8; 16]| Ipv6Addr::from(*octets).to_canonical())
        }
        (PROXY, TCP4 | TCP6) => return Err(invalid("the PROXY protocol header is too short")),
        _ => None,
    };
    Ok((Sourced { first: None, stream }, source))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A connection whose header, if it had one, was taken off.
#[derive(Debug)]
pub struct Sourced<S> {
    /// The connection's first byte, until it is read.
    first: Option<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Sourced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() > 0
            && let Some(first) = this.first.take()
        {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sourced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const FOUR: &str = "192.0.2.7:40000";
    const SIX: &str = "[2001:db8::7]:40000";
    const MAPPED: &str = "[::ffff:192.0.2.7]:40000";

    async fn taken(bytes: &[u8]) -> io::Result<(Vec<u8>, Option<IpAddr>)> {
        let (mut rest, source) = take_header(bytes).await?;
        let mut left = Vec::new();
        rest.read_to_end(&mut left).await?;
        Ok((left, source))
    }

    #[tokio::test]
    async fn a_header_says_where_a_connection_came_from() {
        for (source, destination, wanted) in [
            (FOUR, "198.51.100.1:443", "192.0.2.7"),
            (SIX, "[2001:db8::1]:443", "2001:db8::7"),
            (SIX, "198.51.100.1:443", "2001:db8::7"),
            (MAPPED, "[::ffff:198.51.100.1]:443", "192.0.2.7"),
            (FOUR, "[2001:db8::1]:443", "192.0.2.7"),
        ] {
            let header = header(source.parse().unwrap(), destination.parse().unwrap());
            let (left, found) = taken(&[&header[..], b"\x16rest"].concat()).await.unwrap();
            assert_eq!((left.as_slice(), found), (&b"\x16rest"[..], Some(wanted.parse().unwrap())));
        }
        // The example of the specification's section 2.2 in another form: AF_INET, STREAM.
        let header = header(FOUR.parse().unwrap(), "198.51.100.1:443".parse().unwrap());
        assert_eq!(
            hex(&header),
            "0d0a0d0a000d0a515549540a2111000cc0000207c63364019c4001bb".to_owned()
        );
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn without_a_header_nothing_is_lost() {
        for bytes in [&b"\x16\x03\x01"[..], b"G"] {
            assert_eq!(taken(bytes).await.unwrap(), (bytes.to_vec(), None));
        }
        assert_eq!(taken(b"").await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let good = header(FOUR.parse().unwrap(), FOUR.parse().unwrap());
        for at in 1..16 {
            let mut bad = [&good[..], &[0; 600]].concat();
            bad[at] ^= 0xff;
            let answer = taken(&bad).await;
            // Another family of addresses is none that is known here.
            match at {
                13 => assert_eq!(answer.unwrap().1, None),
                // 12 ^ 0xff bytes are announced, and allowed.
                15 => assert_eq!(answer.unwrap().1, Some("192.0.2.7".parse().unwrap())),
                _ => assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}"),
            }
        }
        let short = [&good[..14], &[0, 11], &[0; 11]].concat();
        assert_eq!(taken(&short).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        for length in 1..good.len() {
            let error = taken(&good[..length]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
        let local = [&SIGNATURE[..], &[LOCAL, 0, 0, 0], b"\x16"].concat();
        assert_eq!(taken(&local).await.unwrap(), (b"\x16".to_vec(), None));
    }
}
