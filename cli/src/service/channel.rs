//! What `sekisho dev` and the two processes it starts say to each other, over stdin and stdout.
//!
//! The parent writes one line of parameters and keeps stdin open: when it closes, for whatever
//! reason, the child stops. The child writes one line: that it is ready, or why it cannot be.
//! Secrets go this way because arguments and environment can be read by others.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// A line of parameters holds a root key, a PKI and some hundred access keys.
const PARAMETERS_LIMIT: u64 = 256 * 1024;
/// A child's answer is an address or a sentence.
const ANSWER_LIMIT: u64 = 16 * 1024;
/// A debug build on a busy machine compiles its policies in a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a child says once, when it has started or failed to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Serving, at this address.
    Ready(String),
    Failed(String),
}

/// The child's side: reads the parameters, and learns of the parent's end.
pub(crate) fn parameters<T: DeserializeOwned>() -> Result<(T, ParentGone), ChannelError> {
    let mut line = Zeroizing::new(Vec::new());
    let mut stdin = io::BufReader::new(io::stdin()).take(PARAMETERS_LIMIT);
    stdin.read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(ChannelError::Cut);
    }
    let parameters = serde_json::from_slice(&line).map_err(ChannelError::Malformed)?;

    Ok((parameters, ParentGone(())))
}

/// Resolves when the parent wants the child to stop, or is no more.
#[derive(Debug)]
pub(crate) struct ParentGone(());

impl ParentGone {
    /// Starts a thread when it is first polled, and not before: a worker enters its cage alone.
    pub(crate) async fn wait(self) {
        let (gone, parent_gone) = oneshot::channel();
        std::thread::spawn(move || {
            // Nothing more comes: this returns when the parent closes its end or is no more.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = gone.send(());
        });
        let _ = parent_gone.await;
    }
}

/// The child's side: says that it is ready, or why not.
pub(crate) fn answer(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// The parent's side: hands the parameters over and waits until the child is ready.
///
/// Returns the address that the child serves, and the end of the pipe that keeps it alive.
pub(crate) async fn start<T: Serialize>(
    child: &mut Child,
    parameters: &T,
) -> Result<(String, ChildStdin), ChannelError> {
    let mut stdin = child.stdin.take().ok_or(ChannelError::Cut)?;
    let stdout = child.stdout.take().ok_or(ChannelError::Cut)?;
    let mut line = Zeroizing::new(serde_json::to_vec(parameters).map_err(ChannelError::Malformed)?);
    line.push(b'\n');
    // A child that is already dead has said why on stdout.
    let written = stdin.write_all(&line).await;

    let mut answer = Vec::new();
    let mut reader = BufReader::new(stdout).take(ANSWER_LIMIT);
    tokio::time::timeout(START_LIMIT, reader.read_until(b'\n', &mut answer))
        .await
        .map_err(|_| ChannelError::Late)??;
    if answer.is_empty() {
        written?;
        return Err(ChannelError::Cut);
    }
    match serde_json::from_slice(&answer).map_err(ChannelError::Malformed)? {
        Answer::Ready(address) => Ok((address, stdin)),
        Answer::Failed(reason) => Err(ChannelError::Failed(reason)),
    }
}

/// Why a child did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it ended without a word")]
    Cut,
    #[error("it was not ready within {} s", START_LIMIT.as_secs())]
    Late,
    #[error("malformed message: {0}")]
    Malformed(serde_json::Error),
    #[error("{0}")]
    Failed(String),
}
