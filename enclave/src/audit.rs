//! The audit log: every decision about an authenticated request, durable before its answer leaves.
//!
//! Decisions that wait at the same time share one sealed block, one message to the host and one
//! fdatasync there. A block is encrypted to the auditor and signed by the service ([`block`]); it
//! names the hash of the one before it, so that a missing, changed or reordered block shows.

mod auditor;
mod block;
mod chain;
mod sealer;

pub use auditor::{AuditorPrivateKey, InvalidAuditorKey};
pub use block::{AuditBlock, AuditSignatureKey, NotABlock, Unreadable};
pub use chain::{AuditChain, AuditFault};
pub(crate) use sealer::BlockSealer;
pub use sealer::SealerError;

use crate::api::Response;
use crate::log::{Event, log};
use crate::storage::checkpoint::{Checkpoint, Newest};
use crate::storage::record::BlobHash;
use sealer::SealedBlock;
use sekisho_wire::codec::{self, CodecError};
use sekisho_wire::store::{MAX_AUDIT_RECORD, Store, StoreClient, StoreError};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Bytes of entries in one block at the most: what the store takes as one record, less room for
/// the block's own fields and its seal. One entry is far smaller: 8 KiB of encryption context and
/// what a policy may answer.
const BLOCK_BYTES: usize = MAX_AUDIT_RECORD - 1024;
/// Blocks that are sent before the answer to the first has come. One flushes while the next fills;
/// with more of them each would hold less.
const BLOCKS_IN_FLIGHT: usize = 2;
/// Blocks that a running worker may find behind the newest that it knows to be durable: its own, and
/// as many of one that was killed.
const LATE_BLOCKS: u64 = 4;
/// Decisions that may wait for a block; a request beyond it waits before it is queued.
const QUEUE: usize = 1024;

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
    /// ARN of the key, where the request was about one.
    pub key: Option<String>,
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

/// Proof that the decision is durable; only [`AuditLog::record`] makes one.
pub(crate) struct Recorded(Response);

impl Recorded {
    /// The answer, free to go.
    pub(crate) fn into_response(self) -> Response {
        self.0
    }
}

struct Waiting {
    entry: ByteBuf,
    durable: oneshot::Sender<Result<(), Unrecorded>>,
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
    /// names, and starts the task that writes on.
    pub(crate) async fn open(
        store: StoreClient,
        sealer: BlockSealer,
        named: Option<Checkpoint>,
    ) -> Result<Self, AuditError> {
        if let Some(named) = named {
            Self::check_holds(&store, named).await?;
        }
        let (newest, signature_key) = (Newest::default(), sealer.public());
        if let Some(named) = named {
            newest.set(named);
        }
        let mut writer = BlockWriter {
            store,
            sealer,
            last: Checkpoint::GENESIS,
            newest: newest.clone(),
            in_flight: VecDeque::new(),
            certain: false,
            healthy: true,
        };
        // As many as all the workers since have written.
        writer.find_tail(u64::MAX).await?;
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

/// Writes blocks one behind the other. The next is sent while the one before is still on its way to
/// the disk: the host keeps them in order and flushes them together.
struct BlockWriter {
    store: StoreClient,
    sealer: BlockSealer,
    /// Where the log ends once all in flight is durable.
    last: Checkpoint,
    newest: Newest,
    in_flight: VecDeque<InFlight>,
    /// Whether `last` is known.
    certain: bool,
    /// Whether the newest block was written; what changes is logged, once.
    healthy: bool,
}

/// A block that was sent, and those who wait for it.
struct InFlight {
    checkpoint: Checkpoint,
    answer: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
    durable: Vec<oneshot::Sender<Result<(), Unrecorded>>>,
}

impl BlockWriter {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let (mut queued, mut arrived) = (VecDeque::new(), Vec::new());
        loop {
            while self.in_flight.len() < BLOCKS_IN_FLIGHT && !queued.is_empty() {
                self.send_block(&mut queued).await;
            }
            let has_room = self.in_flight.len() < BLOCKS_IN_FLIGHT;
            let oldest = self.in_flight.front_mut();
            tokio::select! {
                biased;
                Some(answer) = async { Some(oldest?.answer.as_mut().await) } => {
                    self.settle(answer).await;
                }
                count = waiting.recv_many(&mut arrived, QUEUE), if has_room => {
                    if count == 0 {
                        break;
                    }
                    queued.extend(arrived.drain(..));
                }
            }
        }
        while let Some(oldest) = self.in_flight.front_mut() {
            let answer = oldest.answer.as_mut().await;
            self.settle(answer).await;
        }
    }

    /// Sends as many of the decisions that wait as one block takes.
    async fn send_block(&mut self, queued: &mut VecDeque<Waiting>) {
        let mut room = BLOCK_BYTES;
        let fitting = queued.iter().take_while(|waiting| {
            // Eight bytes: the longest CBOR head of a byte string of this size, with some to spare.
            let fits = room.checked_sub(waiting.entry.len());
            room = fits.unwrap_or(0).saturating_sub(8);
            fits.is_some()
        });
        let fitting = fitting.count();
        let (entries, durable): (Vec<_>, Vec<_>) =
            queued.drain(..fitting).map(|waiting| (waiting.entry, waiting.durable)).unzip();
        match self.seal(entries).await {
            Ok((checkpoint, sealed)) => {
                let store = self.store.clone();
                let mut answer: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async move { store.append_audit(checkpoint.sequence, sealed).await });
                // Calls go out in the order in which they are first polled.
                let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
                if let Poll::Ready(result) = first {
                    answer = Box::pin(std::future::ready(result));
                }
                self.in_flight.push_back(InFlight { checkpoint, answer, durable });
            }
            Err(error) => self.tell(durable, Err(&error)),
        }
    }

    /// The next block, sealed, and where the log stands with it.
    async fn seal(&mut self, entries: Vec<ByteBuf>) -> Result<(Checkpoint, Vec<u8>), AuditError> {
        if !self.certain {
            self.find_tail(LATE_BLOCKS).await?;
        }
        let sequence = self.last.sequence.saturating_add(1);
        let content = codec::encode(&entries)?;
        let SealedBlock { bytes, hash } = self.sealer.seal(sequence, self.last.hash, &content)?;
        self.last = Checkpoint { sequence, hash };
        Ok((self.last, bytes))
    }

    /// The oldest block's answer has come.
    async fn settle(&mut self, answer: Result<(), StoreError>) {
        let Some(InFlight { checkpoint, durable, .. }) = self.in_flight.pop_front() else { return };
        match answer {
            Ok(()) => {
                self.newest.set(checkpoint);
                self.tell(durable, Ok(()));
            }
            Err(error) => {
                // It may have been kept all the same, and those behind it with it.
                self.certain = false;
                self.tell(durable, Err(&error.into()));
                while let Some(InFlight { answer, durable, .. }) = self.in_flight.pop_front() {
                    let error = answer.await.err().unwrap_or(StoreError::Unavailable);
                    self.tell(durable, Err(&error.into()));
                }
            }
        }
    }

    fn tell(
        &mut self,
        durable: Vec<oneshot::Sender<Result<(), Unrecorded>>>,
        result: Result<(), &AuditError>,
    ) {
        match result {
            Ok(()) if !self.healthy => log(Event::AuditResumed),
            // A log that is not as it was left is told each time.
            Err(error) if self.healthy || !matches!(error, AuditError::Store(_)) => {
                log(Event::AuditFailed(error));
            }
            _ => {}
        }
        self.healthy = result.is_ok();
        for durable in durable {
            // A caller that went away no longer asks.
            let _ = durable.send(result.map_err(|_| Unrecorded));
        }
    }

    /// Goes on from where the log really ends, at most `late` blocks after the newest that is known
    /// to be durable; nothing may be in flight.
    async fn find_tail(&mut self, late: u64) -> Result<(), AuditError> {
        let durable = self.newest.current();
        self.last = match self.store.audit_tail().await? {
            None if durable.is_some() => return Err(AuditError::CutShort),
            None => Checkpoint::GENESIS,
            Some((sequence, bytes)) => {
                let tail = self.check_tail(durable, sequence, &bytes)?;
                let durable = durable.unwrap_or(Checkpoint::GENESIS);
                match sequence.saturating_sub(durable.sequence) {
                    0 | 1 => {}
                    ahead if ahead <= LATE_BLOCKS => self.check_leads(durable, tail).await?,
                    ahead if ahead > late => {
                        return Err(AuditFault::NotLinked { sequence }.into());
                    }
                    _ => {}
                }
                self.newest.set(tail);
                tail
            }
        };
        self.certain = true;
        Ok(())
    }

    /// Checks that the blocks after `durable` follow one another to `tail`: the end of another
    /// history is signed by this service too.
    async fn check_leads(
        &mut self,
        durable: Checkpoint,
        tail: Checkpoint,
    ) -> Result<(), AuditError> {
        let mut at = durable;
        let limit = u32::try_from(LATE_BLOCKS).unwrap_or(u32::MAX);
        let page = self.store.audit(at.sequence.saturating_add(1), limit).await?;
        for (record, bytes) in page.into_iter().take_while(|(record, _)| *record <= tail.sequence) {
            let next = self.check_tail(Some(at), record, &bytes)?;
            if at.sequence.checked_add(1) != Some(next.sequence) {
                return Err(AuditFault::NotLinked { sequence: record }.into());
            }
            at = next;
        }
        let sequence = tail.sequence;
        if at == tail { Ok(()) } else { Err(AuditFault::NotLinked { sequence }.into()) }
    }

    /// Takes what the host calls its newest block for it if this service signed it, and if it is
    /// not before or beside what is known to be durable.
    fn check_tail(
        &self,
        durable: Option<Checkpoint>,
        record: u64,
        bytes: &[u8],
    ) -> Result<Checkpoint, AuditError> {
        let block = AuditBlock::parse(bytes)
            .map_err(|reason| AuditFault::NotABlock { sequence: record, reason })?;
        block.verify(&self.sealer.public())?;
        let (sequence, hash) = (block.sequence(), block.blob_hash());
        if sequence != record {
            return Err(AuditFault::Misnumbered { sequence, record }.into());
        }
        let durable = durable.unwrap_or(Checkpoint::GENESIS);
        let follows = match sequence.checked_sub(durable.sequence) {
            None => return Err(AuditError::CutShort),
            Some(0) => hash == durable.hash,
            Some(1) => block.previous() == durable.hash.as_bytes(),
            Some(_) => true,
        };
        if follows {
            Ok(Checkpoint { sequence, hash })
        } else {
            Err(AuditFault::NotLinked { sequence }.into())
        }
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
    /// A block cannot be encoded.
    #[error("an audit block is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// No block could be made.
    #[error(transparent)]
    Seal(#[from] SealerError),
}

#[cfg(test)]
mod tests;
