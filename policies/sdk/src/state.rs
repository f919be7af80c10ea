//! A policy's state: bytes that `configure` makes and every `evaluate` reads.
//!
//! The state is read at each decision, so its form should be one that is read where
//! it lies. [`Writer`] and [`Reader`] write and read such a form: bytes, numbers as
//! LEB128, strings and lists with their length before them.
//!
//! The worker keeps the state sealed, and gives it to no module but the one that
//! made it; a policy may still answer to bytes it cannot read only with a deny,
//! which [`State::decode`]'s `None` becomes.

/// A state that is written as bytes.
pub trait State: Sized {
    /// The bytes of this state. The engine takes at most 64 KiB.
    fn encode(self) -> Vec<u8>;

    /// The state that these bytes are, or `None`.
    fn decode(bytes: Vec<u8>) -> Option<Self>;
}

/// The state of a policy that has none.
impl State for () {
    fn encode(self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

/// Bytes are themselves.
impl State for Vec<u8> {
    fn encode(self) -> Vec<u8> {
        self
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        Some(bytes)
    }
}

/// Writes a state.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A number, or the length of a list: unsigned LEB128.
    pub fn number(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A string: its length in bytes, and its bytes.
    pub fn string(&mut self, string: &str) {
        self.bytes(string.as_bytes());
    }

    /// Bytes: their number, and themselves.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// A part that a reader may want to skip: its length, and what `write` writes.
    pub fn block(&mut self, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::new();
        write(&mut inner);
        self.number(inner.bytes.len());
        self.bytes.append(&mut inner.bytes);
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`Writer`] wrote; every step is `None` where the bytes end.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// A number, or the length of a list.
    #[inline]
    pub fn number(&mut self) -> Option<usize> {
        match self.byte()? {
            // Nearly all are short.
            byte @ ..0x80 => Some(usize::from(byte)),
            byte => self.long_number(usize::from(byte & 0x7f)),
        }
    }

    fn long_number(&mut self, mut number: usize) -> Option<usize> {
        // With the first byte these are 28 bits: more than any state is long, and no
        // overflow.
        for shift in [7, 14, 21] {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A string's bytes, or a block's.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A part written with [`Writer::block`].
    pub fn block(&mut self) -> Option<Reader<'a>> {
        self.bytes().map(Reader::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new();
        writer.byte(7);
        writer.number(0);
        writer.number(127);
        writer.number(128);
        writer.number(65536);
        writer.string("kms:Decrypt");
        writer.block(|inner| inner.byte(1));
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte(), Some(7));
        for number in [0, 127, 128, 65536] {
            assert_eq!(reader.number(), Some(number));
        }
        assert_eq!(reader.bytes(), Some(&b"kms:Decrypt"[..]));
        assert_eq!(reader.block().and_then(|mut inner| inner.byte()), Some(1));
        assert!(reader.is_empty());
        assert_eq!(reader.byte(), None);
    }

    #[test]
    fn a_length_beyond_the_end_is_none() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 1]).number(), None);
        assert_eq!(Reader::new(&[0x80]).number(), None);
    }
}
