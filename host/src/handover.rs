//! The handover: gives a worker in an image its boot configuration whenever it starts, and passes on
//! what it logs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_wire::handover::{HandoverError, MAX_CONFIGURATION, hand_over};
use sekisho_wire::{Address, Stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// Between two attempts while no worker waits.
const PAUSE: Duration = Duration::from_millis(500);
/// After a worker has refused, or the file could not be read: somebody has to change it first.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// The longest line of a worker's log that is passed on; the rest becomes another line.
const MAX_LINE: u64 = 16 * 1024;

/// What a worker in an image is started with.
#[derive(Clone, Debug)]
pub struct WorkerConfiguration {
    /// Where the worker waits for it.
    pub worker: Address,
    /// The file with its options, read again for each start.
    pub file: PathBuf,
}

impl WorkerConfiguration {
    /// The file's text.
    ///
    /// # Errors
    /// It cannot be read, is no text or too long for a worker.
    pub(crate) fn read(&self) -> io::Result<String> {
        read_bounded(&self.file)
    }

    /// Hands it over to every worker that waits for one, until the future is dropped.
    pub(crate) async fn serve(self) {
        let mut said = String::new();
        loop {
            let failure = match self.read() {
                Ok(text) => match hand_over(&self.worker, &text).await {
                    Ok(log) => {
                        info!(worker = %self.worker, "the worker starts with its configuration");
                        said.clear();
                        pass_on(log).await;
                        warn!("the worker has ended, or its log has");
                        continue;
                    }
                    Err(HandoverError::Unreachable(error)) => {
                        debug!(%error, "no worker waits for its configuration");
                        sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(error) => format!("{} cannot be read: {error}", self.file.display()),
            };
            if failure != said {
                warn!(reason = failure, "the worker has no configuration");
                said = failure;
            }
            sleep(LONG_PAUSE).await;
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_CONFIGURATION as u64 + 1).read_to_string(&mut text)?;
    match text.len() > MAX_CONFIGURATION {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("a worker takes at most {MAX_CONFIGURATION} bytes"),
        )),
        false => Ok(text),
    }
}

/// Each line of the worker's log as one of this log.
async fn pass_on(log: Stream) {
    let mut log = BufReader::new(log);
    loop {
        let mut line = Vec::new();
        match (&mut log).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => info!(line = %String::from_utf8_lossy(&line).trim_end(), "worker"),
            Ok(0) | Err(_) => return,
        }
    }
}
