//! The host as an opponent: a real worker, over its real sockets, whose host lies.
//!
//! Each test is one attack, by its name. The worker is started as it always is
//! (`sekisho_enclave::run`, an emulated NSM); clients come over TLS 1.3 with signed requests. What
//! the host does is the test's: it keeps everything honestly on its disk, and bends what it
//! answers. An attack has to be refused with its reason, to the caller and in the worker's log; the
//! service has to go on once the host behaves; and nothing that the host ever got may hold a secret.
//!
//! That no test passes for the wrong reason, [`scene::Scene`] sees to: what is refused under the
//! attack works before it and after it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod audit;
mod boot;
mod entries;
mod first_key;
mod frames;
mod imports;
mod peers;
mod relay;
mod requests;
mod rotation;
mod shares;
mod snapshots;
mod store;
mod tenure;
mod unsealing;

mod scene;

mod client;
mod fleet;
mod host;
mod kms;
mod worker;
