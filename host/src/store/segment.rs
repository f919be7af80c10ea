//! One file of the audit log.
//!
//! ```text
//! segment = "SKAUDIT1" record* zero*
//! record  = length: u32 | checksum: u32 | sequence: u64 | length bytes      (big endian)
//! ```
//!
//! The checksum is CRC-32 (ISO 3309) over sequence and bytes. It finds what a crash left half
//! written; whether anyone changed a record is for the worker to tell, who sealed it. The zeros are
//! space for further records, which are numbered from 1.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use sekisho_wire::store::MAX_AUDIT_RECORD;

/// What each segment starts with.
pub(super) const MAGIC: &[u8; 8] = b"SKAUDIT1";

pub(super) const HEAD_LENGTH: u64 = 4 + 4 + 8;

/// Appends a record to what will be written.
pub(super) fn encode_record(sequence: u64, record: &[u8], out: &mut Vec<u8>) {
    // The store refuses longer records than 64 KiB before they come here.
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend(checksum(sequence, record).to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(record);
}

/// Reads the records of a segment, one after the other.
pub(super) struct SegmentReader<R> {
    reader: BufReader<R>,
    /// Just behind the last good record.
    offset: u64,
    length: u64,
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Record(u64, Vec<u8>),
    /// The end of the segment's records.
    End,
    /// What follows is no record: half written, or damaged.
    Torn,
}

impl<R: Read + Seek> SegmentReader<R> {
    /// Starts to read the first `length` bytes of a segment; `None` if it is not one.
    pub(super) fn new(reader: R, length: u64) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(reader);
        let mut magic = [0; MAGIC.len()];
        if length < MAGIC.len() as u64 {
            return Ok(None);
        }
        reader.read_exact(&mut magic)?;
        let offset = MAGIC.len() as u64;
        Ok((magic == *MAGIC).then_some(Self { reader, offset, length }))
    }

    /// Reads on at `offset`, just behind a record that was good or behind the magic number.
    pub(super) fn resume(reader: R, offset: u64, length: u64) -> io::Result<Self> {
        let mut reader = BufReader::new(reader);
        reader.seek(SeekFrom::Start(offset))?;
        Ok(Self { reader, offset, length })
    }

    /// How many bytes were good so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record whose sequence number is `from` at least. Those before it are skipped
    /// without a look at their checksums.
    pub(super) fn next_from(&mut self, from: u64) -> io::Result<Next> {
        loop {
            let left = self.length.saturating_sub(self.offset);
            if left == 0 {
                return Ok(Next::End);
            }
            let mut head = [0; HEAD_LENGTH as usize];
            let part = head.get_mut(..left.min(HEAD_LENGTH) as usize).unwrap_or_default();
            self.reader.read_exact(part)?;
            let head = u128::from_be_bytes(head);
            if head == 0 {
                return Ok(Next::End);
            }
            if left < HEAD_LENGTH {
                return Ok(Next::Torn);
            }
            let (length, expected) = ((head >> 96) as u32, (head >> 64) as u32);
            let sequence = head as u64;
            let whole = HEAD_LENGTH + u64::from(length);
            if length as usize > MAX_AUDIT_RECORD || whole > left {
                return Ok(Next::Torn);
            }
            if sequence < from {
                self.reader.seek_relative(i64::from(length))?;
                self.offset += whole;
                continue;
            }
            let mut record = vec![0; length as usize];
            self.reader.read_exact(&mut record)?;
            if checksum(sequence, &record) != expected {
                return Ok(Next::Torn);
            }
            self.offset += whole;
            return Ok(Next::Record(sequence, record));
        }
    }
}

fn checksum(sequence: u64, record: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&sequence.to_be_bytes());
    checksum.update(record);
    checksum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read_all(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, Next, u64) {
        let mut reader =
            SegmentReader::new(Cursor::new(bytes), bytes.len() as u64).unwrap().unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next_from(0).unwrap() {
                Next::Record(sequence, record) => records.push((sequence, record)),
                end => return (records, end, reader.offset()),
            }
        }
    }

    fn segment(records: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (sequence, record) in records {
            encode_record(*sequence, record, &mut bytes);
        }
        bytes
    }

    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(checksum(u64::from_be_bytes(*b"12345678"), b"9"), 0xcbf4_3926);
    }

    #[test]
    fn another_file_is_no_segment() {
        for bytes in [&b""[..], b"SKAUDIT", b"SKAUDIT2"] {
            let reader = SegmentReader::new(Cursor::new(bytes), bytes.len() as u64).unwrap();
            assert!(reader.is_none());
        }
    }

    #[test]
    fn every_cut_keeps_the_whole_records() {
        let records = [(1, vec![7; 5]), (2, vec![]), (3, vec![8; 40])];
        let bytes = segment(&records);
        for cut in MAGIC.len()..bytes.len() {
            let whole = (0..=3).rfind(|n| segment(&records[..*n]).len() <= cut).unwrap();
            let (read, end, offset) = read_all(&bytes[..cut]);
            assert_eq!(read, records[..whole]);
            assert_eq!(offset, segment(&records[..whole]).len() as u64);
            let rest = &bytes[offset as usize..cut];
            assert_eq!(end == Next::End, rest.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let records = [(1, vec![7; 5]), (2, vec![1, 2, 3])];
        let bytes = segment(&records);
        for bit in MAGIC.len() * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (read, end, _) = read_all(&flipped);
            assert_eq!(end, Next::Torn);
            assert_eq!(read, records[..read.len()]);
        }
    }

    #[test]
    fn zeros_are_space_for_more() {
        let records = [(1, vec![1])];
        for zeros in [1, 15, 16, 17, 100] {
            let mut bytes = segment(&records);
            let length = bytes.len() as u64;
            bytes.resize(bytes.len() + zeros, 0);
            assert_eq!(read_all(&bytes), (records.to_vec(), Next::End, length));
            bytes.push(1);
            assert_eq!(read_all(&bytes).1 == Next::Torn, zeros < 16, "{zeros}");
        }
    }

    #[test]
    fn skipping() {
        let records: Vec<_> = (1..=9).map(|n| (n, vec![0; n as usize])).collect();
        let bytes = segment(&records);
        let mut reader =
            SegmentReader::new(Cursor::new(&bytes), bytes.len() as u64).unwrap().unwrap();
        assert_eq!(reader.next_from(8).unwrap(), Next::Record(8, vec![0; 8]));
        assert_eq!(reader.next_from(10).unwrap(), Next::End);
    }

    proptest! {
        #[test]
        fn any_bytes_end_or_are_torn(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [&MAGIC[..], &bytes].concat();
            let (_, _, offset) = read_all(&bytes);
            prop_assert!(offset <= bytes.len() as u64);
        }
    }
}
