//! Documents that are too much of something are refused where they are.

use super::documents::place_of;
use super::*;

fn list(count: usize, value: impl Fn(usize) -> String) -> String {
    let values: Vec<String> = (0..count).map(value).collect();
    format!("[{}]", values.join(","))
}

#[test]
fn statements() {
    let statement = r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}"#;
    let document = |count| format!(r#"{{"Statement":{}}}"#, list(count, |_| statement.into()));
    assert_eq!(ask(&document(512), &request("kms:Decrypt", USER)), denied("Statement[0]"));
    assert_eq!(place_of(&document(513)), "Statement");
}

fn denied(name: &str) -> Decision {
    Decision::Deny(["explicit deny: ", name].concat())
}

#[test]
fn principals_actions_and_resources() {
    for (principals, actions, resources, place) in
        [(1001, 1, 1, "Principal"), (1, 1001, 1, "Action"), (1, 1, 1001, "Resource")]
    {
        let rest = format!(
            r#""Principal":{{"AWS":{}}},"Action":{},"Resource":{}"#,
            list(principals, |index| format!(r#""{index:012}""#)),
            list(actions, |index| format!(r#""kms:a{index}""#)),
            list(resources, |index| format!(r#""arn:aws:kms:::key/{index}""#)),
        );
        assert_eq!(place_of(&statement("Deny", &rest)), ["Statement[0].", place].concat());
    }
}

#[test]
fn conditions_and_their_values() {
    let keys: Vec<String> =
        (0..257).map(|index| format!(r#""aws:PrincipalTag/{index}":"x""#)).collect();
    let condition = format!(r#""StringEquals":{{{}}}"#, keys.join(","));
    assert_eq!(place_of(&under("Deny", &condition)), "Statement[0].Condition");
    let values = list(1001, |index| format!(r#""{index}""#));
    let condition = format!(r#""StringEquals":{{"kms:KeySpec":{values}}}"#);
    let place = "Statement[0].Condition.StringEquals.kms:KeySpec";
    assert_eq!(place_of(&under("Deny", &condition)), place);
}

#[test]
fn strings() {
    let long = "x".repeat(4097);
    for (element, place) in [
        (format!(r#""Principal":{{"AWS":"{long}"}},"Action":"*","Resource":"*""#), "Principal.AWS"),
        (format!(r#""Principal":"*","Action":"kms:{long}","Resource":"*""#), "Action"),
        (format!(r#""Principal":"*","Action":"*","Resource":"arn:aws:kms:::{long}""#), "Resource"),
    ] {
        assert_eq!(place_of(&statement("Deny", &element)), ["Statement[0].", place].concat());
    }
    for operator in ["StringEquals", "StringLike", "NumericEquals", "DateEquals", "BinaryEquals"] {
        let key = "kms:EncryptionContext:a";
        let condition = format!(r#""{operator}":{{"{key}":"{long}"}}"#);
        let place = format!("Statement[0].Condition.{operator}.{key}");
        assert_eq!(place_of(&under("Deny", &condition)), place);
    }
    let name = "x".repeat(256);
    let condition = format!(r#""StringEquals":{{"aws:PrincipalTag/{name}":"x"}}"#);
    let place = place_of(&under("Deny", &condition));
    assert!(place.starts_with("Statement[0].Condition.StringEquals.aws:PrincipalTag/x"), "{place}");
}

/// `::` is four bytes in a document and eighteen in the state.
#[test]
fn the_state() {
    let ranges = list(900, |_| r#""::""#.into());
    let statement = format!(
        r#"{{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{{"IpAddress":{{"aws:SourceIp":{ranges}}}}}}}"#
    );
    let document = |count| format!(r#"{{"Statement":{}}}"#, list(count, |_| statement.clone()));
    assert_eq!(ask(&document(3), &request("kms:Decrypt", USER)), Decision::NoOpinion);
    assert_eq!(place_of(&document(5)), "");
}

#[test]
fn nesting() {
    let nested = ["[".repeat(40), "]".repeat(40)].concat();
    for place in ["Statement", "Id"] {
        let document = format!(r#"{{"{place}":{nested}}}"#);
        assert!(place_of(&document).starts_with("byte "), "{document}");
    }
}
