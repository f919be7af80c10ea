//! A worker on a thread of its own, and what it logs.

use sekisho_enclave::{Boot, BootError};
use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// What the workers of one scene have logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

thread_local! {
    /// Of the worker that runs on this thread.
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Writes into the log of the thread's worker; what other threads log is nobody's.
struct ToThreadsLog;

impl io::Write for ToThreadsLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow(|log| {
            if let Some(log) = log {
                log.0.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("sekisho_enclave=debug,sekisho_wire=debug"))
            .with_ansi(false)
            .without_time()
            .with_writer(|| ToThreadsLog)
            .init();
    });
}

/// A worker that serves.
pub(crate) struct Worker {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<(), BootError>>,
}

impl Worker {
    /// Starts a worker and waits until it serves.
    pub(crate) async fn start(boot: Boot, log: Log) -> Result<Self, BootError> {
        start_log();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let (end, mut ended) = oneshot::channel();
        std::thread::spawn(move || {
            LOG.set(Some(log));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let result = runtime.block_on(async {
                let ready = || ready.send(()).unwrap_or_default();
                let shutdown = async {
                    let _ = stopped.await;
                };
                sekisho_enclave::run(boot, ready, shutdown).await
            });
            // Everything that the worker had begun ends here, before anyone hears of it.
            drop(runtime);
            let _ = end.send(result);
        });
        match is_ready.await {
            Ok(()) => Ok(Self { stop, ended }),
            Err(_) => Err((&mut ended).await.unwrap().expect_err("it ended before it served")),
        }
    }

    /// Waits for one that ends by itself.
    pub(crate) async fn ended(self) -> Result<(), BootError> {
        self.ended.await.unwrap()
    }

    /// Lets open requests finish.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.unwrap().unwrap();
    }
}
