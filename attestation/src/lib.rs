//! Verifies AWS Nitro attestation documents.
//!
//! A Nitro enclave proves what it runs with a document that the hypervisor signs: a COSE_Sign1
//! envelope around a CBOR map of measurements (PCRs), certificates up to AWS's root, and up to
//! three byte strings of the enclave's own. This library takes such bytes, an instant and an
//! [`Expectation`], and answers with a [`VerifiedDocument`], or with a [`Rejection`] that names
//! the rule that failed. It does no I/O and has no clock.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use sekisho_attestation::{Expectation, PcrValue, Pcrs, Timestamp, TrustAnchors, Verifier};
//! # use sekisho_devkit::{DevelopmentPki, EmulatedNsm, Measurements, Options};
//! # use sekisho_nsm::{AttestationRequest, Nsm};
//! # let pki = DevelopmentPki::generate(SystemTime::now());
//! # let measurements = Measurements::of(b"the code of this example");
//! # let nsm = EmulatedNsm::new(pki.clone(), &measurements, Options::default());
//! # let pcr0 = PcrValue::new(measurements.pcr0);
//! # let nonce = Some(b"a nonce of ours".to_vec());
//! # let received = nsm.attestation(AttestationRequest { nonce, ..Default::default() })?;
//! # let development_root = pki.root_der();
//!
//! // Documents of AWS's enclaves: `TrustAnchors::aws_nitro()`.
//! let verifier = Verifier::new(TrustAnchors::from_der([development_root])?);
//! let expectation = Expectation::measurements(Pcrs::new([(0, pcr0)])?)
//!     .nonce(*b"a nonce of ours")
//!     .max_age(Duration::from_secs(300));
//!
//! let now = Timestamp::try_from(SystemTime::now())?;
//! let document = verifier.verify(&received, now, &expectation)?;
//! assert_eq!(document.nonce(), Some(&b"a nonce of ours"[..]));
//!
//! let of_other_code = Expectation::measurements(Pcrs::new([(0, PcrValue::new([7; 48]))])?);
//! let rejection = verifier.verify(&received, now, &of_other_code).unwrap_err();
//! assert_eq!(rejection.rule(), "pcr-mismatch");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server verifies with [`backend`]`::AwsLc` and with a [cache](Verifier::with_cache),
//! which brings the usual document down from five signature checks to one.
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
