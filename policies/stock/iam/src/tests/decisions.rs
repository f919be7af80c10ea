//! What the table in `tests/cases/` does not see: reasons, annotations, the state.

use super::*;

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
fn a_state_that_is_none_is_never_an_allow() {
    let document = under("Allow", r#""StringEquals":{"kms:KeySpec":"RSA_2048"}"#);
    let state = Iam::configure(document.as_bytes()).unwrap();
    let request = request("kms:Decrypt", USER);
    for cut in 0..state.len() {
        let decision = Iam::evaluate(&state[..cut].to_vec(), &request).decision;
        assert_ne!(decision, Decision::Allow, "{cut}");
    }
}

/// The name of what allowed is for the audit record.
#[test]
fn an_allow_names_its_statement() {
    for (sid, name) in [(r#""Sid":"yes","#, "yes"), ("", "Statement[0]")] {
        let rest = format!(r#"{sid}"Principal":"*","Action":"*","Resource":"*""#);
        let state = Iam::configure(statement("Allow", &rest).as_bytes()).unwrap();
        let answer = Iam::evaluate(&state, &request("kms:Decrypt", USER));
        assert_eq!(answer.decision, Decision::Allow);
        let annotated = sekisho_policy::Obligation::Annotate(pair("statement", name));
        assert_eq!(answer.obligations, [annotated]);
    }
}

/// The policy that AWS gives to a key that is made without one.
#[test]
fn the_default_key_policy_of_aws() {
    let document = r#"{
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": "kms:*",
            "Resource": "*"
        }]
    }"#;
    assert_eq!(ask(document, &request("kms:PutKeyPolicy", ROOT)), Decision::Allow);
    assert_eq!(ask(document, &request("kms:PutKeyPolicy", USER)), Decision::NoOpinion);
}

fn answer(document: &str, action: &str, principal: &str) -> sekisho_policy::Answer {
    let state = Iam::configure(document.as_bytes()).unwrap();
    Iam::evaluate(&state, &request(action, principal))
}

/// "Key policies in AWS KMS": a statement for the account lets identity policies allow, and no other
/// statement does.
#[test]
fn an_allowed_account_leaves_the_rest_to_identity_policies() {
    let account = |rest: &str| {
        statement("Allow", &format!(r#"{rest}"Principal":{{"AWS":"{ROOT}"}},"Resource":"*""#))
    };
    let all = account(r#""Action":"kms:*","#);
    let decrypt = account(r#""Action":"kms:Decrypt","#);
    let named = statement(
        "Allow",
        &format!(r#""Principal":{{"AWS":"{USER}"}},"Action":"kms:Decrypt","Resource":"*""#),
    );
    let none = sekisho_policy::no_opinion();
    let delegated = sekisho_policy::delegate_to_account();
    let other = "arn:aws:iam::444455556666:user/eve";
    for (document, action, principal, wanted) in [
        (&all, "kms:Decrypt", USER, &delegated),
        (&all, "kms:Decrypt", other, &none),
        (&decrypt, "kms:Decrypt", USER, &delegated),
        (&decrypt, "kms:Encrypt", USER, &none),
        (&named, "kms:Encrypt", USER, &none),
        (&named, "kms:Decrypt", ROOT, &none),
    ] {
        assert_eq!(&answer(document, action, principal), wanted, "{document} {action} {principal}");
    }
    assert_eq!(answer(&all, "kms:Decrypt", ROOT).decision, Decision::Allow);
}

#[test]
fn an_identity_policy_is_about_whoever_has_it() {
    let document = r#"{"IdentityPolicy":{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"},
        {"Effect":"Deny","Action":"kms:Sign","Resource":"*"}]}}"#;
    for (action, decision) in [
        ("kms:Decrypt", Decision::Allow),
        ("kms:Sign", Decision::Deny("explicit deny: Statement[1]".into())),
        ("kms:Encrypt", Decision::NoOpinion),
    ] {
        assert_eq!(ask(document, &request(action, USER)), decision);
    }
    for element in ["Principal", "NotPrincipal"] {
        let document = format!(
            r#"{{"IdentityPolicy":{{"Statement":[{{"Effect":"Deny","{element}":"*",
                "Action":"kms:Sign","Resource":"*"}}]}}}}"#
        );
        let refused = Iam::configure(document.as_bytes()).unwrap_err();
        assert_eq!(refused.place, format!("IdentityPolicy.Statement[0].{element}"));
    }
}
