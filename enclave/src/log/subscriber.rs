//! Where events go: to stderr, as text or as JSON.

use super::{Event, log};
use std::io;
use std::panic;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The modules whose lines pass: those that a caller's words do not fit into. Those of HTTP/2's
/// library quote what is malformed.
const OURS: [&str; 2] = ["sekisho_enclave::log", "sekisho_wire::log"];

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Sends the worker's events to stderr, and nothing else: neither what other crates log, nor the
/// messages of panics, which may quote what they stumbled over.
///
/// `levels` is in the form of `RUST_LOG`, and chooses among events of ours alone; what does not
/// parse counts as `info`.
///
/// # Errors
/// There is a log already.
pub fn start_log(format: LogFormat, levels: &str) -> Result<(), TryInitError> {
    start_log_into(format, levels, io::stderr)
}

/// The same into what `lines` makes, a line at a time.
pub(crate) fn start_log_into<W>(
    format: LogFormat,
    levels: &str,
    lines: W,
) -> Result<(), TryInitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let levels = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(levels)
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(lines).with_target(false);
    let ours = filter_fn(|metadata| OURS.contains(&metadata.target()));
    let lines = match format {
        LogFormat::Text => lines.with_filter(ours).boxed(),
        LogFormat::Json => lines.json().with_filter(ours).boxed(),
    };
    tracing_subscriber::registry().with(levels).with(lines).try_init()?;
    panic::set_hook(Box::new(|panicked| {
        if let Some(place) = panicked.location() {
            log(Event::Panicked(place));
        }
    }));
    Ok(())
}
