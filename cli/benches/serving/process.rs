//! Processes that end with the benchmark.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

impl Process {
    /// The worker that this `sekisho dev` started.
    pub(crate) fn worker(&self) -> Result<Worker> {
        let id = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        for child in children.split_whitespace() {
            let command = std::fs::read_to_string(format!("/proc/{child}/cmdline"))?;
            if command.split('\0').any(|argument| argument == "internal-worker") {
                return Ok(Worker(child.into()));
            }
        }
        Err("sekisho dev has no worker".into())
    }
}

/// A running worker, by its process id.
pub(crate) struct Worker(String);

impl Worker {
    /// What all its threads have spent on processors, also those that have ended: the 14th and 15th
    /// field of `/proc/<id>/stat`, in ticks of 10 ms (`proc(5)`).
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field is a name in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
        let mut times = fields.split_whitespace().skip(11);
        let mut ticks = || -> Result<u32> { Ok(times.next().ok_or("a short stat")?.parse()?) };
        Ok(Duration::from_millis(10) * (ticks()? + ticks()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `sekisho dev` stops its two processes when it is asked to, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
