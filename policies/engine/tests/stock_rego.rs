//! The stock policy `rego` through the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{
    ConfigureError, Decision, Engine, Evaluation, Failure, Grant, Limits, Module, Request, stock,
};
use std::sync::OnceLock;
use support::{ADA, BOB, KEY, ROOT, enclave, pair, register, request};

/// Compiled once: that takes longest.
fn module() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        let engine = Engine::new(Limits::default()).unwrap();
        engine.admit(stock::REGO).unwrap()
    })
}

/// With something of each kind in its data.
fn configuration(policy: &str) -> String {
    let data = format!(
        r#"{{"pcr0":["{}"],"half":0.5,"many":12345678901234567890,"teams":{{"claims":true}},"no":null}}"#,
        register(1)
    );
    format!(r#"{{"policy":{policy:?},"data":{data}}}"#)
}

fn ask(policy: &str, request: &Request) -> Evaluation {
    let policy = format!("package sekisho\n{policy}");
    let configured = module().configure(configuration(&policy).as_bytes());
    let configured = configured.unwrap_or_else(|error| panic!("{policy}: {error}"));
    // The state alone is what is kept.
    let kept = module().policy_from_state(configured.state().to_vec());
    kept.evaluate(request)
}

fn decision(policy: &str, request: &Request) -> Decision {
    let evaluation = ask(policy, request);
    assert_eq!(evaluation.failure(), None, "{policy}");
    evaluation.decision().clone()
}

fn denial(policy: &str, request: &Request) -> String {
    match decision(policy, request) {
        Decision::Deny(reason) => reason,
        other => panic!("{policy}: {other:?}"),
    }
}

fn refusal(configuration: &str) -> (String, String) {
    match module().configure(configuration.as_bytes()) {
        Err(ConfigureError::Refused(error)) => (error.place, error.reason),
        other => panic!("{configuration}: {other:?}"),
    }
}

/// A request with something of everything.
fn whole() -> Request {
    let mut request = request("kms:Decrypt", ADA);
    request.attestation = Some(enclave(1, 2));
    request.principal.tags = vec![pair("team", "claims")];
    let key = request.key.as_mut().unwrap();
    key.tags = vec![pair("stage", "production")];
    request.grants = vec![Grant { id: "grant-1".into(), name: Some("nightly".into()) }];
    request.time = 1_790_052_800_000;
    let attestation = request.attestation.as_mut().unwrap();
    attestation.nonce = Some(vec![0xfb, 0xff, 0x00, 0x41]);
    attestation.user_data = Some(b"hello".to_vec());
    request
}

#[test]
fn what_a_policy_sees() {
    let request = whole();
    for holds in [
        "true".to_owned(),
        format!(r#"input.principal.arn == "{ADA}"; input.principal.account == "111122223333""#),
        r#"input.principal.tags.team == "claims"; data.teams[input.principal.tags.team]"#.into(),
        r#"input.action in {"kms:Sign", "kms:Decrypt"}"#.into(),
        format!(r#"input.resource == "{KEY}"; input.key.arn == "{KEY}""#),
        r#"input.key.spec == "SYMMETRIC_DEFAULT"; startswith(input.key.usage, "ENCRYPT")"#.into(),
        r#"input.key.origin == "AWS_KMS"; input.key.state != "Disabled""#.into(),
        r#""alias/pipeline" in input.key.aliases; input.key.tags.stage == "production""#.into(),
        r#"input.encryption_context.tenant == "acme""#.into(),
        r#"input.parameters.EncryptionAlgorithm == "SYMMETRIC_DEFAULT""#.into(),
        r#"input.attestation.kind == "enclave"; input.attestation.nonce_fresh"#.into(),
        r#"input.attestation.pcrs["0"] in data.pcr0; count(input.attestation.pcrs) == 16"#.into(),
        "input.attestation.age < 300000; input.attestation.timestamp > 0".into(),
        r#"contains(input.attestation.module_id, "-enc")"#.into(),
        r#"input.attestation.nonce == "+/8AQQ=="; input.attestation.user_data == "aGVsbG8=""#
            .into(),
        r#"base64.decode(input.attestation.user_data) == "hello""#.into(),
        "count(input.attestation.public_key_sha256) == 64".into(),
        r#"some grant in input.grants; grant.id == "grant-1"; grant.name == "nightly""#.into(),
        "floor((input.time % 86400000) / 3600000) == 4".into(),
        r#"startswith(input.source_ip, "192.0.2.")"#.into(),
        "data.half * 3 == 1.5; data.many == 12345678901234567890; data.no == null".into(),
        r#"every pcr in data.pcr0 { count(pcr) == 96 }; {n | some n in [1, 1, 2]} == {1, 2}"#
            .into(),
        "1 << 3 == 8; not input.nothing".replace("1 << 3", "bits.lsh(1, 3)"),
        "9007199254740993 + 1 == 9007199254740994; 100000000000000000000 > 9".into(),
    ] {
        let lines = holds.replace("; ", "\n  ");
        let rule = format!("allow if {{\n  {lines}\n}}");
        assert_eq!(decision(&rule, &request), Decision::Allow, "{holds}");
        let negated = format!("holds if {{\n  {lines}\n}}\nallow if not holds");
        assert_eq!(decision(&negated, &request), Decision::NoOpinion, "not {holds}");
    }
}

#[test]
fn what_is_not_there_is_undefined() {
    let mut request = request("kms:ListKeys", BOB);
    request.key = None;
    request.source_ip = None;
    for absent in
        ["attestation", "key", "source_ip", "encryption_context.nothing", "principal.tags.team"]
    {
        let rule = format!("allow if input.{absent}");
        assert_eq!(decision(&rule, &request), Decision::NoOpinion, "{absent}");
        let rule = format!("allow if not input.{absent}");
        assert_eq!(decision(&rule, &request), Decision::Allow, "{absent}");
    }
}

#[test]
fn denials_are_stronger_and_have_their_reason() {
    let request = whole();
    for (policy, expected) in [
        ("allow := true\ndeny := true", "deny holds"),
        ("allow := true\ndeny contains \"late\" if input.time > 0", "late"),
        ("deny contains \"b\"\ndeny contains \"a\"", "a"),
    ] {
        assert_eq!(denial(policy, &request), expected, "{policy}");
    }
    for (policy, expected) in [
        ("allow := true\ndeny contains \"late\" if input.time == 0", Decision::Allow),
        ("allow := true\ndeny := false", Decision::Allow),
        ("default allow := false", Decision::NoOpinion),
        ("deny if input.action == \"kms:Sign\"", Decision::NoOpinion),
    ] {
        assert_eq!(decision(policy, &request), expected, "{policy}");
    }
}

#[test]
fn an_answer_of_another_type_denies() {
    let request = whole();
    for (policy, reason) in [
        ("allow := 1", "neither true nor false"),
        ("deny := \"text\"", "nor a set"),
        ("deny contains 1", "something else than text"),
    ] {
        let found = denial(policy, &request);
        assert!(found.contains(reason), "{policy}: {found}");
    }
}

/// As everywhere in Rego.
#[test]
fn what_cannot_be_evaluated_is_undefined() {
    let request = whole();
    for (policy, expected) in [
        ("allow if to_number(input.action) > 1", Decision::NoOpinion),
        ("allow if 1 / (input.time - input.time) == 0", Decision::NoOpinion),
        ("allow if not to_number(input.action)", Decision::Allow),
        ("allow := true\nallow := false if input.time > 0", Decision::NoOpinion),
        ("allow := true\ndeny if to_number(input.action) > 1", Decision::Allow),
    ] {
        assert_eq!(decision(policy, &request), expected, "{policy}");
    }
}

#[test]
fn work_is_bounded() {
    for policy in [
        "n := numbers.range(1, 400)\nallow if count([1 | some a in n; some b in n; a != b]) > 0",
        "allow if count(numbers.range(1, 1000000)) > 0",
    ] {
        let evaluation = ask(policy, &whole());
        assert!(matches!(evaluation.decision(), Decision::Deny(_)), "{policy}");
        let failure = evaluation.failure();
        assert!(matches!(failure, Some(Failure::Fuel | Failure::Memory)), "{policy}: {failure:?}");
    }
}

#[test]
fn mistakes_are_refused_with_line_and_column() {
    for (policy, place, reason) in [
        ("allow if {", "policy 2:11", ""),
        ("allow if\n  input.action = = 1", "policy 3:18", ""),
        ("allow if unknown(input)", "policy", "unknown"),
        ("allow if time.now_ns() > 0", "policy", "time.now_ns"),
        ("allow if regex.match(\"a\", input.action)", "policy", "regex.match"),
        ("allow if x > 1", "policy 2:10", "x"),
        ("permit := true", "policy", "neither a rule `allow` nor a rule `deny`"),
    ] {
        let (found, why) = refusal(&configuration(&format!("package sekisho\n{policy}")));
        assert!(found.starts_with(place), "{policy}: {found}: {why}");
        assert!(why.contains(reason), "{policy}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
    for (configuration, place, reason) in [
        ("{}", "", "missing"),
        (r#"{"policy":7}"#, "policy", "neither text"),
        (r#"{"policy":"package other\nallow := true"}"#, "policy", "package"),
        (r#"{"policy":"","more":1}"#, "more", "member"),
        (r#"{"policy":"package sekisho\nallow := true","data":[]}"#, "data", "object"),
        (
            r#"{"policy":"package sekisho\nallow := true","data":{"sekisho":1}}"#,
            "data.sekisho",
            "own",
        ),
    ] {
        let (found, why) = refusal(configuration);
        assert!(found.starts_with(place), "{configuration}: {found}: {why}");
        assert!(why.contains(reason), "{configuration}: {why}");
    }
}

/// As many rules as a state has room for, and no more.
#[test]
fn the_largest_that_is_taken_is_decided() {
    let rules = |count: u32| {
        let rule = |number: u32| {
            format!(
                "allow if {{\n  input.principal.arn == \"{ROOT}\"\n  \
                 input.encryption_context.tenant == \"tenant {number}\"\n}}\n"
            )
        };
        (0..count).map(rule).collect::<String>()
    };
    let mut request = request("kms:Decrypt", ROOT);
    request.encryption_context = vec![pair("tenant", "tenant 63")];
    assert_eq!(decision(&rules(64), &request), Decision::Allow);
    let (_, why) = refusal(&configuration(&format!("package sekisho\n{}", rules(500))));
    assert!(why.contains("64 KiB"), "{why}");
}

#[test]
fn lines_are_joined() {
    let (place, _) = refusal(r#"{"policy":["package sekisho","allow if {","  input. == 1","}"]}"#);
    assert!(place.starts_with("policy 3:"), "{place}");
}

#[test]
fn a_state_that_is_none_denies() {
    let policy = module().configure(configuration("package sekisho\nallow := true").as_bytes());
    let policy = policy.unwrap();
    let state = policy.state();
    for broken in
        [Vec::new(), vec![0; 12], state[..state.len() - 1].to_vec(), [state, b"x"].concat()]
    {
        let evaluation = module().policy_from_state(broken).evaluate(&whole());
        assert!(matches!(evaluation.decision(), Decision::Deny(_)), "{evaluation:?}");
    }
}
