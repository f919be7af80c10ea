//! What was measured, in Markdown.

use std::fmt;

use crate::CONNECTIONS;
use crate::load::Load;

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

/// A kind of request, and a column for each number of connections.
pub(crate) struct Row {
    name: &'static str,
    loads: Vec<Load>,
    /// Requests a second that its cryptography alone allows one core.
    bound: Option<f64>,
}

impl Row {
    pub(crate) fn new(name: &'static str, loads: Vec<Load>) -> Self {
        Self { name, loads, bound: None }
    }

    /// Adds what the cryptography alone would allow.
    pub(crate) fn beside(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }
}

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| |")?;
        for connections in CONNECTIONS {
            write!(f, " {connections} conn.: req/s | p50 | p99 | of hello |")?;
        }
        writeln!(f, " of its cryptography |")?;
        writeln!(f, "|---|{}---:|", "---:|".repeat(4 * CONNECTIONS.len()))?;
        let hello = self.0.first().map(|row| row.loads.as_slice()).unwrap_or_default();
        for row in &self.0 {
            write!(f, "| {} |", row.name)?;
            for (load, hello) in row.loads.iter().zip(hello) {
                let ratio = load.rate / hello.rate;
                write!(f, " {:.0} | {} | {} | {ratio:.3} |", load.rate, load.p50, load.p99)?;
            }
            match row.bound {
                None => writeln!(f, " |")?,
                Some(bound) => {
                    let best = row.loads.iter().map(|load| load.rate / bound);
                    writeln!(f, " {:.2} |", best.fold(0.0, f64::max))?;
                }
            }
        }
        Ok(())
    }
}
