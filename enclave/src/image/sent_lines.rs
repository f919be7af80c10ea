//! The log of a worker in an image: there is no console to write it to, so its lines go to the host over
//! the stream of the handover. They are events, into which no secret fits (`crate::log`).

use crate::log::{LogFormat, start_log_into};
use sekisho_wire::Stream;
use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing_subscriber::util::TryInitError;

/// Lines that wait for the host. What it does not take in time is lost: it must not hold up the worker
/// or fill its memory.
const WAITING: usize = 1024;
/// For the last lines to arrive.
const LAST: Duration = Duration::from_secs(2);

/// Lines on their way to the host.
#[derive(Debug)]
pub struct SentLog {
    lines: mpsc::Sender<Option<Vec<u8>>>,
    sending: JoinHandle<()>,
}

/// Sends the worker's events over `host` from now on.
///
/// # Errors
/// There is a log already.
pub fn start_sent_log(
    format: LogFormat,
    levels: &str,
    host: Stream,
) -> Result<SentLog, TryInitError> {
    let (lines, waiting) = mpsc::channel(WAITING);
    let sending = tokio::spawn(send(waiting, host));
    let line = Line(lines.clone());
    start_log_into(format, levels, move || line.clone())?;
    Ok(SentLog { lines, sending })
}

impl SentLog {
    /// Says why the worker ends, and waits until the host has the last line.
    pub async fn end(self, last_words: Option<&dyn Display>) {
        let ending = async {
            if let Some(words) = last_words {
                let _ = self.lines.send(Some(format!("{words}\n").into_bytes())).await;
            }
            let _ = self.lines.send(None).await;
            let _ = self.sending.await;
        };
        let _ = timeout(LAST, ending).await;
    }
}

async fn send(mut waiting: mpsc::Receiver<Option<Vec<u8>>>, mut host: Stream) {
    while let Some(Some(line)) = waiting.recv().await {
        if host.write_all(&line).await.is_err() {
            return;
        }
    }
    let _ = host.shutdown().await;
    // The host closes its half when it has read to the end.
    let _ = host.read(&mut [0]).await;
}

/// Takes one line at a time, as the subscriber writes them.
#[derive(Clone)]
struct Line(mpsc::Sender<Option<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(Some(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::Address;

    #[tokio::test]
    async fn lines_arrive_in_order_and_the_last_words_too() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix { path: folder.path().join("host") };
        let listener = address.listen().await.unwrap();
        let worker = address.connect().await.unwrap();
        let mut host = listener.accept().await.unwrap();

        let (lines, waiting) = mpsc::channel(WAITING);
        let sent = SentLog { lines: lines.clone(), sending: tokio::spawn(send(waiting, worker)) };
        let mut line = Line(lines);
        line.write_all(b"measured\n").unwrap();
        line.write_all(b"serving\n").unwrap();
        let reading = async {
            let mut read = String::new();
            host.read_to_string(&mut read).await.unwrap();
            drop(host);
            read
        };
        let (read, ()) = tokio::join!(reading, sent.end(Some(&"no store")));
        assert_eq!(read, "measured\nserving\nno store\n");
    }

    #[tokio::test]
    async fn a_host_that_reads_nothing_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix { path: folder.path().join("host") };
        let listener = address.listen().await.unwrap();
        let worker = address.connect().await.unwrap();
        let _host = listener.accept().await.unwrap();
        let (lines, waiting) = mpsc::channel(WAITING);
        tokio::spawn(send(waiting, worker));
        let mut line = Line(lines.clone());
        for _ in 0..WAITING * 2 {
            line.write_all(&[b'.'; 4096]).unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.capacity(), 0, "the rest is lost");
    }
}
