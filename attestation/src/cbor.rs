//! CBOR, token by token, in the one form that is accepted.
//!
//! Minicbor reads the tokens; what a token may look like is decided here (RFC 8949 §4.2.1: heads
//! in their shortest form, definite lengths). Nothing is allocated: strings are borrowed from the
//! input, so a length beyond its end is an error and never a reservation.

use minicbor::data::{Tag, Type};
use minicbor::decode::{Decoder, Error};

/// How a CBOR item breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborFault {
    /// The bytes end early, or are not CBOR at all (RFC 8949 appendix F).
    #[error("not well-formed CBOR")]
    Malformed,
    /// A head is longer than it need be (RFC 8949 §4.2.1).
    #[error("a CBOR head is not in its shortest form")]
    NotShortest,
    /// An indefinite length where a definite one is required.
    #[error("an indefinite length is not allowed here")]
    Indefinite,
    /// An item of another type than the field has.
    #[error("an item has the wrong CBOR type")]
    WrongType,
    /// A text string that is not UTF-8 (RFC 8949 §3.1).
    #[error("a text string is not UTF-8")]
    NotUtf8,
    /// Bytes follow the item.
    #[error("bytes follow the end")]
    TrailingBytes,
}

type Result<T> = core::result::Result<T, CborFault>;

/// A reader of strict CBOR tokens.
pub(crate) struct Tokens<'b> {
    decoder: Decoder<'b>,
}

impl<'b> Tokens<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { decoder: Decoder::new(bytes) }
    }

    pub(crate) fn position(&self) -> usize {
        self.decoder.position()
    }

    /// The number of items of a definite-length array.
    pub(crate) fn array(&mut self) -> Result<u64> {
        self.expect(Type::Array)?;
        let (length, head) = self.measured(Decoder::array)?;
        let length = length.ok_or(CborFault::Indefinite)?;
        shortest(head, length)?;
        Ok(length)
    }

    /// The number of pairs of a map, or `None` if it runs until [`Tokens::at_break`].
    pub(crate) fn map_of_any_length(&mut self) -> Result<Option<u64>> {
        if self.kind()? == Type::MapIndef {
            return self.decoder.map().map_err(malformed);
        }
        self.map().map(Some)
    }

    /// The number of pairs of a definite-length map.
    pub(crate) fn map(&mut self) -> Result<u64> {
        self.expect(Type::Map)?;
        let (length, head) = self.measured(Decoder::map)?;
        let length = length.ok_or(CborFault::Indefinite)?;
        shortest(head, length)?;
        Ok(length)
    }

    /// Whether the break of an indefinite-length map comes next; consumes it if so.
    pub(crate) fn at_break(&mut self) -> Result<bool> {
        if self.kind()? != Type::Break {
            return Ok(false);
        }
        self.decoder.set_position(self.decoder.position().saturating_add(1));
        Ok(true)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8]> {
        self.expect(Type::Bytes)?;
        let (bytes, taken) = self.measured(Decoder::bytes)?;
        shortest(taken.saturating_sub(bytes.len()), bytes.len() as u64)?;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'b str> {
        self.expect(Type::String)?;
        let start = self.decoder.position();
        // Of a definite text string only its end and its encoding can be wrong.
        let text = self.decoder.str().map_err(|error| match error.is_end_of_input() {
            true => CborFault::Malformed,
            false => CborFault::NotUtf8,
        })?;
        let taken = self.decoder.position().saturating_sub(start);
        shortest(taken.saturating_sub(text.len()), text.len() as u64)?;
        Ok(text)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        match self.kind()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => {}
            _ => return Err(CborFault::WrongType),
        }
        let (value, head) = self.measured(Decoder::u64)?;
        shortest(head, value)?;
        Ok(value)
    }

    /// Whether a null comes next; consumes it if so.
    pub(crate) fn null(&mut self) -> Result<bool> {
        if self.kind()? != Type::Null {
            return Ok(false);
        }
        self.decoder.null().map_err(malformed)?;
        Ok(true)
    }

    /// The tag that comes next, if one does.
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>> {
        if self.kind()? != Type::Tag {
            return Ok(None);
        }
        let (tag, head) = self.measured(Decoder::tag)?;
        shortest(head, tag.as_u64())?;
        Ok(Some(tag))
    }

    /// That nothing follows.
    pub(crate) fn finish(self) -> Result<()> {
        if self.decoder.position() == self.decoder.input().len() {
            Ok(())
        } else {
            Err(CborFault::TrailingBytes)
        }
    }

    fn kind(&self) -> Result<Type> {
        match self.decoder.datatype().map_err(malformed)? {
            Type::Unknown(_) => Err(CborFault::Malformed),
            kind => Ok(kind),
        }
    }

    fn expect(&self, expected: Type) -> Result<()> {
        match (self.kind()?, expected) {
            (kind, _) if kind == expected => Ok(()),
            (Type::ArrayIndef, Type::Array)
            | (Type::MapIndef, Type::Map)
            | (Type::BytesIndef, Type::Bytes)
            | (Type::StringIndef, Type::String) => Err(CborFault::Indefinite),
            _ => Err(CborFault::WrongType),
        }
    }

    /// Reads one token; answers it together with the number of bytes it took.
    fn measured<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> core::result::Result<T, Error>,
    ) -> Result<(T, usize)> {
        let start = self.decoder.position();
        let value = read(&mut self.decoder).map_err(malformed)?;
        Ok((value, self.decoder.position().saturating_sub(start)))
    }
}

/// That a head of `length` bytes is the shortest for its `argument` (RFC 8949 §3).
fn shortest(length: usize, argument: u64) -> Result<()> {
    let least = match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    };
    if length == least { Ok(()) } else { Err(CborFault::NotShortest) }
}

fn malformed(error: Error) -> CborFault {
    if error.is_type_mismatch() { CborFault::WrongType } else { CborFault::Malformed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_must_be_shortest() {
        for (bytes, value) in [
            (&[0x17_u8][..], 23_u64),
            (&[0x18, 24], 24),
            (&[0x19, 1, 0], 256),
            (&[0x1a, 0, 1, 0, 0], 0x1_0000),
            (&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32),
        ] {
            assert_eq!(Tokens::new(bytes).unsigned(), Ok(value));
        }
        for bytes in [
            &[0x18_u8, 23][..],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
        ] {
            assert_eq!(Tokens::new(bytes).unsigned(), Err(CborFault::NotShortest));
        }
        assert_eq!(Tokens::new(&[0x58, 1, 0]).bytes(), Err(CborFault::NotShortest));
        assert_eq!(Tokens::new(&[0x78, 1, b'a']).text(), Err(CborFault::NotShortest));
        assert_eq!(Tokens::new(&[0x98, 1, 0]).array(), Err(CborFault::NotShortest));
        assert_eq!(Tokens::new(&[0xb8, 0]).map(), Err(CborFault::NotShortest));
        assert_eq!(Tokens::new(&[0xd2, 0]).tag(), Ok(Some(Tag::new(18))));
        assert_eq!(Tokens::new(&[0xd8, 18, 0]).tag(), Err(CborFault::NotShortest));
    }

    #[test]
    fn indefinite_lengths_are_named() {
        assert_eq!(Tokens::new(&[0x5f, 0xff]).bytes(), Err(CborFault::Indefinite));
        assert_eq!(Tokens::new(&[0x7f, 0xff]).text(), Err(CborFault::Indefinite));
        assert_eq!(Tokens::new(&[0x9f, 0xff]).array(), Err(CborFault::Indefinite));
        assert_eq!(Tokens::new(&[0xbf, 0xff]).map(), Err(CborFault::Indefinite));
        assert_eq!(Tokens::new(&[0xbf, 0xff]).map_of_any_length(), Ok(None));
    }

    #[test]
    fn reserved_heads_and_lengths_beyond_the_end_are_malformed() {
        for byte in [0x1c, 0x1d, 0x1e, 0x5c, 0x7d, 0x9e, 0xdc, 0xfc] {
            assert_eq!(Tokens::new(&[byte; 12]).unsigned(), Err(CborFault::Malformed), "{byte:x}");
        }
        let beyond = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(Tokens::new(&beyond).bytes(), Err(CborFault::Malformed));
        assert_eq!(Tokens::new(&[]).bytes(), Err(CborFault::Malformed));
    }
}
