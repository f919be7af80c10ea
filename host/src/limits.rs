//! The process's limit of open files.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns it.
///
/// A relayed connection takes two files, and the usual soft limit of 1024 is there for programs
/// that use `select(2)`. For a binary's `main`: it changes the whole process.
///
/// # Errors
///
/// The error of `setrlimit(2)`.
pub fn raise_open_files_limit() -> io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_to_the_hard_limit() {
        let maximum = raise_open_files_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
