//! This program as a client of a service: whom it asks and who it is, found as AWS's clients
//! find it, and one signed call at a time.

mod call;
mod environment;

pub(crate) use call::{CallError, Client};

use crate::failure::Failure;

/// With whose access key a command asks the service that the environment names.
#[derive(clap::Args, Debug)]
pub(crate) struct Asker {
    /// Ask with the access key of this profile [default: as the AWS CLI chooses].
    #[arg(long, global = true)]
    profile: Option<String>,
}

impl Asker {
    /// # Errors
    ///
    /// The environment does not say whom to ask, or has no such access key.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::from_environment(self.profile.as_deref()).map_err(Failure::usage)
    }
}
