//! Requests of one kind in turns with hello world, so that a machine whose speed drifts is as fast or as
//! slow for both.

use std::time::Duration;

use crate::Result;
use crate::load::{self, Call, Load, Target};
use crate::process::{Parties, Spent};
use crate::table::{Cell, Row};

/// So many parts a cell's time has, each behind as long a one of hello world.
const TURNS: u32 = 10;

/// Hello world, as often as it was measured, at each number of connections.
pub(crate) struct Turns<'a> {
    hello: Measured<'a>,
    columns: &'a [usize],
    duration: Duration,
    /// What has been measured of it, a column each.
    said: Vec<Sum>,
}

/// What is asked, where, and who takes part in it.
pub(crate) struct Measured<'a> {
    pub(crate) target: &'a Target,
    pub(crate) call: &'a Call,
    pub(crate) parties: Option<&'a Parties>,
}

#[derive(Default)]
struct Sum {
    load: Load,
    spent: Option<Spent>,
}

impl<'a> Turns<'a> {
    /// A cell for each of `columns`, numbers of connections, with `duration` in each for its own requests.
    pub(crate) fn new(hello: Measured<'a>, columns: &'a [usize], duration: Duration) -> Self {
        let said = columns.iter().map(|_| Sum::default()).collect();
        Self { hello, columns, duration, said }
    }

    /// A row of the table.
    pub(crate) async fn row(&mut self, name: &'static str, row: Measured<'_>) -> Result<Row> {
        let mut cells = Vec::new();
        for (connections, said) in self.columns.iter().zip(&mut self.said) {
            let (mut sum, mut ratios) = (Sum::default(), Vec::new());
            for _ in 0..TURNS {
                let hello = self.hello.turn(*connections, self.duration / TURNS, said).await?;
                ratios.push(row.turn(*connections, self.duration / TURNS, &mut sum).await? / hello);
            }
            cells.push(sum.cell(crate::median(ratios)?));
        }
        Ok(Row::new(name, cells))
    }

    /// Each of some requests once, for each column; beside all that was measured of hello world.
    pub(crate) async fn row_of_each(
        &self,
        name: &'static str,
        target: &Target,
        mut calls: impl FnMut() -> Result<Vec<Call>>,
    ) -> Result<Row> {
        let mut cells = Vec::new();
        for (connections, said) in self.columns.iter().zip(&self.said) {
            let load = load::load_each(target, calls()?, *connections).await?;
            let ratio = load.rate() / said.load.rate();
            cells.push(Sum { load, spent: None }.cell(ratio));
        }
        Ok(Row::new(name, cells))
    }

    /// Hello world's own row: of all turns.
    pub(crate) fn hello(self) -> Row {
        Row::new("hello world", self.said.into_iter().map(|said| said.cell(1.0)).collect())
    }
}

impl Measured<'_> {
    /// Adds a turn to the sum, and answers its requests a second.
    async fn turn(&self, connections: usize, duration: Duration, sum: &mut Sum) -> Result<f64> {
        let before = self.parties.map(Parties::spent).transpose()?;
        let load = load::load(self.target, self.call, connections, duration).await?;
        if let (Some(parties), Some(before)) = (self.parties, before) {
            let spent = parties.spent()?.since(before);
            sum.spent = Some(sum.spent.unwrap_or_default().and(spent));
        }
        let rate = load.rate();
        sum.load.extend(load);
        Ok(rate)
    }
}

impl Sum {
    fn cell(self, of_hello: f64) -> Cell {
        let spent = self.spent.map(|spent| spent.each(self.load.all));
        Cell { load: self.load, of_hello, spent }
    }
}
