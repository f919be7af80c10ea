//! `sekisho internal-host`: the host of a development service, in a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use sekisho_host::{Config, Listening};
use sekisho_wire::Address;
use serde::{Deserialize, Serialize};

use super::channel::ParentGone;
use super::processes::{Child, Ended, Role};
use super::unseal::Egress;

/// What the host is told. Nothing of it is secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostParameters {
    pub(crate) listen: SocketAddr,
    pub(crate) worker: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) record_traffic: Option<PathBuf>,
    /// The worker's way out to a KMS.
    #[serde(default)]
    pub(crate) egress: Option<Egress>,
}

/// Runs the host until the parent closes stdin.
pub(crate) fn run() -> ExitCode {
    Child::run(Role::Host, serve)
}

async fn serve(parameters: HostParameters, child: Child, parent: ParentGone) -> Result<(), Ended> {
    let HostParameters { listen, worker, store, data, metrics_listen, record_traffic, egress } =
        parameters;
    let config = Config {
        proxy_protocol: true,
        metrics_listen,
        record_traffic,
        egress: egress.map(Into::into),
        ..Config::new(listen, Address::Unix { path: worker }, Address::Unix { path: store }, data)
    };
    let ready = |listening: Listening| child.ready(&listening.callers.to_string());
    sekisho_host::run(config, ready, parent.wait()).await.map_err(Ended::new)
}
