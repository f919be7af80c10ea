//! An emulated Nitro Secure Module with a development certificate chain, for laptops and tests.
//!
//! Nothing here proves anything about hardware: the root of trust is a key in a file. A verifier
//! that trusts AWS's root refuses every document made here. The shipped worker does not link this
//! crate; the `sekisho` command does, for `dev` and `demo`.

pub mod certificate;
pub mod cms;
pub mod der;
mod document;
mod emulated;
mod pki;
mod published;
mod random;
mod recipient;
pub mod search;
mod signer;

pub use document::{Document, PayloadForm, envelope, sign_payload};
pub use emulated::{Clock, EmulatedNsm, Forgery, Measurements, Options};
pub use pki::{Authority, Chain, DevelopmentPki, InvalidPki, Leaf, ROOT_COMMON_NAME, random_key};
pub use published::{published_rsa_key, published_vectors};
pub use random::Random;
pub use recipient::{NotForUs, Recipient};
pub use signer::Signer;
