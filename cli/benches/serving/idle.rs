//! Thousands of connections over which nothing passes: what they hold, and what a request takes meanwhile.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use sekisho_wire::Address;
use tokio::task::JoinSet;

use crate::Result;
use crate::kms::Kms;
use crate::load::{Call, Sender, Target, load, send};
use crate::process::{Process, Running};

/// What the issue asks for.
pub(crate) const CONNECTIONS: usize = 10_000;
/// Files that a process has open beside those of its connections, generously.
const OTHER_FILES: usize = 100;
/// Connections that are opened at the same time, fewer than wait in a listener's queue.
const AT_ONCE: usize = 64;
/// How long the latency of a request is measured.
const PROBE: Duration = Duration::from_secs(5);
/// A worker ends a connection on which nothing was asked for 60 seconds.
const UNTIL_ENDED: Duration = Duration::from_secs(120);

/// Holds `connections` over TLS, each after a Decrypt of its own; measures others meanwhile, asks each
/// of the held ones again, waits until the worker has ended them all, and opens as many once more.
///
/// A relayed connection takes two files in its host. Where one process may not open so many, as many
/// further hosts as it takes relay to the same worker.
pub(crate) async fn measure(folder: &Path, connections: usize) -> Result {
    let limit = sekisho_host::raise_open_files_limit()?.map_or(usize::MAX, |limit| limit as usize);
    let room = limit.saturating_sub(OTHER_FILES);
    if connections > room {
        let reason = format!("worker and client may open {limit} files each: {room} connections");
        return Err(reason.into());
    }
    let kms = Kms::start(folder)?;
    let (worker, host) = (kms.worker()?, kms.host()?);
    println!("idle worker: {:.1} MiB, host: {:.1} MiB", worker.resident()?, host.resident()?);
    let target = kms.target()?;
    let decrypt = kms.decrypt(&kms.seal(&target).await?)?;
    let mut targets = vec![target.clone()];
    let (mut others, mut hosts) = (Vec::new(), vec![host]);
    while targets.len() * (room / 2) < connections {
        let (process, address) = start_relay(folder, others.len())?;
        targets.push(target.at(address.trim().parse()?));
        hosts.push(process.running());
        others.push(process);
    }
    println!("{} host(s), each of which may open {limit} files", hosts.len());

    let alone = load(&target, &decrypt, 1, PROBE).await?;
    let before = Memory::of(&worker, &hosts)?;
    let started = Instant::now();
    let mut held = open(&targets, &decrypt, connections).await?;
    let opened = started.elapsed();
    let during = Memory::of(&worker, &hosts)?;
    println!("{connections} connections opened in {:.1} s", opened.as_secs_f64());
    during.print(&before, connections);

    let beside = load(&target, &decrypt, 1, PROBE).await?;
    for (when, load) in [("Decrypt on one more", beside), ("    before they were", alone)] {
        let [p50, p99] = load.quantiles([0.50, 0.99]);
        println!("{when}: p50 {p50} µs, p99 {p99} µs");
    }
    for (number, sender) in held.iter_mut().enumerate() {
        let asked = ask(sender, &decrypt).await;
        asked.map_err(|error| format!("connection {number} was not held: {error}"))?;
    }
    println!("each of the {connections} has answered again");
    let asked = Instant::now();
    while worker.open_files()? > OTHER_FILES {
        if asked.elapsed() > UNTIL_ENDED {
            return Err(format!("{} files are still open", worker.open_files()?).into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("the worker has ended them {:.0} s later", asked.elapsed().as_secs_f64());
    Memory::of(&worker, &hosts)?.print(&before, connections);
    let held = open(&targets, &decrypt, connections).await?;
    println!("{} connections opened once more", held.len());
    Memory::of(&worker, &hosts)?.print(&before, connections);
    // Their tasks close them, so that nobody drains.
    drop(held);
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Opens connections, some at a time, shared out among the hosts.
async fn open(targets: &[Target], call: &Call, connections: usize) -> Result<Vec<Sender>> {
    let (mut held, mut opening) = (Vec::with_capacity(connections), JoinSet::new());
    for target in targets.iter().cycle().take(connections) {
        if opening.len() == AT_ONCE {
            held.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let (target, call) = (target.clone(), call.clone());
        opening.spawn(async move {
            let mut sender = target.connect().await.map_err(|error| error.to_string())?;
            ask(&mut sender, &call).await.map(|()| sender)
        });
    }
    while let Some(sender) = opening.join_next().await {
        held.push(sender??);
    }
    Ok(held)
}

/// On this connection and no other.
async fn ask(sender: &mut Sender, call: &Call) -> std::result::Result<(), String> {
    match send(sender, call).await {
        Ok((StatusCode::OK, _)) => Ok(()),
        Ok((status, body)) => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
        Err(error) => Err(error.to_string()),
    }
}

/// What is resident, in MiB.
struct Memory {
    worker: f64,
    hosts: f64,
}

impl Memory {
    fn of(worker: &Running, hosts: &[Running]) -> Result<Self> {
        let hosts: Result<Vec<f64>> = hosts.iter().map(Running::resident).collect();
        Ok(Self { worker: worker.resident()?, hosts: hosts?.iter().sum() })
    }

    fn print(&self, before: &Self, connections: usize) {
        for (name, now, before) in
            [("worker", self.worker, before.worker), ("hosts", self.hosts, before.hosts)]
        {
            let each = (now - before) * 1024.0 / connections as f64;
            println!("    {name}: {now:.1} MiB, {before:.1} before: {each:.2} KiB a connection");
        }
    }
}

fn start_relay(folder: &Path, number: usize) -> Result<(Process, String)> {
    let data = folder.join(format!("host-{number}"));
    std::fs::create_dir(&data)?;
    let mut command = Command::new(std::env::current_exe()?);
    Process::start(command.arg("idle-relay").arg(data).arg(Kms::worker_socket(folder)))
}

/// A further host: its store is nobody's.
pub(crate) async fn relay(folder: &str, worker: &str) -> Result {
    sekisho_host::raise_open_files_limit()?;
    let folder = Path::new(folder);
    let config = sekisho_host::Config::new(
        ([127, 0, 0, 1], 0).into(),
        Address::Unix { path: worker.into() },
        Address::Unix { path: folder.join("store.sock") },
        folder.join("data"),
    );
    let ready = |listening: sekisho_host::Listening| println!("{}", listening.callers);
    Ok(sekisho_host::run(config, ready, std::future::pending()).await?)
}
