//! What must hold for every document and every request.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod support;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sekisho_policy::Policy;
use sekisho_policy_iam::Iam;
use serde_json::{Value, json};
use support::{KEY, Outcome, RequestOf, USER, ask};

/// A value that a condition on this key takes, and requests may have.
fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "A", "b", "ab", "*", "a*", "?", "", "${aws:username}", "${*}"])
}

fn operator() -> impl Strategy<Value = String> {
    let prefix = select(vec!["", "", "ForAnyValue:", "ForAllValues:"]);
    let name = select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
    ]);
    let suffix = select(vec!["", "IfExists"]);
    (prefix, name, suffix).prop_map(|(prefix, name, suffix)| [prefix, name, suffix].concat())
}

fn text_condition() -> impl Strategy<Value = (String, Value)> {
    let key = select(vec![
        "kms:EncryptionContext:one",
        "kms:EncryptionContext:ONE",
        "aws:PrincipalTag/one",
        "aws:ResourceTag/one",
        "aws:username",
        "kms:ViaService",
    ]);
    (operator(), key, prop::collection::vec(value(), 1..3))
        .prop_map(|(operator, key, values)| (operator, json!({ key: values })))
}

fn other_condition() -> impl Strategy<Value = (String, Value)> {
    select(vec![
        ("Null", json!({ "kms:EncryptionContext:one": "true" })),
        ("Null", json!({ "aws:PrincipalTag/one": "false" })),
        ("Bool", json!({ "aws:SecureTransport": "true" })),
        ("BoolIfExists", json!({ "aws:MultiFactorAuthPresent": "true" })),
        ("NumericLessThan", json!({ "kms:EncryptionContext:one": "7" })),
        ("DateLessThan", json!({ "aws:CurrentTime": "2026-01-01" })),
        ("IpAddress", json!({ "aws:SourceIp": "192.0.2.0/24" })),
        ("NotIpAddress", json!({ "aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"] })),
        ("ArnLike", json!({ "aws:PrincipalArn": "arn:aws:iam::*:user/a*" })),
        ("ForAllValues:StringLike", json!({ "kms:EncryptionContextKeys": ["o*", "x"] })),
    ])
    .prop_map(|(operator, keys)| (operator.to_owned(), keys))
}

fn conditions() -> impl Strategy<Value = Value> {
    let one = prop_oneof![3 => text_condition(), 2 => other_condition()];
    prop::collection::vec(one, 0..3).prop_map(|conditions| conditions.into_iter().collect())
}

fn statement(effects: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let root = "arn:aws:iam::111122223333:root";
    let principal = prop_oneof![
        3 => Just(json!({ "Principal": "*" })),
        1 => Just(json!({ "Principal": { "AWS": USER } })),
        1 => Just(json!({ "Principal": { "AWS": [root, "444455556666"] } })),
        1 => Just(json!({ "NotPrincipal": { "AWS": [USER, root] } })),
        1 => Just(json!({ "NotPrincipal": { "AWS": root } })),
    ];
    let action = select(vec![
        json!({ "Action": "*" }),
        json!({ "Action": ["kms:Encrypt", "kms:De*"] }),
        json!({ "Action": "kms:Encrypt" }),
        json!({ "NotAction": "kms:Decrypt" }),
    ]);
    let resource = select(vec![
        json!({ "Resource": "*" }),
        json!({ "Resource": KEY }),
        json!({ "NotResource": KEY }),
        json!({ "Resource": "arn:aws:kms:*:*:key/${aws:PrincipalTag/one, '1'}*" }),
    ]);
    (select(effects), principal, action, resource, conditions()).prop_map(
        |(effect, principal, action, resource, conditions)| {
            let mut statement = json!({ "Effect": effect, "Condition": conditions });
            for part in [principal, action, resource] {
                for (element, value) in part.as_object().unwrap() {
                    // NotPrincipal is for Deny alone.
                    let (element, value) = match (effect, &**element) {
                        ("Allow", "NotPrincipal") => ("Principal", json!("*")),
                        (_, element) => (element, value.clone()),
                    };
                    statement[element] = value;
                }
            }
            statement
        },
    )
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn request() -> impl Strategy<Value = RequestOf> {
    let members = vec![
        ("context", json!({ "one": "a" })),
        ("context", json!({ "One": "ab", "one": "a" })),
        ("context", json!({ "one": "3" })),
        ("principal_tags", json!({ "one": "a" })),
        ("principal_tags", json!({ "one": "*" })),
        ("tags", json!({ "one": "b" })),
        ("source_ip", json!("192.0.2.1")),
        ("action", json!("kms:Encrypt")),
        ("principal", json!("arn:aws:iam::111122223333:root")),
        ("principal", json!("arn:aws:iam::444455556666:user/a")),
    ];
    subsequence(members, 0..6).prop_map(|members| {
        let members: Value =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::from_value(members).unwrap()
    })
}

const BOTH: &[&str] = &["Allow", "Deny"];

/// What the state of a document would be with a few bytes otherwise.
fn spoilt_state() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    (prop::collection::vec(statement(BOTH), 1..4), changes).prop_map(|(statements, changes)| {
        let mut state = Iam::configure(document(&statements).to_string().as_bytes()).unwrap();
        for (at, byte) in changes {
            let at = at.index(state.len());
            state[at] = byte;
        }
        state
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// A deny takes away and gives nothing.
    #[test]
    fn adding_a_deny_never_allows_more(
        statements in prop::collection::vec(statement(BOTH), 1..5),
        deny in statement(&["Deny"]),
        at in any::<prop::sample::Index>(),
        request in request(),
    ) {
        let request = request.build();
        let before = ask(&document(&statements), &request);
        let mut more = statements.clone();
        more.insert(at.index(statements.len() + 1), deny);
        let after = ask(&document(&more), &request);
        prop_assert!(after == before || after == Outcome::Deny, "{before:?} became {after:?}");
    }

    /// And an allow never takes away.
    #[test]
    fn adding_an_allow_never_denies_more(
        statements in prop::collection::vec(statement(BOTH), 1..5),
        allow in statement(&["Allow"]),
        request in request(),
    ) {
        let request = request.build();
        let before = ask(&document(&statements), &request);
        let after = ask(&document(&[&statements[..], &[allow]].concat()), &request);
        prop_assert!(
            after == before || (before == Outcome::None && after == Outcome::Allow),
            "{before:?} became {after:?}"
        );
    }

    #[test]
    fn the_order_of_statements_never_matters(
        (statements, shuffled) in prop::collection::vec(statement(BOTH), 2..6)
            .prop_flat_map(|statements| (Just(statements.clone()), Just(statements).prop_shuffle())),
        request in request(),
    ) {
        let request = request.build();
        let found = ask(&document(&statements), &request);
        prop_assert!(!matches!(found, Outcome::Refused(_)), "{found:?}");
        prop_assert_eq!(found, ask(&document(&shuffled), &request));
    }

    #[test]
    fn denies_alone_never_allow(
        statements in prop::collection::vec(statement(&["Deny"]), 1..5),
        request in request(),
    ) {
        let found = ask(&document(&statements), &request.build());
        prop_assert!(matches!(found, Outcome::Deny | Outcome::None), "{found:?}");
    }

    /// The worker keeps states sealed; whatever comes is still answered.
    #[test]
    fn every_state_is_answered(
        state in prop_oneof![spoilt_state(), prop::collection::vec(any::<u8>(), 0..64)],
        request in request(),
    ) {
        Iam::evaluate(&state, &request.build());
    }

    /// A value of any text is taken or refused at its place, under every operator.
    #[test]
    fn every_value_is_taken_or_refused_at_its_place(
        value in ".{0,12}|[0-9TZ:+.-]{0,24}|\\$\\{[a-z:/,' }]{0,20}",
        operator in select(sekisho_policy_iam::operators::OPERATORS.iter().collect::<Vec<_>>()),
        request in request(),
    ) {
        let condition = json!({ operator.name: { "aws:PrincipalTag/one": value } });
        let statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "*",
            "Resource": "*", "Condition": condition });
        if let Outcome::Refused(place) = ask(&document(&[statement]), &request.build()) {
            let expected = format!("Statement[0].Condition.{}.aws:PrincipalTag/one", operator.name);
            prop_assert_eq!(place, expected);
        }
    }

    /// Under each effect a condition comes to the same, unless it meets names that differ
    /// in case alone, or a variable without a value; then the deny is wider.
    #[test]
    fn what_allows_under_a_condition_would_deny_under_it(
        conditions in conditions(),
        request in request(),
    ) {
        let request = request.build();
        let under = |effect: &str| {
            let statement = json!({ "Effect": effect, "Principal": "*", "Action": "*",
                "Resource": "*", "Condition": conditions });
            ask(&document(&[statement]), &request)
        };
        if under("Allow") == Outcome::Allow {
            prop_assert_eq!(under("Deny"), Outcome::Deny);
        }
    }
}
