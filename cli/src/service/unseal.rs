//! A development service whose root key a KMS unwraps: AWS's, or another `sekisho dev`.

use std::path::PathBuf;

use sekisho_enclave::{AwsKms, KeyArn};
use sekisho_host::{CredentialsSource, EgressConfig};
use sekisho_wire::Address;
use sekisho_wire::egress::{Destination, InvalidDestination};
use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// Which KMS, and whose credentials; kept for later starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KmsSettings {
    /// What the worker is told, and measured.
    pub(crate) kms: AwsKms,
    /// Where the host finds the credentials that requests to the KMS are signed with.
    pub(crate) credentials: PathBuf,
    pub(crate) profile: String,
}

impl KmsSettings {
    /// The KMS at `endpoint`, whose certificate chains to one of `roots`.
    pub(crate) fn new(
        endpoint: &Endpoint,
        key: KeyArn,
        roots: Vec<Vec<u8>>,
        credentials: PathBuf,
        profile: String,
    ) -> Result<Self, InvalidDestination> {
        let endpoint: Destination = endpoint.authority().parse()?;
        Ok(Self { kms: AwsKms { key, endpoint, roots }, credentials, profile })
    }

    /// The host's part.
    pub(crate) fn egress(&self, listen: PathBuf) -> Egress {
        Egress {
            listen,
            destination: self.kms.endpoint.clone(),
            credentials: self.credentials.clone(),
            profile: self.profile.clone(),
        }
    }
}

/// What the host is told of the worker's way out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Egress {
    listen: PathBuf,
    destination: Destination,
    credentials: PathBuf,
    profile: String,
}

impl From<Egress> for EgressConfig {
    fn from(egress: Egress) -> Self {
        let Egress { listen, destination, credentials: path, profile } = egress;
        Self {
            listen: Address::Unix { path: listen },
            allowed: vec![destination],
            credentials: Some(CredentialsSource::File { path, profile }),
        }
    }
}
