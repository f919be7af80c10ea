//! Stock policy `two-person`: operations that members of a group approve before they happen.
//!
//! ```json
//! {
//!   "actions": ["kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"],
//!   "group": "custodians",
//!   "members": ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:user/carol"],
//!   "needed": 1,
//!   "within_minutes": 60,
//!   "users": ["arn:aws:iam::111122223333:root"]
//! }
//! ```
//!
//! With `needed` 1 two people agree: who asks, and one member, who cannot be the same. `"*"` is every
//! action.
//!
//! As a key's policy it allows the `users` everything, the `actions` when they are approved, and has
//! no opinion of others. As a guardrail, without `users`, it allows nobody, and asks for approval of
//! whatever else allows the actions.

use sekisho_policy::json::{self, Cursor, Value};
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{
    Answer, Approvals, ConfigurationError, Policy, Request, allow, deny, no_opinion,
    require_approvals,
};

/// The policy.
#[derive(Debug)]
pub struct TwoPerson;

sekisho_policy::export!(TwoPerson);

impl Policy for TwoPerson {
    type State = Vec<u8>;

    fn configure(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        json::with(configuration, |root| read(&root))
    }

    fn evaluate(state: &Vec<u8>, request: &Request) -> Answer {
        decide(Reader::new(state), request)
            .unwrap_or_else(|| deny("the policy cannot read its own state"))
    }
}

fn decide(mut state: Reader<'_>, request: &Request) -> Option<Answer> {
    let (mut users, mut actions, mut members) = (state.block()?, state.block()?, state.block()?);
    let (needed, minutes, group) = (state.byte()?, state.number()?, state.bytes()?);

    let mut answer = no_opinion();
    while !users.is_empty() {
        if users.bytes()? == request.principal.arn.as_bytes() {
            answer = allow();
        }
    }
    let mut listed = false;
    while !actions.is_empty() {
        let action = actions.bytes()?;
        listed |= action == b"*" || action == request.action.as_bytes();
    }
    if !listed {
        return Some(answer);
    }
    let mut names = Vec::new();
    while !members.is_empty() {
        names.push(String::from_utf8_lossy(members.bytes()?).into_owned());
    }
    Some(require_approvals(
        answer,
        Approvals {
            group: String::from_utf8_lossy(group).into_owned(),
            members: names,
            needed,
            within: u32::try_from(minutes).ok()? * 60,
        },
    ))
}

fn read(root: &Cursor<'_>) -> Result<Vec<u8>, ConfigurationError> {
    let (mut users, mut actions, mut members) = (Vec::new(), Vec::new(), Vec::new());
    let (mut group, mut needed, mut minutes) = (None, None, None);
    for (member, value) in root.object()? {
        match member {
            "users" => users = principals(&value)?,
            "actions" => actions = names(&value)?,
            "members" => members = principals(&value)?,
            "group" => group = Some(value.string()?.to_owned()),
            "needed" => needed = Some(number(&value, 1, 64)?),
            "within_minutes" => minutes = Some(number(&value, 1, 10_080)?),
            _ => return Err(value.error("is not a member of the configuration")),
        }
    }
    let missing = |name: &str| root.error(["`", name, "` is missing"].concat());
    let group = group.filter(|name| !name.is_empty()).ok_or_else(|| missing("group"))?;
    let needed = needed.ok_or_else(|| missing("needed"))?;
    if actions.is_empty() {
        return Err(missing("actions"));
    }
    if group.len() > 128 {
        return Err(root.error("`group` is longer than 128 bytes"));
    }
    if members.len() < needed || members.len() > 64 {
        return Err(root.error("`members` are fewer than `needed`, or more than 64"));
    }
    let mut writer = Writer::new();
    for list in [&users, &actions, &members] {
        writer.block(|block| list.iter().for_each(|name| block.string(name)));
    }
    writer.byte(u8::try_from(needed).unwrap_or(u8::MAX));
    writer.number(minutes.ok_or_else(|| missing("within_minutes"))?);
    writer.string(&group);
    Ok(writer.finish())
}

fn names(at: &Cursor<'_>) -> Result<Vec<String>, ConfigurationError> {
    at.array()?.iter().map(|name| Ok(name.string()?.to_owned())).collect()
}

/// ARNs, none twice.
fn principals(at: &Cursor<'_>) -> Result<Vec<String>, ConfigurationError> {
    let mut found: Vec<String> = Vec::new();
    for element in at.array()? {
        let arn = element.string()?;
        if !arn.starts_with("arn:") || arn.contains(['*', '?']) || arn.len() > 1024 {
            return Err(element.error("is not a principal's ARN, whole and without wildcards"));
        }
        if found.iter().any(|known| known == arn) {
            return Err(element.error("is there twice"));
        }
        found.push(arn.into());
    }
    Ok(found)
}

fn number(at: &Cursor<'_>, least: usize, most: usize) -> Result<usize, ConfigurationError> {
    let Value::Number(text) = at.value() else {
        return Err(at.error("is not a number"));
    };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        at.error(["is not ", &least.to_string(), " to ", &most.to_string()].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_policy::{Decision, Obligation, Principal};

    const ROOT: &str = "arn:aws:iam::111122223333:root";
    const BOB: &str = "arn:aws:iam::111122223333:user/bob";

    fn configuration(users: &str) -> String {
        format!(
            r#"{{"actions":["kms:ScheduleKeyDeletion"],"group":"custodians","members":["{BOB}"],
                "needed":1,"within_minutes":60{users}}}"#
        )
    }

    fn ask(configuration: &str, principal: &str, action: &str) -> Answer {
        let request = Request {
            action: action.into(),
            resource: "*".into(),
            principal: Principal {
                arn: principal.into(),
                account: "111122223333".into(),
                tags: vec![],
            },
            key: None,
            encryption_context: vec![],
            parameters: vec![],
            attestation: None,
            grants: vec![],
            time: 0,
            source_ip: None,
        };
        let state = TwoPerson::configure(configuration.as_bytes()).unwrap();
        TwoPerson::evaluate(&state, &request)
    }

    #[test]
    fn its_actions_need_approval_and_its_users_alone_are_allowed() {
        let approvals = Obligation::RequireApprovals(Approvals {
            group: "custodians".into(),
            members: vec![BOB.into()],
            needed: 1,
            within: 3600,
        });
        let key = configuration(&format!(r#","users":["{ROOT}"]"#));
        let guardrail = configuration("");
        for (configuration, principal, action, decision, needed) in [
            (&key, ROOT, "kms:ScheduleKeyDeletion", Decision::Allow, true),
            (&key, ROOT, "kms:Decrypt", Decision::Allow, false),
            (&key, BOB, "kms:Decrypt", Decision::NoOpinion, false),
            (&guardrail, ROOT, "kms:ScheduleKeyDeletion", Decision::NoOpinion, true),
            (&guardrail, ROOT, "kms:Decrypt", Decision::NoOpinion, false),
        ] {
            let answer = ask(configuration, principal, action);
            assert_eq!(answer.decision, decision, "{principal} {action}");
            assert_eq!(answer.obligations.contains(&approvals), needed, "{principal} {action}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused_at_its_place() {
        for (from, to, place) in [
            ("\"needed\":1", "\"needed\":0", "needed"),
            ("\"needed\":1", "\"needed\":2", ""),
            ("\"within_minutes\":60", "\"within_minutes\":10081", "within_minutes"),
            ("custodians", "", ""),
            ("user/bob", "user/*", "members[0]"),
            ("\"needed\":1", "\"needed\":1,\"x\":1", "x"),
        ] {
            let wrong = configuration("").replace(from, to);
            let error = TwoPerson::configure(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.place, place, "{}", error.reason);
        }
    }
}
