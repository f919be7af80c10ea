//! The policies that come with Sekisho: built, written beside their source, checked.
//!
//! The components are committed, because the worker embeds them and its build should
//! not need a second target; `policies/stock/DIGESTS` names what they must hash to,
//! and the compiler that made them. `sha256sum -c` reads that file too.
//!
//! `cedar` and `rego` are workspaces of their own, and take minutes to build. Each is built again only
//! where its sources are no longer those that `DIGESTS` has the hash of, and [`check`] compares that
//! hash; [`check_slow`] builds them.

use crate::{BuildError, Builder, Layout};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Their names; the package of `x` is `sekisho-policy-x`.
pub const NAMES: [&str; 5] =
    ["attested", "deny-plaintext-export", "iam", "time-window", "two-person"];

/// Those that are workspaces of their own.
const SLOW: [&str; 2] = ["cedar", "rego"];

/// What each of them is made of, apart from the compiler and what its lock file names.
const SHARED_SOURCES: [&str; 3] = ["policies/sdk/Cargo.toml", "policies/sdk/src", "policies/wit"];
/// Likewise, in its own folder.
const OWN_SOURCES: [&str; 4] = ["Cargo.lock", "Cargo.toml", "sekisho.cedarschema", "src"];

/// Stock components that are not what their source gives.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// One could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The committed bytes, or the digest, are not what the source gives.
    #[error(
        "policies/stock/{name}/{name}.wasm is not what its source gives: the source gives {built}, \
         the file has {committed}, DIGESTS says {recorded} (built with {rustc}). \
         Run build-stock-policies and commit the result"
    )]
    Differs {
        /// The policy.
        name: String,
        /// Digest of what was built now.
        built: String,
        /// Digest of the committed component.
        committed: String,
        /// Digest in `DIGESTS`.
        recorded: String,
        /// The compiler now.
        rustc: String,
    },
    /// The sources of a component that is not built here are not those of the committed one.
    #[error(
        "the sources of policies/stock/{name}/{name}.wasm have changed since it was built: they hash to \
         {here}, DIGESTS says {recorded}. Run build-stock-policies and commit the result"
    )]
    Sources {
        /// The policy.
        name: &'static str,
        /// Their hash now.
        here: String,
        /// Their hash in `DIGESTS`.
        recorded: String,
    },
    /// The components were made by another compiler, so they cannot be compared.
    #[error("the stock policies were built with {recorded}, this is {here}; use the same compiler")]
    Compiler {
        /// The compiler in `DIGESTS`.
        recorded: String,
        /// The compiler now.
        here: String,
    },
}

/// Builds every stock policy and writes the components and `DIGESTS`.
///
/// # Errors
///
/// A policy does not build, or a file cannot be written.
pub fn write(workspace: &Path, builder: &Builder) -> Result<(), BuildError> {
    let before = Digests::read(workspace);
    let before = before.ok().filter(|before| before.compiler() == compiler(builder));
    let mut digests = format!("# {}\n", builder.rustc_version());
    for name in SLOW {
        let sources = hash_sources(workspace, name)?;
        let built_before = before.as_ref().and_then(|before| before.sources(name));
        if built_before != Some(sources.as_str()) {
            write_file(&component_path(workspace, name), &build_slow(workspace, name, builder)?)?;
        }
        digests.push_str(&format!("# {name}: sources {sources}\n"));
    }
    for name in NAMES {
        write_file(&component_path(workspace, name), &builder.build(&package(name))?)?;
    }
    let mut names: Vec<&str> = NAMES.into_iter().chain(SLOW).collect();
    names.sort_unstable();
    for name in names {
        let component = read_file(&component_path(workspace, name))?;
        digests.push_str(&format!("{}  {name}/{name}.wasm\n", digest(&component)));
    }
    write_file(&digests_path(workspace), digests.as_bytes())
}

/// Builds every stock policy but the slow ones and compares it with the committed component and with
/// `DIGESTS`; of a slow one, compares the component and the hash of its sources with `DIGESTS`.
///
/// # Errors
///
/// The first policy that differs, or cannot be built, or another compiler.
pub fn check(workspace: &Path, builder: &Builder) -> Result<(), CheckError> {
    let digests = Digests::for_compiler(workspace, builder)?;
    for name in NAMES {
        digests.compare(workspace, name, &builder.build(&package(name))?, builder)?;
    }
    for name in SLOW {
        let here = hash_sources(workspace, name)?;
        let recorded = digests.sources(name).unwrap_or("nothing");
        if here != recorded {
            return Err(CheckError::Sources { name, here, recorded: recorded.into() });
        }
        digests.compare(workspace, name, &read_file(&component_path(workspace, name))?, builder)?;
    }
    Ok(())
}

/// Builds the slow ones and compares them with the committed components and with `DIGESTS`.
///
/// # Errors
///
/// The first that differs, or cannot be built, or another compiler.
pub fn check_slow(workspace: &Path, builder: &Builder) -> Result<(), CheckError> {
    let digests = Digests::for_compiler(workspace, builder)?;
    for name in SLOW {
        digests.compare(workspace, name, &build_slow(workspace, name, builder)?, builder)?;
    }
    Ok(())
}

fn build_slow(workspace: &Path, name: &str, builder: &Builder) -> Result<Vec<u8>, BuildError> {
    let folder = workspace.join("policies/stock").join(name);
    builder.build_in(&folder, &package(name), Layout::WITH_ROOM)
}

/// SHA-256 over the names and the contents of what a slow policy is made of.
fn hash_sources(workspace: &Path, name: &str) -> Result<String, BuildError> {
    let own = workspace.join("policies/stock").join(name);
    let mut files = Vec::new();
    for source in SHARED_SOURCES {
        list_files(&workspace.join(source), &mut files)?;
    }
    for source in OWN_SOURCES.map(|source| own.join(source)) {
        if source.exists() {
            list_files(&source, &mut files)?;
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(workspace).unwrap_or(&file).to_string_lossy().into_owned();
        hash.update(format!("{}  {name}\n", digest(&read_file(&file)?)));
    }
    Ok(hex::encode(hash.finalize()))
}

fn list_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let failed = |source| BuildError::File { path: path.into(), source };
    if !path.is_dir() {
        files.push(path.into());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        list_files(&entry.map_err(failed)?.path(), files)?;
    }
    Ok(())
}

/// The file `DIGESTS`.
struct Digests(String);

impl Digests {
    fn read(workspace: &Path) -> Result<Self, BuildError> {
        let bytes = read_file(&digests_path(workspace))?;
        Ok(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// # Errors
    ///
    /// Another compiler made the components.
    fn for_compiler(workspace: &Path, builder: &Builder) -> Result<Self, CheckError> {
        let digests = Self::read(workspace)?;
        if digests.compiler() == compiler(builder) {
            return Ok(digests);
        }
        Err(CheckError::Compiler {
            recorded: digests.compiler().unwrap_or("an unknown compiler").into(),
            here: builder.rustc_version().into(),
        })
    }

    fn compiler(&self) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix("# "))
    }

    /// The hash of a slow policy's sources.
    fn sources(&self, name: &str) -> Option<&str> {
        let entry = ["# ", name, ": sources "].concat();
        self.0.lines().find_map(|line| line.strip_prefix(&entry))
    }

    fn compare(
        &self,
        workspace: &Path,
        name: &str,
        built: &[u8],
        builder: &Builder,
    ) -> Result<(), CheckError> {
        let built = digest(built);
        let committed = digest(&read_file(&component_path(workspace, name))?);
        let entry = format!("  {name}/{name}.wasm");
        let recorded =
            self.0.lines().find_map(|line| line.strip_suffix(&entry)).unwrap_or("nothing");
        if built == committed && built == recorded {
            return Ok(());
        }
        Err(CheckError::Differs {
            name: name.into(),
            recorded: recorded.into(),
            built,
            committed,
            rustc: builder.rustc_version().into(),
        })
    }
}

fn compiler(builder: &Builder) -> Option<&str> {
    Some(builder.rustc_version())
}

fn package(name: &str) -> String {
    ["sekisho-policy-", name].concat()
}

fn component_path(workspace: &Path, name: &str) -> PathBuf {
    workspace.join(format!("policies/stock/{name}/{name}.wasm"))
}

fn digests_path(workspace: &Path) -> PathBuf {
    workspace.join("policies/stock/DIGESTS")
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::File { path: path.into(), source })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    std::fs::write(path, bytes).map_err(|source| BuildError::File { path: path.into(), source })
}
