//! The file of the highest checkpoints: `sekisho/checkpoints.json` under XDG_STATE_HOME or
//! `~/.local/state` (XDG Base Directory Specification).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Chain, Checkpoint, Rollback, Served};
use crate::service::folder::{private_folder, write_private};

const FILE: &str = "checkpoints.json";
const LOCK: &str = "checkpoints.lock";
/// Services that are remembered; the one that was not seen for longest goes first.
const SERVICES: usize = 256;
/// A service takes some 500 bytes; a file that is longer is not ours.
const FILE_LIMIT: u64 = 1024 * 1024;
/// When a service was last seen is only needed to forget the oldest.
const SEEN_SECONDS: i64 = 3600;

/// What is kept: by the SHA-256 of a service's authority, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    services: BTreeMap<String, Known>,
}

/// A service's highest checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    endpoint: String,
    /// Seconds since 1970.
    seen: i64,
    journal: Option<Checkpoint>,
    audit: Option<Checkpoint>,
}

impl Known {
    fn of(&self, chain: Chain) -> Option<Checkpoint> {
        match chain {
            Chain::Journal => self.journal,
            Chain::Audit => self.audit,
        }
    }
}

/// What was known before a service was asked: so that two commands at the same time, of which one
/// asks earlier and is answered later, do not take each other's answers for a rollback.
#[derive(Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
    before: Book,
}

impl Memory {
    /// Reads the file, before a service is asked.
    pub(crate) fn open() -> Result<Self, MemoryError> {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .ok_or(MemoryError::Nowhere)?;
        Self::open_in(state.join("sekisho"))
    }

    fn open_in(folder: PathBuf) -> Result<Self, MemoryError> {
        let before = read(&folder.join(FILE))?;
        Ok(Self { folder, before })
    }

    /// How `served` is behind what was known.
    pub(crate) fn compare(&self, served: &Served) -> Vec<Rollback> {
        let Some(known) = self.before.services.get(&name(served)) else { return Vec::new() };
        let of = |chain: Chain| {
            let (known, served) = (known.of(chain)?, served.of(chain)?);
            if served.sequence < known.sequence {
                return Some(Rollback::Older { chain, known, served });
            }
            (served.sequence == known.sequence && served.hash != known.hash)
                .then_some(Rollback::Forked { chain, known, served })
        };
        [Chain::Journal, Chain::Audit].into_iter().filter_map(of).collect()
    }

    /// Whether another service was known at the endpoint, and not this one.
    pub(crate) fn other_authority(&self, served: &Served) -> Option<Rollback> {
        let Book { services } = &self.before;
        if services.contains_key(&name(served)) {
            return None;
        }
        let same = services.iter().filter(|(_, known)| known.endpoint == served.endpoint);
        let (known, _) = same.max_by_key(|(_, known)| known.seen)?;
        Some(Rollback::Authority { endpoint: served.endpoint.clone(), known: known.clone() })
    }

    /// Keeps what is higher than what is kept.
    pub(crate) fn remember(&self, served: &Served) -> Result<(), MemoryError> {
        let higher = |known: Option<Checkpoint>, served: Option<Checkpoint>| match (known, served) {
            (Some(known), Some(served)) if served.sequence <= known.sequence => Some(known),
            (known, served) => served.or(known),
        };
        self.change(served, higher)
    }

    /// Keeps what is served, whatever was known.
    pub(crate) fn accept(&self, served: &Served) -> Result<(), MemoryError> {
        self.change(served, |known, served| served.or(known))
    }

    fn change(
        &self,
        served: &Served,
        choose: impl Fn(Option<Checkpoint>, Option<Checkpoint>) -> Option<Checkpoint>,
    ) -> Result<(), MemoryError> {
        let at = |path: &Path, source| MemoryError::Io { path: path.to_owned(), source };
        private_folder(&self.folder).map_err(|error| at(&self.folder, error))?;
        let lock = self.folder.join(LOCK);
        let held = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| at(&lock, error))?;

        let path = self.folder.join(FILE);
        let old = read(&path)?;
        let mut book = old.clone();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let known = book.services.remove(&name(served));
        let seen = known.as_ref().map(|known| known.seen);
        let seen = seen.filter(|seen| (now - SEEN_SECONDS..=now).contains(seen)).unwrap_or(now);
        let of = |chain| known.as_ref().and_then(|known| known.of(chain));
        let changed = Known {
            endpoint: served.endpoint.clone(),
            seen,
            journal: choose(of(Chain::Journal), served.journal),
            audit: choose(of(Chain::Audit), served.audit),
        };
        while book.services.len() >= SERVICES {
            let oldest = book.services.iter().min_by_key(|(_, known)| known.seen);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            book.services.remove(&oldest);
        }
        book.services.insert(name(served), changed);
        if book != old {
            let text = serde_json::to_vec_pretty(&book)
                .map_err(|source| MemoryError::Malformed { path: path.clone(), source })?;
            write_private(&path, &text).map_err(|error| at(&path, error))?;
        }
        drop(held);
        Ok(())
    }
}

fn name(served: &Served) -> String {
    hex::encode(served.service_ca_sha256)
}

fn read(path: &Path) -> Result<Book, MemoryError> {
    let at = |source| MemoryError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(at(error)),
        Ok(metadata) if metadata.len() > FILE_LIMIT => {
            return Err(MemoryError::TooLong { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(at)?;
    serde_json::from_slice(&text)
        .map_err(|source| MemoryError::Malformed { path: path.to_owned(), source })
}

/// Why nothing is remembered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    #[error("neither XDG_STATE_HOME nor HOME says where checkpoints are kept")]
    Nowhere,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a file of checkpoints: {source}; move it away", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} is too long for a file of checkpoints; move it away", path.display())]
    TooLong { path: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn at(sequence: u64, hash: u8) -> Checkpoint {
        Checkpoint { sequence, hash: [hash; 32] }
    }

    fn served(service: u8, journal: Checkpoint, audit: Option<Checkpoint>) -> Served {
        Served {
            service_ca_sha256: [service; 32],
            endpoint: "https://127.0.0.1:8443".into(),
            journal: Some(journal),
            audit,
        }
    }

    #[test]
    fn the_highest_is_kept_and_what_is_behind_it_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let open = || Memory::open_in(parent.path().join("sekisho")).unwrap();
        let old = served(1, at(5, 5), Some(at(3, 3)));
        let new = served(1, at(9, 9), Some(at(4, 4)));
        for served in [&old, &new] {
            assert_eq!(open().compare(served), []);
            open().remember(served).unwrap();
            assert_eq!(open().compare(served), []);
        }
        let (journal, audit) = (Chain::Journal, Chain::Audit);
        let older = [
            Rollback::Older { chain: journal, known: at(9, 9), served: at(5, 5) },
            Rollback::Older { chain: audit, known: at(4, 4), served: at(3, 3) },
        ];
        assert_eq!(open().compare(&old), older);
        open().remember(&old).unwrap();
        assert_eq!(open().compare(&old), older, "a rollback does not become the new state");
        let forked = served(1, at(9, 8), None);
        let told = [Rollback::Forked { chain: journal, known: at(9, 9), served: at(9, 8) }];
        assert_eq!(open().compare(&forked), told);

        // On purpose.
        open().accept(&old).unwrap();
        assert_eq!(open().compare(&old), []);
        let mode = parent.path().join("sekisho").join(FILE).metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn what_was_learnt_meanwhile_is_no_rollback() {
        let parent = tempfile::tempdir().unwrap();
        let open = || Memory::open_in(parent.path().to_owned()).unwrap();
        let slow = open();
        open().remember(&served(1, at(9, 9), None)).unwrap();
        let answer = served(1, at(8, 8), None);
        assert_eq!(slow.compare(&answer), []);
        slow.remember(&answer).unwrap();
        assert_eq!(open().before.services.values().next().unwrap().journal, Some(at(9, 9)));
    }

    #[test]
    fn another_authority_at_an_endpoint_is_told_once() {
        let parent = tempfile::tempdir().unwrap();
        let open = || Memory::open_in(parent.path().to_owned()).unwrap();
        assert_eq!(open().other_authority(&served(1, at(1, 1), None)), None);
        open().remember(&served(1, at(1, 1), None)).unwrap();
        let told = open().other_authority(&served(2, at(1, 1), None)).unwrap();
        assert!(told.to_string().contains(&"01".repeat(32)), "{told}");
        open().remember(&served(2, at(1, 1), None)).unwrap();
        assert_eq!(open().other_authority(&served(2, at(1, 1), None)), None);
    }

    #[test]
    fn the_file_is_bounded_and_others_are_not_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let open = || Memory::open_in(parent.path().to_owned());
        for service in 0..=SERVICES {
            let number = u32::try_from(service).unwrap();
            let mut served = served(0, at(1, 1), None);
            served.service_ca_sha256[..4].copy_from_slice(&number.to_be_bytes());
            open().unwrap().remember(&served).unwrap();
        }
        assert_eq!(open().unwrap().before.services.len(), SERVICES);
        assert!(parent.path().join(FILE).metadata().unwrap().len() < FILE_LIMIT / 2);
        fs::write(parent.path().join(FILE), "mine").unwrap();
        assert!(matches!(open(), Err(MemoryError::Malformed { .. })));
        assert_eq!(fs::read(parent.path().join(FILE)).unwrap(), b"mine");
    }

    #[test]
    fn concurrent_writers_lose_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("sekisho");
        std::thread::scope(|scope| {
            for service in 0..8 {
                let folder = folder.clone();
                scope.spawn(move || {
                    for sequence in 1..=5 {
                        let memory = Memory::open_in(folder.clone()).unwrap();
                        memory.remember(&served(service, at(sequence, service), None)).unwrap();
                    }
                });
            }
        });
        let Book { services } = Memory::open_in(folder).unwrap().before;
        assert_eq!(services.len(), 8);
        assert!(services.values().all(|known| known.journal.unwrap().sequence == 5));
    }
}
