//! The journal, the records and the slots, in a redb database.
//!
//! A batch of commits shares one transaction, and so one fsync. After a failure redb refuses
//! everything until it is opened again, which repairs what a crash would have left; so that is
//! what happens, and the head then tells which commits of the batch have survived.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use sekisho_wire::store::{MAX_COMPACTED, MAX_PAGE_BYTES, MAX_PAGE_ITEMS, MAX_SLOTS, Page};
use sekisho_wire::{Commit, RecordKey, StoreError};
use tracing::{error, info};

use super::audit::store_error;

const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const RECORDS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("records");
const SLOTS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("slots");

/// What redb may cache; its default is a gigabyte.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Journal {
    path: PathBuf,
    /// Replaced in tests, by one whose disk fails.
    open: fn(&Path) -> Result<Database, redb::Error>,
    /// `None` after a failure, until it can be opened again.
    database: RwLock<Option<Database>>,
}

impl Journal {
    /// Opens the database, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, redb::Error> {
        Self::open_with(path, open_file)
    }

    fn open_with(
        path: &Path,
        open: fn(&Path) -> Result<Database, redb::Error>,
    ) -> Result<Self, redb::Error> {
        let database = prepared(open(path)?)?;
        Ok(Self { path: path.to_owned(), open, database: RwLock::new(Some(database)) })
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

    /// What a slot holds.
    pub(super) fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|database| {
            let slots = database.begin_read()?.open_table(SLOTS)?;
            Ok(slots.get(&slot.0)?.map(|content| content.value().to_vec()))
        })
    }

    /// Fills a slot, as [`sekisho_wire::Store::fill_slot`] says.
    pub(super) fn fill_slot(&self, slot: RecordKey, content: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.try_fill_slot(slot, content).map_err(|error| {
            error!(%error, "a slot cannot be filled");
            self.close();
            as_store_error(&error)
        })?
    }

    fn try_fill_slot(
        &self,
        slot: RecordKey,
        content: &[u8],
    ) -> Result<Result<Vec<u8>, StoreError>, redb::Error> {
        let database = self.opened()?;
        let Some(database) = &*database else { return Err(redb::Error::PreviousIo) };
        let transaction = database.begin_write()?;
        {
            let mut slots = transaction.open_table(SLOTS)?;
            if let Some(held) = slots.get(&slot.0)? {
                return Ok(Ok(held.value().to_vec()));
            }
            if slots.len()? >= MAX_SLOTS as u64 {
                return Ok(Err(StoreError::Full));
            }
            slots.insert(&slot.0, content)?;
        }
        transaction.commit()?;
        Ok(Ok(content.to_vec()))
    }

    /// Replaces what a slot holds, as [`sekisho_wire::Store::replace_slot`] says.
    pub(super) fn replace_slot(
        &self,
        slot: RecordKey,
        held: &[u8],
        content: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.try_replace_slot(slot, held, content).map_err(|error| {
            error!(%error, "a slot cannot be replaced");
            self.close();
            as_store_error(&error)
        })
    }

    fn try_replace_slot(
        &self,
        slot: RecordKey,
        held: &[u8],
        content: &[u8],
    ) -> Result<Option<Vec<u8>>, redb::Error> {
        let database = self.opened()?;
        let Some(database) = &*database else { return Err(redb::Error::PreviousIo) };
        let transaction = database.begin_write()?;
        {
            let mut slots = transaction.open_table(SLOTS)?;
            let now = slots.get(&slot.0)?.map(|now| now.value().to_vec());
            if now.as_deref() != Some(held) {
                return Ok(now);
            }
            slots.insert(&slot.0, content)?;
        }
        transaction.commit()?;
        Ok(Some(content.to_vec()))
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

    /// Drops old entries, as [`sekisho_wire::Store::compact`] says.
    pub(super) fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        self.try_compact(before, head).map_err(|error| {
            error!(%error, "the journal cannot be compacted");
            self.close();
            as_store_error(&error)
        })?
    }

    fn try_compact(&self, before: u64, head: u64) -> Result<Result<u64, StoreError>, redb::Error> {
        let database = self.opened()?;
        let Some(database) = &*database else { return Err(redb::Error::PreviousIo) };
        let transaction = database.begin_write()?;
        let mut dropped = 0;
        let oldest = {
            let mut journal = transaction.open_table(JOURNAL)?;
            let newest = journal.last()?.map_or(0, |(sequence, _)| sequence.value());
            if newest != head {
                return Ok(Err(StoreError::Conflict { head: newest }));
            }
            let before = before.min(newest);
            let old = journal.extract_from_if(..before, |_, _| true)?;
            for entry in old.take(MAX_COMPACTED as usize) {
                entry?;
                dropped += 1;
            }
            journal.first()?.map_or(0, |(sequence, _)| sequence.value())
        };
        if dropped > 0 {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Ok(oldest))
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
                *guard = Some(prepared((self.open)(&self.path)?)?);
                info!("the journal is open again");
            }
        }
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn open_file(path: &Path) -> Result<Database, redb::Error> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create(path)?)
}

/// With its tables, so that reading them is no error before the first commit.
fn prepared(database: Database) -> Result<Database, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(JOURNAL)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(SLOTS)?;
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
#[path = "journal_tests.rs"]
mod tests;
