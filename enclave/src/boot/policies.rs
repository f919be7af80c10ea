//! The policies that come with Sekisho, compiled while a boot waits for the host.

use super::{BootError, largest_component};
use crate::configuration::BootConfiguration;
use crate::keys::modules::Modules;
use sekisho_policy_engine::{Engine, Limits};
use tokio::task::{JoinHandle, spawn_blocking};

/// The sandbox and the stock policies, being set up on a thread of their own.
///
/// Compiling them is most of a start, and needs neither root key nor storage.
pub(crate) struct Preparing(JoinHandle<Result<Modules, BootError>>);

impl Preparing {
    /// With the limits of this configuration. Must be called within a tokio runtime.
    pub(crate) fn begin(configuration: &BootConfiguration) -> Self {
        let limits = Limits::with_components_of(largest_component(configuration));
        Self(spawn_blocking(move || {
            let engine = Engine::new(limits)?;
            Ok(Modules::stock(&engine)?)
        }))
    }

    /// What a boot with this sandbox goes on with.
    pub(super) async fn finish(self) -> Result<Modules, BootError> {
        self.0.await?
    }
}
