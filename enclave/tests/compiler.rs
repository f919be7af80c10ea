//! Compile bombs, as generated WebAssembly: each is refused where it cannot take the worker down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sekisho_enclave::{CompileHelper, NotCompiled};
use sekisho_policy_engine::stock;
use std::fmt::Write as _;
use std::path::Path;

fn helper() -> CompileHelper {
    CompileHelper::start_as(Path::new(env!("CARGO_BIN_EXE_sekisho-enclave")), true).unwrap()
}

/// A component with this core module in it; nothing here gets as far as the contract.
fn component(module: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (core module {module}))")).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    helper().compile(bytes).expect_err("it is a bomb").to_string()
}

#[test]
fn honest_components_compile_one_after_the_other() {
    let helper = helper();
    // The larger ones come with the worker and are not tried: they would take this test long.
    for (name, bytes) in stock::ALL.into_iter().filter(|(_, bytes)| bytes.len() < 1 << 20) {
        helper.compile(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_refusal_says_why() {
    let helper = helper();
    let reason = |bytes: &[u8]| match helper.compile(bytes) {
        Err(NotCompiled::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason(b"no component").contains("not a WebAssembly component"));
    assert!(reason(b"").contains("not a WebAssembly component"));
    assert!(reason(&component("(func (result i32))")).contains("does not compile"));
    // And it goes on.
    helper.compile(stock::ATTESTED).unwrap();
}

#[test]
fn bombs_of_known_shapes_are_not_compiled_at_all() {
    let parameters = "i32 ".repeat(500);
    let drops = "drop ".repeat(500);
    let wide = format!("(block (type $wide) {drops} unreachable)").repeat(100);
    let nested = format!("{}{}", "(block ".repeat(600), ")".repeat(600));
    let targets = "0 ".repeat(60_000);
    let types: String = (0..2_100).fold(String::new(), |mut text, number| {
        let parameters = "i64 ".repeat(number % 40);
        write!(text, "(type (func (param {parameters})))").unwrap();
        text
    });
    for (shape, module) in [
        (
            "parameters and results of blocks",
            format!("(type $wide (func (param {parameters}))) (func unreachable {wide})"),
        ),
        ("functions", "(func)".repeat(5_000)),
        ("local variables in a function", format!("(func (local {}))", "i64 ".repeat(50_000))),
        ("blocks within blocks", format!("(func {nested})")),
        ("targets of branch tables", format!("(func i32.const 0 br_table {targets})")),
        ("bytes in a function", format!("(func {})", "nop ".repeat(100_000))),
        ("types of functions", types),
        (
            "loops times variables",
            format!("(func (local {}) {})", "i32 ".repeat(1_900), "(loop) ".repeat(100)),
        ),
    ] {
        let reason = refusal(&component(&module));
        assert!(reason.contains(shape), "{shape}: {reason}");
    }
    let modules = wat::parse_str(format!("(component {})", "(core module)".repeat(1_000))).unwrap();
    assert!(refusal(&modules).contains("nested modules and components"));
}

/// Within every bound of shape: calls that hand on a thousand values, each in two bytes.
#[test]
fn a_bomb_that_no_shape_gives_away_meets_the_bounds_of_its_process() {
    let values = "i32 ".repeat(1_000);
    let makes = format!("(func $makes (result {values}) unreachable)");
    let takes = format!("(func $takes (param {values}))");
    let calls = "(call $makes) (call $takes) ".repeat(10_000);
    let bomb = component(&format!("{makes} {takes} {}", format!("(func {calls})").repeat(12)));
    let helper = helper();
    let refused = helper.compile(&bomb);
    assert!(matches!(refused, Err(NotCompiled::Memory(128) | NotCompiled::Time(_))), "{refused:?}");
    // Whoever comes after it is not the worse for it.
    helper.compile(stock::ATTESTED).unwrap();
}

#[test]
fn without_its_helper_nothing_is_compiled() {
    let helper = helper();
    let id = nix::unistd::Pid::from_raw(i32::try_from(helper.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(matches!(helper.compile(stock::ATTESTED), Err(NotCompiled::Helper(_))));
}
