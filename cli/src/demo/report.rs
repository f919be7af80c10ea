//! What the demo shows: progress while a step runs, and a line for what came of it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Characters of a result that a line shows; the JSON has it whole.
const LINE: usize = 120;

/// A step that was taken.
#[derive(Debug)]
struct Step {
    name: &'static str,
    outcome: Result<String, String>,
    took: Duration,
}

/// The steps so far. Text goes to stdout as they end; with JSON, only the whole at the end does.
#[derive(Debug)]
pub(crate) struct Report {
    as_json: bool,
    started: Instant,
    steps: Vec<Step>,
}

impl Report {
    pub(crate) fn new(as_json: bool) -> Self {
        Self { as_json, started: Instant::now(), steps: Vec::new() }
    }

    /// A line that is no step.
    pub(crate) fn say(&self, line: &str) {
        if self.as_json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }

    /// Takes a step: `doing` is shown while it runs, what it returns when it has ended.
    pub(crate) async fn step<T>(
        &mut self,
        name: &'static str,
        doing: &str,
        step: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let progress = spinner(doing);
        let started = Instant::now();
        let ended = step.await;
        progress.finish_and_clear();
        let (value, outcome) = match ended {
            Ok((value, found)) => (Some(value), Ok(found)),
            Err(reason) => (None, Err(reason)),
        };
        let step = Step { name, outcome, took: started.elapsed() };
        self.say(&step.line());
        self.steps.push(step);
        value
    }

    /// Whether there were steps and every one came out right.
    pub(crate) fn is_right(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.outcome.is_ok())
    }

    /// The last words.
    pub(crate) fn finish(&self, aws: &str) -> io::Result<()> {
        let took = self.started.elapsed();
        let mut out = io::stdout().lock();
        if self.as_json {
            let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
            let report = json!({
                "ok": self.is_right(),
                "seconds": seconds(took),
                "steps": steps,
                "aws": aws,
            });
            writeln!(out, "{report}")?;
        } else {
            let right = self.steps.iter().filter(|step| step.outcome.is_ok()).count();
            writeln!(
                out,
                "\n{right} of {} steps came out as they must, in {:.1} s",
                self.steps.len(),
                took.as_secs_f64()
            )?;
        }
        out.flush()
    }
}

impl Step {
    fn line(&self) -> String {
        let (mark, text) = match &self.outcome {
            Ok(text) => ("ok  ", text),
            Err(text) => ("FAIL", text),
        };
        let whole = text.chars().count() <= LINE;
        let text: String = text.chars().take(LINE).collect();
        let cut = if whole { "" } else { "…" };
        format!("{mark} {:>4.1} s  {:<20} {text}{cut}", self.took.as_secs_f64(), self.name)
    }

    fn to_json(&self) -> Value {
        let (ok, text) = match &self.outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        json!({ "name": self.name, "ok": ok, "result": text, "seconds": seconds(self.took) })
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A spinner on a terminal, nothing elsewhere.
fn spinner(doing: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(doing.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}
