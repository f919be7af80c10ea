use super::super::audit::{Append, AuditLog, Disk};
use super::super::segment::encode_record;
use super::*;
use std::fs;
use std::sync::Arc;

/// A store's folder with this many records in its log.
struct Store(tempfile::TempDir);

impl Store {
    fn with(records: u64) -> Self {
        let store = Self(tempfile::tempdir().unwrap());
        let mut log = store.log();
        append(&mut log, 1..=records);
        store
    }

    fn log(&self) -> AuditLog {
        AuditLog::open(&self.0.path().join("audit"), Disk::REAL).unwrap()
    }

    fn reader(&self) -> AuditReader {
        AuditReader::open(self.0.path()).unwrap()
    }

    fn segment(&self, first: u64) -> PathBuf {
        segment_path(&self.0.path().join("audit"), first)
    }

    /// Writes a segment as the host would.
    fn put(&self, first: u64, records: impl IntoIterator<Item = u64>) {
        let mut bytes = MAGIC.to_vec();
        records.into_iter().for_each(|n| encode_record(n, &record(n), &mut bytes));
        fs::write(self.segment(first), bytes).unwrap();
    }
}

fn record(n: u64) -> Vec<u8> {
    format!("record {n}").into_bytes()
}

fn append(log: &mut AuditLog, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        let append = Append { sequence: n, record: record(n), stream: Arc::default() };
        assert_eq!(log.append(&[append]), [Ok(())]);
    }
}

/// The numbers of the records up to the next item that is none.
fn read(reader: &mut AuditReader) -> (Vec<u64>, AuditItem) {
    let mut numbers = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            AuditItem::Record(n, bytes) => {
                assert_eq!(bytes, record(n));
                numbers.push(n);
            }
            other => return (numbers, other),
        }
    }
}

const END: AuditItem = AuditItem::End { unfinished: 0 };

#[test]
fn it_follows_a_log_that_is_being_written() {
    let store = Store::with(0);
    let mut reader = store.reader();
    assert_eq!(read(&mut reader), (vec![], END));
    let mut log = store.log();
    append(&mut log, 1..=3);
    assert_eq!(read(&mut reader), (vec![1, 2, 3], END));
    assert_eq!(read(&mut reader), (vec![], END));
    append(&mut log, 4..=5);
    assert_eq!(read(&mut reader), (vec![4, 5], END));
    drop(log);
    store.put(6, 6..=7);
    assert_eq!(read(&mut reader), (vec![6, 7], END));
    let (bytes, all) = reader.progress();
    assert!(bytes > 0 && bytes == all);
}

#[test]
fn a_record_that_is_being_written_is_waited_for() {
    let store = Store::with(3);
    let path = store.segment(1);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    encode_record(4, &record(4), &mut bytes);
    for cut in whole.len() + 1..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut reader = store.reader();
        let part = &bytes[whole.len()..cut];
        let unfinished = part.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        assert_eq!(read(&mut reader), (vec![1, 2, 3], AuditItem::End { unfinished }));
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&mut reader), (vec![4], END));
    }
    // With space that was written ahead.
    for cut in whole.len()..bytes.len() {
        let mut ahead = bytes[..cut].to_vec();
        ahead.resize(whole.len() + 200_000, 0);
        fs::write(&path, ahead).unwrap();
        let mut reader = store.reader();
        let (numbers, end) = read(&mut reader);
        assert_eq!(numbers, [1, 2, 3]);
        assert!(matches!(end, AuditItem::End { .. }), "{cut}: {end:?}");
        let mut ahead = bytes.clone();
        ahead.resize(whole.len() + 200_000, 0);
        fs::write(&path, ahead).unwrap();
        assert_eq!(read(&mut reader), (vec![4], END));
    }
}

#[test]
fn every_flipped_byte_of_a_record_is_damage() {
    let store = Store::with(3);
    let path = store.segment(1);
    let good = fs::read(&path).unwrap();
    let second = MAGIC.len() + (good.len() - MAGIC.len()) / 3;
    for position in second..second + (good.len() - MAGIC.len()) / 3 {
        let mut bytes = good.clone();
        bytes[position] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut reader = store.reader();
        let damaged = AuditItem::Damaged { path: path.clone(), offset: second as u64 };
        let (numbers, item) = read(&mut reader);
        assert_eq!(numbers, [1], "byte {position}");
        // A length that points behind the file's end looks like a record on its way.
        let of_length = position < second + 4 && matches!(item, AuditItem::End { .. });
        assert!(item == damaged || of_length, "byte {position}: {item:?}");
        assert_eq!(read(&mut reader).0, [0_u64; 0]);
    }
    fs::write(&path, b"SKAUDIT0").unwrap();
    assert_eq!(read(&mut store.reader()), (vec![], AuditItem::Damaged { path, offset: 0 }));
}

/// A head of zeros hides nothing that follows.
#[test]
fn records_behind_zeros_are_damage() {
    let store = Store::with(3);
    let path = store.segment(1);
    let mut bytes = fs::read(&path).unwrap();
    let second = MAGIC.len() + (bytes.len() - MAGIC.len()) / 3;
    bytes[second..second + 16].fill(0);
    fs::write(&path, bytes).unwrap();
    let damaged = AuditItem::Damaged { path, offset: second as u64 };
    assert_eq!(read(&mut store.reader()), (vec![1], damaged));
}

/// The host appends, begins a segment and appends there between two looks of the reader.
#[test]
fn nothing_is_skipped_when_a_segment_is_closed() {
    let store = Store::with(0);
    let mut ahead = MAGIC.to_vec();
    encode_record(1, &record(1), &mut ahead);
    let mut later = ahead.clone();
    ahead.resize(100_000, 0);
    fs::write(store.segment(1), ahead).unwrap();
    let mut reader = store.reader();
    assert_eq!(read(&mut reader), (vec![1], END));
    encode_record(2, &record(2), &mut later);
    fs::write(store.segment(1), later).unwrap();
    store.put(3, [3]);
    assert_eq!(read(&mut reader), (vec![2, 3], END));
}

/// After an fsync that failed the host goes on in a new segment.
#[test]
fn what_was_never_acknowledged_does_not_count() {
    let store = Store::with(0);
    store.put(1, 1..=4);
    store.put(3, 3..=5);
    assert_eq!(read(&mut store.reader()), (vec![1, 2, 3, 4, 5], END));
    // The old one's end may be torn, if nothing is missing.
    let path = store.segment(1);
    let mut bytes = MAGIC.to_vec();
    (1..=2).for_each(|n| encode_record(n, &record(n), &mut bytes));
    let offset = bytes.len() as u64;
    bytes.extend([7; 30]);
    fs::write(&path, bytes).unwrap();
    assert_eq!(read(&mut store.reader()), (vec![1, 2, 3, 4, 5], END));
    fs::rename(store.segment(3), store.segment(4)).unwrap();
    store.put(4, 4..=5);
    let mut reader = store.reader();
    assert_eq!(read(&mut reader), (vec![1, 2], AuditItem::Damaged { path, offset }));
    assert_eq!(read(&mut reader), (vec![4, 5], END));
}

#[test]
fn the_newest_segments_alone() {
    let store = Store::with(0);
    store.put(1, 1..=2);
    store.put(3, 3..=4);
    store.put(5, 5..=6);
    for (segments, expected) in [(0, 5..=6), (1, 5..=6), (2, 3..=6), (3, 1..=6), (9, 1..=6)] {
        let mut reader = AuditReader::open_newest(store.0.path(), segments).unwrap();
        assert_eq!(reader.first(), Some(*expected.start()));
        assert_eq!(read(&mut reader), (expected.collect(), END));
    }
}

#[test]
fn without_a_folder_there_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let error = AuditReader::open(folder.path()).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
