//! The stock policy `cedar` through the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use sekisho_policy_engine::{
    ConfigureError, Decision, Engine, Evaluation, Grant, Limits, Module, Request, stock,
};
use std::sync::OnceLock;
use support::{ADA, BOB, KEY, ROOT, enclave, pair, register, request};

/// Compiled once: that takes longest.
fn module() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        let engine = Engine::new(Limits::default()).unwrap();
        engine.admit(stock::CEDAR).unwrap()
    })
}

fn string(text: &str) -> String {
    format!("{text:?}")
}

/// With ada in the group `ingest`.
fn configuration(policies: &str) -> String {
    format!(
        r#"{{"policies":{},"groups":{{"ingest":["{ADA}"],"other":["{BOB}","{ROOT}"]}}}}"#,
        string(policies)
    )
}

fn ask(policies: &str, request: &Request) -> Evaluation {
    let policy = module().configure(configuration(policies).as_bytes());
    let policy = policy.unwrap_or_else(|error| panic!("{policies}: {error}"));
    // The state alone is what is kept.
    let policy = module().policy_from_state(policy.state().to_vec());
    let evaluation = policy.evaluate(request);
    assert_eq!(evaluation.failure(), None, "{policies}");
    evaluation
}

fn refusal(policies: &str) -> (String, String) {
    match module().configure(configuration(policies).as_bytes()) {
        Err(ConfigureError::Refused(error)) => (error.place, error.reason),
        other => panic!("{policies}: {other:?}"),
    }
}

/// A request with something of everything.
fn whole() -> Request {
    let mut request = request("kms:Decrypt", ADA);
    request.attestation = Some(enclave(1, 2));
    request.principal.tags = vec![pair("team", "claims")];
    let key = request.key.as_mut().unwrap();
    key.tags = vec![pair("stage", "production")];
    request.grants = vec![Grant { id: "grant-1".into(), name: None }];
    // Tuesday, 22 September 2026, 04:53:20 UTC.
    request.time = 1_790_052_800_000;
    request
}

fn permit_when(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn what_a_policy_sees() {
    let request = whole();
    let pcr = register(1);
    for holds in [
        "true".to_owned(),
        format!(r#"principal == Sekisho::Principal::"{ADA}""#),
        format!(r#"principal.arn == "{ADA}" && principal.account == "111122223333""#),
        r#"principal in Sekisho::Group::"ingest""#.into(),
        r#"principal.hasTag("team") && principal.getTag("team") == "claims""#.into(),
        r#"action == Sekisho::Action::"kms:Decrypt""#.into(),
        r#"action in [Sekisho::Action::"kms:Sign", Sekisho::Action::"kms:Decrypt"]"#.into(),
        r#"action in Sekisho::Action::"kms:*""#.into(),
        "resource is Sekisho::Key".into(),
        format!(r#"resource is Sekisho::Key && resource.arn == "{KEY}""#),
        r#"resource is Sekisho::Key && resource.spec == "SYMMETRIC_DEFAULT""#.into(),
        r#"resource is Sekisho::Key && resource.usage like "ENCRYPT*""#.into(),
        r#"resource is Sekisho::Key && resource.origin == "AWS_KMS""#.into(),
        r#"resource is Sekisho::Key && resource.state != "Disabled""#.into(),
        r#"resource is Sekisho::Key && resource.aliases.contains("alias/pipeline")"#.into(),
        r#"resource is Sekisho::Key && resource.hasTag("stage")"#.into(),
        r#"context.encryptionContext.hasTag("tenant")
            && context.encryptionContext.getTag("tenant") == "acme""#
            .into(),
        r#"context.parameters.hasTag("EncryptionAlgorithm")"#.into(),
        r#"context has attestation && context.attestation.kind == "enclave""#.into(),
        format!(r#"context has attestation.pcr0 && context.attestation.pcr0 == "{pcr}""#),
        r#"context has attestation && context.attestation has pcr15"#.into(),
        "context has attestation && context.attestation.age < 300000".into(),
        "context has attestation && context.attestation.nonceFresh".into(),
        r#"context has attestation && context.attestation.moduleId like "i-*-enc*""#.into(),
        "context has attestation.publicKeySha256".into(),
        r#"context.grants.contains("grant-1") && !context.grants.isEmpty()"#.into(),
        "context.time.epoch == 1790052800000".into(),
        "context.time.date == 20260922 && context.time.hour == 4".into(),
        r#"context.time.minute == 53 && context.time.weekday == "Tuesday""#.into(),
        r#"context has sourceIp && context.sourceIp like "192.0.2.*""#.into(),
        "if context.time.hour < 8 then context has attestation else false".into(),
        r#"[1, 2 + 3, -4].containsAll([5]) && 6 * 7 - 2 == 40"#.into(),
        r#"{a: {b: "c"}, d: [true]} == {d: [true], a: {b: "c"}}"#.into(),
        r#"{a: {b: 1}} has a.b && {"long attribute name of thirty characters": 1}
            has "long attribute name of thirty characters""#
            .into(),
        r#"["a string of more than twenty-three bytes"].contains(
            "a string of more than twenty-three bytes")"#
            .into(),
        "context == context && context has time".into(),
        "[context.time].contains(context.time)".into(),
        "!([1] == [2]) || 1 >= 2 || 1 > 2 || [1].containsAny([1])".into(),
    ] {
        let evaluation = ask(&permit_when(&holds), &request);
        assert_eq!(evaluation.decision(), &Decision::Allow, "{holds}");
        let negated = ask(&permit_when(&format!("!({holds})")), &request);
        assert_eq!(negated.decision(), &Decision::NoOpinion, "!({holds})");
    }
}

#[test]
fn what_is_not_there_is_not_there() {
    let request = request("kms:Decrypt", BOB);
    for absent in [
        "context has attestation",
        r#"context.encryptionContext.hasTag("nothing")"#,
        r#"principal in Sekisho::Group::"ingest""#,
        r#"principal.hasTag("team")"#,
        r#"context.grants.contains("grant-1")"#,
    ] {
        let evaluation = ask(&permit_when(absent), &request);
        assert_eq!(evaluation.decision(), &Decision::NoOpinion, "{absent}");
    }
    let mut other = whole();
    other.attestation = Some(enclave(9, 2));
    let measured =
        format!(r#"context has attestation.pcr0 && context.attestation.pcr0 == "{}""#, register(1));
    assert_eq!(ask(&permit_when(&measured), &other).decision(), &Decision::NoOpinion);
}

#[test]
fn an_answer_names_the_policy_that_gave_it() {
    let two = r#"@id("everyone") permit (principal, action, resource);
        @id("not bob") forbid (principal, action, resource)
        when { principal.arn like "*user/bob" };"#;
    let allowed = ask(two, &request("kms:Decrypt", ADA));
    assert_eq!(allowed.decision(), &Decision::Allow);
    let annotations: Vec<_> = allowed.annotations().collect();
    assert_eq!(
        (annotations[0].name.as_str(), annotations[0].value.as_str()),
        ("policy", "everyone")
    );
    let denied = ask(two, &request("kms:Decrypt", BOB));
    assert_eq!(denied.decision(), &Decision::Deny("forbidden by not bob".into()));
    let unnamed = ask(&permit_when("true"), &request("kms:Decrypt", ADA));
    assert_eq!(unnamed.annotations().next().unwrap().value, "policy0");
}

/// In Cedar itself a policy that cannot be evaluated is passed over.
#[test]
fn what_cannot_be_evaluated_denies() {
    let overflow = "context.time.epoch * 9223372036854775807 > 0";
    let permit = permit_when("true");
    for policies in [
        format!("{permit} @id(\"o\") forbid (principal, action, resource) when {{ {overflow} }};"),
        format!("@id(\"o\") forbid (principal, action, resource) when {{ {overflow} }}; {permit}"),
        format!("{permit} @id(\"o\") permit (principal, action, resource) when {{ {overflow} }};"),
    ] {
        let evaluation = ask(&policies, &whole());
        let Decision::Deny(reason) = evaluation.decision() else { panic!("{policies}") };
        assert!(reason.starts_with("o cannot be evaluated: "), "{reason}");
    }
    // Where its scope does not hold it is not evaluated.
    let elsewhere = format!(
        r#"{permit} forbid (principal, action == Sekisho::Action::"kms:Sign", resource)
            when {{ {overflow} }};"#
    );
    assert_eq!(ask(&elsewhere, &whole()).decision(), &Decision::Allow);
}

#[test]
fn what_belongs_to_no_key_is_the_accounts() {
    let policies = r#"permit (principal, action in Sekisho::Action::"sekisho:*", resource);
        permit (principal, action == Sekisho::Action::"kms:ListKeys",
            resource == Sekisho::Account::"111122223333");"#;
    for (action, allowed) in
        [("sekisho:PutGuardrail", true), ("kms:ListKeys", true), ("kms:CreateKey", false)]
    {
        let mut request = request(action, ROOT);
        request.key = None;
        request.resource = "*".into();
        let allows = ask(policies, &request).decision() == &Decision::Allow;
        assert_eq!(allows, allowed, "{action}");
    }
    for action in ["kms:Unheard", "sekisho:PutGuardrail"] {
        let evaluation = ask(&permit_when("true"), &request(action, ROOT));
        let Decision::Deny(reason) = evaluation.decision() else { panic!("{action}") };
        assert!(reason.contains("no such action"), "{reason}");
    }
}

/// Every action of the schema, on what it applies to there and on nothing else.
#[test]
fn the_actions_are_those_of_the_schema() {
    let schema = include_str!("../../stock/cedar/sekisho.cedarschema");
    let policy = module().configure(configuration(&permit_when("true")).as_bytes()).unwrap();
    let mut seen = 0;
    for declaration in schema.split("    action ").filter(|part| part.contains("appliesTo")) {
        let (names, rest) = declaration.split_once(" in [").unwrap();
        let resources = rest.split("resource: ").nth(1).unwrap().split("context:").next().unwrap();
        for name in names.split(',').map(|name| name.trim().trim_matches('"')) {
            let mut request = request(name, ROOT);
            let on_key = policy.evaluate(&request).decision() == &Decision::Allow;
            assert_eq!(on_key, resources.contains("Key"), "{name}");
            request.key = None;
            let on_account = policy.evaluate(&request).decision() == &Decision::Allow;
            assert_eq!(on_account, resources.contains("Account"), "{name}");
            seen += 1;
        }
    }
    assert!(seen > 70, "{seen}");
}

#[test]
fn mistakes_are_refused_with_line_and_column() {
    for (policies, place, reason) in [
        ("permit (principal, action, resource)", "policies 1:37", "unexpected end"),
        (
            "permit (principal, action, resource)\nwhen { context.nothing };",
            "policies 2:8",
            "nothing",
        ),
        (
            "permit (principal, action == Sekisho::Action::\"kms:Decript\", resource);",
            "policies 1:30",
            "kms:Decript",
        ),
        (
            "permit (principal, action, resource)\n  when { context.attestation.pcr0 == \"\" };",
            "policies 2:10",
            "attestation",
        ),
        ("permit (principal, action, resource) when { 1 < \"a\" };", "policies 1:49", "type"),
        (
            "permit (principal, action, resource)\nwhen { ip(\"::1\").isIpv6() };",
            "policies 2:8",
            "not there",
        ),
        ("permit (principal == User::\"a\", action, resource);", "policies 1:22", "User"),
        ("permit (principal == ?principal, action, resource);", "policies 1:1", "template"),
        ("// nothing", "policies", "no policy"),
        (
            "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);",
            "policies 2:1",
            "another policy is named a",
        ),
    ] {
        let (found, why) = refusal(policies);
        assert_eq!(found, place, "{policies}: {why}");
        assert!(why.contains(reason), "{policies}: {why}");
    }
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(60),
        ")".repeat(60)
    );
    assert!(refusal(&deep).1.contains("nests"), "{deep}");
    for (configuration, place) in [
        ("{}", ""),
        (r#"{"policies":7}"#, "policies"),
        (r#"{"policies":"","more":1}"#, "policies"),
        (r#"{"groups":{"g":["alice"]},"policies":""}"#, "groups.g[0]"),
    ] {
        match module().configure(configuration.as_bytes()) {
            Err(ConfigureError::Refused(error)) => {
                assert_eq!(error.place, place, "{configuration}")
            }
            other => panic!("{configuration}: {other:?}"),
        }
    }
}

/// As deep as it may nest, and as many policies as a state has room for.
#[test]
fn the_largest_that_is_taken_is_decided() {
    let deep = format!("{}true{}", "(".repeat(37), ")".repeat(37));
    assert_eq!(ask(&permit_when(&deep), &whole()).decision(), &Decision::Allow);
    let nots = format!("{}true", "!".repeat(4));
    assert_eq!(ask(&permit_when(&nots), &whole()).decision(), &Decision::Allow);
    let mut many = String::new();
    for number in 0..24 {
        many.push_str(&format!(
            "@id(\"rule {number}\") permit (principal, action == Sekisho::Action::\"kms:Decrypt\", resource)\n\
             when {{ context.encryptionContext.hasTag(\"tenant\")\n\
             && context.encryptionContext.getTag(\"tenant\") == \"tenant {number}\" }};\n"
        ));
    }
    let mut request = whole();
    request.encryption_context = vec![pair("tenant", "tenant 23")];
    let evaluation = ask(&many, &request);
    assert_eq!(evaluation.annotations().next().unwrap().value, "rule 23");
}

#[test]
fn lines_are_joined() {
    let lines = r#"{"policies":["permit (principal, action, resource)","when { contxt };"]}"#;
    match module().configure(lines.as_bytes()) {
        Err(ConfigureError::Refused(error)) => assert_eq!(error.place, "policies 2:8"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_that_is_none_denies() {
    let policy = module().configure(configuration(&permit_when("true")).as_bytes()).unwrap();
    let state = policy.state();
    for broken in
        [Vec::new(), vec![0; 12], state[..state.len() - 1].to_vec(), [state, b"x"].concat()]
    {
        let evaluation = module().policy_from_state(broken).evaluate(&whole());
        assert!(matches!(evaluation.decision(), Decision::Deny(_)), "{evaluation:?}");
    }
}
