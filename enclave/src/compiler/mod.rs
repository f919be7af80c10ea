//! Compiling a component where it can do no harm: before the worker compiles a component that somebody
//! registers, a process of its own has compiled it, within bounds of processor time and memory that the
//! kernel holds.
//!
//! ```text
//! worker ──component──► helper ──starts, for each──► trial: rlimits, cage, compile, end
//!        ◄──verdict────        ◄──exit status──────
//! ```
//!
//! All three are this program. The helper is started before the worker enters its cage, from where no
//! program can be started; it can be asked nothing but to try a component. What a trial made is thrown
//! away: compiled code is never loaded, and the worker compiles again what is known to be cheap.

mod helper;
mod trial;

use crate::log::{Event, log};
use sekisho_policy_engine::{DEFAULT_COMPONENT, MAX_COMPONENT};
use sekisho_wire::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// The hidden commands that play the two roles.
const HELPER: &str = "internal-compiler";
const TRIAL: &str = "internal-compile-trial";
/// After either of them: a trial enters the cage, as the worker does.
const CAGED: &str = "caged";

/// This program, whatever has become of its file.
const SELF: &str = "/proc/self/exe";

/// What a trial may take of the processor; up to this size, it is more than honest ones of a debug build
/// need.
const BASE_SECONDS: u64 = 2;
const BASE_BYTES: usize = 512 * 1024;
/// A component of 1.6 MB that holds a JavaScript engine takes about three seconds, and several times as
/// much in a debug build.
const BYTES_FOR_A_SECOND_MORE: usize = 96 * 1024;
/// What it may take of memory, beyond the program itself; bytes.
const BASE_MEMORY: u64 = 128 * 1024 * 1024;
/// The 18.5 MB that componentize-py makes take 350 MB (measured).
const MEMORY_FOR_A_BYTE_MORE: u64 = 32;

/// A message to helper and trial, bytes: the largest component, and what is admitted.
const MAX_ASKED: usize = MAX_COMPONENT + ADMITTED;
/// Bytes of the number before the component: the largest size that is admitted.
const ADMITTED: usize = 8;
/// A verdict has a few words.
const MAX_VERDICT: usize = 64 * 1024;

/// Seconds of processor time that a component of `size` bytes may take to compile.
fn processor_seconds(size: usize) -> u64 {
    let more = size.saturating_sub(BASE_BYTES) / BYTES_FOR_A_SECOND_MORE;
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    BASE_SECONDS.saturating_add(more)
}

/// Bytes of memory that compiling a component of `size` bytes may take.
fn memory(size: usize) -> u64 {
    let more = u64::try_from(size.saturating_sub(DEFAULT_COMPONENT)).unwrap_or(u64::MAX);
    more.saturating_mul(MEMORY_FOR_A_BYTE_MORE).saturating_add(BASE_MEMORY)
}

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    /// It compiled within the bounds.
    Compiled,
    /// The engine refuses it.
    Refused(String),
    /// It took more than this many seconds of processor time.
    Time(u64),
    /// It took more than this many MiB.
    Memory(u64),
    /// The trial ended in another way.
    Died,
}

/// Why a component is not compiled in the worker.
#[derive(Debug, Error)]
pub enum NotCompiled {
    /// The engine's own reason.
    #[error("{0}")]
    Refused(String),
    /// Seconds that were not enough.
    #[error("compiling it takes more than {0} s of processor time")]
    Time(u64),
    /// MiB that were not enough.
    #[error("compiling it takes more than {0} MiB of memory")]
    Memory(u64),
    /// It ended the process in another way.
    #[error("compiling it ended the process that tried")]
    Died,
    /// Nothing was tried.
    #[error("the process that tries components has ended; restart the worker")]
    Helper(#[source] io::Error),
}

/// The worker's end of the helper. Dropped, it ends the helper.
#[derive(Debug)]
pub struct CompileHelper {
    stream: Mutex<UnixStream>,
    /// Bytes of the largest component that is admitted.
    admitted: usize,
    child: Child,
}

impl CompileHelper {
    /// Starts this program again as the helper. A worker with a cage does so before it enters it.
    ///
    /// # Errors
    /// The program cannot be started: `/proc` is not there, or no more processes may be.
    pub fn start(caged: bool) -> io::Result<Self> {
        Self::start_as(Path::new(SELF), caged)
    }

    /// As [`CompileHelper::start`]; a worker that has none says so in its log, and goes on.
    pub fn start_or_say(caged: bool) -> Option<Self> {
        let started = Self::start(caged);
        started.inspect_err(|error| log(Event::NoCompiler(error.kind()))).ok()
    }

    /// The same with another program that [plays the roles](play_compiler).
    ///
    /// # Errors
    /// As for [`CompileHelper::start`].
    pub fn start_as(program: &Path, caged: bool) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.arg(HELPER).args(caged.then_some(CAGED)).env_clear();
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let stream = Mutex::new(stream);
        Ok(Self { stream, admitted: DEFAULT_COMPONENT, child: command.spawn()? })
    }

    /// The same for components of up to `bytes`, within the limits that such ones have.
    #[must_use]
    pub fn admitting(self, bytes: usize) -> Self {
        Self { admitted: bytes, ..self }
    }

    /// The helper's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has `component` compiled, within the bounds, and thrown away. Blocks, for a bomb for seconds.
    ///
    /// # Errors
    /// [`NotCompiled`]: the worker should not compile it.
    pub fn compile(&self, component: &[u8]) -> Result<(), NotCompiled> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = ask(self.admitted, component);
        let verdict = send(&mut *stream, &asked).and_then(|()| receive(&mut *stream, MAX_VERDICT));
        let verdict = verdict.map_err(NotCompiled::Helper)?;
        match codec::decode(&verdict).map_err(invalid).map_err(NotCompiled::Helper)? {
            Verdict::Compiled => Ok(()),
            Verdict::Refused(reason) => Err(NotCompiled::Refused(reason)),
            Verdict::Time(seconds) => Err(NotCompiled::Time(seconds)),
            Verdict::Memory(mebibytes) => Err(NotCompiled::Memory(mebibytes)),
            Verdict::Died => Err(NotCompiled::Died),
        }
    }
}

/// Plays the helper or a trial, if that is what this program was started as; none otherwise. The first
/// thing that a program with a worker in it does.
pub fn play_compiler() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next()?;
    let caged = arguments.next().is_some_and(|argument| argument == CAGED);
    match role.as_str() {
        HELPER => Some(helper::run(caged)),
        TRIAL => Some(trial::run(caged)),
        _ => None,
    }
}

/// What is asked of the helper and of a trial.
fn ask(admitted: usize, component: &[u8]) -> Vec<u8> {
    let admitted = u64::try_from(admitted).unwrap_or(u64::MAX);
    [&admitted.to_be_bytes(), component].concat()
}

/// The size that is admitted, and the component.
fn asked(message: &[u8]) -> io::Result<(usize, &[u8])> {
    let (admitted, component) =
        message.split_first_chunk::<ADMITTED>().ok_or(io::ErrorKind::UnexpectedEof)?;
    let admitted = usize::try_from(u64::from_be_bytes(*admitted)).map_err(invalid)?;
    Ok((admitted, component))
}

/// Its length as four bytes, big-endian, and the message.
fn send(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(invalid)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(message)
}

/// A message of at most `limit` bytes.
fn receive(from: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(invalid)?;
    if length > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = Vec::new();
    from.take(length as u64).read_to_end(&mut message)?;
    if message.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

fn invalid(error: impl Into<InvalidMessage>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.into())
}

#[derive(Debug, Error)]
enum InvalidMessage {
    #[error(transparent)]
    Length(#[from] std::num::TryFromIntError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_or_not() {
        let mut sent = Vec::new();
        send(&mut sent, b"component").unwrap();
        assert_eq!(receive(&mut sent.as_slice(), 9).unwrap(), b"component");
        assert!(receive(&mut sent.as_slice(), 8).is_err());
        for end in 0..sent.len() {
            assert!(receive(&mut sent.get(..end).unwrap(), 9).is_err());
        }
        assert!(receive(&mut [255; 8].as_slice(), MAX_ASKED).is_err());
    }

    #[test]
    fn what_is_asked_is_understood_as_it_was_meant() {
        let message = ask(20, b"component");
        assert_eq!(asked(&message).unwrap(), (20, b"component".as_slice()));
        assert!(asked(b"1234567").is_err());
    }

    #[test]
    fn memory_grows_with_what_is_beyond_the_default() {
        assert_eq!(memory(0), 128 << 20);
        assert_eq!(memory(DEFAULT_COMPONENT), 128 << 20);
        assert_eq!(memory(DEFAULT_COMPONENT + (16 << 20)), 640 << 20);
    }

    #[test]
    fn time_grows_with_size() {
        assert_eq!(processor_seconds(0), 2);
        assert_eq!(processor_seconds(512 * 1024), 2);
        assert_eq!(processor_seconds(1600 * 1024), 13);
    }
}
