//! Reads an audit log from its folder, beside a host that may be writing it.
//!
//! It changes nothing and takes no lock: segments only ever grow. What it gives are records as the
//! host keeps them; whether they are the worker's is for those to tell who can verify them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use sekisho_wire::store::MAX_AUDIT_RECORD;

use super::segment::{HEAD_LENGTH, MAGIC, Next, SegmentReader};
use super::segments::{Segment, list_segments, segment_path};

/// What looks damaged at the end of the newest segment may be half of what the host writes at this
/// moment: it is looked at so often again, after so long.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// What comes next in a log.
#[derive(Debug, PartialEq, Eq)]
pub enum AuditItem {
    /// A record and the number under which the host keeps it.
    Record(u64, Vec<u8>),
    /// All there is at this moment; later there may be more.
    End {
        /// Bytes behind the last record that are the beginning of another: it is being written,
        /// or a crash cut it.
        unfinished: u64,
    },
    /// From here on the segment cannot be read. The next item is of the segment after it.
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The first byte that is no good.
        offset: u64,
    },
}

/// A reader of one log, from a segment's beginning on.
pub struct AuditReader {
    folder: PathBuf,
    segments: Vec<Segment>,
    /// Which segment is read, and how far; none before the first.
    at: Option<Position>,
    last: Option<u64>,
}

/// A segment that is read.
struct Position {
    first: u64,
    /// None before it was opened, and at its end: more may have been written meanwhile.
    reader: Option<SegmentReader<File>>,
    /// Just behind the last good record; 0 before the magic number was read.
    offset: u64,
    /// The host had begun a later one before the last look at this: nothing more comes here.
    closed: bool,
    /// How often it has looked damaged.
    looks: u32,
    /// It is damaged, and that was said.
    told: bool,
}

impl AuditReader {
    /// Begins at the oldest record of the log in a store's folder, the host's data folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(store: &Path) -> io::Result<Self> {
        Self::open_newest(store, usize::MAX)
    }

    /// Begins with the newest `segments` segments, of 8 MiB each.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open_newest(store: &Path, segments: usize) -> io::Result<Self> {
        let folder = store.join("audit");
        let mut all = list_segments(&folder)?;
        let skipped = all.len().saturating_sub(segments.max(1));
        let segments = all.split_off(skipped);
        Ok(Self { folder, segments, at: None, last: None })
    }

    /// How many segments there were to read when it was opened.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The number that the first record has, where there is a segment.
    pub fn first(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.first)
    }

    /// Bytes that were read, and bytes that there are.
    pub fn progress(&self) -> (u64, u64) {
        let length = |segment: &Segment| segment.length;
        let all = self.segments.iter().map(length).sum();
        let read = self.at.as_ref().map_or(0, |at| {
            let before = self.segments.iter().filter(|segment| segment.first < at.first);
            before.map(length).sum::<u64>() + at.offset
        });
        (read, read.max(all))
    }

    /// The next item. After [`AuditItem::End`] it may be asked again.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn next_item(&mut self) -> io::Result<AuditItem> {
        loop {
            let Some(at) = &mut self.at else {
                match self.following(None)? {
                    Some(first) => self.begin(first),
                    None => return Ok(AuditItem::End { unfinished: 0 }),
                }
                continue;
            };
            let path = segment_path(&self.folder, at.first);
            if !at.told {
                match at.next(&path)? {
                    Next::Record(sequence, _) if self.is_superseded(sequence) => continue,
                    Next::Record(sequence, record) => {
                        self.last = Some(sequence);
                        return Ok(AuditItem::Record(sequence, record));
                    }
                    Next::End | Next::Torn => {
                        if let Some(item) = self.end_of_segment(&path)? {
                            return Ok(item);
                        }
                    }
                }
                continue;
            }
            let first = at.first;
            match self.following(Some(first))? {
                Some(next) => self.begin(next),
                None => return Ok(AuditItem::End { unfinished: 0 }),
            }
        }
    }

    /// Whether a later segment has taken this record's place: see [`super::audit`].
    fn is_superseded(&self, sequence: u64) -> bool {
        let first = self.at.as_ref().map(|at| at.first);
        self.segments.iter().any(|later| Some(later.first) > first && later.first <= sequence)
    }

    /// What to say at the end of what can be read of a segment; nothing where it is to be looked
    /// at again, or goes on in the next.
    fn end_of_segment(&mut self, path: &Path) -> io::Result<Option<AuditItem>> {
        let Some(Position { first, offset, closed, .. }) = self.at else { return Ok(None) };
        let following = self.following(Some(first))?;
        let expected = self.last.map(|last| last.saturating_add(1));
        let Some(at) = &mut self.at else { return Ok(None) };
        if following.is_some() && !closed {
            at.closed = true;
            return Ok(None);
        }
        match (following, Rest::of(path, offset)?) {
            (Some(next), Rest::Nothing) => self.begin(next),
            // What was never acknowledged.
            (Some(next), _) if expected == Some(next) => self.begin(next),
            (None, Rest::Nothing) => return Ok(Some(AuditItem::End { unfinished: 0 })),
            (None, Rest::Beginning(unfinished)) => return Ok(Some(AuditItem::End { unfinished })),
            (None, Rest::Other) if at.looks < LOOKS => {
                at.looks += 1;
                sleep(PAUSE);
            }
            _ => {
                at.told = true;
                return Ok(Some(AuditItem::Damaged { path: path.to_owned(), offset }));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, first: u64) {
        let (reader, offset, looks) = (None, 0, 0);
        let at = Position { first, reader, offset, closed: false, looks, told: false };
        self.at = Some(at);
    }

    /// The first segment after `first`, as the folder is now.
    fn following(&mut self, first: Option<u64>) -> io::Result<Option<u64>> {
        let later = |segment: &&Segment| first.is_none_or(|first| segment.first > first);
        if let Some(known) = self.segments.iter().find(later) {
            return Ok(Some(known.first));
        }
        let oldest = self.first();
        self.segments = list_segments(&self.folder)?;
        self.segments.retain(|segment| oldest.is_none_or(|oldest| segment.first >= oldest));
        Ok(self.segments.iter().find(later).map(|segment| segment.first))
    }
}

impl Position {
    fn next(&mut self, path: &Path) -> io::Result<Next> {
        if self.reader.is_none() {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            self.reader = match self.offset {
                0 => SegmentReader::new(file, length)?,
                offset => Some(SegmentReader::resume(file, offset, length)?),
            };
        }
        let Some(reader) = &mut self.reader else { return Ok(Next::Torn) };
        let next = reader.next_from(0)?;
        self.offset = reader.offset();
        if matches!(next, Next::Record(..)) {
            self.looks = 0;
        } else {
            self.reader = None;
        }
        Ok(next)
    }
}

/// What stands behind the last record of a segment.
enum Rest {
    /// Nothing but the zeros that the host writes ahead.
    Nothing,
    /// So many bytes of a record, and zeros where its end should be.
    Beginning(u64),
    Other,
}

impl Rest {
    fn of(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let (mut head, mut read, mut used) = ([0; 4], 0, 0);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let length = file.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            if read == 0 {
                head.iter_mut().zip(bytes).for_each(|(byte, read)| *byte = *read);
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                used = read + last as u64 + 1;
            }
            read += length as u64;
        }
        let announced = u64::from(u32::from_be_bytes(head));
        Ok(if used == 0 && (offset > 0 || read == 0) {
            Self::Nothing
        } else if offset == 0 {
            // Not even the magic number.
            if read < MAGIC.len() as u64 { Self::Beginning(used) } else { Self::Other }
        } else if announced <= MAX_AUDIT_RECORD as u64 && used < HEAD_LENGTH + announced {
            Self::Beginning(used)
        } else {
            Self::Other
        })
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
