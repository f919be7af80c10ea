//! No file system beyond the worker's sockets: Landlock (landlock(7)).

use super::Gap;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use std::path::PathBuf;
use thiserror::Error;

/// The newest rights that were looked at; a kernel that knows fewer enforces fewer.
const KNOWN: ABI = ABI::V9;

/// Denies every right on every path, network and scope that Landlock has, except those that the
/// sockets need; answers with what this kernel leaves open.
pub(super) fn restrict(
    made_in: &[PathBuf],
    dialled_in: &[PathBuf],
) -> Result<Vec<Gap>, FilesError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    let ruleset = allow(ruleset, made_in, AccessFs::MakeSock | AccessFs::RemoveFile)?;
    let ruleset = allow(ruleset, dialled_in, AccessFs::ResolveUnix.into())?;
    Ok(gaps(ruleset.restrict_self()?.landlock))
}

fn allow(
    mut ruleset: RulesetCreated,
    folders: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, FilesError> {
    for folder in folders {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(folder)?, access))?;
    }
    Ok(ruleset)
}

/// Rights of files before ABI 5 and of ports before ABI 4 are not here: the filter of system calls
/// opens no file and no network socket, whatever the kernel.
fn gaps(status: LandlockStatus) -> Vec<Gap> {
    let LandlockStatus::Available { effective_abi, .. } = status else {
        return vec![Gap::NoLandlock, Gap::AbstractSockets, Gap::SocketsOfOthers];
    };
    let before = |abi: ABI, gap| (effective_abi < abi).then_some(gap);
    let gaps = [before(ABI::V6, Gap::AbstractSockets), before(ABI::V9, Gap::SocketsOfOthers)];
    gaps.into_iter().flatten().collect()
}

/// Why the file system is not closed.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The kernel refused the rules.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// A socket's folder is not there.
    #[error("the folder of a socket: {0}")]
    Folder(#[from] PathFdError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_says_what_it_leaves_open() {
        let of =
            |effective_abi| gaps(LandlockStatus::Available { effective_abi, kernel_abi: None });
        assert_eq!(of(ABI::V1), [Gap::AbstractSockets, Gap::SocketsOfOthers]);
        assert_eq!(of(ABI::V6), [Gap::SocketsOfOthers]);
        assert_eq!(of(ABI::V9), []);
        assert!(gaps(LandlockStatus::NotImplemented).contains(&Gap::NoLandlock));
    }
}
