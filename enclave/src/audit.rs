//! The audit log: every decision about an authenticated request, durable before its answer leaves.
//!
//! Decisions that wait at the same time share one sealed block, one message to the host and one
//! fdatasync there. A block is encrypted to the auditor and signed by the service ([`block`]); it
//! names the hash of the one before it, so that a missing, changed or reordered block shows.

mod auditor;
mod block;
mod chain;
mod sealer;
mod writer;

pub use auditor::AuditorPrivateKey;
pub use block::{AuditBlock, AuditSignatureKey, NotABlock, Unreadable};
pub use chain::{AuditChain, AuditFault};
pub(crate) use sealer::BlockSealer;
pub use sealer::SealerError;

use crate::api::{Response, new_request_id};
use crate::log::{Event, log};
use crate::storage::checkpoint::{Checkpoint, Newest};
use crate::storage::journal::{Journal, JournalError};
use crate::storage::record::BlobHash;
use crate::storage::tenure::Tenure;
use sekisho_wire::codec::{self, CodecError};
use sekisho_wire::store::{MAX_AUDIT_RECORD, Store, StoreClient, StoreError};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use writer::{BlockWriter, Waiting};

/// Bytes of entries in one block at the most: what the store takes as one record, less room for
/// the block's own fields and its seal. One entry is far smaller: 8 KiB of encryption context and
/// what a policy may answer.
const BLOCK_BYTES: usize = MAX_AUDIT_RECORD - 1024;
/// Decisions that may wait for a block; a request beyond it waits before it is queued.
const QUEUE: usize = 1024;
/// What stands as the operation where a worker takes the log over from a peer.
const TAKE_OVER: &str = "TakeOver";
/// How often a worker that takes over may be overtaken by the one that still answers.
const TAKE_OVER_ATTEMPTS: usize = 100;

/// One decision, as an auditor reads it. Nothing in it is secret key material.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Milliseconds since 1970, the worker's clock.
    pub time: u64,
    /// `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// AWS's name of the operation.
    pub operation: String,
    /// ARN of the principal whose signature was verified.
    pub principal: String,
    /// The access key that signed; of a session, the session's own.
    pub access_key_id: String,
    /// The session's name, where a session signed.
    pub session: Option<String>,
    /// ARN of what the account's policy was asked about, or `*`.
    pub resource: Option<String>,
    /// ARN of the key, where the request was about one, or made one.
    pub key: Option<String>,
    /// ARN of the other key, where it was about two: what ReEncrypt encrypts under, and what
    /// UpdateAlias points the alias to. Records of before have it as `resource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_key: Option<String>,
    /// The encryption context, by rising name.
    pub encryption_context: Vec<(String, String)>,
    /// Module id and PCRs of the verified attestation document, where one came.
    pub attestation: Option<AuditedAttestation>,
    /// What the policy said; none where the request did not get as far.
    pub decision: Option<AuditedDecision>,
    /// AWS error code of the answer; none where the operation succeeded.
    pub error: Option<String>,
    /// Why, in the worker's words; the caller may have been told less.
    pub reason: Option<String>,
}

/// The caller's measured code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedAttestation {
    /// `i-…-enc…`.
    pub module_id: String,
    /// Registers that are not all zero: index, lower-case hex.
    pub pcrs: Vec<(u8, String)>,
    /// Whether it was made for just this request: it came as `X-Sekisho-Attestation`, or it is a
    /// joining peer's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_request: bool,
}

/// A policy's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedDecision {
    /// Whether the operation might go on.
    pub allowed: bool,
    /// SHA-256 of the component that decided, lower-case hex.
    pub module: String,
    /// The policy's annotations.
    pub annotations: Vec<(String, String)>,
}

/// The end of an operation that may not leave yet: its answer and what is to be recorded of it.
pub(crate) struct Outcome {
    pub(crate) entry: AuditEntry,
    pub(crate) response: Response,
}

/// What says that another worker writes the log now.
pub(crate) struct Fence {
    pub(crate) tenure: Tenure,
    /// In which a worker has an entry before it has a block here.
    pub(crate) journal: Option<Arc<Journal>>,
}

/// Proof that the decision is durable; only [`AuditLog::record`] makes one.
pub(crate) struct Recorded(Response);

impl Recorded {
    /// The answer, free to go.
    pub(crate) fn into_response(self) -> Response {
        self.0
    }
}

/// The way into the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditLog {
    queue: mpsc::Sender<Waiting>,
    newest: Newest,
    signature_key: AuditSignatureKey,
}

impl AuditLog {
    /// Finds the end of the log at the host, which is not before the block that the journal
    /// names, and starts the task that writes on, for as long as no other worker does.
    pub(crate) async fn open(
        store: StoreClient,
        sealer: BlockSealer,
        named: Option<Checkpoint>,
        fence: Fence,
    ) -> Result<Self, AuditError> {
        if let Some(named) = named {
            Self::check_holds(&store, named).await?;
        }
        let (newest, signature_key) = (Newest::default(), sealer.public());
        if let Some(named) = named {
            newest.set(named);
        }
        let writer = BlockWriter::open(store, sealer, newest.clone(), fence).await?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(writer.run(waiting));
        Ok(Self { queue, newest, signature_key })
    }

    /// Under which blocks are signed.
    pub(crate) fn signature_key(&self) -> AuditSignatureKey {
        self.signature_key
    }

    /// The newest durable block, for the journal to name.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.clone()
    }

    /// Checks that the host still has the block that the journal names.
    async fn check_holds(store: &StoreClient, named: Checkpoint) -> Result<(), AuditError> {
        let sequence = named.sequence;
        match store.audit(sequence, 1).await?.first() {
            Some((found, sealed)) if *found == sequence => {
                let same = BlobHash::of(sealed) == named.hash;
                same.then_some(()).ok_or(AuditError::OtherThanNamed { sequence })
            }
            _ => Err(AuditError::CutShort),
        }
    }

    /// Writes a block of this worker's own, after which a peer's is refused by the store; before the
    /// worker serves.
    pub(crate) async fn take_over(&self, time: u64) -> Result<(), AuditError> {
        for _ in 0..TAKE_OVER_ATTEMPTS {
            let (request_id, operation) = (new_request_id(), TAKE_OVER.to_owned());
            let entry = AuditEntry { time, request_id, operation, ..AuditEntry::default() };
            let response = Response::of(String::new(), Ok(serde_json::Value::Null));
            // A peer that still answers was faster.
            if self.record(Outcome { entry, response }).await.is_ok() {
                return Ok(());
            }
        }
        Err(AuditError::Superseded)
    }

    /// Returns once the decision is durable at the host. Until then nothing is released.
    pub(crate) async fn record(&self, outcome: Outcome) -> Result<Recorded, Unrecorded> {
        let (durable, answer) = oneshot::channel();
        let entry = codec::encode(&outcome.entry).map_err(|_| Unrecorded)?;
        if entry.len() > BLOCK_BYTES {
            log(Event::DecisionTooLarge { bytes: entry.len() });
            return Err(Unrecorded);
        }
        let waiting = Waiting { entry: ByteBuf::from(entry), durable };
        self.queue.send(waiting).await.map_err(|_| Unrecorded)?;
        answer.await.map_err(|_| Unrecorded)??;
        Ok(Recorded(outcome.response))
    }
}

/// The decision could not be made durable, so its answer is withheld.
#[derive(Debug, Clone, Copy, Error)]
#[error("the decision could not be recorded")]
pub(crate) struct Unrecorded;

/// Why the audit log cannot be read or written.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The store did not do its part.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// A block is not the service's, or not in its place.
    #[error(transparent)]
    Fault(#[from] AuditFault),
    /// The block that the journal names is another one.
    #[error("audit block {sequence} is not the one that the journal names")]
    OtherThanNamed {
        /// Its number.
        sequence: u64,
    },
    /// The host no longer has blocks that it had acknowledged.
    #[error("the host has lost audit blocks that it had acknowledged")]
    CutShort,
    /// Another worker of the service writes the log now.
    #[error("another worker of this service has taken the audit log over")]
    Superseded,
    /// Whether another worker has come cannot be read from the journal.
    #[error("the journal: {0}")]
    Journal(#[from] JournalError),
    /// A block cannot be encoded.
    #[error("an audit block is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// No block could be made.
    #[error(transparent)]
    Seal(#[from] SealerError),
}

#[cfg(test)]
mod tests;
