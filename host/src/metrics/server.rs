//! `GET /metrics` and `GET /healthz`, over HTTP/1.1 without TLS: for the operator's network alone.
//!
//! One request a connection, of which the first line counts; whoever is slow or verbose is hung up
//! on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Metrics;
use crate::store::Sizes;

/// A scraper's request has some 300 bytes.
const MAX_HEAD: usize = 8 * 1024;
/// From the connection's start to its end.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Scrapers at the same time.
const CONNECTIONS: usize = 16;
/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that has its port and waits for [`MetricsServer::serve`].
pub(crate) struct MetricsServer {
    listener: TcpListener,
}

impl MetricsServer {
    pub(crate) async fn bind(listen: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen).await? })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for as long as it is polled. `sizes` looks at the store; it must not block.
    pub(crate) async fn serve(
        self,
        metrics: Arc<Metrics>,
        sizes: impl Fn() -> Sizes + Clone + Send + Sync + 'static,
    ) {
        let started = SystemTime::now();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (metrics, sizes) = (Arc::clone(&metrics), sizes.clone());
            tokio::spawn(async move {
                let page = || metrics.render(started, sizes());
                // Whoever does not take the answer in time does not get it.
                let _ = timeout(TIME_LIMIT, answer(stream, page)).await;
                drop(place);
            });
        }
    }
}

async fn answer(mut stream: TcpStream, page: impl FnOnce() -> String) -> io::Result<()> {
    const PAGE: &str = "text/plain; version=0.0.4; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    let mut head = Vec::new();
    let complete = read_head(&mut stream, &mut head).await?;
    let (status, content_type, body) = match request_line(&head).filter(|_| complete) {
        None => ("400 Bad Request", TEXT, "This is not a request in HTTP/1.1.\n".to_owned()),
        Some(("GET", "/metrics")) => ("200 OK", PAGE, page()),
        Some(("GET", "/healthz")) => ("200 OK", TEXT, "ok\n".to_owned()),
        Some((_, "/metrics" | "/healthz")) => {
            ("405 Method Not Allowed", TEXT, "Only GET is answered.\n".to_owned())
        }
        Some(_) => ("404 Not Found", TEXT, "Here are /metrics and /healthz.\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Unread bytes would reset the connection, and the answer with it.
    let mut rest = stream.take(MAX_HEAD as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads up to the empty line; false if that does not come within [`MAX_HEAD`] bytes.
async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut limited = stream.take(MAX_HEAD as u64);
    while limited.read_buf(head).await? > 0 {
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Method and path (RFC 9112 §3); a query is left out.
fn request_line(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    Some((method, target.split('?').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        assert_eq!(request_line(b"GET /metrics HTTP/1.1\r\n\r\n"), Some(("GET", "/metrics")));
        assert_eq!(request_line(b"GET /metrics?x=1 HTTP/1.0\r\n"), Some(("GET", "/metrics")));
        for bad in
            [&b""[..], b"GET", b"GET /", b"GET / HTTP/2", b"GET / x HTTP/1.1", b"\xff / HTTP/1.1"]
        {
            assert_eq!(request_line(bad), None);
        }
    }
}
