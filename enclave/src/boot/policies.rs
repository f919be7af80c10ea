//! The policies that come with Sekisho, compiled while a boot waits for the host.

use super::BootError;
use crate::keys::modules::Modules;
use sekisho_policy_engine::{Engine, Limits};
use tokio::task::{JoinHandle, spawn_blocking};

/// The sandbox and the stock policies, being set up on a thread of their own.
///
/// Compiling them is most of a start, and needs neither root key nor storage.
pub(crate) struct Preparing(JoinHandle<Result<Modules, BootError>>);

impl Preparing {
    /// Must be called within a tokio runtime.
    pub(crate) fn begin() -> Self {
        Self(spawn_blocking(|| {
            let engine = Engine::new(Limits::default())?;
            Ok(Modules::stock(&engine)?)
        }))
    }

    /// What a boot with this sandbox goes on with.
    pub(super) async fn finish(self) -> Result<Modules, BootError> {
        self.0.await?
    }
}
