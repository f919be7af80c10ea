//! Processes that end with the benchmark.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// A process that ends with this value.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program and reads the line that it prints when it is ready.
    pub(crate) fn start(command: &mut Command) -> Result<(Self, String)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("{command:?} did not start").into());
        }
        Ok((Self(child), line))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `sekisho dev` stops its two processes when it is asked to, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
