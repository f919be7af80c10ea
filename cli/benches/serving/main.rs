//! What a request costs through the relay: Decrypt and attested Decrypt beside a server that only
//! says hello, in one run.
//!
//! `cargo bench -p sekisho --bench serving [-- SECONDS]`. Each row is a closed loop over TLS 1.3
//! and HTTP/1.1 keep-alive with requests that were signed before. Server, relay and client are
//! processes of one thread each, as `sekisho dev` has them; the hello-world server stands behind
//! a `sekisho-host` relay of its own.

mod hello;
mod kms;
mod load;
mod process;

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use hello::Hello;
use kms::Kms;
use load::{Call, Load};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 2] = [1, 16];
const SECONDS: u64 = 5;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next().as_deref() {
        Some("hello-server") => block_on(hello::hello_server(&arguments.next().ok_or("a folder")?)),
        Some("hello-relay") => block_on(hello::hello_relay(&arguments.next().ok_or("a folder")?)),
        seconds => {
            let seconds = seconds.map_or(Ok(SECONDS), str::parse)?;
            block_on(measure(Duration::from_secs(seconds)))
        }
    }
}

fn block_on(task: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

async fn measure(duration: Duration) -> Result {
    let folder = tempfile::tempdir()?;
    let hello = Hello::start(folder.path())?;
    let kms = Kms::start(folder.path())?;
    let kms_target = kms.target()?;
    let sealed = kms.seal(&kms_target).await?;

    let mut rows = Vec::new();
    for (name, attested) in
        [("hello world", None), ("Decrypt", Some(false)), ("attested Decrypt", Some(true))]
    {
        let mut row = Vec::new();
        for connections in CONNECTIONS {
            let (target, request) = match attested {
                None => (&hello.target, Call::hello()),
                Some(attested) => (&kms_target, kms.decrypt(&sealed, attested)?),
            };
            row.push(load::load(target, &request, connections, duration).await?);
        }
        rows.push((name, row));
    }
    print(&rows, duration)
}

fn print(rows: &[(&str, Vec<Load>)], duration: Duration) -> Result {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{} s a cell; latencies in microseconds\n", duration.as_secs())?;
    write!(out, "| |")?;
    for connections in CONNECTIONS {
        write!(out, " {connections} conn.: req/s | p50 | p99 | of hello |")?;
    }
    writeln!(out, "\n|---|{}", "---:|".repeat(4 * CONNECTIONS.len()))?;
    let hello = rows.first().map(|(_, row)| row.as_slice()).unwrap_or_default();
    for (name, row) in rows {
        write!(out, "| {name} |")?;
        for (load, hello) in row.iter().zip(hello) {
            let ratio = load.rate / hello.rate;
            write!(out, " {:.0} | {} | {} | {ratio:.2} |", load.rate, load.p50, load.p99)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
