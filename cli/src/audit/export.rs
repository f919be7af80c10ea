//! `sekisho audit export`: the whole log, decrypted.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::decisions::{Block, Decisions};
use super::show::{self, Decision};
use super::source::{Log, Source};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  One decision a line, as JSON:
    sekisho audit export --out decisions.jsonl

  For a spreadsheet:
    sekisho audit export --format csv --out decisions.csv

  Who was denied what:
    sekisho audit export | jq -r 'select(.outcome == \"denied\") | [.principal, .operation] | @tsv'";

/// Write the whole log, decrypted.
///
/// Each block's signature and place is checked on the way; `sekisho audit verify` checks more. The
/// file appears when it is complete, and only its owner may read it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,

    /// How a decision is written.
    #[arg(long, default_value = "json")]
    format: Format,

    /// Where to write it [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// One object a line.
    Json,
    /// RFC 4180, with a line of column names.
    Csv,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { source, format, out } = arguments;
    let mut log = source.resolve()?;
    log.need_an_auditor()?;
    if log.key.is_none() {
        eprintln!("warning: no signature is checked: give --signature-key");
    }
    match out {
        None => match write(&mut log, format, &mut BufWriter::new(io::stdout().lock())) {
            // Whoever reads has seen enough.
            Err(Ended::Out(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map(drop).map_err(|ended| ended.failure(Path::new("standard output"))),
        },
        Some(path) => {
            let decisions = to_file(&mut log, format, &path)?;
            eprintln!("{decisions} decisions in {}", path.display());
            Ok(())
        }
    }
}

/// Whole, or not at all.
fn to_file(log: &mut Log, format: Format, path: &Path) -> Result<u64, Failure> {
    let failed = |error: io::Error| Ended::Out(error).failure(path);
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Only its owner may read it: that is how it is made.
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let decisions = write(log, format, &mut out).map_err(|ended| ended.failure(path))?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(decisions)
}

fn write(log: &mut Log, format: Format, out: &mut impl Write) -> Result<u64, Ended> {
    let mut decisions = Decisions::new(log.reader().map_err(Ended::Log)?, log);
    let bar = show::progress("exporting");
    let mut written: u64 = 0;
    if matches!(format, Format::Csv) {
        out.write_all(Decision::COLUMNS.as_bytes()).map_err(Ended::Out)?;
    }
    while let Some(block) = decisions.next(&mut log.auditors).map_err(Ended::Log)? {
        let Block { sequence, entries } = block;
        for entry in &entries {
            let decision = Decision::new(sequence, entry);
            match format {
                Format::Json => serde_json::to_writer(&mut *out, &decision)
                    .map_err(io::Error::from)
                    .and_then(|()| out.write_all(b"\n")),
                Format::Csv => out.write_all(decision.csv().as_bytes()),
            }
            .map_err(Ended::Out)?;
            written += 1;
        }
        let (read, all) = decisions.progress();
        bar.set_length(all);
        bar.set_position(read);
    }
    bar.finish_and_clear();
    out.flush().map_err(Ended::Out)?;
    Ok(written)
}

enum Ended {
    Out(io::Error),
    Log(Failure),
}

impl Ended {
    fn failure(self, path: &Path) -> Failure {
        match self {
            Self::Out(error) => Failure::failed(format_args!("{}: {error}", path.display())),
            Self::Log(failure) => failure,
        }
    }
}
