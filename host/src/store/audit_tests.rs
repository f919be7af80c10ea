use super::*;
use std::cell::Cell;
use std::path::PathBuf;

use sekisho_wire::store::{MAX_PAGE_BYTES, Page};

fn log(folder: &tempfile::TempDir) -> AuditLog {
    AuditLog::open(folder.path(), Disk::REAL).unwrap()
}

fn record(n: u64) -> (u64, Vec<u8>) {
    (n, format!("record {n}").into_bytes())
}

/// A batch of a stream of its own.
fn try_append(log: &mut AuditLog, records: &[(u64, Vec<u8>)]) -> Vec<Result<(), StoreError>> {
    try_append_on(&Arc::default(), log, records)
}

fn try_append_on(
    stream: &Arc<AppendStream>,
    log: &mut AuditLog,
    records: &[(u64, Vec<u8>)],
) -> Vec<Result<(), StoreError>> {
    let append = |(sequence, record): &(u64, Vec<u8>)| Append {
        sequence: *sequence,
        record: record.clone(),
        stream: Arc::clone(stream),
    };
    log.append(&records.iter().map(append).collect::<Vec<_>>())
}

fn append(log: &mut AuditLog, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(try_append(log, &[record(n)]), [Ok(())]);
    }
}

fn newest_file(folder: &tempfile::TempDir) -> PathBuf {
    let newest = list_segments(folder.path()).unwrap().last().unwrap().first;
    segment_path(folder.path(), newest)
}

#[test]
fn appended_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = log(&folder);
    assert_eq!(first.tail(), None);
    assert_eq!(first.segments().page(0, 10), Ok(vec![]));
    append(&mut first, 1..=5);
    assert_eq!(first.segments().page(2, 3), Ok(vec![record(2), record(3), record(4)]));
    drop(first);
    let mut second = log(&folder);
    assert_eq!(second.tail(), Some(record(5)));
    append(&mut second, 6..=6);
    assert_eq!(second.segments().page(0, 99), Ok((1..=6).map(record).collect()));
    assert_eq!(second.segments().page(7, 99), Ok(vec![]));
    assert_eq!(second.segments().page(u64::MAX, 99), Ok(vec![]));
}

#[test]
fn only_the_next_sequence_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(&folder);
    for wrong in [0, 2, u64::MAX] {
        assert_eq!(try_append(&mut log, &[record(wrong)]), [Err(StoreError::Conflict { head: 0 })]);
    }
    append(&mut log, 1..=1);
    assert_eq!(try_append(&mut log, &[record(1)]), [Err(StoreError::Conflict { head: 1 })]);
}

#[test]
fn what_follows_a_refused_append_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(&folder);
    let stream = Arc::default();
    let conflict = |head| Err(StoreError::Conflict { head });
    let answers =
        try_append_on(&stream, &mut log, &[record(1), record(1), record(3), record(2), record(3)]);
    assert_eq!(answers, [Ok(()), conflict(1), conflict(1), conflict(1), conflict(1)]);
    // In another batch too, and whoever else appends meanwhile.
    append(&mut log, 2..=2);
    assert_eq!(try_append_on(&stream, &mut log, &[record(3)]), [conflict(2)]);
    stream.resumes();
    assert_eq!(try_append_on(&stream, &mut log, &[record(3), record(4)]), [Ok(()), Ok(())]);
    assert_eq!(log.segments().page(0, 99), Ok((1..=4).map(record).collect()));
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut log(&folder), 1..=2);
    let path = newest_file(&folder);
    let two = fs::read(&path).unwrap();
    append(&mut log(&folder), 3..=3);
    let three = fs::read(&path).unwrap();
    for cut in two.len()..three.len() {
        fs::write(&path, &three[..cut]).unwrap();
        let mut log = log(&folder);
        assert_eq!(log.tail(), Some(record(2)), "cut at {cut}");
        append(&mut log, 3..=4);
        assert_eq!(log.segments().page(1, 9), Ok((1..=4).map(record).collect()));
    }
}

#[test]
fn a_segment_torn_at_its_start_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut log(&folder), 1..=2);
    for torn in [&b""[..], b"SKA", b"SKAUDIT1", b"SKAUDIT1\0\0\0\0", &[0; 50]] {
        fs::write(segment_path(folder.path(), 3), torn).unwrap();
        let log = log(&folder);
        assert_eq!(log.tail(), Some(record(2)));
    }
    append(&mut log(&folder), 3..=3);
}

#[test]
fn what_was_cut_off_is_kept_beside() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut log(&folder), 1..=1);
    let path = newest_file(&folder);
    let good = fs::metadata(&path).unwrap().len();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"half a record").unwrap();
    drop(log(&folder));
    let kept = fs::read(path.with_extension(format!("torn-{good}"))).unwrap();
    assert_eq!(kept, b"half a record");
}

#[test]
fn a_missing_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = MAGIC.to_vec();
    encode_record(1, b"", &mut bytes);
    encode_record(3, b"", &mut bytes);
    fs::write(segment_path(folder.path(), 1), bytes).unwrap();
    let error = AuditLog::open(folder.path(), Disk::REAL).err().unwrap();
    assert!(matches!(error, OpenError::AuditGap { expected: 2, sequence: 3, .. }));
}

#[test]
fn a_missing_segment_is_not_read_over() {
    let folder = tempfile::tempdir().unwrap();
    for first in [1, 5] {
        let mut bytes = MAGIC.to_vec();
        encode_record(first, b"", &mut bytes);
        encode_record(first + 1, b"", &mut bytes);
        fs::write(segment_path(folder.path(), first), bytes).unwrap();
    }
    let log = log(&folder);
    assert_eq!(log.segments().page(1, 9), Err(StoreError::Unavailable));
    assert_eq!(log.segments().page(5, 9).unwrap().len(), 2);
}

#[test]
fn many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = log(&folder);
    let records: Vec<_> = (1..=400).map(|n| (n, vec![n as u8; 60_000])).collect();
    for batch in records.chunks(10) {
        assert!(try_append(&mut first, batch).iter().all(Result::is_ok));
    }
    assert_eq!(list_segments(folder.path()).unwrap().len(), 3);
    drop(first);
    let log = log(&folder);
    let mut read = Page::new();
    while read.len() < 400 {
        let page = log.segments().page(read.len() as u64 + 1, u32::MAX).unwrap();
        assert!(page.iter().map(|(_, record)| record.len()).sum::<usize>() <= MAX_PAGE_BYTES);
        read.extend(page);
    }
    assert!(read == records);
}

#[test]
fn a_batch_may_be_larger_than_the_space_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = log(&folder);
    let records: Vec<_> = (1..=100).map(|n| (n, vec![n as u8; 60_000])).collect();
    for batch in records.chunks(50) {
        assert!(try_append(&mut first, batch).iter().all(Result::is_ok));
    }
    drop(first);
    let last = log(&folder).tail();
    assert!(last.as_ref() == records.last());
}

thread_local! {
    static WRITES: Cell<u32> = const { Cell::new(0) };
    static SYNCS: Cell<u32> = const { Cell::new(0) };
}

/// Fails as often as the counters say.
const FAULTY: Disk = Disk {
    write: |file, bytes| match WRITES.get() {
        0 => file.write_all(bytes),
        n => {
            WRITES.set(n - 1);
            file.write_all(&bytes[..bytes.len() / 2])?;
            Err(io::ErrorKind::StorageFull.into())
        }
    },
    sync: |file| match SYNCS.get() {
        0 => file.sync_data(),
        n => {
            SYNCS.set(n - 1);
            Err(io::Error::other("the disk is gone"))
        }
    },
};

#[test]
fn a_batch_shares_one_sync() {
    thread_local! { static COUNT: Cell<u32> = const { Cell::new(0) } }
    let counting = Disk {
        sync: |file| {
            COUNT.set(COUNT.get() + 1);
            file.sync_data()
        },
        ..Disk::REAL
    };
    let folder = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(folder.path(), counting).unwrap();
    append(&mut log, 1..=1);
    COUNT.set(0);
    let batch: Vec<_> = (2..=100).map(record).collect();
    assert!(try_append(&mut log, &batch).iter().all(Result::is_ok));
    assert_eq!(COUNT.get(), 1);
    assert_eq!(try_append(&mut log, &[record(7)]), [Err(StoreError::Conflict { head: 100 })]);
    assert_eq!(COUNT.get(), 1, "a conflict alone needs no sync");
}

#[test]
fn a_full_disk_changes_nothing_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let mut faulty = AuditLog::open(folder.path(), FAULTY).unwrap();
    append(&mut faulty, 1..=2);
    // Of the three, one is for the space ahead, without which the records can still be written.
    WRITES.set(3);
    for _ in 0..2 {
        let answers = try_append(&mut faulty, &[record(3), record(4), record(9)]);
        let full = Err(StoreError::Full);
        assert_eq!(answers, [full, full, Err(StoreError::Conflict { head: 2 })]);
        assert_eq!(faulty.tail(), Some(record(2)));
    }
    append(&mut faulty, 3..=4);
    assert_eq!(faulty.segments().page(1, 9), Ok((1..=4).map(record).collect()));
    drop(faulty);
    assert_eq!(log(&folder).tail(), Some(record(4)));
}

#[test]
fn a_failed_sync_goes_on_in_a_new_segment() {
    for failures in 1..=4 {
        let folder = tempfile::tempdir().unwrap();
        let mut faulty = AuditLog::open(folder.path(), FAULTY).unwrap();
        append(&mut faulty, 1..=2);
        SYNCS.set(failures);
        while SYNCS.get() > 0 {
            assert_eq!(try_append(&mut faulty, &[record(3)]), [Err(StoreError::Unavailable)]);
        }
        append(&mut faulty, 3..=4);
        assert_eq!(faulty.segments().page(1, 9), Ok((1..=4).map(record).collect()));
        drop(faulty);
        let log = log(&folder);
        assert_eq!(log.tail(), Some(record(4)));
        assert_eq!(log.segments().page(1, 9), Ok((1..=4).map(record).collect()));
    }
}

#[test]
fn space_ahead_of_a_crash_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = log(&folder);
    append(&mut first, 1..=2);
    let path = newest_file(&folder);
    let crashed = fs::read(&path).unwrap();
    assert_eq!(crashed.len(), MAGIC.len() + AHEAD);
    drop(first);
    assert!(fs::metadata(&path).unwrap().len() < 100, "an orderly end leaves no space");

    fs::write(&path, crashed).unwrap();
    let mut second = log(&folder);
    assert_eq!(second.tail(), Some(record(2)));
    append(&mut second, 3..=3);
    assert_eq!(second.segments().page(1, 9), Ok((1..=3).map(record).collect()));
    let torn = |file: &fs::DirEntry| file.path() != path;
    assert!(!fs::read_dir(folder.path()).unwrap().map(Result::unwrap).any(|file| torn(&file)));
}
