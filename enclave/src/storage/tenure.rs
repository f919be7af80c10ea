//! How long a worker is the one that writes: until another of the same service takes the store over.
//!
//! Two workers can have the same store open: of a service that gives its root key to peers, and
//! wherever a second one is started at one store. The store keeps their commits apart, by
//! compare-and-swap; but each answers from memory, and what is there is of the past once the other
//! has written. So a worker begins with an entry of its own in the journal. What stands behind that
//! one and is not its own was written by a worker that has read it, which came later: the worker
//! that finds it is at its end. It releases nothing more, and stops. The one that came last goes on,
//! and finds all that was acknowledged.
//!
//! The last message of a worker that was killed ends nobody's tenure. The store takes it before the
//! next worker's first entry, or refuses it: it was made for a number that is taken by then.

use crate::secret::{RandomUnavailable, fill_random};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use std::sync::Arc;
use tokio::sync::watch;

/// Which worker has sealed an entry: random, made anew at each start. By it a worker knows its own
/// entries, also those that the host keeps late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WorkerId(ByteArray<16>);

impl WorkerId {
    pub(super) fn generate() -> Result<Self, RandomUnavailable> {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        Ok(Self(ByteArray::new(bytes)))
    }
}

/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Tenure(Arc<watch::Sender<bool>>);

impl Default for Tenure {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Tenure {
    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|ended| *ended).await;
    }
}
