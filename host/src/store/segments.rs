//! The reading end of the audit log, and the files that it consists of.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sekisho_wire::StoreError;
use sekisho_wire::store::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS, Page};
use tracing::error;

use super::segment::{Next, SegmentReader};

/// The reading end: what is durable, for any thread.
pub(super) struct Segments {
    folder: PathBuf,
    index: Mutex<Index>,
}

#[derive(Clone)]
struct Index {
    segments: Vec<Segment>,
    last: u64,
}

/// A file of the log.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) length: u64,
}

impl Segments {
    /// Of `segments`, whose newest record has the number `last`.
    pub(super) fn new(folder: &Path, segments: Vec<Segment>, last: u64) -> Self {
        Self { folder: folder.to_owned(), index: Mutex::new(Index { segments, last }) }
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Records from `from` on, within the limits of a page.
    pub(super) fn page(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let index = self.index().clone();
        let limit = limit.min(MAX_PAGE_ITEMS) as usize;
        self.read(&index, from, limit).map_err(|error| {
            error!(%error, "the audit log cannot be read");
            StoreError::Unavailable
        })
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.index().segments.iter().map(|segment| segment.length).sum()
    }

    fn read(&self, index: &Index, from: u64, limit: usize) -> io::Result<Page> {
        let (mut page, mut bytes) = (Page::new(), 0);
        let oldest = index.segments.first().map_or(1, |segment| segment.first);
        let mut expected = from.max(oldest);
        let start = index.segments.partition_point(|segment| segment.first <= expected);
        let from_start = index.segments.iter().enumerate().skip(start.saturating_sub(1));
        for (position, segment) in from_start {
            let next = index.segments.get(position + 1);
            let last = next.map_or(index.last, |next| next.first.saturating_sub(1));
            let file = File::open(segment_path(&self.folder, segment.first))?;
            let mut reader = SegmentReader::new(file, segment.length)?.ok_or_else(damaged)?;
            while expected <= last {
                if page.len() >= limit {
                    return Ok(page);
                }
                match reader.next_from(expected)? {
                    Next::Record(sequence, record) if sequence == expected => {
                        bytes += record.len();
                        if bytes > MAX_PAGE_BYTES && !page.is_empty() {
                            return Ok(page);
                        }
                        page.push((sequence, record));
                    }
                    _ => return Err(damaged()),
                }
                // The last possible number has no successor to look for.
                let Some(successor) = expected.checked_add(1) else { return Ok(page) };
                expected = successor;
            }
        }
        Ok(page)
    }

    /// A segment has been begun.
    pub(super) fn begun(&self, first: u64, length: u64) {
        let mut index = self.index();
        index.segments.retain(|segment| segment.first != first);
        index.segments.push(Segment { first, length });
    }

    /// The newest segment has grown to `length` bytes and the record `last`.
    pub(super) fn grown(&self, length: u64, last: u64) {
        let mut index = self.index();
        if let Some(newest) = index.segments.last_mut() {
            newest.length = length;
        }
        index.last = last;
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a record is missing or damaged")
}

pub(super) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.audit"))
}

pub(super) fn list_segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".audit"));
        if let Some(first) = first.and_then(|first| first.parse().ok()) {
            segments.push(Segment { first, length: file.metadata()?.len() });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}
