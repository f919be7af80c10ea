//! The thread that counts time for the deadlines.
//!
//! It ticks only while calls run, and a while after; an engine at rest costs nothing.
//! Starting a call costs an atomic increment and a load, so that a decision makes no
//! system call unless the thread had gone to rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// The step in which deadlines are counted.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a running call after which the thread rests.
const REST_AFTER: u32 = 100;

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    resting: AtomicBool,
    stop: AtomicBool,
}

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("policy deadlines".into()).spawn({
            let shared = Arc::clone(&shared);
            move || tick(&engine, &shared)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Time is counted as long as the result lives.
    pub(crate) fn run(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.resting.load(SeqCst) {
            self.wake();
        }
        Running(&self.shared)
    }

    /// How many ticks from now a deadline lies. The tick under way counts as none, so
    /// a deadline is never early.
    pub(crate) fn ticks(deadline: Duration) -> u64 {
        let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn wake(&self) {
        self.shared.resting.store(false, SeqCst);
        if let Some(thread) = self.thread.as_ref().map(JoinHandle::thread) {
            Thread::unpark(thread);
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in the ticker would have nothing to say here.
            let _ = thread.join();
        }
    }
}

/// A call that runs.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

fn tick(engine: &wasmtime::Engine, shared: &Shared) {
    let mut idle: u32 = 0;
    while !shared.stop.load(SeqCst) {
        thread::park_timeout(TICK);
        engine.increment_epoch();
        idle = match shared.running.load(SeqCst) {
            0 => idle.saturating_add(1),
            _ => 0,
        };
        if idle >= REST_AFTER {
            rest(shared);
            idle = 0;
        }
    }
}

/// Sleeps until a call starts. A caller counts itself before it looks at `resting`,
/// and this thread sets `resting` before it looks at the count: one of them sees the
/// other.
fn rest(shared: &Shared) {
    shared.resting.store(true, SeqCst);
    while shared.running.load(SeqCst) == 0
        && shared.resting.load(SeqCst)
        && !shared.stop.load(SeqCst)
    {
        thread::park();
    }
    shared.resting.store(false, SeqCst);
}
