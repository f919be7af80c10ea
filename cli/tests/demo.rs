//! `sekisho demo`, as its first user runs it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod running;

use std::process::Command;

use running::{SEKISHO, run, venv};
use serde_json::Value;

#[test]
fn every_step_comes_out_right() {
    let output = run(Command::new(SEKISHO).args(["demo", "--json", "--aws"]).arg(venv("aws")));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    let steps = report["steps"].as_array().expect("steps");
    let names: Vec<_> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    for name in [
        "service attested",
        "key created",
        "file encrypted",
        "attested decrypt",
        "no document",
        "other code",
        "forged document",
        "debug enclave",
        "other context",
        "wrong signature",
        "host knows nothing",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

#[test]
fn without_an_aws_cli_it_says_so() {
    let output = Command::new(SEKISHO)
        .args(["demo", "--aws", "/nonexistent/aws"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/aws"));
}

#[test]
fn another_program_is_no_aws_cli() {
    let output =
        Command::new(SEKISHO).args(["demo", "--aws", "/bin/echo"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}
