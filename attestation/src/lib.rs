//! Verifies AWS Nitro attestation documents.
//!
//! A Nitro enclave proves what it runs with a document that the hypervisor signs: a COSE_Sign1
//! envelope around a CBOR map of measurements (PCRs), certificates up to AWS's root, and up to
//! three byte strings of the enclave's own. This library takes such bytes, an instant and an
//! [`Expectation`], and answers with a [`VerifiedDocument`], or with a [`Rejection`] that names
//! the rule that failed. It does no I/O and has no clock.
//!
//! ```no_run
//! use sekisho_attestation::{Expectation, Pcrs, Timestamp, TrustAnchors, Verifier};
//!
//! # fn received() -> Vec<u8> { Vec::new() }
//! # let pcr0 = sekisho_attestation::PcrValue::ZERO;
//! let verifier = Verifier::new(TrustAnchors::aws_nitro());
//! let expectation = Expectation::measurements(Pcrs::new([(0, pcr0)])?).nonce(*b"a nonce of ours");
//! let now = Timestamp::try_from(std::time::SystemTime::now())?;
//! match verifier.verify(&received(), now, &expectation) {
//!     Ok(document) => println!("{} holds {:?}", document.module_id(), document.public_key()),
//!     Err(rejection) => println!("refused: {}: {rejection}", rejection.rule()),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! The rules are those of "Verifying the root of trust" and "Attestation document" in the AWS
//! Nitro Enclaves user guide and of `docs/attestation_process.md` in
//! `aws/aws-nitro-enclaves-nsm-api`, called *attestation process* here; of RFC 9052 (COSE), RFC
//! 8949 (CBOR) and RFC 5280 (X.509). Where these disagree or leave a choice, the stricter reading
//! holds as long as every document that AWS has made since 2021 verifies.

// In the order in which a document meets them.
mod cbor;
mod cose;
mod payload;
mod pcr;
mod timestamp;

mod anchors;
pub mod backend;
mod cache;
mod certificate;
mod name;
mod path;

mod document;
mod expectation;
mod rejection;
mod unverified;
mod verifier;

pub use anchors::{InvalidAnchors, TrustAnchors};
pub use cbor::CborFault;
pub use certificate::CertificateFault;
pub use document::{Kind, VerifiedDocument};
pub use expectation::Expectation;
pub use pcr::{InvalidPcrValue, InvalidPcrs, PcrIndex, PcrValue, Pcrs};
pub use rejection::{Field, Place, Position, Rejection};
pub use timestamp::Timestamp;
pub use unverified::{CertificateClaims, Unreadable, UnverifiedCertificate, UnverifiedDocument};
pub use verifier::Verifier;
