//! Frames: `length: u32 big endian | request id: u64 big endian | body`.
//!
//! `length` counts the body alone. A stream that ends between two frames has ended;
//! one that ends inside a frame is broken.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest body: 4 MiB.
///
/// The largest message is a commit of [`MAX_COMMIT_BYTES`](crate::store::MAX_COMMIT_BYTES) in
/// [`MAX_COMMIT_RECORDS`](crate::store::MAX_COMMIT_RECORDS) records, 3 MiB and at most some
/// 160 KiB of keys and CBOR heads; the power of two above.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Length and request id.
pub const HEADER_LENGTH: usize = 4 + 8;

/// A body is read in steps that start at this size, so that memory follows what has arrived
/// and not what was announced.
const FIRST_READ: usize = 16 * 1024;

/// One request or one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Chosen by the caller, repeated in the answer.
    pub request_id: u64,
    /// At most [`MAX_FRAME`] bytes.
    pub body: Vec<u8>,
}

/// What a frame announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the caller, repeated in the answer.
    pub request_id: u64,
    /// The body's length, at most [`MAX_FRAME`].
    length: usize,
}

impl Header {
    /// The body's length.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// Reads the next frame; `None` when the stream ends between two frames.
///
/// Not cancellation safe: what was read of a frame is lost with the future.
///
/// # Errors
///
/// [`FrameError`], after which the stream cannot be used any more.
pub async fn read_frame<R>(reader: &mut R) -> Result<Option<Frame>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let Some(header) = read_header(reader).await? else { return Ok(None) };
    let body = read_body(reader, header).await?;
    Ok(Some(Frame { request_id: header.request_id, body }))
}

/// Reads the next frame's header, as [`read_frame`], for who wants to refuse its body.
///
/// # Errors
///
/// [`FrameError`], after which the stream cannot be used any more.
pub async fn read_header<R>(reader: &mut R) -> Result<Option<Header>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut header = Vec::with_capacity(HEADER_LENGTH);
    reader.take(HEADER_LENGTH as u64).read_to_end(&mut header).await?;
    let (length, request_id) = match header.as_slice() {
        [] => return Ok(None),
        [l0, l1, l2, l3, i0, i1, i2, i3, i4, i5, i6, i7] => (
            u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize,
            u64::from_be_bytes([*i0, *i1, *i2, *i3, *i4, *i5, *i6, *i7]),
        ),
        half => return Err(FrameError::HalfHeader { read: half.len() }),
    };
    if length > MAX_FRAME {
        return Err(FrameError::TooLarge { length: length as u64 });
    }
    Ok(Some(Header { request_id, length }))
}

/// Reads the body that belongs to a header.
///
/// # Errors
///
/// [`FrameError`], after which the stream cannot be used any more.
pub async fn read_body<R>(reader: &mut R, header: Header) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let length = header.length;
    let mut body = Vec::with_capacity(length.min(FIRST_READ));
    reader.take(length as u64).read_to_end(&mut body).await?;
    if body.len() != length {
        return Err(FrameError::HalfBody { length, read: body.len() });
    }
    Ok(body)
}

/// Writes a frame; the caller flushes.
///
/// # Errors
///
/// [`FrameError::TooLarge`], before a byte is written; [`FrameError::Io`].
pub async fn write_frame<W>(writer: &mut W, frame: &Frame) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
{
    let length = match u32::try_from(frame.body.len()) {
        Ok(length) if frame.body.len() <= MAX_FRAME => length,
        _ => return Err(FrameError::TooLarge { length: frame.body.len() as u64 }),
    };
    writer.write_u32(length).await?;
    writer.write_u64(frame.request_id).await?;
    writer.write_all(&frame.body).await?;
    Ok(())
}

/// What is wrong with a stream of frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A body longer than [`MAX_FRAME`]; nothing was allocated for it.
    #[error("a frame of {length} bytes is announced, the limit is {MAX_FRAME}")]
    TooLarge {
        /// The announced length.
        length: u64,
    },
    /// The stream ended inside a header.
    #[error("the stream ended after {read} of the {HEADER_LENGTH} bytes of a frame's header")]
    HalfHeader {
        /// Bytes that came.
        read: usize,
    },
    /// The stream ended inside a body.
    #[error("the stream ended after {read} of the {length} bytes of a frame's body")]
    HalfBody {
        /// Bytes that were announced.
        length: usize,
        /// Bytes that came.
        read: usize,
    },
    /// The stream's own error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::future::Future;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn written(frames: &[Frame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            block_on(write_frame(&mut bytes, frame)).unwrap();
        }
        bytes
    }

    #[test]
    fn an_empty_stream_has_ended() {
        assert_eq!(block_on(read_frame(&mut &[][..])).unwrap(), None);
    }

    #[test]
    fn an_oversized_length_is_refused_from_its_header() {
        for length in [MAX_FRAME as u32 + 1, u32::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend([0; 8]);
            let error = block_on(read_frame(&mut bytes.as_slice())).unwrap_err();
            assert!(matches!(error, FrameError::TooLarge { length: l } if l == length.into()));
        }
    }

    #[test]
    fn an_oversized_body_is_not_written() {
        let mut bytes = Vec::new();
        let frame = Frame { request_id: 1, body: vec![0; MAX_FRAME + 1] };
        let error = block_on(write_frame(&mut bytes, &frame)).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge { .. }));
        assert!(bytes.is_empty());
    }

    #[test]
    fn the_largest_body_passes() {
        let frame = Frame { request_id: u64::MAX, body: vec![7; MAX_FRAME] };
        let bytes = written(std::slice::from_ref(&frame));
        assert_eq!(block_on(read_frame(&mut bytes.as_slice())).unwrap(), Some(frame));
    }

    #[test]
    fn a_cut_anywhere_is_named() {
        let bytes = written(&[Frame { request_id: 5, body: vec![1, 2, 3] }]);
        for cut in 1..bytes.len() {
            let error = block_on(read_frame(&mut &bytes[..cut])).unwrap_err();
            if cut < HEADER_LENGTH {
                assert!(matches!(error, FrameError::HalfHeader { read } if read == cut));
            } else {
                let got = cut - HEADER_LENGTH;
                assert!(matches!(error, FrameError::HalfBody { length: 3, read } if read == got));
            }
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again(
            frames in proptest::collection::vec(
                (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let frames: Vec<_> =
                frames.into_iter().map(|(request_id, body)| Frame { request_id, body }).collect();
            let bytes = written(&frames);
            let mut rest = bytes.as_slice();
            for frame in frames {
                prop_assert_eq!(block_on(read_frame(&mut rest)).unwrap(), Some(frame));
            }
            prop_assert_eq!(block_on(read_frame(&mut rest)).unwrap(), None);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(_)) = block_on(read_frame(&mut rest)) {}
        }
    }
}
