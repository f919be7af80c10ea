//! `sekisho policy inspect`: what a component is, and whether the service would take it.

use std::time::Instant;

use sekisho_policy_engine::{ACCEPTED_VERSIONS, DEFAULT_COMPONENT, ModuleDigest};
use serde_json::json;

use super::module;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  sekisho policy inspect backup.wasm
  sekisho policy inspect iam --json

Exit status: 0 the service would admit it, 1 it would not (and why), 2 wrong usage.";

/// Say what a component is, and whether a service would admit it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A component's file, a project's folder, or a stock policy's name.
    policy: String,

    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bytes = module::component(&arguments.policy)?;
    let digest = ModuleDigest::of(&bytes);
    let started = Instant::now();
    let admitted = module::try_admitting(&bytes).map(|(admitted, _)| admitted);
    let took = started.elapsed();
    let option = module::option(&bytes).map(|size| size.to_string());
    let refused = admitted.as_ref().err().map(ToString::to_string);
    if arguments.json {
        let found = json!({
            "sha256": digest.to_string(),
            "size": bytes.len(),
            "admitted": refused.is_none(),
            "refused": refused,
            "policy_module_size": option,
            "contract": admitted.as_ref().ok().map(|module| module.contract_version()),
            "accepted_contracts": ACCEPTED_VERSIONS,
            "compile_milliseconds": took.as_millis() as u64,
        });
        println!("{found}");
    } else {
        println!("sha256    {digest}");
        match &option {
            None if module::is_stock(&bytes) => {
                println!("size      {} bytes: it comes with the service", bytes.len());
            }
            None => println!("size      {} bytes of at most {DEFAULT_COMPONENT}", bytes.len()),
            Some(option) => println!(
                "size      {} bytes: only for services with --policy-module-size {option}",
                bytes.len()
            ),
        }
        if let Ok(module) = &admitted {
            let accepted = ACCEPTED_VERSIONS.join(", ");
            let version = module.contract_version();
            println!("contract  sekisho:policy@{version} (accepted: {accepted})");
            println!("imports   none");
            println!("compiled  in {} ms", took.as_millis());
        }
    }
    match refused {
        None => Ok(()),
        Some(reason) => Err(Failure::failed(format_args!("{}: {reason}", arguments.policy))),
    }
}
