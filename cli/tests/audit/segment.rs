//! A segment of the host's audit log, taken apart and put together again as anybody could who
//! writes to the host's disk: see `host/src/store/segment.rs`.

use std::fs;
use std::path::Path;

const MAGIC: &[u8] = b"SKAUDIT1";

/// A record and the number that the host keeps it under.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Segment {
    pub(crate) records: Vec<Record>,
    /// A record whose last byte is changed after the checksum was made.
    pub(crate) flip: Option<usize>,
}

impl Segment {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a segment");
        let mut rest = bytes.strip_prefix(MAGIC).expect("a segment");
        let mut records = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(16) {
            if head.iter().all(|byte| *byte == 0) {
                break;
            }
            let length = u32::from_be_bytes(head[..4].try_into().expect("four bytes"));
            let sequence = u64::from_be_bytes(head[8..].try_into().expect("eight bytes"));
            let (record, after) = after.split_at(length as usize);
            assert_eq!(head[4..8], checksum(sequence, record).to_be_bytes());
            records.push(Record { sequence, bytes: record.to_vec() });
            rest = after;
        }
        // Space that the host has written ahead.
        assert!(rest.iter().all(|byte| *byte == 0));
        Self { records, flip: None }
    }

    pub(crate) fn write(&self, path: &Path) {
        let mut bytes = MAGIC.to_vec();
        for (position, Record { sequence, bytes: record }) in self.records.iter().enumerate() {
            bytes.extend((record.len() as u32).to_be_bytes());
            bytes.extend(checksum(*sequence, record).to_be_bytes());
            bytes.extend(sequence.to_be_bytes());
            bytes.extend(record);
            if self.flip == Some(position) {
                *bytes.last_mut().expect("a record") ^= 1;
            }
        }
        fs::write(path, bytes).expect("it is written");
    }
}

/// CRC-32 (ISO 3309), bit by bit.
fn checksum(sequence: u64, record: &[u8]) -> u32 {
    let bytes = sequence.to_be_bytes();
    !bytes.iter().chain(record).fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
