use super::*;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::cell::Cell;
use std::io;

fn journal(folder: &tempfile::TempDir) -> Journal {
    Journal::open(&folder.path().join("journal")).unwrap()
}

fn key(n: u8) -> RecordKey {
    RecordKey([n; 16])
}

fn commit(sequence: u64, record: u8) -> Commit {
    let entry = sequence.to_be_bytes().to_vec();
    Commit { sequence, entry, puts: vec![(key(record), vec![record])], deletes: vec![] }
}

#[test]
fn committed_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = journal(&folder);
    assert_eq!(first.head(), Ok(0));
    assert_eq!(first.commit(&[commit(1, 7), commit(2, 8)]), [Ok(()), Ok(())]);
    let delete = Commit { deletes: vec![key(7), key(9)], ..commit(3, 8) };
    assert_eq!(first.commit(&[delete]), [Ok(())]);
    drop(first);
    let second = journal(&folder);
    assert_eq!(second.head(), Ok(3));
    assert_eq!(second.get(key(7)), Ok(None));
    assert_eq!(second.get(key(8)), Ok(Some(vec![8])));
    let entries = |from, limit| {
        second.entries(from, limit).unwrap().into_iter().map(|(n, _)| n).collect::<Vec<_>>()
    };
    assert_eq!(entries(0, 9), [1, 2, 3]);
    assert_eq!(entries(2, 1), [2]);
    assert!(entries(4, 9).is_empty());
    assert!(entries(1, 0).is_empty());
}

#[test]
fn only_the_next_sequence_number() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    for wrong in [0, 2, u64::MAX] {
        let conflict = Err(StoreError::Conflict { head: 0 });
        assert_eq!(journal.commit(&[commit(wrong, 1)]), [conflict]);
    }
    let answers = journal.commit(&[commit(1, 1), commit(1, 2), commit(2, 3), commit(4, 4)]);
    let conflict = |head| Err(StoreError::Conflict { head });
    assert_eq!(answers, [Ok(()), conflict(1), Ok(()), conflict(2)]);
    for (n, there) in [(1, true), (2, false), (3, true), (4, false)] {
        assert_eq!(journal.get(key(n)).unwrap().is_some(), there);
    }
}

#[test]
fn a_page_is_bounded_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    for sequence in 1..=4 {
        let entry = vec![0; MAX_PAGE_BYTES * 2 / 3];
        let commit = Commit { sequence, entry, ..Commit::default() };
        assert_eq!(journal.commit(&[commit]), [Ok(())]);
    }
    assert_eq!(journal.entries(1, 99).unwrap().len(), 1);
    assert_eq!(journal.entries(4, 99).unwrap().len(), 1);
}

#[test]
fn compacted_from_its_old_end_and_never_its_newest_entry() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    let last = u64::from(MAX_COMPACTED) + 10;
    let commits: Vec<_> = (1..=last).map(|sequence| commit(sequence, 1)).collect();
    assert!(journal.commit(&commits).iter().all(Result::is_ok));

    // Asked by a worker that knows another head: it is not this journal's worker any more.
    for head in [0, last - 1, last + 1] {
        assert_eq!(journal.compact(5, head), Err(StoreError::Conflict { head: last }));
    }
    assert_eq!(journal.compact(5, last), Ok(5));
    assert_eq!(journal.compact(5, last), Ok(5));
    assert_eq!(journal.entries(1, 1).unwrap().first().unwrap().0, 5);

    // A bounded number each time, and the newest stays, so that the head is known.
    assert_eq!(journal.compact(u64::MAX, last), Ok(5 + u64::from(MAX_COMPACTED)));
    assert_eq!(journal.compact(u64::MAX, last), Ok(last));
    assert_eq!(journal.head(), Ok(last));
    assert_eq!(journal.get(key(1)), Ok(Some(vec![1])));
    assert_eq!(journal.commit(&[commit(last + 1, 2)]), [Ok(())]);
}

#[test]
fn a_slot_is_filled_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.slot(key(1)), Ok(None));
    assert_eq!(journal.fill_slot(key(1), b"one"), Ok(b"one".to_vec()));
    assert_eq!(journal.fill_slot(key(1), b"another"), Ok(b"one".to_vec()));
    assert_eq!(journal.slot(key(1)), Ok(Some(b"one".to_vec())));
    // Beside the records and the journal.
    assert_eq!((journal.get(key(1)), journal.head()), (Ok(None), Ok(0)));
    for other in 2..=sekisho_wire::store::MAX_SLOTS as u8 {
        assert_eq!(journal.fill_slot(key(other), b"more"), Ok(b"more".to_vec()));
    }
    assert_eq!(journal.fill_slot(key(99), b"too many"), Err(StoreError::Full));
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().slot(key(1)), Ok(Some(b"one".to_vec())));
}

#[test]
fn closed_by_a_failure_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    assert_eq!(journal.commit(&[commit(1, 1)]), [Ok(())]);
    let full = redb::Error::Io(io::ErrorKind::StorageFull.into());
    assert_eq!(
        journal.settle(&[commit(1, 1), commit(2, 2)], &full),
        [Err(StoreError::Unavailable), Err(StoreError::Full)]
    );
    assert_eq!(journal.commit(&[commit(2, 2)]), [Ok(())]);
    assert_eq!(journal.head(), Ok(2));
}

thread_local! {
    /// Which of the disk's next changes fails, and everything after it; 0 for none.
    static FAILS_AT: Cell<u32> = const { Cell::new(0) };
    static FAILURE: Cell<io::ErrorKind> = const { Cell::new(io::ErrorKind::StorageFull) };
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug)]
struct FailingDisk(FileBackend);

impl FailingDisk {
    fn change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match FAILS_AT.get() {
            0 => {}
            1 => FAILED.set(true),
            n => FAILS_AT.set(n - 1),
        }
        if FAILED.get() { Err(FAILURE.get().into()) } else { change() }
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|| self.0.set_len(length))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.change(|| self.0.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.0.write(offset, data))
    }
}

fn open_failing(path: &Path) -> Result<Database, redb::Error> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let disk = FailingDisk(FileBackend::new(file)?);
    Ok(Database::builder().create_with_backend(disk)?)
}

/// The disk fails at each change that a commit makes, one after the other. Until it recovers
/// nothing more is promised, and afterwards the journal goes on from its head.
fn a_disk_that_fails_at_every_change(kind: io::ErrorKind) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open_with(&path, open_failing).unwrap();
    FAILURE.set(kind);
    let (mut head, mut failures) = (0, 0);
    for fails_at in 1.. {
        let big = Commit { entry: vec![7; 200_000], ..commit(head + 1, head as u8) };
        FAILS_AT.set(fails_at);
        let answer = journal.commit(std::slice::from_ref(&big)).remove(0);
        let failed = FAILED.get();
        if failed {
            // It goes on failing: there is an error, and no panic.
            assert!(journal.commit(std::slice::from_ref(&big)).remove(0).is_err());
        }
        FAILS_AT.set(0);
        FAILED.set(false);
        let now = journal.head().unwrap();
        match answer {
            Ok(()) => assert_eq!(now, head + 1),
            Err(StoreError::Unavailable) => assert!(now == head || now == head + 1),
            Err(StoreError::Full) => assert_eq!(now, head, "full, but the commit has happened"),
            Err(other) => panic!("{other}"),
        }
        for sequence in 1..=now {
            assert_eq!(journal.get(key(sequence as u8 - 1)), Ok(Some(vec![sequence as u8 - 1])));
        }
        head = now;
        if !failed {
            assert_eq!(answer, Ok(()));
            break;
        }
        failures += 1;
        assert_eq!(journal.commit(&[commit(head + 1, head as u8)]), [Ok(())]);
        head += 1;
    }
    assert!(failures > 3, "only {failures} places to fail at");
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().head(), Ok(head));
}

#[test]
fn a_full_disk() {
    a_disk_that_fails_at_every_change(io::ErrorKind::StorageFull);
}

#[test]
fn a_failing_disk() {
    a_disk_that_fails_at_every_change(io::ErrorKind::Other);
}
