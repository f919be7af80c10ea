//! The sealed worker of Sekisho: TLS, the AWS KMS API, key policies, keys.
//!
//! Modules stand in the order in which a request meets them. Everything that arrives from the
//! host (connections, storage, configuration) is hostile input: bounded, then authenticated.

mod clock;
mod log;

mod boot;
mod bounds;
mod cage;
mod compiler;
mod configuration;
pub mod image;
mod options;
mod peers;
mod policy_module_size;
mod tls;
mod unseal;

mod attested;
mod http;
mod pipeline;

mod credentials;
mod principals;
mod signature;

mod api;
mod quotas;
mod recipient;
mod threads;
mod throttle;

mod approvals;
mod authorize;
mod guardrail;
mod root_rotation;
mod service;
mod upkeep;

mod cms;
mod hpke;
mod keys;
mod operations;

mod audit;

mod keyring;
mod secret;
mod storage;

#[doc(hidden)]
pub mod probe;

pub use attested::AttestationBinding;
pub use audit::{
    AuditBlock, AuditChain, AuditEntry, AuditError, AuditFault, AuditSignatureKey,
    AuditedAttestation, AuditedDecision, AuditorPrivateKey, NotABlock, SealerError, Unreadable,
};
pub use boot::{Boot, BootError, run};
pub use bounds::Bounds;
pub use cage::{Cage, CageError, Caged, FilesError, Gap};
pub use compiler::{CompileHelper, NotCompiled, play_compiler};
pub use configuration::{
    BOOT_CONFIGURATION_PCR, BootConfiguration, InvalidConfiguration, MeasureError, UnsealProvider,
    is_region,
};
pub use credentials::BootCredential;
pub use hpke::{HpkePair, InvalidPrivateKey, UnusableKey};
pub use log::{LogFormat, start_log};
pub use options::text::InvalidOption;
pub use options::{Options, Unstartable};
pub use peers::{
    InvalidMeasurement, InvalidPeers, InvalidStatement, Measurement, OperatorSignature, Peers,
    SignedStatement, UpgradeStatement,
};
pub use policy_module_size::{InvalidModuleSize, PolicyModuleSize};
pub use principals::first::{FirstKeyError, NotForThisKey, open_first_access_key};
pub use quotas::{InvalidQuota, Quota, QuotaChange, Quotas};
pub use secret::{OpenError, RandomUnavailable, RootKey, SealError};
pub use signature::sign::AccessKey;
pub use storage::journal::{Cadence, JournalError};
pub use tls::TlsError;
pub use unseal::{
    AwsKms, FormerHolders, InvalidKms, InvalidShares, KeyArn, MAX_HOLDERS, NextHolders,
    OperatorShare, OperatorShares, Pauses, Peer, RootKeyFile, ShareError, any_certificate,
};
