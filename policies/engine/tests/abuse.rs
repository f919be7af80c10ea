//! Components that misbehave when they run: each is a deny that names why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{ConfigureError, Decision, Engine, Evaluation, Failure, Limits, Part};
use std::time::{Duration, Instant};
use support::{ALLOW, EMPTY_STATE, ROOT, component, request};

fn engine() -> Engine {
    Engine::new(Limits::default()).unwrap()
}

fn evaluate_in(engine: &Engine, evaluate: &str, more: &str) -> Evaluation {
    let bytes = component(EMPTY_STATE, evaluate, more);
    let policy = engine.admit(&bytes).unwrap().configure(b"{}").unwrap();
    policy.evaluate(&request("kms:Decrypt", ROOT))
}

/// Evaluates, and checks that a failure is a deny, whatever its cause.
fn failure_of(evaluate: &str, more: &str) -> Failure {
    let evaluation = evaluate_in(&engine(), evaluate, more);
    assert!(matches!(evaluation.decision(), Decision::Deny(_)));
    assert!(evaluation.answer().obligations.is_empty());
    let failure = evaluation.failure().expect("a failure").clone();
    assert!(evaluation.into_permit().is_err());
    failure
}

#[test]
fn the_components_written_here_do_allow() {
    let evaluation = evaluate_in(&engine(), ALLOW, "");
    assert_eq!(evaluation.failure(), None);
    assert_eq!(evaluation.decision(), &Decision::Allow);
    assert!(evaluation.fuel() > 0);
}

#[test]
fn endless_loop() {
    assert_eq!(failure_of("(loop br 0) unreachable", ""), Failure::Fuel);
}

/// Fuel without end, so that only the deadline stops the loop. The caller has no other
/// thread.
#[test]
fn endless_loop_with_endless_fuel() {
    let mut limits = Limits::default();
    limits.evaluate.fuel = u64::MAX;
    let engine = Engine::new(limits).unwrap();
    // The thread that counts time rests by now, and must wake up.
    std::thread::sleep(Duration::from_millis(1200));
    let start = Instant::now();
    let evaluation = evaluate_in(&engine, "(loop br 0) unreachable", "");
    assert_eq!(evaluation.failure(), Some(&Failure::Deadline));
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn endless_loop_in_configure() {
    let engine = engine();
    let module = engine.admit(&component("(loop br 0) unreachable", ALLOW, "")).unwrap();
    // On a starved machine the deadline comes before the end of so much fuel.
    let failed = module.configure(b"{}");
    assert!(
        matches!(failed, Err(ConfigureError::Failed(Failure::Fuel | Failure::Deadline))),
        "{failed:?}"
    );
}

#[test]
fn memory_growth() {
    let grow = "(loop i32.const 1 memory.grow drop br 0) unreachable";
    assert_eq!(failure_of(grow, ""), Failure::Memory);
    let at_once = "i32.const 65535 memory.grow drop i32.const 128";
    assert_eq!(failure_of(at_once, ""), Failure::Memory);
}

#[test]
fn memory_is_paid_for_by_size() {
    let fill = "i32.const 31 memory.grow drop
        (loop i32.const 0 i32.const 1 i32.const 2097152 memory.fill br 0) unreachable";
    assert_eq!(failure_of(fill, ""), Failure::Fuel);
}

#[test]
fn table_growth() {
    let grow = "ref.null func i32.const 100000 table.grow $t drop i32.const 128";
    assert_eq!(failure_of(grow, "(table $t 1 funcref)"), Failure::Memory);
}

#[test]
fn deep_recursion() {
    let recurse = "(func $f (param i64) (result i64)
        local.get 0 i64.const 1 i64.add call $f i64.const 1 i64.add)";
    let call = "i64.const 0 call $f drop i32.const 128";
    assert_eq!(failure_of(call, recurse), Failure::Stack);
}

#[test]
fn traps() {
    for (evaluate, failure) in [
        ("unreachable", "unreachable, as after a panic"),
        ("i32.const -4 i32.load", "access outside its memory"),
        ("i32.const 1 i32.const 0 i32.div_u", "division by zero"),
        ("i32.const -2147483648 i32.const -1 i32.div_s", "integer overflow"),
    ] {
        assert_eq!(failure_of(evaluate, ""), Failure::Trap(failure));
    }
}

#[test]
fn trap_in_every_place() {
    let engine = engine();
    let allow_after = |more: &str| component(EMPTY_STATE, ALLOW, more);
    // At instantiation.
    let module = engine.admit(&allow_after("(func $s unreachable) (start $s)")).unwrap();
    assert!(matches!(module.configure(b"{}"), Err(ConfigureError::Failed(Failure::Trap(_)))));
    // After the answer was read.
    let bytes = allow_after(
        r#"(func (export "cabi_post_sekisho:policy/policy@0.2.0#evaluate") (param i32) unreachable)"#,
    );
    let policy = engine.admit(&bytes).unwrap().configure(b"{}").unwrap();
    let evaluation = policy.evaluate(&request("kms:Decrypt", ROOT));
    assert!(matches!(evaluation.failure(), Some(Failure::Trap(_))));
    assert!(evaluation.into_permit().is_err());
}

#[test]
fn malformed_answers() {
    for (what, evaluate) in [
        ("a decision that does not exist", "i32.const 128 i32.const 9 i32.store8 i32.const 128"),
        ("an answer outside memory", "i32.const 65532"),
        ("an answer far outside memory", "i32.const -4"),
        ("an answer that is not aligned", "i32.const 129"),
        (
            "a reason outside memory",
            "i32.const 128 i32.const 1 i32.store8
             i32.const 132 i32.const 65535 i32.store i32.const 136 i32.const 2 i32.store
             i32.const 128",
        ),
        (
            "a reason that is not UTF-8",
            "i32.const 128 i32.const 1 i32.store8 i32.const 256 i32.const 255 i32.store8
             i32.const 132 i32.const 256 i32.store i32.const 136 i32.const 1 i32.store
             i32.const 128",
        ),
        (
            "an obligation that does not exist",
            "i32.const 140 i32.const 256 i32.store i32.const 144 i32.const 1 i32.store
             i32.const 256 i32.const 7 i32.store8 i32.const 128",
        ),
    ] {
        let failure = failure_of(evaluate, "");
        assert!(matches!(failure, Failure::Malformed(_)), "{what}: {failure}");
    }
}

/// `decision` at 128, `obligations` at 140, `log` at 148.
#[test]
fn oversized_answers() {
    let reason = "i32.const 128 i32.const 1 i32.store8
        i32.const 132 i32.const 1024 i32.store i32.const 136 i32.const 1025 i32.store
        i32.const 128";
    assert_eq!(failure_of(reason, ""), Failure::Oversized(Part::Reason));
    let obligations = "i32.const 140 i32.const 1024 i32.store
        i32.const 144 i32.const 17 i32.store i32.const 128";
    assert_eq!(failure_of(obligations, ""), Failure::Oversized(Part::Obligations));
    let lines = "i32.const 148 i32.const 1024 i32.store
        i32.const 152 i32.const 65 i32.store i32.const 128";
    assert_eq!(failure_of(lines, ""), Failure::Oversized(Part::Log));
}

/// Ten thousand strings, all the same 60 KB: the host must not copy 600 MB.
#[test]
fn huge_strings_over_one_region() {
    let lines = "(local $i i32)
        i32.const 31 memory.grow drop
        (loop
            (i32.store (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 8))) (i32.const 0))
            (i32.store offset=4 (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 8))) (i32.const 60000))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 10000))))
        i32.const 148 i32.const 65536 i32.store i32.const 152 i32.const 10000 i32.store
        i32.const 128";
    let failure = failure_of(lines, "");
    assert!(matches!(failure, Failure::Malformed(_)), "{failure}");
}

#[test]
fn oversized_state_and_configuration() {
    let engine = engine();
    let long = "i32.const 2 memory.grow drop
        i32.const 68 i32.const 0 i32.store i32.const 72 i32.const 65537 i32.store i32.const 64";
    let module = engine.admit(&component(long, ALLOW, "")).unwrap();
    assert!(matches!(
        module.configure(b"{}"),
        Err(ConfigureError::Failed(Failure::Oversized(Part::State)))
    ));
    assert!(matches!(
        module.configure(&vec![b' '; 65537]),
        Err(ConfigureError::Size { size: 65537, limit: 65536 })
    ));
}

/// Where the arguments are to be put, for an instance that hands out what it does not have.
#[test]
fn trap_in_realloc() {
    let engine = engine();
    let configured = |realloc: &str| {
        let wit = include_str!("../../wit/policy.wit");
        let text = format!(
            r#"(module (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "sekisho:policy/policy@0.2.0#configure")
                (param i32 i32) (result i32) {EMPTY_STATE})
            (func (export "sekisho:policy/policy@0.2.0#evaluate")
                (param i32) (result i32) {ALLOW}))"#
        );
        let bytes = support::componentize(wat::parse_str(text).unwrap(), wit);
        let module = engine.admit(&bytes).unwrap();
        module.configure(b"configuration")
    };
    for realloc in
        ["unreachable", "i32.const -8", "i32.const 65532", "(loop br 0) unreachable", "i32.const 3"]
    {
        let outcome = configured(realloc);
        // Where everything is aligned, an odd address is none of the host's business.
        let is_odd = realloc == "i32.const 3";
        assert_eq!(outcome.is_err(), !is_odd, "{realloc}: {outcome:?}");
        if let Ok(policy) = outcome {
            let evaluation = policy.evaluate(&request("kms:Decrypt", ROOT));
            assert!(evaluation.into_permit().is_err(), "{realloc}");
        }
    }
}

/// An operation on floats that gives a NaN gives the same one on every machine.
#[test]
fn floats_are_deterministic() {
    let nan = |operation: &str| {
        // The reason of the deny is the eight bytes of the result, as hex digits would be if they
        // were text: compared with the canonical NaN where it is made.
        let evaluate = format!(
            "{operation} i64.reinterpret_f64 i64.const 0x7ff8000000000000 i64.ne
             (if (then unreachable)) i32.const 128"
        );
        failure_or_allow(&evaluate)
    };
    for operation in [
        "f64.const 0 f64.const 0 f64.div",
        "f64.const 0 f64.neg f64.const 0 f64.div",
        "f64.const -1 f64.sqrt",
        "f64.const inf f64.const inf f64.sub",
        "f64.const nan:0x4000000000001 f64.const 1 f64.add",
        "i64.const 0xfff8000000000123 f64.reinterpret_i64 f64.const 2 f64.mul",
        "f64.const nan f64.neg f64.const 1 f64.min",
        "f32.const nan:0x200001 f64.promote_f32",
    ] {
        assert_eq!(nan(operation), None, "{operation}");
    }
    // What is no operation on numbers leaves the bits as the policy wrote them.
    assert!(nan("i64.const 0x7ff8000000000001 f64.reinterpret_i64").is_some());
}

fn failure_or_allow(evaluate: &str) -> Option<Failure> {
    let evaluation = evaluate_in(&engine(), evaluate, "");
    evaluation.failure().cloned()
}

/// A huge reason in a refused configuration, and a huge place.
#[test]
fn oversized_refusals() {
    let engine = engine();
    for (place, reason, part) in [(1025, 1, Part::Place), (1, 1025, Part::Reason)] {
        let configure = format!(
            "i32.const 64 i32.const 1 i32.store8
             i32.const 68 i32.const 1024 i32.store i32.const 72 i32.const {place} i32.store
             i32.const 76 i32.const 1024 i32.store i32.const 80 i32.const {reason} i32.store
             i32.const 64"
        );
        let module = engine.admit(&component(&configure, ALLOW, "")).unwrap();
        let refused = module.configure(b"{}");
        assert!(
            matches!(&refused, Err(ConfigureError::Failed(Failure::Oversized(found))) if *found == part),
            "{refused:?}"
        );
    }
}

/// What one call leaves in memory, no other sees.
#[test]
fn nothing_is_remembered() {
    let engine = engine();
    let remember = "i32.const 3000 i32.load (if (then unreachable))
        i32.const 3000 i32.const 1 i32.store
        global.get $n (if (then unreachable)) i32.const 1 global.set $n
        i32.const 128";
    let bytes = component(EMPTY_STATE, remember, "(global $n (mut i32) (i32.const 0))");
    let policy = engine.admit(&bytes).unwrap().configure(b"{}").unwrap();
    for _ in 0..200 {
        let evaluation = policy.evaluate(&request("kms:Decrypt", ROOT));
        assert_eq!(evaluation.failure(), None);
    }
}

/// Failures give their instance back: many more of them than the engine has room for.
#[test]
fn failures_leave_room_for_others() {
    let engine = engine();
    let bytes = component(EMPTY_STATE, "unreachable", "");
    let policy = engine.admit(&bytes).unwrap().configure(b"{}").unwrap();
    for _ in 0..300 {
        let evaluation = policy.evaluate(&request("kms:Decrypt", ROOT));
        assert!(matches!(evaluation.failure(), Some(Failure::Trap(_))));
    }
    assert_eq!(evaluate_in(&engine, ALLOW, "").decision(), &Decision::Allow);
}

/// The same call costs the same fuel.
#[test]
fn fuel_is_deterministic() {
    let engine = engine();
    let policy = engine
        .admit(sekisho_policy_engine::stock::IAM)
        .unwrap()
        .configure(
            br#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}"#,
        )
        .unwrap();
    let fuel = policy.evaluate(&request("kms:Decrypt", ROOT)).fuel();
    assert!(fuel > 0);
    for _ in 0..10 {
        assert_eq!(policy.evaluate(&request("kms:Decrypt", ROOT)).fuel(), fuel);
    }
}
