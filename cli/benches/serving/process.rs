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
    pub(crate) fn running(&self) -> Running {
        Running(self.0.id().to_string())
    }

    /// The process that this one started with `argument`.
    pub(crate) fn child(&self, argument: &str) -> Result<Running> {
        let id = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        for child in children.split_whitespace() {
            let command = std::fs::read_to_string(format!("/proc/{child}/cmdline"))?;
            if command.split('\0').any(|one| one == argument) {
                return Ok(Running(child.into()));
            }
        }
        Err(format!("no child was started with {argument}").into())
    }
}

/// A running process, by its id.
pub(crate) struct Running(String);

impl Running {
    /// This process.
    pub(crate) fn this() -> Self {
        Self("self".into())
    }

    /// What of it is in memory, in MiB (`VmRSS` of `proc_pid_status(5)`).
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no size")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.0))?.count())
    }

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

/// Who takes part in a request: this process asks, another carries, the third answers.
pub(crate) struct Parties([Running; 3]);

/// Processor time of each of the [`Parties`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent(pub(crate) [Duration; 3]);

impl Parties {
    pub(crate) fn new(server: Running, relay: Running) -> Self {
        Self([server, relay, Running::this()])
    }

    pub(crate) fn spent(&self) -> Result<Spent> {
        let [server, relay, client] = &self.0;
        let times = [server.processor_time()?, relay.processor_time()?, client.processor_time()?];
        Ok(Spent(times))
    }
}

impl Spent {
    /// What was spent since an earlier look.
    pub(crate) fn since(self, before: Self) -> Self {
        self.with(before, Duration::saturating_sub)
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    fn with(self, other: Self, both: impl Fn(Duration, Duration) -> Duration) -> Self {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Self([both(a, x), both(b, y), both(c, z)])
    }

    /// What that is for each of `requests`, in µs.
    pub(crate) fn each(self, requests: u64) -> [f64; 3] {
        self.0.map(|spent| spent.as_secs_f64() * 1e6 / requests as f64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `sekisho dev` stops its two processes when it is asked to, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
