//! Whatever components do, the memory of the process that runs them comes back. One process, one
//! thread of tests, so that what is measured is the engine's alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{Engine, Limits};
use support::{ALLOW, EMPTY_STATE, ROOT, component, request};

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn main() {
    let engine = Engine::new(Limits::default()).unwrap();
    // What is made once (the pool, the allocator's own) is there after a round.
    round(&engine, 0);
    let before = resident();
    for number in 1..=8 {
        round(&engine, number);
    }
    let after = resident();
    println!("resident before {before}, after {after}");
    assert!(after <= before + before / 10, "{before} bytes became {after}");
    println!("the memory came back");
}

fn round(engine: &Engine, number: usize) {
    for (name, configure, evaluate, more) in misbehaving() {
        let bytes = component(configure, &evaluate, more);
        let module = engine.admit(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..20 {
            if let Ok(policy) = module.configure(b"{}") {
                policy.evaluate(&request("kms:Decrypt", ROOT)).into_permit().expect_err(name);
            }
        }
    }
    // Modules that come and go: in all rounds together, more than a thousand.
    let many: Vec<_> = (0..112)
        .map(|module| {
            let more = format!("(func (result i32) i32.const {})", number * 1000 + module);
            engine.admit(&component(EMPTY_STATE, ALLOW, &more)).unwrap()
        })
        .collect();
    for module in &many {
        let policy = module.configure(b"").unwrap();
        policy.evaluate(&request("kms:Decrypt", ROOT)).into_permit().expect("it allows");
    }
    // And components that are refused.
    for refused in ["(func (result i32))", "(import \"a\" \"b\" (func))", "(memory $more 1)"] {
        let module = format!("(component (core module {refused}))");
        engine.admit(&wat::parse_str(module).unwrap()).map(drop).expect_err(refused);
    }
}

/// Name, `configure`, `evaluate`, and what stands beside them.
fn misbehaving() -> Vec<(&'static str, &'static str, String, &'static str)> {
    let fill = "i32.const 62 memory.grow drop
        i32.const 65536 i32.const 1 i32.const 4063232 memory.fill";
    vec![
        ("all its memory, written to, and a trap", EMPTY_STATE, format!("{fill} unreachable"), ""),
        (
            "endless growth",
            EMPTY_STATE,
            "(loop i32.const 1 memory.grow drop br 0) unreachable".into(),
            "",
        ),
        (
            "all its table",
            EMPTY_STATE,
            "ref.null func i32.const 9000 table.grow $t drop unreachable".into(),
            "(table $t 1 funcref)",
        ),
        ("deep recursion", EMPTY_STATE, "call $f unreachable".into(), "(func $f call $f call $f)"),
        ("endless loop", EMPTY_STATE, "(loop br 0) unreachable".into(), ""),
        ("a trap in configure", "unreachable", ALLOW.into(), ""),
        (
            "a huge reason",
            EMPTY_STATE,
            format!(
                "{fill} i32.const 128 i32.const 1 i32.store8 i32.const 132 i32.const 65536 i32.store
                 i32.const 136 i32.const 4000000 i32.store i32.const 128"
            ),
            "",
        ),
        (
            "a huge answer",
            EMPTY_STATE,
            "i32.const 140 i32.const 1024 i32.store i32.const 144 i32.const 100000000 i32.store
             i32.const 128"
                .into(),
            "",
        ),
    ]
}
