//! Generations of the root key: entries and records move from one to the next while others write.
//!
//! An entry says that everything after it is sealed under the next generation. So the number of an
//! entry, which is also the version of the records that it writes, tells what they are sealed under,
//! and nothing sealed under an earlier root key counts after that entry. Records of before are
//! written again, unchanged, in entries of a bounded size; what is left is what the index has of
//! versions before that entry, at a boot as at any time. When nothing is left a snapshot takes the
//! place of the entries, and the earlier root key is needed for nothing any more.
//!
//! The next generation begins only when that is so: at most two are in use.

use super::super::index::Indexed;
use super::super::record::RecordId;
use super::{Journal, JournalError, Write};
use crate::keys::id::KeyId;
use crate::secret::SealingKeys;
use sekisho_wire::store::MAX_PAGE_BYTES;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Records in one entry: read in some ten milliseconds, during which others write.
const BATCH: usize = 256;
/// Bytes of them, unless one alone is longer: far below what a commit takes.
const BATCH_BYTES: usize = MAX_PAGE_BYTES;
/// Rows that are looked at in one go, while nobody can change the index.
const LOOK: usize = 16 * 1024;

/// The generation of the root key under which the journal goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// From 1 on.
    pub(crate) number: u32,
    /// The first entry that is sealed under it.
    began: u64,
    /// When that was, in milliseconds since 1970; 0 for the first.
    pub(crate) since: u64,
}

impl Generation {
    pub(crate) const FIRST: Self = Self { number: 1, began: 1, since: 0 };

    /// What a record of this version is sealed under.
    pub(super) fn of_version(self, version: u64) -> u32 {
        if self.is_former(version) { self.number.saturating_sub(1) } else { self.number }
    }

    fn is_former(self, version: u64) -> bool {
        version < self.began
    }
}

/// Of a manifest from before there were others.
impl Default for Generation {
    fn default() -> Self {
        Self::FIRST
    }
}

/// What an entry says of the ones after it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct NextRoot {
    generation: u32,
    time: u64,
}

impl NextRoot {
    pub(super) fn follows(self, root: Generation) -> bool {
        root.number.checked_add(1) == Some(self.generation)
    }

    pub(super) fn after(self, sequence: u64) -> Generation {
        let Self { generation: number, time: since } = self;
        Generation { number, began: sequence.saturating_add(1), since }
    }
}

/// How far a look through the index for records of the former generation has come.
#[derive(Default)]
pub(crate) struct Sweep {
    key: Option<KeyId>,
    other: Option<RecordId>,
    /// Something of the former generation was met.
    met: bool,
}

impl Journal {
    /// The generation under which the next entry is sealed.
    pub(crate) fn generation(&self) -> Generation {
        self.read(|state| state.root)
    }

    /// Records that are sealed under the generation before; a look at every row.
    pub(crate) fn former_records(&self) -> usize {
        self.read(|state| {
            let former = |row: &Indexed| usize::from(state.root.is_former(row.version));
            let keys = state.index.keys(None).map(|(_, row)| former(row));
            let others = state.index.others(None).filter(|(id, _)| !id.is_of_snapshot());
            keys.chain(others.map(|(_, row)| former(row))).sum()
        })
    }

    /// All records.
    pub(crate) fn all_records(&self) -> usize {
        self.read(|state| {
            let others = state.index.others(None).filter(|(id, _)| !id.is_of_snapshot());
            state.index.keys(None).count().saturating_add(others.count())
        })
    }

    /// Seals everything from here on under `keys`, which are of the generation that is next.
    pub(crate) async fn begin(&self, keys: SealingKeys, time: u64) -> Result<(), JournalError> {
        // A snapshot is of one generation.
        let _no_snapshot = self.making.lock().await;
        let writer = self.writer().await?;
        let (generation, now) = (keys.generation, self.generation());
        if now.number == generation {
            return Ok(());
        }
        let next = NextRoot { generation, time };
        if !next.follows(now) {
            let held = self.keys.newest();
            return Err(JournalError::RootKeyOlder { generation: now.number, held });
        }
        // Known before it is used: after a lost answer the entry may be met again.
        self.keys.add(keys);
        writer.commit_and_begin(Vec::new(), Some(next)).await.map(|_| ())
    }

    /// Writes some records of the former generation again, or finds that none is left; whether
    /// that is so.
    pub(crate) async fn reseal(&self, sweep: &mut Sweep) -> Result<bool, JournalError> {
        let (rows, at_the_end) = self.former_rows(sweep);
        sweep.met |= !rows.is_empty();
        let (mut moved, mut bytes, mut met) = (Vec::new(), 0_usize, 0);
        for (id, row) in &rows {
            let root = self.generation();
            match self.get_row(id, Some((*row, root))).await {
                Ok(Some((_, plaintext))) => {
                    if bytes > 0 && bytes.saturating_add(plaintext.len()) > BATCH_BYTES {
                        break;
                    }
                    bytes = bytes.saturating_add(plaintext.len());
                    moved.push((*row, Write { id: id.clone(), plaintext: Some(plaintext) }));
                }
                Ok(None) => {}
                // Somebody has written it meanwhile, and so under the new generation.
                Err(_) if self.read(|state| state.index.row(id)) != Some(*row) => {}
                // Or is about to: it is met again by the next sweep.
                Err(JournalError::RecordMissing | JournalError::RecordNotCurrent)
                    if self.writer.try_lock().is_err() => {}
                Err(error) => return Err(error),
            }
            met += 1;
        }
        // A record that is too long for this entry comes first in the next.
        for (id, _) in rows.iter().take(met) {
            sweep.pass(id);
        }
        let all = met == rows.len();
        let writer = self.writer().await?;
        let unchanged = |(row, write): (Indexed, Write)| {
            (self.read(|state| state.index.row(&write.id)) == Some(row)).then_some(write)
        };
        let writes: Vec<Write> = moved.into_iter().filter_map(unchanged).collect();
        if !writes.is_empty() {
            writer.commit(writes).await?;
        }
        if !(at_the_end && all) {
            return Ok(false);
        }
        let clean = !sweep.met;
        *sweep = Sweep::default();
        Ok(clean)
    }

    /// Rows of the former generation, from where the sweep stands, and whether the index ends there.
    fn former_rows(&self, sweep: &mut Sweep) -> (Vec<(RecordId, Indexed)>, bool) {
        let (rows, passed) = self.read(|state| {
            let (mut rows, mut looked) = (Vec::new(), 0);
            let keys = state.index.keys(sweep.key).map(|(id, row)| (RecordId::Key(*id), *row));
            let others = state.index.others(sweep.other.as_ref());
            let others = others.filter(|(id, _)| !id.is_of_snapshot());
            let mut passed = None;
            for (id, row) in keys.chain(others.map(|(id, row)| (id.clone(), *row))) {
                if rows.len() >= BATCH || looked >= LOOK {
                    return (rows, passed);
                }
                looked += 1;
                if state.root.is_former(row.version) {
                    rows.push((id.clone(), row));
                }
                passed = Some(id);
            }
            (rows, None)
        });
        if let (Some(passed), true) = (&passed, rows.is_empty()) {
            sweep.pass(passed);
        }
        (rows, passed.is_none())
    }

    /// Forgets the keys of generations before the current one.
    pub(crate) fn forget_former(&self) {
        self.keys.forget_before(self.generation().number);
    }

    pub(super) fn keys_of(&self, generation: u32) -> Result<Arc<SealingKeys>, JournalError> {
        let held = self.keys.newest();
        self.keys.of(generation).ok_or(if generation > held {
            JournalError::RootKeyOlder { generation, held }
        } else {
            JournalError::RootKeyNewer { generation, held }
        })
    }
}

impl Sweep {
    fn pass(&mut self, id: &RecordId) {
        match id {
            RecordId::Key(key) => self.key = Some(*key),
            other => self.other = Some(other.clone()),
        }
    }
}
