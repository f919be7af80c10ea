//! The journal and the records, in a redb database.
//!
//! A batch of commits shares one transaction, and so one fsync. After a failure redb refuses
//! everything until it is opened again, which repairs what a crash would have left; so that is
//! what happens, and the head then tells which commits of the batch have survived.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sekisho_wire::store::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS, Page};
use sekisho_wire::{Commit, RecordKey, StoreError};
use tracing::{error, info};

use super::audit::store_error;

const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const RECORDS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("records");

/// What redb may cache; its default is a gigabyte.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Journal {
    path: PathBuf,
    /// `None` after a failure, until it can be opened again.
    database: RwLock<Option<Database>>,
}

impl Journal {
    /// Opens the database, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, redb::Error> {
        let database = open_database(path)?;
        Ok(Self { path: path.to_owned(), database: RwLock::new(Some(database)) })
    }

    /// The newest entry's sequence number.
    pub(super) fn head(&self) -> Result<u64, StoreError> {
        self.read(|database| {
            let journal = database.begin_read()?.open_table(JOURNAL)?;
            Ok(journal.last()?.map_or(0, |(sequence, _)| sequence.value()))
        })
    }

    /// The record of a key.
    pub(super) fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|database| {
            let records = database.begin_read()?.open_table(RECORDS)?;
            Ok(records.get(&key.0)?.map(|record| record.value().to_vec()))
        })
    }

    /// Entries from `from` on, within the limits of a page.
    pub(super) fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let limit = limit.min(MAX_PAGE_ITEMS) as usize;
        self.read(|database| {
            let journal = database.begin_read()?.open_table(JOURNAL)?;
            let (mut page, mut bytes) = (Page::new(), 0);
            for entry in journal.range(from..)?.take(limit) {
                let (sequence, entry) = entry?;
                bytes += entry.value().len();
                if bytes > MAX_PAGE_BYTES && !page.is_empty() {
                    break;
                }
                page.push((sequence.value(), entry.value().to_vec()));
            }
            Ok(page)
        })
    }

    /// Makes those commits of a batch durable that follow one another; an answer for each.
    pub(super) fn commit(&self, batch: &[Commit]) -> Vec<Result<(), StoreError>> {
        match self.try_commit(batch) {
            Ok(answers) => answers,
            Err(error) => self.settle(batch, &error),
        }
    }

    fn try_commit(&self, batch: &[Commit]) -> Result<Vec<Result<(), StoreError>>, redb::Error> {
        let database = self.opened()?;
        let Some(database) = &*database else { return Err(redb::Error::PreviousIo) };
        let transaction = database.begin_write()?;
        let mut answers = Vec::with_capacity(batch.len());
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            let mut records = transaction.open_table(RECORDS)?;
            let mut head = journal.last()?.map_or(0, |(sequence, _)| sequence.value());
            for commit in batch {
                if head.checked_add(1) != Some(commit.sequence) {
                    answers.push(Err(StoreError::Conflict { head }));
                    continue;
                }
                journal.insert(commit.sequence, commit.entry.as_slice())?;
                for (key, record) in &commit.puts {
                    records.insert(&key.0, record.as_slice())?;
                }
                for key in &commit.deletes {
                    records.remove(&key.0)?;
                }
                head = commit.sequence;
                answers.push(Ok(()));
            }
        }
        if answers.iter().any(Result::is_ok) {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(answers)
    }

    /// After a failure: opens the database again to see what has become of the batch.
    fn settle(&self, batch: &[Commit], error: &redb::Error) -> Vec<Result<(), StoreError>> {
        error!(%error, "the journal cannot be written");
        let refusal = as_store_error(error);
        self.close();
        let head = self.head();
        let answer = |commit: &Commit| match head {
            // Either this commit or one that took its number long ago: nobody can tell here.
            Ok(head) if head >= commit.sequence => Err(StoreError::Unavailable),
            Ok(_) => Err(refusal),
            Err(_) => Err(StoreError::Unavailable),
        };
        batch.iter().map(answer).collect()
    }

    fn read<T>(&self, read: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let failed = |error: redb::Error| {
            error!(%error, "the journal cannot be read");
            StoreError::Unavailable
        };
        let result = match &*self.opened().map_err(failed)? {
            Some(database) => read(database),
            None => Err(redb::Error::PreviousIo),
        };
        result.map_err(|error| {
            self.close();
            failed(error)
        })
    }

    /// The database, opened again if need be.
    fn opened(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, redb::Error> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(guard);
        }
        drop(guard);
        {
            let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
            if guard.is_none() {
                *guard = Some(open_database(&self.path)?);
                info!("the journal is open again");
            }
        }
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(JOURNAL)?;
    transaction.open_table(RECORDS)?;
    transaction.commit()?;
    Ok(database)
}

fn as_store_error(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => store_error(error),
        redb::Error::ValueTooLarge(_) => StoreError::TooLarge,
        _ => StoreError::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
