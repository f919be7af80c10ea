//! How long a worker is the one that writes: until another of the same service takes the store over.
//!
//! Of a service that gives its root key to peers two workers can have the same store open. The store
//! keeps their commits apart, by compare-and-swap; but each answers from memory, and what is there is
//! of the past once the other has written. So a worker that finds a link in journal or audit log that
//! is not its own, after its own first, is at its end: it releases nothing more, and stops. The one
//! that came last goes on, and finds all that was acknowledged.

use std::sync::Arc;
use tokio::sync::watch;

/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Tenure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Whether there may be another worker.
    peers: bool,
    ended: watch::Sender<bool>,
}

impl Tenure {
    /// Of a service without peers: a foreign link is one of a worker that was killed, whose last
    /// message arrived late.
    pub(crate) fn without_peers() -> Self {
        Self::new(false)
    }

    /// Of a service whose root key another worker may get.
    pub(crate) fn among_peers() -> Self {
        Self::new(true)
    }

    fn new(peers: bool) -> Self {
        Self(Arc::new(Inner { peers, ended: watch::Sender::new(false) }))
    }

    pub(crate) fn has_peers(&self) -> bool {
        self.0.peers
    }

    pub(crate) fn end(&self) {
        self.0.ended.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.0.ended.borrow()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this does.
        let _ = self.0.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
