//! The helper: waits for components, and starts a trial for each.

use super::{
    CAGED, MAX_ASKED, SELF, TRIAL, Verdict, asked, memory, processor_seconds, receive, send,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use sekisho_wire::codec;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// For what processor time does not count: a trial that waits on a machine where much else runs. In
/// times of its processor time.
const PATIENCE: u32 = 30;

/// Between two looks at a trial.
const LOOK: Duration = Duration::from_millis(2);

/// Of a refusal's words, bytes.
const MAX_REASON: u64 = 1024;

/// Answers until the worker is gone.
pub(super) fn run(caged: bool) -> ExitCode {
    match answer(caged) {
        Ok(()) => ExitCode::SUCCESS,
        // The worker notices, and says so to whoever registers a component.
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(caged: bool) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    loop {
        let message = match receive(&mut worker, MAX_ASKED) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let verdict = codec::encode(&attempt(&message, caged)?).map_err(io::Error::other)?;
        send(&mut worker, &verdict)?;
    }
}

fn attempt(message: &[u8], caged: bool) -> io::Result<Verdict> {
    let (_, component) = asked(message)?;
    let (seconds, memory) = (processor_seconds(component.len()), memory(component.len()));
    let mut trial = Command::new(SELF)
        .arg(TRIAL)
        .args(caged.then_some(CAGED))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // A trial that ends before it has read everything says why by its status.
    if let Some(mut stdin) = trial.stdin.take() {
        let _ = send(&mut stdin, message).and_then(|()| stdin.flush());
    }
    let patience = Duration::from_secs(seconds).saturating_mul(PATIENCE);
    let Some(status) = end_of(&mut trial, patience)? else {
        return Ok(Verdict::Time(seconds));
    };
    Ok(match meaning(status, seconds, memory) {
        Some(verdict) => verdict,
        None => Verdict::Refused(said(&mut trial)?),
    })
}

/// How the trial ended; none where it had to be ended.
fn end_of(trial: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = trial.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK);
    }
    trial.kill()?;
    trial.wait()?;
    Ok(None)
}

/// What a status means; none for a refusal, whose reason the trial has said.
fn meaning(status: ExitStatus, seconds: u64, memory: u64) -> Option<Verdict> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Some(Verdict::Compiled),
        (Some(1), _) => None,
        // The soft limit's signal, and the hard one's.
        (_, Some(libc::SIGXCPU | libc::SIGKILL)) => Some(Verdict::Time(seconds)),
        // What Rust does where it is given no memory.
        (_, Some(libc::SIGABRT)) => Some(Verdict::Memory(memory >> 20)),
        _ => Some(Verdict::Died),
    }
}

fn said(trial: &mut Child) -> io::Result<String> {
    let mut reason = Vec::new();
    if let Some(stdout) = trial.stdout.take() {
        stdout.take(MAX_REASON).read_to_end(&mut reason)?;
    }
    Ok(String::from_utf8_lossy(&reason).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_meaning() {
        let ended = |raw: i32| meaning(ExitStatus::from_raw(raw), 2, 128 << 20);
        assert_eq!(ended(0), Some(Verdict::Compiled));
        assert_eq!(ended(1 << 8), None);
        assert_eq!(ended(101 << 8), Some(Verdict::Died));
        assert_eq!(ended(libc::SIGXCPU), Some(Verdict::Time(2)));
        assert_eq!(ended(libc::SIGKILL), Some(Verdict::Time(2)));
        assert_eq!(ended(libc::SIGABRT), Some(Verdict::Memory(128)));
        assert_eq!(ended(libc::SIGSEGV), Some(Verdict::Died));
        assert_eq!(ended(libc::SIGSYS), Some(Verdict::Died));
    }
}
