//! Everything that crosses between Sekisho's host and its worker.
//!
//! From the outside in: an [`Address`] gives a [`Stream`]; on a stream go bounded
//! [`frame`]s; a frame's body is one message of [`codec`]; [`call`] keeps many
//! requests in flight on one stream; [`store`] is what the worker asks of its host, [`egress`] its way
//! out to the KMS that wraps its root key, [`handover`] how a worker in an image is configured, and
//! [`source`] where the host says that a caller is.
//!
//! Both ends treat the other's bytes as hostile: every length is checked before
//! anything is allocated for it. There is no cryptography here. Confidentiality,
//! integrity and freshness of what the host keeps are the worker's business.

pub mod address;
pub mod call;
pub mod codec;
pub mod egress;
pub mod frame;
pub mod handover;
mod log;
pub mod source;
pub mod store;
pub mod stream;
mod unix;

pub use address::{Address, AddressError};
pub use store::{Commit, RecordKey, Store, StoreClient, StoreError};
pub use stream::{Listener, Stream};
