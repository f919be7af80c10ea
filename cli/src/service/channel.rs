//! What `sekisho dev` and the two processes it starts say to each other, over stdin and stdout.
//!
//! The parent writes one line of parameters and keeps stdin open: when it closes, for whatever
//! reason, the child stops. The child writes one line: that it is ready, or why it cannot be. Later a
//! worker may write a line with a new root key, and the parent a line that it is in its file.
//! Secrets go this way because arguments and environment can be read by others.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use sekisho_enclave::RootKeyFile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// A line of parameters holds a root key, a PKI and some hundred access keys.
const PARAMETERS_LIMIT: u64 = 256 * 1024;
/// A child's answer is an address or a sentence.
const ANSWER_LIMIT: u64 = 16 * 1024;
/// A debug build on a busy machine compiles its policies in a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// For the parent to write a file, and its disk to have it.
const KEEP_LIMIT: Duration = Duration::from_secs(15);

/// What a child says once, when it has started or failed to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Serving, at this address.
    Ready(String),
    Failed(String),
}

/// What a worker says when it has another root key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRootKey {
    new_root_key: Zeroizing<[u8; 32]>,
}

/// What the parent says to that.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    kept: bool,
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

    Ok((parameters, ParentGone(None)))
}

/// Resolves when the parent wants the child to stop, or is no more.
#[derive(Debug)]
pub(crate) struct ParentGone(Option<mpsc::Sender<bool>>);

impl ParentGone {
    /// The file with the root key, which the parent writes.
    pub(crate) fn root_key_file(&mut self) -> Arc<dyn RootKeyFile> {
        let (sender, kept) = mpsc::channel();
        self.0 = Some(sender);
        Arc::new(ParentsFile(Mutex::new(kept)))
    }

    /// Starts a thread when it is first polled, and not before: a worker enters its cage alone.
    pub(crate) async fn wait(self) {
        let (gone, parent_gone) = oneshot::channel();
        std::thread::spawn(move || {
            // Ends when the parent closes its end or is no more.
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let kept = serde_json::from_str(&line).is_ok_and(|Kept { kept }| kept);
                if let Some(waiting) = &self.0 {
                    let _ = waiting.send(kept);
                }
            }
            let _ = gone.send(());
        });
        let _ = parent_gone.await;
    }
}

struct ParentsFile(Mutex<mpsc::Receiver<bool>>);

impl RootKeyFile for ParentsFile {
    fn replace(&self, root: &[u8; 32]) -> io::Result<()> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What came too late for the one before.
        while kept.try_recv().is_ok() {}
        say(&NewRootKey { new_root_key: Zeroizing::new(*root) })?;
        match kept.recv_timeout(KEEP_LIMIT) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the parent cannot write it")),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// The child's side: says that it is ready, or why not.
pub(crate) fn answer(answer: &Answer) -> io::Result<()> {
    say(answer)
}

fn say<T: Serialize>(message: &T) -> io::Result<()> {
    let mut line = Zeroizing::new(serde_json::to_vec(message)?);
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// The parent's side: hands the parameters over and waits until the child is ready.
///
/// Returns the address that the child serves, and both pipes; the one to it keeps it alive.
pub(crate) async fn start<T: Serialize>(
    child: &mut Child,
    parameters: &T,
) -> Result<(String, ChildStdin, Lines), ChannelError> {
    let mut stdin = child.stdin.take().ok_or(ChannelError::Cut)?;
    let stdout = child.stdout.take().ok_or(ChannelError::Cut)?;
    let mut line = Zeroizing::new(serde_json::to_vec(parameters).map_err(ChannelError::Malformed)?);
    line.push(b'\n');
    // A child that is already dead has said why on stdout.
    let written = stdin.write_all(&line).await;

    let mut answer = Vec::new();
    let mut lines = Lines(BufReader::new(stdout));
    let mut reader = (&mut lines.0).take(ANSWER_LIMIT);
    tokio::time::timeout(START_LIMIT, reader.read_until(b'\n', &mut answer))
        .await
        .map_err(|_| ChannelError::Late)??;
    if answer.is_empty() {
        written?;
        return Err(ChannelError::Cut);
    }
    match serde_json::from_slice(&answer).map_err(ChannelError::Malformed)? {
        Answer::Ready(address) => Ok((address, stdin, lines)),
        Answer::Failed(reason) => Err(ChannelError::Failed(reason)),
    }
}

/// What a child says after it was ready.
#[derive(Debug)]
pub(crate) struct Lines(BufReader<ChildStdout>);

impl Lines {
    /// The next root key of a worker; none when it has ended.
    pub(crate) async fn new_root_key(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        loop {
            let mut line = Zeroizing::new(Vec::new());
            let read = (&mut self.0).take(ANSWER_LIMIT).read_until(b'\n', &mut line).await;
            if read.ok()? == 0 {
                return None;
            }
            if let Ok(NewRootKey { new_root_key }) = serde_json::from_slice(&line) {
                return Some(new_root_key);
            }
        }
    }
}

/// Tells the worker whether its new root key is in the file.
pub(crate) async fn say_kept(stdin: &mut ChildStdin, kept: bool) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Kept { kept })?;
    line.push(b'\n');
    stdin.write_all(&line).await
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
