//! The table of docs/policies.md, row by row, with policies that really say so.

use super::*;
use crate::keys::grants::GrantTerms;
use crate::keys::modules::Modules;
use sekisho_policy_engine::{Engine, Limits, Principal};

const USER: &str = "arn:aws:iam::111122223333:user/ada";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

/// What a policy says to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Allow,
    Deny,
    NoOpinion,
    /// No opinion, and what identity policies allow may happen.
    Delegates,
    /// The policy uses up its fuel.
    Fails,
}
use Word::{Allow, Delegates, Deny, Fails, NoOpinion};

/// What comes of it, and what caller and audit log are told of a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    ByPolicy,
    ByGrant,
    ByPrincipal,
    /// The reason in the audit log begins so.
    No(Denial, &'static str),
}
use Comes::{ByGrant, ByPolicy, ByPrincipal, No as Denied};
use Denial::{ByGuardrail, ByIdentityPolicy, ByResourcePolicy, NoIdentityPolicy, NoResourcePolicy};

/// The rules, in their order: the first that fits a combination decides. `None` fits every word, the
/// absence of a policy too; a grant is there or not.
type Rule = (
    Option<&'static [Word]>,
    Option<&'static [Word]>,
    Option<&'static [Word]>,
    Option<bool>,
    Comes,
);
const RULES: [Rule; 11] = [
    // guardrail, key policy, identity policy, grant
    (Some(&[Deny]), None, None, None, Denied(ByGuardrail, "guardrail: explicit deny")),
    (
        Some(&[Fails]),
        None,
        None,
        None,
        Denied(ByGuardrail, "guardrail: the policy used up its fuel"),
    ),
    (None, Some(&[Deny]), None, None, Denied(ByResourcePolicy, "explicit deny")),
    (None, Some(&[Fails]), None, None, Denied(ByResourcePolicy, "the policy used up its fuel")),
    (None, None, Some(&[Deny]), None, Denied(ByIdentityPolicy, OWN_DENIES)),
    (None, None, Some(&[Fails]), None, Denied(ByIdentityPolicy, OWN_FAILS)),
    (None, Some(&[Allow]), None, None, ByPolicy),
    (None, None, None, Some(true), ByGrant),
    (None, Some(&[Delegates]), Some(&[Allow]), None, ByPrincipal),
    (None, Some(&[Delegates]), None, None, Denied(NoIdentityPolicy, "no policy allows it")),
    (None, None, None, None, Denied(NoResourcePolicy, "no policy allows it")),
];
const OWN_DENIES: &str = "policy own of the principal: explicit deny";
const OWN_FAILS: &str = "policy own of the principal: the policy used up";

fn expected(
    guardrail: Option<Word>,
    policy: Word,
    principal: Option<Word>,
    granted: bool,
) -> Comes {
    let fits = |wanted: Option<&[Word]>, word: Option<Word>| {
        wanted.is_none_or(|wanted| word.is_some_and(|word| wanted.contains(&word)))
    };
    let rule = RULES.iter().find(|(on_guardrail, on_policy, on_principal, grant, _)| {
        fits(*on_guardrail, guardrail)
            && fits(*on_policy, Some(policy))
            && fits(*on_principal, principal)
            && grant.is_none_or(|grant| grant == granted)
    });
    rule.unwrap().4
}

/// A statement that says the word. The pattern is one that costs more than a decision may.
fn statement(word: Word, principal: &str) -> String {
    let effect = if word == Deny { "Deny" } else { "Allow" };
    let action = if word == NoOpinion { "kms:Encrypt" } else { "kms:Decrypt" };
    let condition = match word {
        Fails => format!(
            r#","Condition":{{"StringLike":{{"kms:EncryptionContext:text":"*{}b"}}}}"#,
            "a".repeat(4000)
        ),
        _ => String::new(),
    };
    format!(r#"{{"Effect":"{effect}"{principal},"Action":"{action}","Resource":"*"{condition}}}"#)
}

fn document(word: Word) -> String {
    let principal = match word {
        Delegates => r#","Principal":{"AWS":"111122223333"}"#,
        _ => r#","Principal":"*""#,
    };
    format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, statement(word, principal))
}

fn identity_document(word: Word) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, statement(word, ""))
}

fn request() -> Request {
    let pair = |name: &str, value: String| Pair { name: name.into(), value };
    Request {
        action: "kms:Decrypt".into(),
        resource: KEY.into(),
        principal: Principal { arn: USER.into(), account: "111122223333".into(), tags: Vec::new() },
        key: None,
        encryption_context: vec![pair("text", "a".repeat(8192))],
        parameters: Vec::new(),
        attestation: None,
        grants: Vec::new(),
        time: 0,
        source_ip: None,
    }
}

fn grant() -> Grant {
    let terms = GrantTerms {
        name: None,
        grantee: USER.into(),
        retiring: None,
        operations: vec!["Decrypt".into()],
        constraint: None,
    };
    Grant { id: "1".into(), created: 0, terms }
}

fn comes(weighed: Result<Leave, No>) -> Result<Comes, (Denial, String)> {
    match weighed {
        Ok(leave) => {
            assert!(leave.audited().allowed);
            Ok(match leave.source {
                Source::Policy(_) => ByPolicy,
                Source::Grants { .. } => ByGrant,
                Source::Principal { .. } => ByPrincipal,
            })
        }
        Err(No { denial, decision, reason }) => {
            assert!(!decision.allowed);
            Err((denial, reason))
        }
    }
}

#[test]
fn every_combination_comes_to_what_the_table_says() {
    let modules = Modules::stock(&Engine::new(Limits::default()).unwrap()).unwrap();
    let words = [Allow, Deny, NoOpinion, Delegates, Fails];
    let policies = words.map(|word| (word, modules.configure(&document(word)).unwrap()));
    let of_principal: Vec<_> = [Allow, Deny, NoOpinion, Fails]
        .into_iter()
        .map(|word| {
            let policy = modules.configure_principal(&identity_document(word)).unwrap();
            (word, [PrincipalPolicy { name: "own".into(), policy }])
        })
        .collect();
    let (request, grant) = (request(), grant());

    let with_none =
        |known: &'static [Word]| [None].into_iter().chain(known.iter().map(|word| Some(*word)));
    let mut tried = 0;
    for guardrail in with_none(&[Allow, Deny, NoOpinion, Delegates, Fails]) {
        for (word, policy) in &policies {
            for principal in with_none(&[Allow, Deny, NoOpinion, Fails]) {
                for granted in [false, true] {
                    let by_guardrail = policies.iter().find(|(known, _)| Some(*known) == guardrail);
                    let by_principal =
                        of_principal.iter().find(|(known, _)| Some(*known) == principal);
                    let asked = Policies {
                        guardrail: by_guardrail.map(|(_, policy)| policy),
                        policy,
                        principal: by_principal.map_or(&[], |(_, policies)| policies),
                    };
                    let grants: &[&Grant] = if granted { &[&grant] } else { &[] };
                    let found = comes(weigh(&asked, grants, &request));
                    let wanted = expected(guardrail, *word, principal, granted);
                    let row = format!("{guardrail:?} {word:?} {principal:?} {granted}: {found:?}");
                    match (found, wanted) {
                        (Ok(found), wanted) => assert_eq!(found, wanted, "{row}"),
                        (Err((told, reason)), Denied(denial, start)) => {
                            assert_eq!(told, denial, "{row}");
                            assert!(reason.starts_with(start), "{row}");
                        }
                        (Err(_), _) => panic!("{row}, not {wanted:?}"),
                    }
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 6 * 5 * 5 * 2);
}

/// AWS, "Policy evaluation logic": one explicit deny among several policies wins, wherever it stands;
/// one allow among them is enough; what the key's policy does not delegate, none of them allows.
#[test]
fn several_policies_of_one_principal() {
    let modules = Modules::stock(&Engine::new(Limits::default()).unwrap()).unwrap();
    let of = |words: &[Word]| -> Vec<PrincipalPolicy> {
        let policy = |word: &Word| modules.configure_principal(&identity_document(*word)).unwrap();
        let named = |(at, word): (usize, &Word)| PrincipalPolicy {
            name: at.to_string(),
            policy: policy(word),
        };
        words.iter().enumerate().map(named).collect()
    };
    for (key, words, wanted) in [
        (Delegates, &[NoOpinion, Allow][..], Ok(ByPrincipal)),
        (Delegates, &[Allow, NoOpinion], Ok(ByPrincipal)),
        (
            Delegates,
            &[Allow, Deny],
            Err((ByIdentityPolicy, "policy 1 of the principal: explicit deny")),
        ),
        (
            Delegates,
            &[Deny, Allow],
            Err((ByIdentityPolicy, "policy 0 of the principal: explicit deny")),
        ),
        (
            Delegates,
            &[Allow, Fails],
            Err((ByIdentityPolicy, "policy 1 of the principal: the policy used up")),
        ),
        (Delegates, &[NoOpinion, NoOpinion], Err((NoIdentityPolicy, "no policy allows it"))),
        (Delegates, &[], Err((NoIdentityPolicy, "no policy allows it"))),
        (NoOpinion, &[Allow, Allow], Err((NoResourcePolicy, "no policy allows it"))),
        (
            Allow,
            &[NoOpinion, Deny],
            Err((ByIdentityPolicy, "policy 1 of the principal: explicit deny")),
        ),
        (Allow, &[NoOpinion], Ok(ByPolicy)),
        (Allow, &[], Ok(ByPolicy)),
    ] {
        let policy = modules.configure(&document(key)).unwrap();
        let principal = of(words);
        let asked = Policies { guardrail: None, policy: &policy, principal: &principal };
        let found = comes(weigh(&asked, &[], &request()));
        match wanted {
            Ok(wanted) => assert_eq!(found, Ok(wanted), "{key:?} {words:?}"),
            Err((denial, start)) => {
                let (told, reason) = found.unwrap_err();
                assert_eq!(told, denial, "{key:?} {words:?}");
                assert!(reason.starts_with(start), "{key:?} {words:?} {reason}");
            }
        }
    }
}
