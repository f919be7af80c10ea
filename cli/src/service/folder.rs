//! The data folder of a development service: what `sekisho dev` made there, and nothing else.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::settings::{Settings, Wanted};

/// Says that a folder is ours; `--reset` touches nothing without it.
const MARKER: &str = ".sekisho-dev";
const LOCK: &str = "lock";
const ROOT_KEY: &str = "root.key";
const CREDENTIALS: &str = "credentials";
pub(super) const PKI: &str = "development-pki.pem";
pub(super) const DEVELOPMENT_ROOT: &str = "development-root.pem";
pub(super) const STORE: &str = "store";
const CA: &str = "ca.pem";
pub(super) const ENVIRONMENT: &str = "env";
pub(super) const AUDITOR: &str = "auditor.pem";
pub(super) const AUDITOR_PUBLIC: &str = "auditor-public.pem";
pub(super) const AUDIT_SIGNATURE_KEY: &str = "audit-signature-key";
pub(super) const QUOTAS: &str = "quotas.json";
const RUN: &str = "run";

/// Everything that a service may have made in its folder; the marker goes last.
const OURS: &[&str] = &[
    ROOT_KEY,
    CREDENTIALS,
    PKI,
    DEVELOPMENT_ROOT,
    STORE,
    CA,
    ENVIRONMENT,
    AUDITOR,
    AUDITOR_PUBLIC,
    AUDIT_SIGNATURE_KEY,
    QUOTAS,
    RUN,
    LOCK,
    MARKER,
];

/// `sun_path` of a Unix socket's address holds 108 bytes with the final NUL (unix(7)).
const SOCKET_PATH_LIMIT: usize = 107;
/// The longest name of a socket in the run folder, with its slash.
const SOCKET_NAME: usize = "/worker.sock".len();

/// A data folder that this process alone holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    settings: Settings,
    run: Run,
    _lock: File,
}

/// Where the sockets are.
#[derive(Debug)]
enum Run {
    Inside(PathBuf),
    /// The folder's own path is too long for a socket's address.
    Elsewhere(tempfile::TempDir),
}

impl Folder {
    /// Makes the folder, or finds the one that an earlier start made, and locks it.
    pub(crate) fn open(path: &Path, wanted: &Wanted) -> Result<Self, FolderError> {
        let at = |source| FolderError::Io { path: path.to_owned(), source };
        private_folder(path).map_err(at)?;
        let path = path.canonicalize().map_err(at)?;
        let mut settings = match read_marker(&path)? {
            Some(settings) => settings,
            None => claim(&path, wanted)?,
        };
        let lock = lock(&path)?;
        if !wanted.agrees_with(&settings) {
            return Err(FolderError::OtherSettings { path, settings: settings.into() });
        }
        if (wanted.unseal.is_some() || wanted.operators.is_some()) && path.join(ROOT_KEY).exists() {
            return Err(FolderError::HasRootKey { path });
        }
        if settings.add(wanted) {
            write_marker(&path, &settings)?;
        }
        let run = Run::prepare(&path)?;
        Ok(Self { path, settings, run, _lock: lock })
    }

    /// Removes what a service made in the folder, and the folder if nothing else is in it.
    ///
    /// A folder that is not there, or is empty, is already reset.
    pub(crate) fn reset(path: &Path) -> Result<(), FolderError> {
        let Ok(path) = path.canonicalize() else { return Ok(()) };
        if read_marker(&path)?.is_none() {
            return if is_empty(&path)? { Ok(()) } else { Err(FolderError::NotOurs { path }) };
        }
        let _lock = lock(&path)?;
        for name in OURS {
            let path = path.join(name);
            remove(&path).map_err(|source| FolderError::Io { path, source })?;
        }
        // Whatever else is there is not ours, and keeps the folder.
        let _ = fs::remove_dir(&path);
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.path.join(ROOT_KEY)
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path.join(CREDENTIALS)
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.path.join(PKI)
    }

    pub(crate) fn development_root(&self) -> PathBuf {
        self.path.join(DEVELOPMENT_ROOT)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path.join(CA)
    }

    pub(crate) fn environment(&self) -> PathBuf {
        self.path.join(ENVIRONMENT)
    }

    /// The auditor's private key, where it was made here.
    pub(crate) fn auditor(&self) -> PathBuf {
        self.path.join(AUDITOR)
    }

    /// The auditor's public key.
    pub(crate) fn auditor_public(&self) -> PathBuf {
        self.path.join(AUDITOR_PUBLIC)
    }

    /// The public key under which the service signs its audit log, as it was last attested.
    pub(crate) fn audit_signature_key(&self) -> PathBuf {
        self.path.join(AUDIT_SIGNATURE_KEY)
    }

    /// The request quotas of the last start: they count for its measurement.
    pub(crate) fn quotas(&self) -> PathBuf {
        self.path.join(QUOTAS)
    }

    /// Where the host reaches the worker.
    pub(crate) fn worker_socket(&self) -> PathBuf {
        self.run.path().join("worker.sock")
    }

    /// Where the worker reaches the host's egress.
    pub(crate) fn egress_socket(&self) -> PathBuf {
        self.run.path().join("egress.sock")
    }

    /// Where the worker reaches the host's store.
    pub(crate) fn store_socket(&self) -> PathBuf {
        self.run.path().join("store.sock")
    }
}

impl Run {
    fn prepare(folder: &Path) -> Result<Self, FolderError> {
        let inside = folder.join(RUN);
        if inside.as_os_str().len() + SOCKET_NAME <= SOCKET_PATH_LIMIT {
            // The lock is ours, so sockets that are still here belong to nobody.
            remove(&inside)
                .and_then(|()| private_folder(&inside))
                .map_err(|source| FolderError::Io { path: inside.clone(), source })?;
            return Ok(Self::Inside(inside));
        }
        let elsewhere = std::env::temp_dir();
        tempfile::Builder::new()
            .prefix("sekisho-")
            .tempdir_in(&elsewhere)
            .map(Self::Elsewhere)
            .map_err(|source| FolderError::Io { path: elsewhere, source })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Inside(path) => path,
            Self::Elsewhere(folder) => folder.path(),
        }
    }
}

pub(super) fn read_marker(folder: &Path) -> Result<Option<Settings>, FolderError> {
    let path = folder.join(MARKER);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| FolderError::Marker { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Io { path, source }),
    }
}

/// Puts the marker into an empty folder.
fn claim(folder: &Path, wanted: &Wanted) -> Result<Settings, FolderError> {
    if !is_empty(folder)? {
        return Err(FolderError::NotOurs { path: folder.to_owned() });
    }
    let settings = Settings::new(wanted);
    write_marker(folder, &settings)?;
    Ok(settings)
}

fn write_marker(folder: &Path, settings: &Settings) -> Result<(), FolderError> {
    let path = folder.join(MARKER);
    let marker = serde_json::to_vec(settings)
        .map_err(|source| FolderError::Marker { path: path.clone(), source })?;
    write_private(&path, &marker).map_err(|source| FolderError::Io { path, source })
}

fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| FolderError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(FolderError::Io { path, source }),
    }
}

fn is_empty(folder: &Path) -> Result<bool, FolderError> {
    fs::read_dir(folder)
        .map(|mut entries| entries.next().is_none())
        .map_err(|source| FolderError::Io { path: folder.to_owned(), source })
}

/// Makes a folder, and those above it, that only its owner may look into.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only its owner may read: whole, or not at all.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, contents, 0o600)
}

/// Writes a file that others may read: whole, or not at all.
pub(crate) fn write_public(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, contents, 0o644)
}

fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(path.file_name().unwrap_or(OsStr::new("file")))
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is not empty and was not made by sekisho: choose another --data-dir",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error(
        "{} has no development service: start one with sekisho dev, or name its folder with --data-dir",
        path.display()
    )]
    Absent { path: PathBuf },
    #[error("{}: the marker of a development service cannot be read: {source}", path.display())]
    Marker { path: PathBuf, source: serde_json::Error },
    #[error("{}: another sekisho dev is running in this folder", path.display())]
    InUse { path: PathBuf },
    #[error(
        "{} was made for region {} and account {}, and its keys say so: use those, another --data-dir, or --reset",
        path.display(), settings.region, settings.account
    )]
    OtherSettings { path: PathBuf, settings: Box<Settings> },
    #[error(
        "{} has its root key in a file: use another --data-dir for a service that a KMS or operators unseal",
        path.display()
    )]
    HasRootKey { path: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_second_start_finds_the_settings_of_the_first() {
        let parent = temporary();
        let path = parent.path().join("data");
        let wanted = |regions: &[&str]| {
            let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
            Wanted { regions, ..Wanted::default() }
        };
        let first = Folder::open(&path, &wanted(&["eu-west-1"])).unwrap();
        let settings = first.settings().clone();
        drop(first);
        assert_eq!(Folder::open(&path, &Wanted::default()).unwrap().settings(), &settings);
        let other = wanted(&["us-east-1"]);
        assert!(matches!(Folder::open(&path, &other), Err(FolderError::OtherSettings { .. })));
        for more in ["us-east-1", "us-west-2", "eu-west-1"] {
            Folder::open(&path, &wanted(&["eu-west-1", more])).unwrap();
        }
        let folder = Folder::open(&path, &Wanted::default()).unwrap();
        assert_eq!(folder.settings().region, settings.region);
        assert_eq!(folder.settings().other_regions(), ["us-east-1", "us-west-2"]);
        assert_eq!(folder.settings().regions().count(), 3);
    }

    #[test]
    fn a_folder_has_one_holder() {
        let parent = temporary();
        let path = parent.path().join("data");
        let _first = Folder::open(&path, &Wanted::default()).unwrap();
        assert!(matches!(Folder::open(&path, &Wanted::default()), Err(FolderError::InUse { .. })));
        assert!(matches!(Folder::reset(&path), Err(FolderError::InUse { .. })));
    }

    #[test]
    fn a_folder_of_somebody_else_is_neither_used_nor_reset() {
        let folder = temporary();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        assert!(matches!(
            Folder::open(folder.path(), &Wanted::default()),
            Err(FolderError::NotOurs { .. })
        ));
        assert!(matches!(Folder::reset(folder.path()), Err(FolderError::NotOurs { .. })));
        assert!(folder.path().join("thesis.tex").exists());
    }

    #[test]
    fn reset_removes_what_is_ours_and_nothing_else() {
        let parent = temporary();
        let path = parent.path().join("data");
        let folder = Folder::open(&path, &Wanted::default()).unwrap();
        write_private(&folder.root_key(), b"key").unwrap();
        private_folder(&folder.store()).unwrap();
        fs::write(folder.store().join("blobs"), b"sealed").unwrap();
        fs::write(path.join("note.txt"), b"mine").unwrap();
        drop(folder);
        Folder::reset(&path).unwrap();
        let left: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["note.txt"]);
        fs::remove_file(path.join("note.txt")).unwrap();
        Folder::reset(&path).unwrap();
        Folder::open(&path, &Wanted::default()).unwrap();
        Folder::reset(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_sockets_of_a_deep_folder_fit_their_address() {
        let parent = temporary();
        let path = parent.path().join("x".repeat(120));
        let folder = Folder::open(&path, &Wanted::default()).unwrap();
        assert!(folder.worker_socket().as_os_str().len() <= SOCKET_PATH_LIMIT);
        assert!(!folder.worker_socket().starts_with(&path));
    }
}
