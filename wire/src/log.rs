//! What host and worker log about the streams between them: a closed set of events whose fields
//! cannot hold what the streams carry.

use std::io;

use tracing::{debug, info, warn};

use crate::address::Address;
use crate::codec::CodecError;
use crate::frame::FrameError;

/// Something worth a line. Errors of ours consist of numbers and words of this program; of an
/// operating system's there is the kind alone.
pub(crate) enum Event<'a> {
    /// A call had no answer within its patience.
    StreamGivenUp,
    /// The peer closed it.
    StreamEnded,
    /// What came was no frame, or an error of the system.
    StreamBroke(&'a FrameError),
    AnswerUnasked,
    AnswerTooLong {
        length: usize,
    },
    /// Dialled anew when it is next needed.
    StoreLost(&'a Address),
    StoreConnected(&'a Address),
    /// The first attempt of an outage.
    StoreUnreachable(&'a Address, io::ErrorKind),
    AnswerMalformed(CodecError),
    RequestMalformed(CodecError),
}

/// Writes a line.
pub(crate) fn log(event: Event<'_>) {
    match event {
        Event::StreamGivenUp => debug!("no answer in time: giving the stream up"),
        Event::StreamEnded => debug!("the peer closed the stream"),
        Event::StreamBroke(FrameError::Io(error)) => {
            debug!(error = ?error.kind(), "the stream broke");
        }
        Event::StreamBroke(error) => debug!(%error, "the stream broke"),
        Event::AnswerUnasked => debug!("the peer answered a request that is not in flight"),
        Event::AnswerTooLong { length } => {
            debug!(length, "the peer answers with more than the request can need");
        }
        Event::StoreLost(address) => warn!(%address, "the connection to the store is lost"),
        Event::StoreConnected(address) => info!(%address, "connected to the store"),
        Event::StoreUnreachable(address, error) => {
            warn!(%address, ?error, "the store cannot be reached; trying again");
        }
        Event::AnswerMalformed(error) => warn!(%error, "the store's answer is malformed"),
        Event::RequestMalformed(error) => warn!(%error, "a malformed store message"),
    }
}
