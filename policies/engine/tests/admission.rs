//! Components that are not admitted, and how the author learns why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{
    AdmissionError, BoundExceeded, ConfigureError, DEFAULT_COMPONENT, Engine, Failure, Limits,
    MAX_COMPONENT, ModuleDigest, stock,
};
use support::{ALLOW, EMPTY_STATE, component, componentize, core_module};

const WIT: &str = include_str!("../../wit/policy.wit");

fn refusal_of(bytes: &[u8]) -> AdmissionError {
    let engine = Engine::new(Limits::default()).unwrap();
    match engine.admit(bytes) {
        Ok(_) => panic!("admitted"),
        Err(error) => error,
    }
}

fn bound_of(bytes: &[u8]) -> &'static str {
    match refusal_of(bytes) {
        AdmissionError::Bound(BoundExceeded { what, .. }) => what,
        other => panic!("{other}"),
    }
}

fn with(more: &str) -> Vec<u8> {
    component(EMPTY_STATE, ALLOW, more)
}

#[test]
fn the_digest_is_of_the_bytes() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit(stock::ATTESTED).unwrap();
    assert_eq!(module.digest(), ModuleDigest::of(stock::ATTESTED));
    let text = module.digest().to_string();
    let digests = include_str!("../../stock/DIGESTS");
    assert!(digests.contains(&format!("{text}  attested/attested.wasm")));
}

#[test]
fn oversized() {
    let zeros = vec![0; 1920 * 1024 + 1];
    assert!(matches!(refusal_of(&zeros), AdmissionError::Size { .. }));
}

#[test]
fn not_a_component() {
    for bytes in [&b""[..], b"\0", b"#!/bin/sh", b"\0asm\x0d\0\x01"] {
        let error = refusal_of(bytes);
        assert!(matches!(error, AdmissionError::NotComponent { .. }), "{error}");
    }
    let truncated = &stock::IAM[..stock::IAM.len() / 2];
    assert!(matches!(refusal_of(truncated), AdmissionError::NotComponent { .. }));
}

#[test]
fn a_core_module() {
    let module = core_module(EMPTY_STATE, ALLOW, "");
    assert!(matches!(refusal_of(&module), AdmissionError::CoreModule));
}

#[test]
fn an_import_is_refused_by_name() {
    let import = wat::parse_str(
        r#"(component
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance))
            (import "host" (func)))"#,
    )
    .unwrap();
    let error = refusal_of(&import);
    assert_eq!(
        error.to_string(),
        "a policy imports nothing, this one imports: wasi:clocks/monotonic-clock@0.2.0, host"
    );
}

/// An import smuggled in by a component inside is satisfied from inside or not valid.
#[test]
fn an_import_of_an_inner_component_reaches_nothing() {
    let inner = wat::parse_str(
        r#"(component (component $c (import "host" (func))) (instance (instantiate $c)))"#,
    )
    .unwrap();
    assert!(matches!(refusal_of(&inner), AdmissionError::Compile { .. }));
}

#[test]
fn the_contract_is_missing() {
    let empty = wat::parse_str("(component)").unwrap();
    let error = refusal_of(&empty);
    assert_eq!(
        error.to_string(),
        "the component does not export `sekisho:policy/policy@0.2.0, 0.1.0`"
    );
}

#[test]
fn another_version_of_the_contract() {
    let newer = |version: &str| {
        let text = WIT.replace("@0.2.0", &format!("@{version}"));
        componentize(wat::parse_str(module_text(version)).unwrap(), &text)
    };
    let error = refusal_of(&newer("0.9.0"));
    assert_eq!(
        error.to_string(),
        "the component speaks version 0.9.0 of the contract; accepted: 0.2.0, 0.1.0"
    );
}

fn module_text(version: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
            (func (export "sekisho:policy/policy@{version}#configure")
                (param i32 i32) (result i32) i32.const 64)
            (func (export "sekisho:policy/policy@{version}#evaluate")
                (param i32) (result i32) i32.const 128))"#
    )
}

#[test]
fn a_function_is_missing() {
    let start = WIT.find("    /// Decides.").unwrap();
    let end = WIT.find("world key-policy").unwrap();
    let without = [&WIT[..start], "}\n", &WIT[end..]].concat();
    let text = module_text("0.2.0").replace("policy@0.2.0#evaluate", "unused");
    let error = refusal_of(&componentize(wat::parse_str(text).unwrap(), &without));
    assert_eq!(
        error.to_string(),
        "the component exports the contract without its function `evaluate`"
    );
}

/// The author learns the way to the type that is wrong.
#[test]
fn a_type_is_wrong() {
    for (from, to, says) in [
        (
            "tags: list<pair>,\n    }\n\n    /// The KMS",
            "tags: list<string>,\n    }\n\n    /// The KMS",
            "tags",
        ),
        ("time: u64", "time: u32", "time"),
        ("module-id: string", "module-name: string", "module-id"),
        ("nitro-tpm,", "nitro-tpm, sgx,", "attestation"),
        ("        no-opinion,", "", "decision"),
    ] {
        assert!(WIT.contains(from), "{from}");
        let text = WIT.replace(from, to);
        let module = wat::parse_str(module_text("0.2.0")).unwrap();
        let error = refusal_of(&componentize(module, &text)).to_string();
        assert!(error.contains("`evaluate` has the wrong type"), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn features_that_are_off() {
    for more in [
        "(func (result v128) v128.const i64x2 0 0)",
        "(func i32.const 0 i32.const 0 memory.atomic.notify drop)",
        "(func $t return_call $t)",
        "(tag)",
        "(memory $second 1)",
        "(type (struct))",
    ] {
        let error = refusal_of(&with(more));
        assert!(
            matches!(error, AdmissionError::Compile { .. } | AdmissionError::NotComponent { .. }),
            "{more}: {error}"
        );
    }
}

#[test]
fn more_memory_than_the_limit_from_the_start() {
    let text = module_text("0.2.0").replace("\"memory\") 1)", "\"memory\") 65)");
    let error = refusal_of(&componentize(wat::parse_str(text).unwrap(), WIT));
    assert!(matches!(error, AdmissionError::Compile { .. }), "{error}");
}

#[test]
fn shapes_that_cost_too_much() {
    assert_eq!(bound_of(&with(&"(func)".repeat(4_001))), "functions");
    let body = format!("(func {})", "nop ".repeat(70_000));
    assert_eq!(bound_of(&with(&body)), "bytes in a function");
    let locals = format!("(func (local {}))", "i64 ".repeat(2_001));
    assert_eq!(bound_of(&with(&locals)), "local variables in a function");
    let parameters = "i32 ".repeat(100);
    let blocks = format!("(block (type $wide) {} unreachable)", "drop ".repeat(100)).repeat(201);
    let wide = format!("(type $wide (func (param {parameters}))) (func unreachable {blocks})");
    assert_eq!(bound_of(&with(&wide)), "parameters and results of blocks");
    let nesting = format!("(func {}{})", "(block ".repeat(501), ")".repeat(501));
    assert_eq!(bound_of(&with(&nesting)), "blocks within blocks");
    let targets = format!("(func i32.const 0 br_table {})", "0 ".repeat(50_002));
    assert_eq!(bound_of(&with(&targets)), "targets of branch tables");
    let locals = "i32 ".repeat(100);
    let loops = format!("(func (local {locals}) {})", "(loop) ".repeat(100)).repeat(16);
    assert_eq!(bound_of(&with(&loops)), "loops times variables of their functions");
    let parameters = "i32 ".repeat(100);
    let loops = format!("(func (param {parameters}) {})", "(loop) ".repeat(100)).repeat(16);
    assert_eq!(bound_of(&with(&loops)), "loops times variables of their functions");
    let blocks = format!("(func (local {locals}) {})", "(block) ".repeat(1_000)).repeat(11);
    assert_eq!(bound_of(&with(&blocks)), "blocks times variables of their functions");
    let types = "(type (func (param i64)))".repeat(2_001);
    let types = wat::parse_str(format!("(component (core module {types}))")).unwrap();
    assert_eq!(bound_of(&types), "types of functions");
    let nested = format!("(component {})", "(core module)".repeat(49));
    let nested = wat::parse_str(nested).unwrap();
    assert_eq!(bound_of(&nested), "nested modules and components");
}

#[test]
fn a_module_that_is_admitted_later_decides_nothing_before() {
    let engine = Engine::new(Limits::default()).unwrap();
    let module = engine.admit_later(ModuleDigest::of(stock::ATTESTED));
    assert!(!module.is_compiled());
    assert!(matches!(module.configure(b"{}"), Err(ConfigureError::Failed(Failure::Start(_)))));
    let other = module.supply(stock::IAM).unwrap_err().to_string();
    assert!(other.contains("not the component that was registered"), "{other}");
    assert!(!module.is_compiled());
    module.supply(stock::ATTESTED).unwrap();
    assert!(module.is_compiled());
    // Whatever comes after it.
    module.supply(stock::IAM).unwrap();
    assert!(matches!(module.configure(b"{}"), Err(ConfigureError::Refused(_))));

    let broken = engine.admit_later(ModuleDigest::of(b"\0asm"));
    assert!(broken.supply(b"\0asm").is_err());
    assert!(broken.is_compiled(), "why it decides nothing is known");
    assert!(matches!(broken.configure(b"{}"), Err(ConfigureError::Failed(Failure::Start(_)))));
}

#[test]
fn who_asks_for_no_more_gets_the_default_limits() {
    let default = Limits::default();
    for size in [0, DEFAULT_COMPONENT] {
        let limits = Limits::with_components_of(size);
        assert_eq!(limits.admission.size, DEFAULT_COMPONENT);
        assert_eq!((limits.memory, limits.parts), (default.memory, default.parts));
    }
    assert_eq!(
        Limits::with_components_of(DEFAULT_COMPONENT + 1).admission.size,
        DEFAULT_COMPONENT + 1
    );
    assert_eq!(Limits::with_components_of(usize::MAX).admission.size, MAX_COMPONENT);
}
