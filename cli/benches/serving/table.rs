//! What was measured, in Markdown.

use std::fmt;

use crate::load::Load;

pub(crate) struct Table {
    /// Numbers of connections.
    columns: Vec<usize>,
    rows: Vec<Row>,
}

/// A kind of request, and a cell for each number of connections.
pub(crate) struct Row {
    name: &'static str,
    cells: Vec<Cell>,
    /// Requests a second that its cryptography alone allows one core.
    bound: Option<f64>,
}

pub(crate) struct Cell {
    pub(crate) load: Load,
    /// Its rate beside hello world's.
    pub(crate) of_hello: f64,
    /// The µs that server, relay and client spent on a request.
    pub(crate) spent: Option<[f64; 3]>,
}

impl Row {
    pub(crate) fn new(name: &'static str, cells: Vec<Cell>) -> Self {
        Self { name, cells, bound: None }
    }

    /// Adds what the cryptography alone would allow.
    pub(crate) fn beside(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }
}

impl Table {
    pub(crate) fn new(columns: &[usize], rows: Vec<Row>) -> Self {
        Self { columns: columns.to_vec(), rows }
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
        for row in &self.rows {
            write!(f, "| {} |", row.name)?;
            for Cell { load, of_hello, .. } in &row.cells {
                let [p50, p99] = load.quantiles([0.50, 0.99]);
                write!(f, " {:.0} | {p50} | {p99} | {of_hello:.3} |", load.rate())?;
            }
            match row.bound {
                None => writeln!(f, " |")?,
                Some(bound) => {
                    let best = row.cells.iter().map(|cell| cell.load.rate() / bound);
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
        for row in &self.rows {
            let spent: Vec<_> = row.cells.iter().filter_map(|cell| cell.spent).collect();
            if spent.is_empty() {
                continue;
            }
            write!(f, "| {} |", row.name)?;
            for each @ [server, relay, client] in spent {
                let all: f64 = each.iter().sum();
                write!(f, " {server:.0} | {relay:.0} | {client:.0} | {all:.0} |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
