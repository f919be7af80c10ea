//! A component that is larger than a request's body comes in parts, each of them a request of its own
//! that is authenticated, permitted and recorded like any other: nothing is kept for anybody else.
//!
//! One component is on its way at a time. Its parts come in order, and it is put together as they come,
//! so that no more is allocated than was sent.

use sekisho_policy_engine::ModuleDigest;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// After this time without a part, what has come is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A part of a component, as its sender describes it.
pub(crate) struct Part {
    /// The whole component's, lower-case hex.
    pub(crate) sha256: String,
    /// The whole component's bytes.
    pub(crate) size: usize,
    /// Bytes before this part.
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What has come so far.
#[derive(Default)]
pub(crate) struct Upload {
    current: Mutex<Option<Current>>,
}

struct Current {
    /// Who sends it: an ARN.
    sender: String,
    sha256: String,
    size: usize,
    received: Vec<u8>,
    last: Instant,
}

/// What a part was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// One of several; so many bytes are there now.
    Part(usize),
    /// The last one: the component.
    Whole(Vec<u8>),
}

impl Upload {
    /// Takes a part of a component of at most `limit` bytes. The first part of another component ends
    /// the one before.
    pub(crate) fn take(
        &self,
        sender: &str,
        part: Part,
        limit: usize,
        now: Instant,
    ) -> Result<Taken, PartRefused> {
        let Part { sha256, size, offset, bytes } = part;
        if size > limit {
            return Err(PartRefused::Size { size, limit });
        }
        let mut current = self.current();
        if offset == 0 {
            let (sender, sha256) = (sender.to_owned(), sha256.clone());
            *current = Some(Current { sender, sha256, size, received: Vec::new(), last: now });
        }
        let upload = current
            .as_mut()
            .filter(|upload| upload.sender == sender && upload.sha256 == sha256)
            .filter(|upload| upload.size == size && upload.received.len() == offset)
            .ok_or(PartRefused::OutOfOrder)?;
        if bytes.len() > size.saturating_sub(offset) {
            return Err(PartRefused::TooLong);
        }
        upload.received.extend_from_slice(&bytes);
        upload.last = now;
        if upload.received.len() < size {
            return Ok(Taken::Part(upload.received.len()));
        }
        let whole = current.take().map(|upload| upload.received).unwrap_or_default();
        if ModuleDigest::of(&whole).to_string() != sha256 {
            return Err(PartRefused::Digest);
        }
        Ok(Taken::Whole(whole))
    }

    /// Gives up what has waited for its next part for too long.
    pub(crate) fn expire(&self, now: Instant) {
        let mut current = self.current();
        let waits = |upload: &Current| now.saturating_duration_since(upload.last);
        if current.as_ref().is_some_and(|upload| waits(upload) >= PATIENCE) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a part is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PartRefused {
    #[error(
        "The component has {size} bytes; this worker admits at most {limit}. The option \
         policy-module-size of its boot configuration allows more."
    )]
    Size { size: usize, limit: usize },
    #[error(
        "This part does not follow on what has come: parts come in order from Offset 0, from one \
         principal, one component at a time and within two minutes of one another. Begin again."
    )]
    OutOfOrder,
    #[error("The parts are more than Size says.")]
    TooLong,
    #[error("The parts do not make the component that Sha256 names.")]
    Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"component";

    fn part(offset: usize, bytes: &[u8]) -> Part {
        let sha256 = ModuleDigest::of(COMPONENT).to_string();
        Part { sha256, size: COMPONENT.len(), offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn parts_in_order_make_the_component() {
        let (upload, now) = (Upload::default(), Instant::now());
        let take = |part| upload.take("root", part, 100, now);
        assert_eq!(take(part(0, b"comp")), Ok(Taken::Part(4)));
        assert_eq!(take(part(4, b"on")), Ok(Taken::Part(6)));
        assert_eq!(take(part(6, b"ent")), Ok(Taken::Whole(COMPONENT.to_vec())));
        assert_eq!(take(part(6, b"ent")), Err(PartRefused::OutOfOrder));
        assert_eq!(take(part(0, COMPONENT)), Ok(Taken::Whole(COMPONENT.to_vec())));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (upload, now) = (Upload::default(), Instant::now());
        let take = |sender, part| upload.take(sender, part, COMPONENT.len(), now);
        assert_eq!(take("root", part(4, b"on")), Err(PartRefused::OutOfOrder));
        assert_eq!(take("root", part(0, b"comp")), Ok(Taken::Part(4)));
        assert_eq!(take("root", part(3, b"on")), Err(PartRefused::OutOfOrder));
        assert_eq!(take("bob", part(4, b"on")), Err(PartRefused::OutOfOrder));
        let other = Part { sha256: "0".repeat(64), ..part(4, b"on") };
        assert_eq!(take("root", other), Err(PartRefused::OutOfOrder));
        assert_eq!(take("root", part(4, b"onents")), Err(PartRefused::TooLong));
        assert_eq!(take("root", part(4, b"only.")), Err(PartRefused::Digest));
        let larger = Part { size: COMPONENT.len() + 1, ..part(0, b"comp") };
        let refused = PartRefused::Size { size: COMPONENT.len() + 1, limit: COMPONENT.len() };
        assert_eq!(take("root", larger), Err(refused));
    }

    #[test]
    fn what_nobody_goes_on_with_is_given_up() {
        let (upload, now) = (Upload::default(), Instant::now());
        let take = |part, now| upload.take("root", part, 100, now);
        assert_eq!(take(part(0, b"comp"), now), Ok(Taken::Part(4)));
        upload.expire(now + PATIENCE - Duration::from_secs(1));
        assert_eq!(take(part(4, b"on"), now), Ok(Taken::Part(6)));
        upload.expire(now + PATIENCE);
        assert_eq!(take(part(6, b"ent"), now), Err(PartRefused::OutOfOrder));
    }
}
