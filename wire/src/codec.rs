//! Messages as CBOR (RFC 8949): the one place that knows `serde_cbor`.
//!
//! `serde_cbor` is unmaintained (RUSTSEC-2021-0127), so it sees only what this module has
//! already walked through: exactly one data item of definite lengths, each of which fits into
//! what is left of the input, no deeper than [`MAX_DEPTH`]. A length can therefore make it
//! allocate for no more items than there are bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::MAX_FRAME;

/// The longest encoded message: what a frame carries.
pub const MAX_MESSAGE: usize = MAX_FRAME;

/// The deepest nesting. Our messages need five; `serde_cbor` itself would recurse to 128.
pub const MAX_DEPTH: usize = 16;

/// Encodes a message.
///
/// Blobs should be `serde_bytes`, otherwise each byte becomes a data item.
///
/// # Errors
///
/// [`CodecError::Unrepresentable`] if the type cannot be written as CBOR at all;
/// [`CodecError::TooLarge`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = serde_cbor::to_vec(message).map_err(|_| CodecError::Unrepresentable)?;
    check_length(&bytes)?;
    Ok(bytes)
}

/// Decodes exactly one message.
///
/// Accepts integers, byte and text strings, arrays, maps, booleans and null, of definite
/// lengths. It does not demand the shortest form of a length or an order of keys: messages are
/// never compared or authenticated as bytes of CBOR.
///
/// # Errors
///
/// Each [`CodecError`] but `Unrepresentable`. None carries a part of the message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    check_length(bytes)?;
    check_well_formed(bytes)?;
    serde_cbor::from_slice(bytes).map_err(|error| CodecError::Mismatch { offset: error.offset() })
}

fn check_length(bytes: &[u8]) -> Result<(), CodecError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(CodecError::TooLarge { length: bytes.len() });
    }
    Ok(())
}

/// Walks through one data item (RFC 8949 appendix C) without recursion.
fn check_well_formed(bytes: &[u8]) -> Result<(), CodecError> {
    let mut input = Input(bytes);
    // How many items each open array or map still lacks.
    let mut open: Vec<u64> = Vec::with_capacity(MAX_DEPTH);
    loop {
        let items = input.item()?;
        if items > 0 {
            if open.len() == MAX_DEPTH {
                return Err(CodecError::TooDeep);
            }
            open.push(items);
            continue;
        }
        // This item is complete, and with it maybe those around it.
        loop {
            match open.last_mut() {
                None => return input.end(),
                Some(missing) if *missing > 1 => {
                    *missing -= 1;
                    break;
                }
                Some(_) => {
                    open.pop();
                }
            }
        }
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// Consumes an item's head, and its string if it is one; returns how many items follow in it.
    fn item(&mut self) -> Result<u64, CodecError> {
        let initial = self.byte()?;
        let (major_type, information) = (initial >> 5, initial & 0x1f);
        if major_type == 7 {
            // false, true, null; no floats, no undefined, no break.
            return if (20..=22).contains(&information) {
                Ok(0)
            } else {
                Err(CodecError::Unsupported)
            };
        }
        let argument = self.argument(information)?;
        match major_type {
            0 | 1 => Ok(0),
            2 | 3 => self.skip(argument).map(|()| 0),
            4 => self.fits(Some(argument)),
            5 => self.fits(argument.checked_mul(2)),
            _ => Err(CodecError::Unsupported),
        }
    }

    fn argument(&mut self, information: u8) -> Result<u64, CodecError> {
        let bytes = match information {
            0..=23 => return Ok(u64::from(information)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(CodecError::Unsupported),
        };
        let mut argument = 0;
        for _ in 0..bytes {
            argument = argument << 8 | u64::from(self.byte()?);
        }
        Ok(argument)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        let (first, rest) = self.0.split_first().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn skip(&mut self, length: u64) -> Result<(), CodecError> {
        let length = usize::try_from(length).map_err(|_| CodecError::Truncated)?;
        self.0 = self.0.get(length..).ok_or(CodecError::Truncated)?;
        Ok(())
    }

    /// An item takes a byte at least.
    fn fits(&self, items: Option<u64>) -> Result<u64, CodecError> {
        items.filter(|items| *items <= self.0.len() as u64).ok_or(CodecError::Truncated)
    }

    fn end(&self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::TrailingBytes) }
    }
}

/// Why bytes are not the message that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {length} bytes, the limit is {MAX_MESSAGE}")]
    TooLarge {
        /// The message's length.
        length: usize,
    },
    /// A data item, or what its length announces, goes beyond the end.
    #[error("the message ends inside a data item")]
    Truncated,
    /// Bytes after the one data item.
    #[error("the message is followed by more bytes")]
    TrailingBytes,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the message is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Indefinite lengths, tags, floats, undefined, and what RFC 8949 reserves.
    #[error("the message uses a part of CBOR that Sekisho's messages do not")]
    Unsupported,
    /// Well-formed, but of another shape.
    #[error("the message is not of the expected type, at byte {offset}")]
    Mismatch {
        /// Where the decoder stopped.
        offset: u64,
    },
    /// A type that has no CBOR form.
    #[error("the message cannot be written as CBOR")]
    Unrepresentable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_bytes::ByteBuf;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        number: u64,
        signed: i32,
        blob: ByteBuf,
        list: Vec<(u64, ByteBuf)>,
        map: BTreeMap<String, bool>,
        choice: Option<Choice>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Unit,
        One(u8),
        Fields { of: String },
    }

    fn sample() -> Sample {
        Sample {
            number: u64::MAX,
            signed: -1,
            blob: ByteBuf::from(vec![0; 300]),
            list: vec![(1, ByteBuf::new()), (2, ByteBuf::from(vec![1]))],
            map: [("a".to_owned(), true), ("b".to_owned(), false)].into(),
            choice: Some(Choice::Fields { of: "x".into() }),
        }
    }

    #[test]
    fn encoded_and_decoded_again() {
        for choice in [None, Some(Choice::Unit), Some(Choice::One(3))] {
            let sample = Sample { choice, ..sample() };
            assert_eq!(decode::<Sample>(&encode(&sample).unwrap()), Ok(sample));
        }
    }

    #[test]
    fn every_cut_is_truncated() {
        let bytes = encode(&sample()).unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(decode::<Sample>(&bytes[..cut]), Err(CodecError::Truncated));
        }
    }

    #[test]
    fn trailing_bytes() {
        let mut bytes = encode(&7u8).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u8>(&bytes), Err(CodecError::TrailingBytes));
    }

    #[test]
    fn hostile_lengths_are_truncated() {
        // Arrays, maps and strings that announce 2^64 - 1 or 2^32 - 1 items.
        for initial in [0x5b, 0x7b, 0x9b, 0xbb] {
            let bytes = [&[initial][..], &[0xff; 8]].concat();
            assert_eq!(decode::<Vec<u64>>(&bytes), Err(CodecError::Truncated));
        }
        for initial in [0x5a, 0x7a, 0x9a, 0xba] {
            let bytes = [&[initial][..], &[0xff; 4]].concat();
            assert_eq!(decode::<Vec<u64>>(&bytes), Err(CodecError::Truncated));
        }
        // A map of one entry needs two items.
        assert_eq!(decode::<BTreeMap<u8, u8>>(&[0xa1, 0x00]), Err(CodecError::Truncated));
    }

    #[test]
    fn nesting() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0x80]].concat();
        assert_ne!(check_well_formed(&nested(MAX_DEPTH - 1)), Err(CodecError::TooDeep));
        assert_eq!(check_well_formed(&nested(MAX_DEPTH + 1)), Err(CodecError::TooDeep));
        assert_eq!(check_well_formed(&vec![0x81; 1 << 20]), Err(CodecError::TooDeep));
    }

    #[test]
    fn unsupported_items() {
        for bytes in [
            &[0x5f, 0x41, 0x00, 0xff][..], // byte string of indefinite length
            &[0x7f, 0xff],                 // text string of indefinite length
            &[0x9f, 0xff],                 // array of indefinite length
            &[0xbf, 0xff],                 // map of indefinite length
            &[0xff],                       // break alone
            &[0xc0, 0x00],                 // tag
            &[0xf9, 0x00, 0x00],           // half float
            &[0xf7],                       // undefined
            &[0xf8, 0x14],                 // simple value in two bytes
            &[0x1c],                       // reserved
        ] {
            assert_eq!(decode::<u64>(bytes), Err(CodecError::Unsupported), "{bytes:02x?}");
        }
    }

    #[test]
    fn an_oversized_message() {
        let blob = ByteBuf::from(vec![0; MAX_MESSAGE]);
        assert!(matches!(encode(&blob), Err(CodecError::TooLarge { .. })));
        let bytes = vec![0; MAX_MESSAGE + 1];
        let length = bytes.len();
        assert_eq!(decode::<u64>(&bytes), Err(CodecError::TooLarge { length }));
    }

    #[test]
    fn another_type() {
        let bytes = encode(&"text").unwrap();
        assert!(matches!(decode::<u64>(&bytes), Err(CodecError::Mismatch { .. })));
        let error = decode::<u64>(&encode(&"a secret").unwrap()).unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decode::<Sample>(&bytes);
            let _ = decode::<Vec<Vec<u64>>>(&bytes);
        }

        #[test]
        fn what_serde_cbor_writes_is_well_formed(
            list in proptest::collection::vec((any::<u64>(), ".{0,9}", any::<Option<i64>>()), 0..40),
        ) {
            let bytes = encode(&list).unwrap();
            prop_assert_eq!(decode::<Vec<(u64, String, Option<i64>)>>(&bytes), Ok(list));
        }
    }
}
