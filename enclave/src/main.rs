//! The shipped worker: runs inside a Nitro enclave, with the real NSM and nothing else.

use clap::Parser;
use sekisho_enclave::image::{self, Machine};
use sekisho_enclave::{CompileHelper, Options, start_log};
use sekisho_nsm::Nsm;
use sekisho_wire::handover;
use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// In place of musl's, with which a request takes a quarter more of a processor (docs/BENCHMARKS.md).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    // An init's arguments are its machine's command line, and count for nothing.
    let ended = match image::is_init() {
        true => run_in_image(),
        false => match sekisho_enclave::play_compiler() {
            Some(ended) => return ended,
            None => run_as_process(Options::parse()),
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Only a start fails, before there is a caller.
            eprintln!("sekisho-enclave: {error}");
            ExitCode::FAILURE
        }
    }
}

type Ended = Result<(), Box<dyn std::error::Error>>;

fn run_as_process(options: Options) -> Ended {
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    start_log(options.log_format(), &levels)?;
    let nsm = Arc::new(sekisho_nsm::Device::open()?);
    let boot = options.boot(nsm, compile_helper());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = async move {
            terminate.recv().await;
        };
        Ok(sekisho_enclave::run(boot, || {}, shutdown).await?)
    })
}

/// Not in a cage: the machine is one.
fn compile_helper() -> Option<CompileHelper> {
    CompileHelper::start_or_say(false)
}

/// Comes back only if the machine does not end.
fn run_in_image() -> Ended {
    let ended = Machine::prepare().map_err(Into::into).and_then(|machine| serve_image(&machine));
    if let Err(error) = ended {
        // To the console, which a debugger of the machine sees and nobody else.
        eprintln!("sekisho-enclave: {error}");
    }
    Err(image::restart().into())
}

fn serve_image(machine: &Machine) -> Ended {
    let nsm: Arc<dyn Nsm> = Arc::new(sekisho_nsm::Device::open()?);
    machine.trust_the_nsm(nsm.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::spawn(image::beat());
        let listener = handover::ADDRESS.listen().await?;
        let (options, host) =
            handover::receive(&listener, handover::PATIENCE, Options::from_text).await;
        // It has its configuration: nobody can give it another one.
        drop(listener);
        let log = image::start_sent_log(options.log_format(), "info", host)?;
        tokio::spawn(image::keep_time(nsm.clone()));
        tokio::spawn(image::watch_memory());
        let ended =
            sekisho_enclave::run(options.boot(nsm, compile_helper()), || {}, pending()).await;
        log.end(ended.as_ref().err().map(|error| error as &dyn std::fmt::Display)).await;
        Ok(ended?)
    })
}
