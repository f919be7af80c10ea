//! Principal, Action and Resource, and how statements combine.

use super::*;

fn allows(rest: &str, request: &Request) -> bool {
    ask(&statement("Allow", rest), request) == Decision::Allow
}

#[test]
fn principals() {
    let other = "arn:aws:iam::444455556666:root";
    for (principal, arn, matched) in [
        (r#""*""#, USER, true),
        (r#"{"AWS":"*"}"#, USER, true),
        (r#"{"AWS":["*"]}"#, other, true),
        (r#"{"AWS":"111122223333"}"#, ROOT, true),
        (r#"{"AWS":"111122223333"}"#, USER, false),
        (r#"{"AWS":"111122223333"}"#, other, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, ROOT, true),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, USER, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, other, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:user/ada"}"#, USER, true),
        (r#"{"AWS":"arn:aws:iam::111122223333:user/ad"}"#, USER, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:user/ADA"}"#, USER, false),
        (r#"{"AWS":["444455556666","arn:aws:iam::111122223333:user/ada"]}"#, USER, true),
    ] {
        let rest = format!(r#""Principal":{principal},"Action":"*","Resource":"*""#);
        let found = allows(&rest, &request("kms:Decrypt", arn));
        assert_eq!(found, matched, "{principal} and {arn}");
    }
}

#[test]
fn actions() {
    for (element, action, matched) in [
        (r#""Action":"kms:Decrypt""#, "kms:Decrypt", true),
        (r#""Action":"KMS:DECRYPT""#, "kms:Decrypt", true),
        (r#""Action":"kms:*""#, "kms:Decrypt", true),
        (r#""Action":"*""#, "kms:Decrypt", true),
        (r#""Action":"kms:Decryp""#, "kms:Decrypt", false),
        (r#""Action":"kms:Decrypt""#, "kms:DecryptX", false),
        (r#""Action":"kms:GenerateDataKey*""#, "kms:GenerateDataKeyPair", true),
        (r#""Action":"kms:GenerateDataKey*""#, "kms:GenerateMac", false),
        (r#""Action":"kms:De?rypt""#, "kms:Decrypt", true),
        (r#""Action":["kms:Encrypt","kms:Decrypt"]"#, "kms:Decrypt", true),
        (r#""Action":["kms:Encrypt"]"#, "kms:Decrypt", false),
        (r#""NotAction":"kms:Decrypt""#, "kms:Decrypt", false),
        (r#""NotAction":"kms:Decrypt""#, "kms:Encrypt", true),
        (r#""NotAction":["kms:Encrypt","kms:De*"]"#, "kms:Decrypt", false),
    ] {
        let rest = format!(r#""Principal":"*",{element},"Resource":"*""#);
        assert_eq!(allows(&rest, &request(action, USER)), matched, "{element} and {action}");
    }
}

#[test]
fn resources() {
    for (element, matched) in [
        (r#""Resource":"*""#, true),
        (r#""Resource":"arn:aws:kms:eu-central-1:111122223333:key/1234abcd""#, true),
        (r#""Resource":"arn:aws:kms:*:111122223333:key/*""#, true),
        (r#""Resource":"arn:aws:kms:eu-central-1:111122223333:key/1234ABCD""#, false),
        (r#""Resource":["arn:aws:kms:*:*:alias/*","arn:aws:kms:*"]"#, true),
        (r#""NotResource":"arn:aws:kms:*:*:key/1234abcd""#, false),
        (r#""NotResource":"arn:aws:kms:*:*:alias/*""#, true),
    ] {
        let rest = format!(r#""Principal":"*","Action":"*",{element}"#);
        assert_eq!(allows(&rest, &request("kms:Decrypt", USER)), matched, "{element}");
    }
}

#[test]
fn an_explicit_deny_wins_in_any_order() {
    let allow = r#"{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}"#;
    let deny =
        r#"{"Sid":"no","Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#;
    for statements in [[allow, deny], [deny, allow]] {
        let document = format!(r#"{{"Statement":[{}]}}"#, statements.join(","));
        let denied = ask(&document, &request("kms:Decrypt", USER));
        assert_eq!(denied, Decision::Deny("explicit deny: no".into()));
        assert_eq!(ask(&document, &request("kms:Encrypt", USER)), Decision::Allow);
    }
}

#[test]
fn where_nothing_matches_there_is_no_opinion() {
    let rest = r#""Principal":"*","Action":"kms:Encrypt","Resource":"*""#;
    for effect in ["Allow", "Deny"] {
        let decision = ask(&statement(effect, rest), &request("kms:Decrypt", USER));
        assert_eq!(decision, Decision::NoOpinion);
    }
}

#[test]
fn one_statement_needs_no_list() {
    let document =
        r#"{"Id":"x","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#;
    assert_eq!(ask(document, &request("kms:Decrypt", USER)), Decision::Allow);
}

#[test]
fn a_state_that_is_none_is_never_an_allow() {
    let document = under("Allow", r#""StringEquals":{"kms:KeySpec":"RSA_2048"}"#);
    let state = Iam::configure(document.as_bytes()).unwrap();
    let request = request("kms:Decrypt", USER);
    for cut in 0..state.len() {
        let decision = Iam::evaluate(&state[..cut].to_vec(), &request).decision;
        assert_ne!(decision, Decision::Allow, "{cut}");
    }
}
