//! What was measured, in Markdown.

use std::fmt;

use crate::load::Load;

pub(crate) struct Table {
    /// Numbers of connections.
    columns: Vec<usize>,
    rows: Vec<Row>,
}

/// A kind of request, and a column for each number of connections.
pub(crate) struct Row {
    name: &'static str,
    loads: Vec<Load>,
    /// Requests a second that its cryptography alone allows one core.
    bound: Option<f64>,
    /// Of each number of connections: the µs that server, relay and client spent on a request.
    spent: Vec<[f64; 3]>,
}

impl Row {
    pub(crate) fn new(name: &'static str, loads: Vec<Load>) -> Self {
        Self { name, loads, bound: None, spent: Vec::new() }
    }

    /// Adds what the cryptography alone would allow.
    pub(crate) fn beside(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }

    pub(crate) fn spending(self, spent: Vec<[f64; 3]>) -> Self {
        Self { spent, ..self }
    }
}

impl Table {
    pub(crate) fn new(columns: &[usize]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| |")?;
        for connections in &self.columns {
            write!(f, " {connections} conn.: req/s | p50 | p99 | of hello |")?;
        }
        writeln!(f, " of its cryptography |")?;
        writeln!(f, "|---|{}---:|", "---:|".repeat(4 * self.columns.len()))?;
        let hello = self.rows.first().map(|row| row.loads.as_slice()).unwrap_or_default();
        for row in &self.rows {
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
        writeln!(f, "\nProcessor time of a request, in µs\n")?;
        write!(f, "| |")?;
        for connections in &self.columns {
            write!(f, " {connections} conn.: server | relay | client | all |")?;
        }
        writeln!(f, "\n|---|{}", "---:|".repeat(4 * self.columns.len()))?;
        for row in self.rows.iter().filter(|row| !row.spent.is_empty()) {
            write!(f, "| {} |", row.name)?;
            for each @ [server, relay, client] in &row.spent {
                let all: f64 = each.iter().sum();
                write!(f, " {server:.0} | {relay:.0} | {client:.0} | {all:.0} |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
