//! The end of the log that writes: blocks, one behind the other, and where the log ends.

use super::block::AuditBlock;
use super::chain::AuditFault;
use super::sealer::{BlockSealer, SealedBlock};
use super::{AuditError, BLOCK_BYTES, QUEUE, Unrecorded};
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
/// Blocks that a running worker may find behind the newest that it knows to be durable: its own, and
/// as many of one that was killed.
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
}

/// A block that was sent, and those who wait for it.
struct InFlight {
    checkpoint: Checkpoint,
    answer: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
    durable: Vec<oneshot::Sender<Result<(), Unrecorded>>>,
}

impl BlockWriter {
    /// Goes on behind the end of the log, which is not before `newest`.
    pub(super) async fn open(
        store: StoreClient,
        sealer: BlockSealer,
        newest: Newest,
    ) -> Result<Self, AuditError> {
        let mut writer = Self {
            store,
            sealer,
            last: Checkpoint::GENESIS,
            newest,
            in_flight: VecDeque::new(),
            certain: false,
            healthy: true,
        };
        // As many as all the workers since have written.
        writer.find_tail(u64::MAX).await?;
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
