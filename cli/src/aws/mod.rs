//! This program as a client of a service: whom it asks and who it is, found as AWS's clients
//! find it, and one signed call at a time.

mod call;
mod environment;

pub(crate) use call::{CallError, Client};
