//! What a command says of the attested service that it asks.

use super::connect::{self, AttestedService};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::measurement::Trust;

/// A service that is asked only after its attestation was verified.
#[derive(clap::Args, Debug)]
pub(crate) struct Attested {
    /// The service's address; port 443 if it names none.
    #[arg(long, value_name = "https://HOST[:PORT]")]
    pub(crate) endpoint: Endpoint,

    #[command(flatten)]
    trust: Trust,
}

impl Attested {
    /// Verifies it, as `sekisho attest connect` does.
    ///
    /// # Errors
    ///
    /// What to trust cannot be read, or the service is not believed.
    pub(crate) async fn attest(&self) -> Result<AttestedService, Failure> {
        let (expectation, anchors) = (self.trust.expectation()?, self.trust.anchors()?);
        let service = connect::attest(&self.endpoint, anchors, expectation).await;
        service.map_err(|error| Failure::failed(format_args!("{}: {error}", self.endpoint)))
    }
}
