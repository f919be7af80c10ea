//! What a request costs through the relay, beside a server that only says hello; and what the relay
//! costs a long download.
//!
//! `cargo bench -p sekisho --bench serving [-- SECONDS [ROWS [CONNECTIONS]]]`, with `ROWS` the start of
//! the names of rows to measure beside hello world and `CONNECTIONS` a number of them in place of the
//! columns, or `cargo bench -p sekisho --bench serving -- operations
//! [SECONDS]` for each group of operations beside its cryptography, or `-- idle [CONNECTIONS]` for what
//! connections hold over which nothing passes. Each row is a closed loop over TLS 1.3
//! and HTTP/1.1 keep-alive with requests that were signed before. Server, relay and client are
//! processes of one thread each, as `sekisho dev` has them; the hello-world server stands behind
//! a `sekisho-host` relay of its own. With `SEKISHO_BENCH_MOTO=<venv>/bin/moto_server` that server
//! is measured too, without TLS, as it has it.

mod hello;
mod idle;
mod kms;
mod load;
mod moto;
mod operations;
mod primitives;
mod process;
mod raw;
mod table;

use std::error::Error;
use std::time::Duration;

use hello::Hello;
use kms::Kms;
use load::{Call, Load, Target};
use moto::Moto;
use process::Parties;
use raw::Raw;
use table::{Row, Table};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SECONDS: u64 = 5;
/// Documents under leaves that the worker has not seen, for each column. It takes 400 unseen
/// certificates at once from a principal, and a hundred a second.
const UNSEEN: usize = 120;
/// Bytes of a download, and how often it is repeated each way.
const DOWNLOAD: u64 = 1 << 30;
const DOWNLOADS: usize = 3;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next().as_deref() {
        Some("hello-server") => block_on(hello::hello_server(&arguments.next().ok_or("a folder")?)),
        Some("hello-relay") => block_on(hello::hello_relay(&arguments.next().ok_or("a folder")?)),
        Some("idle-relay") => {
            let [folder, worker] = [arguments.next(), arguments.next()];
            block_on(idle::relay(&folder.ok_or("a folder")?, &worker.ok_or("a socket")?))
        }
        Some("idle") => {
            let connections =
                arguments.next().map(|connections| connections.parse()).transpose()?;
            let folder = tempfile::tempdir()?;
            block_on(idle::measure(folder.path(), connections.unwrap_or(idle::CONNECTIONS)))
        }
        Some("operations") => {
            let seconds = arguments.next().map_or(Ok(SECONDS), |seconds| seconds.parse())?;
            let folder = tempfile::tempdir()?;
            block_on(operations::measure(folder.path(), Duration::from_secs(seconds)))
        }
        seconds => {
            let seconds = seconds.map_or(Ok(SECONDS), str::parse)?;
            let rows = arguments.next().unwrap_or_default();
            let column = arguments.next().map(|connections| connections.parse()).transpose()?;
            let columns = column.map_or(CONNECTIONS.to_vec(), |connections| vec![connections]);
            block_on(measure(Duration::from_secs(seconds), &rows, &columns))
        }
    }
}

fn block_on(task: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

async fn measure(duration: Duration, rows: &str, columns: &[usize]) -> Result {
    let cell = Cell { columns, duration };
    let folder = tempfile::tempdir()?;
    let hello = Hello::start(folder.path())?;
    let kms = Kms::start(folder.path())?;
    let target = kms.target()?;
    let sealed = kms.seal(&target).await?;
    let measured = kms.seal_for_measurement(&target).await?;
    let raw = Raw::measure()?;

    let mut table = Table::new(columns);
    let said = Call::hello();
    let parties = hello.parties();
    table.push(cell.repeat_among(&parties, "hello world", &hello.relayed, &said).await?);
    let parties = kms.parties()?;
    for (name, call) in [
        ("Encrypt", kms.encrypt(&sealed)?),
        ("Decrypt", kms.decrypt(&sealed)?),
        ("GenerateDataKey", kms.generate_data_key(&sealed)?),
    ] {
        if name.starts_with(rows) {
            table.push(cell.repeat_among(&parties, name, &target, &call).await?);
        }
    }
    if "attested Decrypt".starts_with(rows) {
        let call = kms.attested_decrypt(&measured)?;
        let cached = cell.repeat(&target, &call).await?;
        table.push(Row::new("attested Decrypt", cached).beside(raw.rate(1)));
        let mut unseen = Vec::new();
        for connections in columns {
            let calls = (0..UNSEEN).map(|_| kms.attested_decrypt(&measured));
            let calls = calls.collect::<Result<_>>()?;
            unseen.push(load::load_each(&target, calls, *connections).await?);
        }
        table.push(Row::new("attested Decrypt, leaf not seen", unseen).beside(raw.rate(2)));
    }
    if "moto_server".starts_with(rows)
        && let Some(moto) = Moto::start()?
    {
        let sealed = kms.seal(&moto.target).await?;
        let decrypt = kms.decrypt(&sealed)?;
        let rows = cell.repeat(&moto.target, &decrypt).await?;
        table.push(Row::new("moto_server Decrypt", rows));
    }
    println!(
        "\n{} s a cell; latencies in µs; a core alone: P-384 check {} µs, RSA-OAEP {} µs\n",
        duration.as_secs(),
        raw.verify.as_micros(),
        raw.oaep.as_micros(),
    );
    print!("{table}");
    if "download".starts_with(rows) {
        downloads(&hello).await?;
    }
    Ok(())
}

/// How a row is measured: so many connections for each column, each for so long.
struct Cell<'a> {
    columns: &'a [usize],
    duration: Duration,
}

impl Cell<'_> {
    async fn repeat(&self, target: &Target, call: &Call) -> Result<Vec<Load>> {
        let mut row = Vec::new();
        for connections in self.columns {
            row.push(load::load(target, call, *connections, self.duration).await?);
        }
        Ok(row)
    }

    /// A whole row, with what a request takes each of the parties.
    async fn repeat_among(
        &self,
        parties: &Parties,
        name: &'static str,
        target: &Target,
        call: &Call,
    ) -> Result<Row> {
        let (mut row, mut spent) = (Vec::new(), Vec::new());
        for connections in self.columns {
            let before = parties.spent()?;
            let load = load::load(target, call, *connections, self.duration).await?;
            spent.push(parties.spent()?.each(before, load.all));
            row.push(load);
        }
        Ok(Row::new(name, row).spending(spent))
    }
}

async fn downloads(hello: &Hello) -> Result {
    let parties = hello.parties();
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    let (mut spent_direct, mut spent_relayed) = ([0.0; 3], [0.0; 3]);
    for _ in 0..DOWNLOADS {
        for (target, rates, spent) in [
            (&hello.direct, &mut direct, &mut spent_direct),
            (&hello.relayed, &mut relayed, &mut spent_relayed),
        ] {
            let before = parties.spent()?;
            rates.push(load::download(target, DOWNLOAD).await?);
            // Of a thousandth of all downloads, so that they are milliseconds of one.
            let each = parties.spent()?.each(before, 1000 * DOWNLOADS as u64);
            spent.iter_mut().zip(each).for_each(|(sum, one)| *sum += one);
        }
    }
    let (direct, relayed) = (median(direct)?, median(relayed)?);
    println!(
        "\n1 GiB over TLS: {:.0} MB/s direct, {:.0} MB/s through the relay, {:.2} of it",
        direct / 1e6,
        relayed / 1e6,
        relayed / direct
    );
    for (how, [server, relay, client]) in
        [("direct", spent_direct), ("through the relay", spent_relayed)]
    {
        println!(
            "    processor time {how}, ms: server {server:.0}, relay {relay:.0}, client {client:.0}"
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    Ok(values.get(values.len() / 2).copied().ok_or("nothing was measured")?)
}
