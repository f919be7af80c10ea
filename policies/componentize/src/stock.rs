//! The policies that come with Sekisho: built, written beside their source, checked.
//!
//! The components are committed, because the worker embeds them and its build should
//! not need a second target; `policies/stock/DIGESTS` names what they must hash to,
//! and the compiler that made them. `sha256sum -c` reads that file too.

use crate::{BuildError, Builder};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Their names; the package of `x` is `sekisho-policy-x`.
pub const NAMES: [&str; 5] =
    ["attested", "deny-plaintext-export", "iam", "time-window", "two-person"];

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
    let mut digests = format!("# {}\n", builder.rustc_version());
    for name in NAMES {
        let component = builder.build(&package(name))?;
        digests.push_str(&format!("{}  {name}/{name}.wasm\n", digest(&component)));
        write_file(&component_path(workspace, name), &component)?;
    }
    write_file(&digests_path(workspace), digests.as_bytes())
}

/// Builds every stock policy and compares it with the committed component and with
/// `DIGESTS`.
///
/// # Errors
///
/// The first policy that differs, or cannot be built, or another compiler.
pub fn check(workspace: &Path, builder: &Builder) -> Result<(), CheckError> {
    let digests = read_file(&digests_path(workspace))?;
    let digests = String::from_utf8_lossy(&digests);
    let recorded = digests.lines().find_map(|line| line.strip_prefix("# "));
    if recorded != Some(builder.rustc_version()) {
        return Err(CheckError::Compiler {
            recorded: recorded.unwrap_or("an unknown compiler").into(),
            here: builder.rustc_version().into(),
        });
    }
    for name in NAMES {
        let built = digest(&builder.build(&package(name))?);
        let committed = digest(&read_file(&component_path(workspace, name))?);
        let entry = format!("  {name}/{name}.wasm");
        let recorded =
            digests.lines().find_map(|line| line.strip_suffix(&entry)).unwrap_or("nothing");
        if built != committed || built != recorded {
            return Err(CheckError::Differs {
                name: name.into(),
                recorded: recorded.into(),
                built,
                committed,
                rustc: builder.rustc_version().into(),
            });
        }
    }
    Ok(())
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
