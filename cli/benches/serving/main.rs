//! What a request costs through the relay, beside a server that only says hello; and what the relay
//! costs a long download.
//!
//! `cargo bench -p sekisho --bench serving [-- SECONDS [ROWS [CONNECTIONS]]]`, with `ROWS` the start of
//! the names of rows to measure beside hello world and `CONNECTIONS` a number of them in place of the
//! columns, or `cargo bench -p sekisho --bench serving -- operations
//! [SECONDS [ROWS]]` for each group of operations beside its cryptography, or `-- idle [CONNECTIONS]` for what
//! connections hold over which nothing passes. Each row is a closed loop over TLS 1.3
//! and HTTP/1.1 keep-alive with requests that were signed before, in turns with hello world: their ratio
//! is the median of the turns. Server, relay and client are processes of one thread each, as `sekisho dev`
//! has them; the hello-world server stands behind a `sekisho-host` relay of its own. With
//! `SEKISHO_BENCH_MOTO=<venv>/bin/moto_server` that server is measured too, without TLS, as it has it.

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
mod turns;

use std::error::Error;
use std::time::Duration;

use hello::Hello;
use kms::Kms;
use load::Call;
use moto::Moto;
use process::Spent;
use raw::Raw;
use table::Table;
use turns::{Measured, Turns};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SECONDS: u64 = 5;
/// Documents under leaves that the worker has not seen, for each column. It takes 400 unseen
/// certificates at once from a principal, and a hundred a second.
const UNSEEN: usize = 120;
/// Bytes of a download, and how often it is repeated each way.
const DOWNLOAD: u64 = 1 << 30;
const DOWNLOADS: usize = 5;

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
            let names = arguments.next().unwrap_or_default();
            let folder = tempfile::tempdir()?;
            block_on(operations::measure(folder.path(), Duration::from_secs(seconds), &names))
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
    let folder = tempfile::tempdir()?;
    let hello = Hello::start(folder.path())?;
    let kms = Kms::start(folder.path())?;
    let target = kms.target()?;
    let sealed = kms.seal(&target).await?;
    let measured = kms.seal_for_measurement(&target).await?;
    let raw = Raw::measure()?;

    let (call, parties) = (Call::hello(), hello.parties());
    let said = Measured { target: &hello.relayed, call: &call, parties: Some(&parties) };
    let mut turns = Turns::new(said, columns, duration);
    let mut table = Vec::new();
    let parties = kms.parties()?;
    for (name, call) in [
        ("Encrypt", kms.encrypt(&sealed)?),
        ("Decrypt", kms.decrypt(&sealed)?),
        ("GenerateDataKey", kms.generate_data_key(&sealed)?),
    ] {
        if name.starts_with(rows) {
            let row = Measured { target: &target, call: &call, parties: Some(&parties) };
            table.push(turns.row(name, row).await?);
        }
    }
    if "attested Decrypt".starts_with(rows) {
        let call = kms.attested_decrypt(&measured)?;
        let row = Measured { target: &target, call: &call, parties: Some(&parties) };
        let row = turns.row("attested Decrypt, leaf cached", row).await?;
        table.push(row.beside(raw.rate(1)));
        let calls = || (0..UNSEEN).map(|_| kms.attested_decrypt(&measured)).collect();
        let row = turns.row_of_each("attested Decrypt, leaf not seen", &target, calls).await?;
        table.push(row.beside(raw.rate(2)));
    }
    if "moto_server".starts_with(rows)
        && let Some(moto) = Moto::start()?
    {
        let sealed = kms.seal(&moto.target).await?;
        let call = kms.decrypt(&sealed)?;
        let row = Measured { target: &moto.target, call: &call, parties: None };
        table.push(turns.row("moto_server Decrypt", row).await?);
    }
    // Nothing where only a download is asked for.
    if !table.is_empty() {
        table.insert(0, turns.hello());
    }
    println!(
        "\n{} s a cell; latencies in µs; a core alone: P-384 check {} µs, RSA-OAEP {} µs\n",
        duration.as_secs(),
        raw.verify.as_micros(),
        raw.oaep.as_micros(),
    );
    print!("{}", Table::new(columns, table));
    if "download".starts_with(rows) {
        downloads(&hello).await?;
    }
    Ok(())
}

/// Both ways in turns.
async fn downloads(hello: &Hello) -> Result {
    let parties = hello.parties();
    let ways = [("direct", &hello.direct), ("through the relay", &hello.relayed)];
    let (mut rates, mut spent): ([Vec<f64>; 2], [Spent; 2]) = Default::default();
    for _ in 0..DOWNLOADS {
        for (((_, target), rates), spent) in ways.iter().zip(&mut rates).zip(&mut spent) {
            let before = parties.spent()?;
            rates.push(load::download(target, DOWNLOAD).await?);
            *spent = spent.and(parties.spent()?.since(before));
        }
    }
    let [direct, relayed] = &rates;
    let ratios = direct.iter().zip(relayed).map(|(direct, relayed)| relayed / direct).collect();
    let [direct, relayed] = rates.map(median);
    println!(
        "\n1 GiB over TLS: {:.0} MB/s direct, {:.0} MB/s through the relay, {:.2} of it",
        direct? / 1e6,
        relayed? / 1e6,
        median(ratios)?
    );
    for ((how, _), spent) in ways.into_iter().zip(spent) {
        // Of a thousandth of all downloads, so that they are milliseconds of one.
        let [server, relay, client] = spent.each(1000 * DOWNLOADS as u64);
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
