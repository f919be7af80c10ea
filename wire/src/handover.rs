//! The handover: a host gives a worker in an image its boot configuration, once.
//!
//! Such a worker has no arguments. It listens, the host connects and sends one frame with a text of
//! options, and the worker answers with one frame: that it starts with them, or why it does not and
//! waits for others. After [`Answer::Accepted`] the stream carries the lines of the worker's log, and
//! its end is the worker's. Since the host dials, the worker has to know no address before.
//!
//! The text is the host's, so it is hostile until it is measured: PCR16 says what a worker was started
//! with, and who trusts it checks that.

use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::address::{Address, CID_ANY};
use crate::codec::{CodecError, decode, encode};
use crate::frame::{Frame, FrameError, read_body, read_header, write_frame};
use crate::stream::{Listener, Stream};

/// Where a worker in an image listens for its configuration.
pub const ADDRESS: Address = Address::Vsock { cid: CID_ANY, port: PORT };

/// The port in [`ADDRESS`].
pub const PORT: u32 = 8444;

/// The longest text: a root certificate has two kilobytes in base64, and a configuration some dozens
/// of them at the most.
pub const MAX_CONFIGURATION: usize = 64 * 1024;

/// The longest answer, and the longest reason in it.
const MAX_ANSWER: usize = 4 * 1024;
const MAX_REASON: usize = 2 * 1024;

/// For a text to arrive after its stream. One that comes later is refused.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// For a worker's answer: it is the only thing that the worker does.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// After an error of `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the worker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Answer {
    /// It starts with this configuration, and takes no other.
    Accepted,
    /// It does not, and waits for another one.
    Refused(String),
}

/// Waits until a host hands over a text that `parse` takes; for the worker.
///
/// One host is listened to at a time, for `patience`; each whose text is too long, late or not taken is
/// told why. Who drops the listener afterwards takes no second configuration.
pub async fn receive<T, E: Display>(
    listener: &Listener,
    patience: Duration,
    mut parse: impl FnMut(&str) -> Result<T, E>,
) -> (T, Stream) {
    loop {
        let Ok(mut stream) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let reading = timeout(patience, read_text(&mut stream)).await;
        let read = reading.unwrap_or(Err(HandoverError::Late));
        let parsed = match read {
            Ok(text) => parse(&text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (answer, taken) = match parsed {
            Ok(taken) => (Answer::Accepted, Some(taken)),
            Err(reason) => (Answer::Refused(shortened(reason)), None),
        };
        // A host that has gone meanwhile is as good as one that was told nothing: only one that
        // hears that its configuration is taken can hand over no other.
        let told = timeout(patience, write_answer(&mut stream, &answer)).await;
        if let (Some(taken), Ok(Ok(()))) = (taken, told) {
            return (taken, stream);
        }
    }
}

/// Hands `text` over to the worker at `worker`; for the host. The stream carries the worker's log.
///
/// # Errors
///
/// [`HandoverError`].
pub async fn hand_over(worker: &Address, text: &str) -> Result<Stream, HandoverError> {
    if text.len() > MAX_CONFIGURATION {
        return Err(HandoverError::TooLong { length: text.len() });
    }
    let mut stream = worker.connect().await.map_err(HandoverError::Unreachable)?;
    let asking = async {
        write_body(&mut stream, text.as_bytes().to_vec()).await?;
        let body = read_bounded(&mut stream, MAX_ANSWER).await?;
        Ok::<_, HandoverError>(decode(&body)?)
    };
    match timeout(ANSWER_TIME, asking).await.map_err(|_| HandoverError::Late)?? {
        Answer::Accepted => Ok(stream),
        Answer::Refused(reason) => Err(HandoverError::Refused(reason)),
    }
}

async fn read_text(reader: &mut (impl AsyncRead + Unpin)) -> Result<String, HandoverError> {
    let body = read_bounded(reader, MAX_CONFIGURATION).await?;
    String::from_utf8(body).map_err(|_| HandoverError::NotText)
}

async fn write_answer(
    writer: &mut (impl AsyncWrite + Unpin),
    answer: &Answer,
) -> Result<(), HandoverError> {
    write_body(writer, encode(answer)?).await
}

async fn read_bounded(
    reader: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<Vec<u8>, HandoverError> {
    let header = read_header(reader).await?.ok_or(HandoverError::Ended)?;
    if header.length() > limit {
        return Err(HandoverError::TooLong { length: header.length() });
    }
    Ok(read_body(reader, header).await?)
}

async fn write_body(
    writer: &mut (impl AsyncWrite + Unpin),
    body: Vec<u8>,
) -> Result<(), HandoverError> {
    write_frame(writer, &Frame { request_id: 0, body }).await?;
    writer.flush().await.map_err(FrameError::Io)?;
    Ok(())
}

/// At a character's boundary.
fn shortened(mut reason: String) -> String {
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    reason.truncate(end.unwrap_or_default());
    reason
}

/// Why a configuration was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Nobody listens there: the worker has not started, or has its configuration already.
    #[error("no worker waits for its configuration: {0}")]
    Unreachable(std::io::Error),
    /// The worker says why.
    #[error("the worker does not start with this configuration: {0}")]
    Refused(String),
    /// Longer than the limit; nothing was allocated for it.
    #[error("{length} bytes were announced, the limit is {MAX_CONFIGURATION} of configuration")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// Not UTF-8.
    #[error("the configuration is not a text in UTF-8")]
    NotText,
    /// It did not come in time.
    #[error("the message did not come in time")]
    Late,
    /// The stream ended before it.
    #[error("the stream ended without a message")]
    Ended,
    /// It is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is no message.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const SOON: Duration = Duration::from_millis(50);

    fn address(folder: &tempfile::TempDir) -> Address {
        Address::Unix { path: folder.path().join("worker") }
    }

    /// A worker that takes numbers.
    async fn number(listener: Listener, patience: Duration) -> (u32, Stream) {
        receive(&listener, patience, |text| text.parse::<u32>()).await
    }

    #[tokio::test]
    async fn a_malformed_configuration_is_refused_with_its_reason_and_the_next_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let address = address(&folder);
        let listener = address.listen().await.unwrap();
        let worker = tokio::spawn(number(listener, PATIENCE));

        let refused = hand_over(&address, "seven").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the worker does not start with this configuration: invalid digit found in string"
        );
        let mut log = hand_over(&address, "7").await.unwrap();
        let (taken, mut stream) = worker.await.unwrap();
        assert_eq!(taken, 7);

        stream.write_all(b"serving\n").await.unwrap();
        drop(stream);
        let mut lines = String::new();
        log.read_to_string(&mut lines).await.unwrap();
        assert_eq!(lines, "serving\n");
        // The worker has its configuration: there is nobody to take another.
        let second = hand_over(&address, "8").await.unwrap_err();
        assert!(matches!(second, HandoverError::Unreachable(_)), "{second}");
    }

    #[tokio::test]
    async fn an_oversized_configuration_is_refused_from_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let address = address(&folder);
        let long = "1".repeat(MAX_CONFIGURATION + 1);
        let refused = hand_over(&address, &long).await.unwrap_err();
        assert!(matches!(refused, HandoverError::TooLong { .. }), "{refused}");

        let listener = address.listen().await.unwrap();
        let _worker = tokio::spawn(number(listener, PATIENCE));
        let mut stream = address.connect().await.unwrap();
        // The length alone, and nothing of the body.
        stream.write_u32(long.len() as u32).await.unwrap();
        stream.write_u64(0).await.unwrap();
        let body = read_bounded(&mut stream, MAX_ANSWER).await.unwrap();
        let reason = "65537 bytes were announced, the limit is 65536 of configuration";
        assert_eq!(decode::<Answer>(&body).unwrap(), Answer::Refused(reason.into()));
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let address = address(&folder);
        let _worker = tokio::spawn(number(address.listen().await.unwrap(), PATIENCE));
        let mut stream = address.connect().await.unwrap();
        write_body(&mut stream, vec![0xff]).await.unwrap();
        let body = read_bounded(&mut stream, MAX_ANSWER).await.unwrap();
        let reason = HandoverError::NotText.to_string();
        assert_eq!(decode::<Answer>(&body).unwrap(), Answer::Refused(reason));
    }

    #[tokio::test]
    async fn a_late_configuration_is_refused_and_does_not_keep_the_next_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let address = address(&folder);
        let listener = address.listen().await.unwrap();
        let mut silent = address.connect().await.unwrap();
        // Both are there before the worker looks: the second's text has arrived when its turn comes.
        let mut next = address.connect().await.unwrap();
        write_body(&mut next, b"7".to_vec()).await.unwrap();

        let (taken, _stream) = number(listener, SOON).await;
        assert_eq!(taken, 7);
        let body = read_bounded(&mut silent, MAX_ANSWER).await.unwrap();
        let reason = HandoverError::Late.to_string();
        assert_eq!(decode::<Answer>(&body).unwrap(), Answer::Refused(reason));
        let body = read_bounded(&mut next, MAX_ANSWER).await.unwrap();
        assert_eq!(decode::<Answer>(&body).unwrap(), Answer::Accepted);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let cut = shortened("é".repeat(MAX_REASON));
        assert_eq!(cut.len(), MAX_REASON);
        let cut = shortened(format!("a{}", "é".repeat(MAX_REASON)));
        assert_eq!(cut.len(), MAX_REASON - 1);
        assert!(encode(&Answer::Refused(cut)).unwrap().len() <= MAX_ANSWER);
    }
}
