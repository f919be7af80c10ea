//! The audit log: segments that are only ever appended to, one fdatasync for a batch.
//!
//! A segment is named after its first sequence number. Its space is written with zeros ahead of the
//! records: an fdatasync over a file that does not grow has no metadata to write, and takes two
//! thirds of the time. What a crash left half written at the end of the newest is cut off when the
//! log is opened; it was never acknowledged. When an fsync
//! fails, what the kernel still holds of the file can no longer be trusted (its dirty pages are
//! marked clean), so appending goes on in a new segment; records of the old one from the new
//! one's first on do not count.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sekisho_wire::StoreError;
use tracing::{error, warn};

use super::OpenError;
use super::segment::{MAGIC, Next, SegmentReader, encode_record};
use super::segments::{Segments, list_segments, segment_path};

/// A segment that has grown beyond this is followed by a new one: 8 MiB, what a reader looks
/// through in a few milliseconds to find where a page starts.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Zeros that are written ahead at a time: some hundred batches' worth, in one or two milliseconds.
const AHEAD: usize = 1024 * 1024;

/// The newest record.
type Newest = (u64, Vec<u8>);

/// A record to be appended.
pub(super) struct Append {
    pub(super) sequence: u64,
    pub(super) record: Vec<u8>,
    pub(super) stream: Arc<AppendStream>,
}

/// Whose appends were sent one after the other, each without waiting for the answer of the one before.
///
/// What follows a refused append was made to follow that record: its number may be free by then, but the
/// record before it would be another worker's. So it is refused too, until the stream asks for the tail.
#[derive(Default)]
pub(crate) struct AppendStream {
    // Read and written by the thread that appends.
    broken: AtomicBool,
}

impl AppendStream {
    fn breaks(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The stream is told where the log ends.
    pub(super) fn resumes(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }
}

/// The writing end, on a thread of its own.
pub(super) struct AuditLog {
    segments: Arc<Segments>,
    tail: Option<Newest>,
    /// The newest segment while it can be appended to.
    active: Option<Active>,
    disk: Disk,
}

struct Active {
    file: File,
    /// Bytes that are durable.
    length: u64,
    /// How far the file's space is written ahead; none where the disk had no room for that.
    ahead: Option<u64>,
}

/// The two things that a disk fails at, to be replaced in tests.
#[derive(Clone, Copy)]
pub(super) struct Disk {
    pub(super) write: fn(&mut File, &[u8]) -> io::Result<()>,
    pub(super) sync: fn(&File) -> io::Result<()>,
}

impl Disk {
    pub(super) const REAL: Self = Self { write: File::write_all, sync: File::sync_data };
}

impl AuditLog {
    /// Opens the log in a folder, and repairs its end.
    pub(super) fn open(folder: &Path, disk: Disk) -> Result<Self, OpenError> {
        fs::create_dir_all(folder)?;
        let mut index = list_segments(folder)?;
        let mut tail = None;
        while let (None, Some(newest)) = (&tail, index.last_mut()) {
            let path = segment_path(folder, newest.first);
            (tail, newest.length) = repair_end(&path, newest.first)?;
            if tail.is_none() {
                fs::remove_file(&path)?;
                index.pop();
            }
        }
        sync_folder(folder)?;
        let active = match index.last() {
            None => None,
            Some(newest) => {
                let path = segment_path(folder, newest.first);
                let mut file = OpenOptions::new().write(true).open(path)?;
                file.seek(SeekFrom::Start(newest.length))?;
                Some(Active { file, length: newest.length, ahead: Some(newest.length) })
            }
        };
        let last = tail.as_ref().map_or(0, |(sequence, _)| *sequence);
        let segments = Segments::new(folder, index, last);
        Ok(Self { segments: Arc::new(segments), tail, active, disk })
    }

    /// The reading end.
    pub(super) fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments)
    }

    /// The newest record.
    pub(super) fn tail(&self) -> Option<Newest> {
        self.tail.clone()
    }

    /// Appends those records of a batch that follow one another; an answer for each.
    pub(super) fn append(&mut self, batch: &[Append]) -> Vec<Result<(), StoreError>> {
        let before = self.last();
        let mut last = before;
        let mut bytes = Vec::new();
        let mut newest = None;
        let mut accepted = Vec::with_capacity(batch.len());
        for Append { sequence, record, stream } in batch {
            let follows = last.checked_add(1) == Some(*sequence) && !stream.is_broken();
            if follows {
                encode_record(*sequence, record, &mut bytes);
                last = *sequence;
                newest = Some((*sequence, record));
            } else {
                stream.breaks();
            }
            accepted.push(follows);
        }

        let written = match newest {
            Some((sequence, record)) => self.write(&bytes, before + 1, last).inspect(|()| {
                self.tail = Some((sequence, record.clone()));
            }),
            None => Ok(()),
        };
        if written.is_err() {
            batch.iter().for_each(|append| append.stream.breaks());
        }
        let head = self.last();
        let answer = |follows| if follows { written } else { Err(StoreError::Conflict { head }) };
        accepted.into_iter().map(answer).collect()
    }

    fn last(&self) -> u64 {
        self.tail.as_ref().map_or(0, |(sequence, _)| *sequence)
    }

    /// Makes the records `first..=last` durable.
    fn write(&mut self, bytes: &[u8], first: u64, last: u64) -> Result<(), StoreError> {
        if self.active.as_ref().is_none_or(|active| active.length >= SEGMENT_BYTES) {
            self.close_segment();
            match self.begin_segment(first) {
                Ok(active) => self.active = Some(active),
                Err(error) => {
                    error!(%error, "no new segment of the audit log");
                    return Err(store_error(&error));
                }
            }
        }
        self.write_ahead(bytes.len() as u64)?;
        let Some(active) = &mut self.active else { return Err(StoreError::Unavailable) };
        if let Err(error) = (self.disk.write)(&mut active.file, bytes) {
            error!(%error, "the audit log cannot be written");
            return Err(self.take_back(store_error(&error)));
        }
        if let Err(error) = (self.disk.sync)(&active.file) {
            error!(%error, "the audit log cannot be synchronised");
            let _ = self.take_back(StoreError::Unavailable);
            self.active = None;
            return Err(StoreError::Unavailable);
        }
        active.length += bytes.len() as u64;
        self.segments.grown(active.length, last);
        Ok(())
    }

    /// Writes zeros behind the records where `more` bytes reach beyond those that are there. A disk
    /// that has no room for them may still have it for the records.
    fn write_ahead(&mut self, more: u64) -> Result<(), StoreError> {
        let Some(active) = &mut self.active else { return Err(StoreError::Unavailable) };
        let Some(end) = active.ahead else { return Ok(()) };
        if active.length.saturating_add(more) <= end {
            return Ok(());
        }
        let at = |file: &mut File, place| file.seek(SeekFrom::Start(place)).map(|_| ());
        let file = &mut active.file;
        // Never fewer than the records need: the next zeros begin where these end.
        let zeros = vec![0; AHEAD.max(usize::try_from(more).unwrap_or(usize::MAX))];
        let written = at(file, end).and_then(|()| (self.disk.write)(file, &zeros));
        if let Err(error) = written {
            warn!(%error, "no room to write ahead in the audit log");
            active.ahead = None;
            let _ = self.take_back(StoreError::Full);
            return Ok(());
        }
        if let Err(error) = (self.disk.sync)(file).and_then(|()| at(file, active.length)) {
            error!(%error, "the audit log cannot be synchronised");
            self.active = None;
            return Err(StoreError::Unavailable);
        }
        active.ahead = Some(end.saturating_add(zeros.len() as u64));
        Ok(())
    }

    /// Ends the segment at its records.
    fn close_segment(&mut self) {
        if let Some(active) = self.active.take()
            && let Err(error) = active.file.set_len(active.length)
        {
            // A reader stops at the zeros all the same.
            warn!(%error, "the space behind a segment's records stays");
        }
    }

    /// Cuts off what was not acknowledged; afterwards nothing has changed, or nobody knows.
    fn take_back(&mut self, error: StoreError) -> StoreError {
        let Some(active) = &mut self.active else { return error };
        let cut = active
            .file
            .set_len(active.length)
            .and_then(|()| active.file.seek(SeekFrom::Start(active.length)))
            .and_then(|_| (self.disk.sync)(&active.file));
        active.ahead = active.ahead.map(|_| active.length);
        match cut {
            Ok(()) => error,
            Err(failed) => {
                error!(error = %failed, "the audit log's end cannot be repaired: a new segment");
                self.active = None;
                StoreError::Unavailable
            }
        }
    }

    fn begin_segment(&self, first: u64) -> io::Result<Active> {
        let folder = self.segments.folder();
        // One of this name can only hold records that were never acknowledged.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(segment_path(folder, first))?;
        (self.disk.write)(&mut file, MAGIC)?;
        (self.disk.sync)(&file)?;
        sync_folder(folder)?;
        let length = MAGIC.len() as u64;
        self.segments.begun(first, length);
        Ok(Active { file, length, ahead: Some(length) })
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close_segment();
    }
}

/// What a disk's error means to the worker, if nothing has changed.
pub(super) fn store_error(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full
        }
        _ => StoreError::Unavailable,
    }
}

/// Reads a segment to its last good record, and cuts off the rest. What is cut off is kept beside
/// it: should it be damage and not a crash, an operator still has it.
fn repair_end(path: &Path, first: u64) -> Result<(Option<Newest>, u64), OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let (mut tail, mut good) = (None, 0);
    if let Some(mut reader) = SegmentReader::new(&file, length)? {
        let mut expected = first;
        good = reader.offset();
        while let Next::Record(sequence, record) = reader.next_from(0)? {
            if sequence != expected {
                return Err(OpenError::AuditGap { path: path.to_owned(), expected, sequence });
            }
            tail = Some((sequence, record));
            good = reader.offset();
            expected = expected.saturating_add(1);
        }
    }
    if good < length {
        let mut torn = Vec::new();
        (&file).seek(SeekFrom::Start(good))?;
        (&file).read_to_end(&mut torn)?;
        // Zeros are the space that was written ahead of a crash.
        if torn.iter().any(|byte| *byte != 0) {
            warn!(path = %path.display(), good, length, "cutting off the audit log's torn end");
            let mut kept = File::create(path.with_extension(format!("torn-{good}")))?;
            kept.write_all(&torn)?;
            kept.sync_all()?;
        }
        file.set_len(good)?;
        file.sync_all()?;
    }
    Ok((tail, good))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
