//! The end of the log that writes: blocks, one behind the other, and where the log ends.

use super::block::AuditBlock;
use super::chain::AuditFault;
use super::sealer::{BlockSealer, SealedBlock};
use super::{AuditError, BLOCK_BYTES, Fence, QUEUE, Unrecorded};
use crate::log::{Event, log};
use crate::storage::checkpoint::{Checkpoint, Newest};
use sekisho_wire::codec;
use sekisho_wire::store::{Store, StoreClient, StoreError};
use serde_bytes::ByteBuf;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};

/// Blocks that are sent before the answer to the first has come: one is flushed, one waits for the
/// disk, one fills. With a fourth each would hold less, and no more decisions be recorded (measured
/// with 16 callers).
const BLOCKS_IN_FLIGHT: usize = 3;
/// Decisions that make a block while another is on its way; fewer wait for its answer, or for others.
/// A block is signed, sent, flushed and answered, however few decisions it holds: with 16 callers
/// there is one for seven requests so, and one for five where each block goes out as soon as it may.
pub(super) const WORTH_A_BLOCK: usize = 8;
/// Blocks of its own that a running worker may find behind the newest that it knows to be durable:
/// what was in flight, and as many of the attempt before.
const LATE_BLOCKS: u64 = 2 * BLOCKS_IN_FLIGHT as u64;

/// A decision on its way into a block, and who waits for it.
pub(super) struct Waiting {
    pub(super) entry: ByteBuf,
    pub(super) durable: oneshot::Sender<Result<(), Unrecorded>>,
}

/// Writes blocks one behind the other. Where many decisions wait, the next is sent while the one
/// before is still on its way to the disk: the host keeps them in order and flushes them together.
pub(super) struct BlockWriter {
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
    fence: Fence,
    /// Whether a block of this worker's own is durable: every one behind it has to be its own.
    begun: bool,
}

/// A block that was sent, and those who wait for it.
struct InFlight {
    checkpoint: Checkpoint,
    answer: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
    durable: Vec<oneshot::Sender<Result<(), Unrecorded>>>,
}

/// A block that this service has signed.
#[derive(Clone, Copy)]
struct Link {
    at: Checkpoint,
    /// Whether this worker has made it.
    own: bool,
}

impl BlockWriter {
    /// Goes on behind the end of the log, which is not before `newest`.
    pub(super) async fn open(
        store: StoreClient,
        sealer: BlockSealer,
        newest: Newest,
        fence: Fence,
    ) -> Result<Self, AuditError> {
        let mut writer = Self {
            store,
            sealer,
            last: Checkpoint::GENESIS,
            newest,
            in_flight: VecDeque::new(),
            certain: false,
            healthy: true,
            fence,
            begun: false,
        };
        writer.find_tail().await?;
        Ok(writer)
    }

    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let (mut queued, mut arrived) = (VecDeque::new(), Vec::new());
        loop {
            while self.may_send(queued.len()) {
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
        // Nobody asks any more.
        loop {
            while self.in_flight.len() < BLOCKS_IN_FLIGHT && !queued.is_empty() {
                self.send_block(&mut queued).await;
            }
            let Some(oldest) = self.in_flight.front_mut() else { break };
            let answer = oldest.answer.as_mut().await;
            self.settle(answer).await;
        }
    }

    /// Whether so many decisions are to go out now.
    fn may_send(&self, queued: usize) -> bool {
        match self.in_flight.len() {
            0 => queued > 0,
            BLOCKS_IN_FLIGHT.. => false,
            _ => queued >= WORTH_A_BLOCK,
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
            self.find_own_place().await?;
        }
        if self.fence.tenure.has_ended() {
            return Err(AuditError::Superseded);
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
                self.begun = true;
                self.tell(durable, Ok(()));
            }
            Err(error) => {
                // It may have been kept all the same, and those behind it with it.
                self.certain = false;
                let taken = matches!(error, StoreError::Conflict { .. });
                self.tell(durable, Err(&error.into()));
                while let Some(InFlight { answer, durable, .. }) = self.in_flight.pop_front() {
                    let error = answer.await.err().unwrap_or(StoreError::Unavailable);
                    self.tell(durable, Err(&error.into()));
                }
                if taken {
                    // By another worker, perhaps. What else is wrong is told with the next block.
                    let _ = self.find_own_place().await;
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

    /// Goes on from where the log really ends, if no other worker has come; nothing may be in flight.
    async fn find_own_place(&mut self) -> Result<(), AuditError> {
        self.find_tail().await?;
        // Whose the end is does not show before this worker has a block there.
        if let (false, Some(journal)) = (self.begun, &self.fence.journal) {
            journal.look().await.inspect_err(|_| self.certain = false)?;
        }
        Ok(())
    }

    /// Goes on from where the log really ends; nothing may be in flight.
    async fn find_tail(&mut self) -> Result<(), AuditError> {
        let durable = self.newest.current();
        self.last = match self.store.audit_tail().await? {
            None if durable.is_some() => return Err(AuditError::CutShort),
            None => Checkpoint::GENESIS,
            Some((sequence, bytes)) => {
                let tail = self.check(durable, sequence, &bytes)?;
                self.follow(durable.unwrap_or(Checkpoint::GENESIS), tail).await?;
                self.begun |= tail.own;
                self.newest.set(tail.at);
                tail.at
            }
        };
        self.certain = true;
        Ok(())
    }

    /// Checks that the blocks after `durable` follow one another to `tail`, for the end of another
    /// history is signed by this service too; and that all of them are this worker's, once it has one.
    /// Before, what it knows to be durable may be as far back as the journal's last change.
    async fn follow(&mut self, durable: Checkpoint, tail: Link) -> Result<(), AuditError> {
        let ahead = tail.at.sequence.saturating_sub(durable.sequence);
        if ahead == 0 || (!self.begun && ahead > LATE_BLOCKS) {
            return Ok(());
        }
        if ahead == 1 {
            return self.check_own(tail);
        }
        let mut at = durable;
        let limit = u32::try_from(LATE_BLOCKS).unwrap_or(u32::MAX);
        let page = self.store.audit(at.sequence.saturating_add(1), limit).await?;
        for (record, bytes) in
            page.into_iter().take_while(|(record, _)| *record <= tail.at.sequence)
        {
            let next = self.check(Some(at), record, &bytes)?;
            if at.sequence.checked_add(1) != Some(next.at.sequence) {
                return Err(AuditFault::NotLinked { sequence: record }.into());
            }
            self.check_own(next)?;
            at = next.at;
        }
        let sequence = tail.at.sequence;
        if at == tail.at { Ok(()) } else { Err(AuditFault::NotLinked { sequence }.into()) }
    }

    /// Who has written a block behind one of this worker's has read that one, and came later.
    fn check_own(&self, link: Link) -> Result<(), AuditError> {
        if self.begun && !link.own {
            self.fence.tenure.end();
            return Err(AuditError::Superseded);
        }
        Ok(())
    }

    /// Takes what the host calls a block for it if this service signed it, and if it is not before or
    /// beside what is known to be durable.
    fn check(
        &self,
        durable: Option<Checkpoint>,
        record: u64,
        bytes: &[u8],
    ) -> Result<Link, AuditError> {
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
            Ok(Link { at: Checkpoint { sequence, hash }, own: self.sealer.made(&block) })
        } else {
            Err(AuditFault::NotLinked { sequence }.into())
        }
    }
}
